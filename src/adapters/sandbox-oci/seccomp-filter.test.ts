import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { INSTRUCTION_BYTES, seccompFilter } from "./seccomp-filter.ts";
import { seccompProfile } from "./seccomp-profile.ts";
import { runtimePath, whyNot } from "./testing/oci-harness.ts";
import { inOwnMountNamespace } from "./testing/own-mount-namespace.ts";

const ALLOW = 0x7fff0000;
const KILL = 0x00000000;
const refused = (errno: number) => 0x00050000 | errno;
const [EPERM, ENOSYS, EAFNOSUPPORT] = [1, 38, 97];
/** linux/audit.h */
const AUDIT = { x64: 0xc000003e, arm64: 0xc00000b7, ia32: 0x40000003, arm: 0x40000028 } as const;
const X32_BIT = 0x40000000;
const LAST_CALL = 600;

interface Call {
	number: number;
	arch: number;
	args: readonly bigint[];
}

/** What the kernel would do: the instructions of classic BPF that libseccomp makes (linux/bpf_common.h, seccomp(2)). */
function decide(filter: Buffer, { number, arch, args }: Call): number {
	const data = Buffer.alloc(64);
	data.writeUInt32LE(number >>> 0, 0);
	data.writeUInt32LE(arch, 4);
	for (const [at, value] of args.entries()) data.writeBigUInt64LE(BigInt.asUintN(64, value), 16 + at * 8);
	let accumulator = 0;
	for (let at = 0; at < filter.length / INSTRUCTION_BYTES; at++) {
		const code = filter.readUInt16LE(at * INSTRUCTION_BYTES);
		const [yes, no] = [filter[at * INSTRUCTION_BYTES + 2]!, filter[at * INSTRUCTION_BYTES + 3]!];
		const k = filter.readUInt32LE(at * INSTRUCTION_BYTES + 4);
		if (code === 0x06) return k;
		if (code === 0x20) accumulator = data.readUInt32LE(k);
		else if (code === 0x54) accumulator = (accumulator & k) >>> 0;
		else if (code === 0x05) at += k;
		else if (code === 0x15) at += accumulator === k ? yes : no;
		else if (code === 0x25) at += accumulator > k ? yes : no;
		else if (code === 0x35) at += accumulator >= k ? yes : no;
		else assert.fail(`an instruction that nobody expects: ${code.toString(16)}`);
	}
	return assert.fail("it ends without an answer");
}

/** Of arguments that rules look at, and some around them. */
const interesting = [
	...[0n, 1n, 2n, 3n, 8n, 9n, 10n, 11n, 15n, 16n, 17n, 38n, 40n, 0x11n, 0x20000n, 0x20008n, 0x0200000n, 0xffffffffn],
	...[0x01200011n, 0x003d0f00n, 0x7e020000n, 0x7e020011n, 1n << 32n, (1n << 32n) | 1n, (1n << 32n) | 0x20n, -1n],
	...Array.from({ length: 32 }, (_, bit) => 1n << BigInt(bit)),
];

function* everyCall(native: number): Generator<Call> {
	const others = [0n, 0n, 0n, 0n, 0n];
	for (let number = 0; number <= LAST_CALL; number++)
		for (const first of interesting) yield { number, arch: native, args: [first, ...others] };
	for (const arch of Object.values(AUDIT))
		for (const number of [0, 1, 39, 41, 56, 59, 220, 999, X32_BIT, X32_BIT | 1, X32_BIT | 59, 0x7fffffff, 0xffffffff])
			yield { number, arch, args: [0n, ...others] };
}

await inOwnMountNamespace(import.meta.filename, () => {
	const supported = process.arch === "x64" || process.arch === "arm64";
	test("decides as the filter that crun makes of the same profile, for every call and argument", {
		skip: whyNot("crun") ?? (!supported && "written for two machines"),
	}, () => {
		const theirs = filterOfCrun();
		const ours = seccompFilter(seccompProfile(process.arch));
		assert.ok(ours.length / INSTRUCTION_BYTES <= 4096, "longer than the kernel takes (BPF_MAXINSNS)");
		let count = 0;
		const different: string[] = [];
		for (const call of everyCall(AUDIT[process.arch as "x64"])) {
			count++;
			const [our, their] = [decide(ours, call), decide(theirs, call)];
			if (our !== their) different.push(`${call.number}(${call.args[0]}) of ${call.arch}: ${our}, crun ${their}`);
		}
		assert.ok(count > 30_000);
		assert.deepEqual(different, []);
	});

	test("answers what the profile says", { skip: process.arch !== "x64" && "written for x86-64" }, () => {
		const filter = seccompFilter(seccompProfile("x64"));
		const answer = (number: number, ...args: number[]) =>
			decide(filter, { number, arch: AUDIT.x64, args: args.map(BigInt) });
		for (const number of [0, 1, 3, 59, 202, 231, 317]) assert.equal(answer(number), ALLOW, `${number}`);
		for (const number of [101, 155, 165, 166, 272, 308, 310, 438])
			assert.equal(answer(number), refused(EPERM), `${number}`);
		for (const number of [425, 435, 999]) assert.equal(answer(number), refused(ENOSYS), `${number}`);
		assert.equal(answer(56, 17), ALLOW);
		for (const flag of [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000])
			assert.equal(answer(56, flag | 17), refused(EPERM), `${flag}`);
		const sockets = [1, 2, 3, 10, 16, 17, 40].map((family) => answer(41, family));
		const [other, no] = [refused(ENOSYS), refused(EAFNOSUPPORT)];
		assert.deepEqual(sockets, [ALLOW, ALLOW, other, ALLOW, ALLOW, no, no]);
		// Another machine's numbers mean other calls: the program is killed.
		assert.equal(decide(filter, { number: 4, arch: AUDIT.ia32, args: [] }), KILL);
		assert.equal(decide(filter, { number: X32_BIT | 59, arch: AUDIT.x64, args: [] }), KILL);
	});

	test("leaves no file", () => {
		const left = () => readdirSync(tmpdir()).filter((name) => name.startsWith("slipway-seccomp-")).length;
		const before = left();
		seccompFilter(seccompProfile(process.arch));
		assert.ok(left() <= before);
	});
});

/** It keeps it beside the container's state. */
function filterOfCrun(): Buffer {
	const folder = mkdtempSync(join(tmpdir(), "slipway-crun-filter-"));
	const id = `slipway-filter-${process.pid}`;
	const crun = (...args: string[]) => {
		const all = ["--root", join(folder, "state"), "--cgroup-manager=disabled", ...args];
		assert.equal(spawnSync(runtimePath("crun")!, all, { stdio: "ignore" }).status, 0, args.join(" "));
	};
	try {
		for (const name of ["proc", "dev", "bin"]) mkdirSync(join(folder, "rootfs", name), { recursive: true });
		writeFileSync(join(folder, "rootfs/bin/none"), "", { mode: 0o755 });
		const config = {
			ociVersion: "1.0.2",
			root: { path: "rootfs" },
			process: { user: { uid: 0, gid: 0 }, args: ["/bin/none"], cwd: "/", env: [], noNewPrivileges: true },
			mounts: [],
			linux: { namespaces: [{ type: "mount" }, { type: "pid" }], seccomp: seccompProfile(process.arch) },
		};
		writeFileSync(join(folder, "config.json"), JSON.stringify(config));
		try {
			crun("create", "--bundle", folder, id);
			return readFileSync(join(folder, "state", id, "seccomp.bpf"));
		} finally {
			crun("delete", "--force", id);
		}
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}
