/** The machine code itself, on this machine and under an emulator of the other kind. */
import assert from "node:assert/strict";
import { closeSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { systemClock } from "../../base/clock.ts";
import { Lifetime } from "../../base/lifetime.ts";
import { socketPair } from "../../base/syscall.ts";
import { ChildReaper } from "./child-reaper.ts";
import { LauncherChannel } from "./launcher-channel.ts";
import { ANSWER_BYTES, launcherProgram } from "./launcher-program.ts";
import { LauncherScript } from "./launcher-script.ts";
import { spawnProgram } from "./spawn.ts";

const F_GETFD = 1;
const EMULATORS = { x64: "/usr/bin/qemu-x86_64", arm64: "/usr/bin/qemu-aarch64" } as const;

for (const architecture of ["x64", "arm64"] as const) {
	const emulator = architecture === process.arch ? undefined : EMULATORS[architecture];
	const skip = emulator && !existsSync(emulator) ? `needs ${emulator} (apt install qemu-user)` : false;
	describe(`the launcher on ${architecture}`, { skip, timeout: 60_000 }, () => suite(architecture, emulator));
}

test("there is none for other machines", () => {
	assert.equal(launcherProgram("riscv64"), undefined);
});

function suite(architecture: "x64" | "arm64", emulator: string | undefined): void {
	const lifetime = new Lifetime();
	let reaper: ChildReaper;
	let folder: string;
	before(() => {
		folder = mkdtempSync(join(tmpdir(), "slipway-launcher-"));
		lifetime.defer(() => rmSync(folder, { recursive: true }));
		writeFileSync(join(folder, "launcher"), launcherProgram(architecture)!, { mode: 0o755 });
		reaper = lifetime.use(new ChildReaper(systemClock));
	});
	after(() => lifetime[Symbol.asyncDispose]());

	/** `ours` is its channel's other end. */
	function start() {
		const [ours, theirs] = socketPair();
		const launcher = join(folder, "launcher");
		const program = emulator === undefined ? { path: launcher, args: [] } : { path: emulator, args: [launcher] };
		const { exited } = spawnProgram(reaper, { ...program, env: {}, fds: ["ignore", "ignore", "ignore", theirs] });
		closeSync(theirs);
		return { ours, exited };
	}
	/** For this kind of machine. */
	class MachineScript extends LauncherScript {
		override encode(): Buffer {
			return super.encode(architecture);
		}
	}
	const script = () => new MachineScript();

	test("makes the calls in order up to the first that fails, and takes script after script until it is a program", async () => {
		const { ours, exited } = start();
		const channel = lifetime.use(new LauncherChannel(ours, systemClock));
		assert.equal(await channel.run(script()), undefined);
		assert.equal(await channel.run(script().call("chdir", folder).try("chdir", "/nope").call("chdir", ".")), undefined);
		assert.deepEqual(await channel.run(script().call("chdir", ".").call("chdir", "/no/where").call("close", 2)), {
			name: "chdir",
			texts: ["/no/where"],
			code: "ENOENT",
		});
		// What came after it was not made.
		assert.equal(await channel.run(script().call("fcntl", 2, F_GETFD).call("close", 2)), undefined);
		assert.equal((await channel.run(script().call("fcntl", 2, F_GETFD)))?.code, "EBADF");
		// A result that is neither zero nor an error.
		assert.equal(await channel.run(script().call("openat", -100, "/dev/null", 2, 0).call("chdir", "/")), undefined);
		// All six arguments arrive: four of prlimit64, whose last is where the old limit goes.
		assert.equal((await channel.run(script().call("prlimit64", 0, 99, 0, 0)))?.code, "EINVAL");
		assert.equal((await channel.execute(script().call("execve", "/no/program", ["x"], [])))?.code, "ENOENT");
		const args = ["sh", "-c", 'printf "%s|" "$0" "$@" "$A" "$PWD" > out; exit 7', "", "two words", "ü"];
		const [program, env] = ["/bin/sh", ["A=b"]];
		await channel.run(script().call("chdir", folder).call("fcntl", 3, 2, 1));
		assert.equal(await channel.execute(script().call("execve", program, args, env)), undefined);
		assert.deepEqual(await exited, { code: 7, signal: undefined });
		assert.equal(readFileSync(join(folder, "out"), "utf8"), `|two words|ü|b|${folder}|`);
	});

	test("as large a script as there may be, and one that comes byte by byte", async () => {
		const { ours, exited } = start();
		const socket = new Socket({ fd: ours });
		const answers: Buffer[] = [];
		socket.on("data", (part: Buffer) => answers.push(part));
		const answered = async (count: number) => {
			for (let look = 0; Buffer.concat(answers).length < count * ANSWER_BYTES && look < 2_000; look++) await sleep(5);
			return Buffer.concat(answers).subarray((count - 1) * ANSWER_BYTES);
		};
		const many = script();
		for (let call = 0; call < 10_000; call++) many.try("chdir", "/");
		many.call("execve", "/nope", ["x".repeat(1_000_000)], []);
		socket.write(many.encode());
		const answer = await answered(1);
		assert.deepEqual([answer.readBigUInt64LE(0), answer.readBigInt64LE(8)], [10_000n, -2n]);
		for (const byte of script().call("chdir", "/").call("chdir", "/nope").encode())
			writeSync(ours, Buffer.from([byte]));
		const second = await answered(2);
		assert.deepEqual([second.readBigUInt64LE(0), second.readBigInt64LE(8)], [1n, -2n]);
		socket.destroy();
		assert.deepEqual(await exited, { code: 1, signal: undefined });
	});

	for (const [where, length] of [
		["at once", 0],
		["within the count", 5],
		["after the count", 8],
		["within a call", 50],
	] as const)
		test(`the end of its input ends it with 1: ${where}`, async () => {
			const { ours, exited } = start();
			if (length > 0) writeSync(ours, script().call("chdir", "/").encode(), 0, length);
			closeSync(ours);
			assert.deepEqual(await exited, { code: 1, signal: undefined });
		});
}
