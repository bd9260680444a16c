import assert from "node:assert/strict";
import {
	chmodSync,
	closeSync,
	mkdtempSync,
	openSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { Lifetime } from "../../base/lifetime.ts";
import { pipe } from "../../base/syscall.ts";
import { ChildReaper } from "./child-reaper.ts";
import { spawnProgram } from "./spawn.ts";

const PARALLEL = 200;
const lifetime = new Lifetime();
let reaper: ChildReaper;
let folder: string;

before(() => {
	folder = mkdtempSync(join(tmpdir(), "slipway-spawn-"));
	lifetime.defer(() => rmSync(folder, { recursive: true }));
	reaper = lifetime.use(new ChildReaper(systemClock));
});
after(() => lifetime[Symbol.asyncDispose]());

const shell = (script: string, fds: readonly (number | "ignore")[] = ["ignore", "ignore", "ignore"], env = {}) =>
	spawnProgram(reaper, { path: "/bin/sh", args: ["-c", script], env, fds });

/** What a script writes to its standard output. */
async function outputOf(script: string, env = {}): Promise<string> {
	const file = join(folder, "output");
	const fd = openSync(file, "w");
	try {
		const { exited } = shell(script, ["ignore", fd, "ignore"], env);
		assert.deepEqual(await exited, { code: 0, signal: undefined });
	} finally {
		closeSync(fd);
	}
	return readFileSync(file, "utf8");
}

test("exit codes and signals", async () => {
	assert.deepEqual(await shell("exit 7").exited, { code: 7, signal: undefined });
	assert.deepEqual(await shell("kill -TERM $$").exited, { code: undefined, signal: 15 });
	const { pid, exited } = shell("exec sleep 60");
	process.kill(pid, "SIGKILL");
	assert.deepEqual(await exited, { code: undefined, signal: 9 });
});

test("arguments and environment are what was given, and no more", async () => {
	assert.equal(
		await outputOf('echo "$A|$B"; /usr/bin/env', { A: "one two", B: "ü" }).then((text) => text.split("\n")[0]),
		"one two|ü",
	);
	assert.doesNotMatch(await outputOf("/usr/bin/env"), /^(PATH|HOME)=/m);
});

test("what can't be executed is refused by the system's code", async () => {
	const run = (path: string) => spawnProgram(reaper, { path, args: [], env: {}, fds: [] });
	const text = join(folder, "text");
	writeFileSync(text, "no program");
	assert.throws(() => run(join(folder, "nothing")), { code: "ENOENT" });
	assert.throws(() => run(text), { code: "EACCES" });
	chmodSync(text, 0o755);
	assert.throws(() => run(text), { code: "ENOEXEC" });
	assert.throws(() => run("/bin/true\0"), /NUL/);
	const outOfRange = { path: "/bin/true", args: [], env: {}, fds: [999_999] };
	assert.throws(() => spawnProgram(reaper, outOfRange), { code: "EBADF" });
});

test("it has the descriptors it was given, whatever their numbers, and no others", async () => {
	const open = pipe();
	try {
		assert.equal(await outputOf("ls /proc/self/fd | sort -n | tr '\\n' ' '"), "0 1 2 3 ");
		// 0 and 1 change places: standard input is this process's own standard output, and the other way round.
		const [zero, one] = [0, 1].map((fd) => readFd(process.pid, fd));
		const { pid, exited } = shell("exec sleep 60", [1, 0, open.write, open.read]);
		assert.deepEqual([readFd(pid, 0), readFd(pid, 1)], [one, zero]);
		assert.equal(readFd(pid, 2), readFd(process.pid, open.write));
		assert.equal(readFd(pid, 3), readFd(process.pid, open.read));
		assert.deepEqual(readdirSync(`/proc/${pid}/fd`), ["0", "1", "2", "3"]);
		process.kill(pid, "SIGKILL");
		await exited;
	} finally {
		closeSync(open.read);
		closeSync(open.write);
	}
});

function readFd(pid: number, fd: number): string {
	return readlinkSync(`/proc/${pid}/fd/${fd}`);
}

test("every signal is as by default, and none is blocked", async () => {
	const status = await outputOf(
		"while read line; do case $line in Sig[BI]*) echo $line;; esac; done < /proc/$$/status",
	);
	assert.equal(status, "SigBlk: 0000000000000000\nSigIgn: 0000000000000000\n");
});

test(`${PARALLEL} at once all end with their own code, and leave neither zombies nor descriptors`, async () => {
	const descriptors = () => readdirSync("/proc/self/fd").length;
	const count = descriptors();
	const codes = await Promise.all(
		Array.from({ length: PARALLEL }, async (_, at) => (await (await shell(`exit ${at % 100}`)).exited).code),
	);
	assert.deepEqual(
		codes,
		Array.from({ length: PARALLEL }, (_, at) => at % 100),
	);
	assert.equal(descriptors(), count);
});
