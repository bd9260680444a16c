/** What a sandbox costs, beside the runtime program on its own: `node bench/sandbox.ts`, as root. */
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OciSandboxRuntime } from "../src/adapters/sandbox-oci/oci-sandbox-runtime.ts";
import { probeRuntimes } from "../src/adapters/sandbox-oci/probe.ts";
import type { RuntimeProgram } from "../src/adapters/sandbox-oci/runtime-program.ts";
import { inOwnMountNamespace } from "../src/adapters/sandbox-oci/testing/own-mount-namespace.ts";
import { exitProgram, syscallProgram } from "../src/adapters/sandbox-oci/tiny-elf.ts";
import type { SandboxSpec } from "../src/core/sandbox/sandbox-runtime.ts";

export interface SandboxFigures {
	runtime: string;
	/** Medians, in milliseconds. */
	createMs: number;
	startToConnectMs: number;
	freezeMs: number;
	thawMs: number;
	disposeMs: number;
	/** The runtime program's own `run` of the same root and program. */
	baselineRunMs: number;
}

const ROUNDS = 40;
const LIMITS = { memoryMiB: 128, cpus: 1, pids: 64, openFiles: 1024, tmpMiB: 512 };

/** To be called as root in the daemon's kind of mount namespace. Creates use the pools, as in the daemon. */
export async function benchSandbox(program: RuntimeProgram, rounds = ROUNDS): Promise<SandboxFigures> {
	const folder = mkdtempSync(join(tmpdir(), "slipway-bench-"));
	try {
		const rootfs = makeRootfs(join(folder, "rootfs"));
		await using runtime = await OciSandboxRuntime.open({
			runtime: program,
			stateFolder: join(folder, "state"),
			allowVulnerableRuntime: true,
		});
		const times = { create: [], connect: [], freeze: [], thaw: [], dispose: [], baseline: [] } as Record<
			string,
			number[]
		>;
		const timed = async <T>(name: string, task: () => PromiseLike<T>): Promise<T> => {
			const started = performance.now();
			const result = await task();
			times[name]!.push(performance.now() - started);
			return result;
		};
		for (let round = 0; round < rounds; round++) {
			runtime.prepare({ tmpMiB: LIMITS.tmpMiB, egress: false });
			await runtime.settled();
			const connected = Promise.withResolvers<Socket>();
			const spec = sandboxSpec(`bench-${round}`, rootfs, connected.resolve);
			const sandbox = await timed("create", () => runtime.create(spec));
			await timed("connect", async () => {
				await sandbox.start();
				await connected.promise;
			});
			await timed("freeze", () => sandbox.freeze());
			await timed("thaw", () => sandbox.thaw());
			await timed("dispose", () => sandbox[Symbol.asyncDispose]());
			await timed("baseline", async () => runBare(program, folder, rootfs));
		}
		return {
			runtime: `${program.name} ${program.version}`,
			createMs: median(times.create!),
			startToConnectMs: median(times.connect!),
			freezeMs: median(times.freeze!),
			thawMs: median(times.thaw!),
			disposeMs: median(times.dispose!),
			baselineRunMs: median(times.baseline!),
		};
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}

export function sandboxSpec(id: string, rootfs: string, onConnection: (socket: Socket) => void): SandboxSpec {
	return {
		id,
		rootfs,
		args: ["/connect"],
		env: {},
		cwd: "/",
		user: { uid: 1000, gid: 1000 },
		readonlyRoot: true,
		limits: LIMITS,
		egress: false,
		endpoint: { envName: "ENDPOINT", onConnection },
	};
}

function runBare(program: RuntimeProgram, folder: string, rootfs: string): void {
	const bundle = join(folder, "bundle");
	if (!existsSync(bundle)) {
		mkdirSync(bundle);
		const namespaces = ["pid", "mount", "ipc", "uts", "network"].map((type) => ({ type }));
		const config = {
			ociVersion: "1.0.2",
			root: { path: rootfs, readonly: true },
			process: { user: { uid: 1000, gid: 1000 }, args: ["/exit"], cwd: "/", noNewPrivileges: true },
			mounts: [{ destination: "/proc", type: "proc", source: "proc" }],
			linux: { namespaces },
		};
		writeFileSync(join(bundle, "config.json"), JSON.stringify(config));
	}
	execFileSync(program.path, ["--root", join(folder, "bare"), "run", "--bundle", bundle, "bare"], { stdio: "ignore" });
}

/** /exit only exits; /connect opens a connection to 127.0.0.1:9001 and waits for ever. */
export function makeRootfs(rootfs: string): string {
	for (const name of ["proc", "sys", "dev", "tmp", "etc"]) mkdirSync(join(rootfs, name), { recursive: true });
	for (const name of ["hosts", "hostname", "resolv.conf"]) writeFileSync(join(rootfs, "etc", name), "");
	const programs = { exit: exitProgram(process.arch), connect: connectProgram() };
	for (const [name, content] of Object.entries(programs)) {
		if (!content) throw new Error(`No benchmark program for ${process.arch}`);
		writeFileSync(join(rootfs, name), content);
		chmodSync(join(rootfs, name), 0o755);
	}
	return rootfs;
}

/** x86-64: socket, connect to an address on the stack of a program that has none: so it is written by pushes. */
function connectProgram(): Buffer {
	const SOCKET = 41;
	const CONNECT = 42;
	const PAUSE = 34;
	// The first free descriptor is 3; the address lies in the file's last 16 bytes.
	const calls = (address: bigint) => syscallProgram([[SOCKET, 2, 1, 0], [CONNECT, 3, address, 16], [PAUSE]]);
	const sockaddr = Buffer.from([2, 0, 9001 >> 8, 9001 & 0xff, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
	const end = 0x400000 + calls(0n).length;
	const program = Buffer.concat([calls(BigInt(end)), sockaddr]);
	// The one segment has to cover the address too (p_filesz and p_memsz).
	program.writeBigUInt64LE(BigInt(program.length), 96);
	program.writeBigUInt64LE(BigInt(program.length), 104);
	return program;
}

function median(values: number[]): number {
	const sorted = values.toSorted((a, b) => a - b);
	return Math.round(sorted[Math.floor(sorted.length / 2)]! * 100) / 100;
}

if (import.meta.main)
	await inOwnMountNamespace(import.meta.filename, async () => {
		const runtimes = (await probeRuntimes({ allowVulnerableRuntime: true })).filter(({ usable }) => usable);
		const figures: SandboxFigures[] = [];
		for (const runtime of runtimes) figures.push(await benchSandbox(runtime));
		console.table(figures);
	});
