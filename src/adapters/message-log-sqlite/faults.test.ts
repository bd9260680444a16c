/** What a process, a file and a disk can do to the log: kills, torn and changed bytes, no room, failing writes. */
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, open, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { silentLog } from "../../base/log.ts";
import { refused } from "../../core/message-log/message-log.contract.ts";
import { defaultLaneSettings, type LogFault, type StoredMessage } from "../../core/message-log/message-log.ts";
import { SqliteMessageLog } from "./sqlite-message-log.ts";

interface Folder extends AsyncDisposable {
	root: string;
	path: string;
	open(onFault?: (fault: LogFault) => void): Promise<SqliteMessageLog>;
}

async function folder(): Promise<Folder> {
	const root = await mkdtemp(join(tmpdir(), "slipway-events-"));
	const path = join(root, "events.db");
	return {
		root,
		path,
		open: (onFault = () => {}) => SqliteMessageLog.open({ path, clock: systemClock, log: silentLog, onFault }),
		[Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
	};
}

const append = (lane: string, id: string, body = id) =>
	({ change: "append", lane, id, body: Buffer.from(body) }) as const;

async function all(log: SqliteMessageLog, lane: string): Promise<StoredMessage[]> {
	const found: StoredMessage[] = [];
	for (let after = 0; ; ) {
		const page = await log.scan(lane, { limit: 1000, after });
		found.push(...page);
		if (page.length < 1000) return found;
		after = page.at(-1)?.sequence ?? 0;
	}
}

const ids = (messages: readonly { id: string }[]) => messages.map(({ id }) => id);

/** Appends and settles without end, and says what it was told; of ten messages one is settled and moved to "out" in the same commit. */
const writerOf = (path: string, round: number) => `
	import { SqliteMessageLog } from ${JSON.stringify(new URL("./sqlite-message-log.ts", import.meta.url).href)};
	import { systemClock } from ${JSON.stringify(new URL("../../base/clock.ts", import.meta.url).href)};
	import { silentLog } from ${JSON.stringify(new URL("../../base/log.ts", import.meta.url).href)};
	import { writeSync } from "node:fs";
	const log = await SqliteMessageLog.open({ path: ${JSON.stringify(path)}, clock: systemClock, log: silentLog });
	const say = (text) => writeSync(1, text + "\\n");
	let n = 0;
	const appends = async (caller) => { for (;;) {
		const id = "r${round}-" + caller + "-" + n++;
		await log.commit([{ change: "append", lane: "in", id, body: Buffer.from(id) }]);
		say("a " + id);
	} };
	const settles = async () => { for (;;) for (const message of await log.lease("in", { max: 3, visibility: "process" })) {
		await log.commit([{ change: "settle", token: message.token, outcome: "done" },
			{ change: "append", lane: "out", id: "out-" + message.id, correlation: message.id, body: message.body }]);
		say("s " + message.id);
	} };
	for (let caller = 0; caller < 8; caller++) void appends(caller);
	void settles();
	say("open");`;

async function writeUntilKilled(path: string, root: string, round: number, ms: number): Promise<string[]> {
	const file = join(root, "writer.mjs");
	await writeFile(file, writerOf(path, round));
	const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", file], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	let said = "";
	child.stdout.on("data", (chunk: Buffer) => {
		const hadBegun = said.includes("\na ");
		said += chunk;
		if (!hadBegun && said.includes("\na ")) setTimeout(() => child.kill("SIGKILL"), ms);
	});
	await once(child, "close");
	assert.equal(child.signalCode, "SIGKILL");
	return said.split("\n").slice(0, -1);
}

describe("SqliteMessageLog, killed", () => {
	it("has all that was acknowledged, each message once, and moves done whole or not at all", async (t) => {
		await using given = await folder();
		const said: string[] = [];
		for (const [round, ms] of [5, 40, 90, 160, 250].entries())
			said.push(...(await writeUntilKilled(given.path, given.root, round, ms)));
		await using log = await given.open();
		const [waiting, out] = [await all(log, "in"), await all(log, "out")];
		assert.ok(
			waiting.every(({ state }) => state === "ready"),
			"the killed processes hold nothing",
		);
		const settled = new Set(out.map(({ correlation }) => correlation ?? ""));
		const known = [...ids(waiting), ...settled];
		assert.equal(new Set(known).size, waiting.length + out.length, "each is in one lane, once");
		const has = new Set(known);
		const appended = said.filter((line) => line.startsWith("a ")).map((line) => line.slice(2));
		const lost = appended.filter((id) => !has.has(id));
		const undone = said.filter((line) => line.startsWith("s ")).filter((line) => !settled.has(line.slice(2)));
		t.diagnostic(`${appended.length} acknowledged, ${out.length} settled`);
		assert.deepEqual([lost, undone], [[], []]);
		assert.ok(appended.length > 50, "the kills came in the midst of the work");
		const { visible, inFlight } = await log.counts("in");
		assert.deepEqual([visible, inFlight], [waiting.length, 0]);
	});
});

/** A log as a kill leaves it, its newest messages in the write-ahead log only. */
async function leftByAKill(given: Folder): Promise<string[]> {
	const said = await writeUntilKilled(given.path, given.root, 0, 60);
	return said.filter((line) => line.startsWith("a ")).map((line) => line.slice(2));
}

describe("SqliteMessageLog with bytes that are not what was written", () => {
	it("drops a torn last write and goes on from the commit before", async () => {
		for (const cut of [1, 1000, 5000, 40_000]) {
			await using given = await folder();
			const acknowledged = await leftByAKill(given);
			const wal = `${given.path}-wal`;
			const { size } = await stat(wal);
			await truncate(wal, Math.max(0, size - cut));
			await using log = await given.open();
			const has = new Set([...ids(await all(log, "in")), ...(await all(log, "out")).map((one) => one.correlation)]);
			const kept = acknowledged.map((id) => has.has(id));
			assert.ok(kept.lastIndexOf(true) < 0 || kept.slice(0, kept.lastIndexOf(true) - 64).every(Boolean), "a prefix");
			await log.commit([append("in", "new")]);
			assert.equal((await log.find("new")).length, 1);
		}
	});

	it("takes nothing from the write-ahead log behind a changed bit", async () => {
		await using given = await folder();
		await leftByAKill(given);
		const wal = await readFile(`${given.path}-wal`);
		const at = Math.floor(wal.length * 0.8);
		wal[at] = (wal[at] ?? 0) ^ 4;
		await writeFile(`${given.path}-wal`, wal);
		await using log = await given.open();
		for (const message of await all(log, "in")) assert.equal(Buffer.from(message.body).toString(), message.id);
		assert.deepEqual(await log.faults(), []);
	});

	it("sets aside a message with a changed bit, tells of it, serves the others, and counts right", async () => {
		await using given = await folder();
		{
			await using log = await given.open();
			const large = "L".repeat(50_000);
			await log.commit([append("a", "1"), append("a", "2", "the bad one"), append("a", "3", large), append("a", "4")]);
		}
		await change(given.path, "the bad one", "the bat one");
		await change(given.path, "LLLLLLLL", "LLLLLLLM");
		const told: LogFault[] = [];
		await using log = await given.open((fault) => told.push(fault));
		assert.deepEqual(ids(await log.lease("a", { max: 10, visibility: "process" })), ["1", "4"]);
		assert.deepEqual(ids(told), ["2", "3"]);
		assert.match(told[0]?.what ?? "", /^checksum is [0-9a-f]{8}, not [0-9a-f]{8}, of 11 bytes$/);
		assert.deepEqual(await log.faults(), told);
		const { visible, inFlight, bytes } = await log.counts("a");
		assert.deepEqual([visible, inFlight, bytes, log.stats().faults], [0, 2, 2, 2]);
		assert.deepEqual(await log.find("2"), []);
	});

	it("sets aside a message with a changed bit in what was written beside its content", async () => {
		const changes = [
			"id = 'other'",
			"correlation = 'other'",
			"grp = 'h'",
			"sent = sent + 1",
			"origin = 'b'",
			"bytes = bytes - 1",
		];
		await using given = await folder();
		{
			await using log = await given.open();
			const more = { correlation: "from", group: "g" };
			await log.commit([...changes, "whole"].map((_, i) => ({ ...append("a", `${i}`), ...more })));
		}
		const file = new DatabaseSync(given.path);
		for (const [i, set] of changes.entries()) file.exec(`UPDATE messages SET ${set} WHERE sequence = ${i + 1}`);
		file.close();
		await using log = await given.open();
		assert.deepEqual(ids(await log.lease("a", { max: 10, visibility: "process" })), [`${changes.length}`]);
		assert.equal(log.stats().faults, changes.length);
	});

	it("says what to do about a damaged file, and serves what it can of one with damaged pages", async () => {
		await using given = await folder();
		await writeFile(given.path, "This is not a database, it is a letter. ".repeat(100));
		await assert.rejects(given.open(), refused("UNAVAILABLE", "LogCorrupt"));
		await rm(given.path);
		{
			await using log = await given.open();
			for (let i = 0; i < 20; i++)
				await log.commit(Array.from({ length: 50 }, (_, j) => append("a", `${i}-${j}`, "x".repeat(500))));
		}
		const { size } = await stat(given.path);
		const file = await open(given.path, "r+");
		await file.write(Buffer.alloc(Math.floor(size / 4), 0xa5), 0, undefined, Math.floor(size / 2));
		await file.close();
		const use = async () => {
			await using log = await given.open();
			await all(log, "a");
		};
		await assert.rejects(use(), refused("UNAVAILABLE", "LogCorrupt"));
	});

	it("refuses a newer schema and leaves it alone, and a file that another one has", async () => {
		await using given = await folder();
		const newer = new DatabaseSync(given.path);
		newer.exec("PRAGMA user_version = 999");
		newer.close();
		await assert.rejects(given.open(), refused("UNSUPPORTED", "LogTooNew"));
		await rm(given.path);
		await using _first = await given.open();
		await assert.rejects(given.open(), refused("CONFLICT"));
	});
});

/** Changes the first place in the file where the text is. */
async function change(path: string, from: string, to: string): Promise<void> {
	const bytes = await readFile(path);
	const at = bytes.indexOf(from);
	assert.ok(at > 0, `'${from}' is in the file`);
	bytes.write(to, at);
	await writeFile(path, bytes);
}

const isRoot = process.getuid?.() === 0;
describe("SqliteMessageLog on a disk that refuses", () => {
	const skip = isRoot ? false : "needs root to mount a small tmpfs";
	it("is EXHAUSTED when it is full, keeps what it had, and goes on when there is room", { skip }, async () => {
		await using given = await folder();
		execFileSync("mount", ["-t", "tmpfs", "-o", "size=2m", "tmpfs", given.root]);
		try {
			await using log = await given.open();
			await log.commit([append("a", "small")]);
			const big = (id: string) => log.commit([append("a", id, "x".repeat(300_000))]);
			const settled = await Promise.allSettled(["a", "b", "c", "d", "e", "f", "g", "h"].map(big));
			const failed = settled.filter((one) => one.status === "rejected");
			assert.ok(failed.length > 0);
			for (const one of failed) refused("EXHAUSTED", "DiskFull")(one.reason);
			const kept = 1 + settled.length - failed.length;
			assert.equal((await all(log, "a")).length, kept);
			execFileSync("mount", ["-o", "remount,size=32m", given.root]);
			await big("i");
			assert.equal((await log.counts("a")).visible, kept + 1);
			assert.equal((await all(log, "a")).length, kept + 1);
		} finally {
			execFileSync("umount", [given.root]);
		}
	});

	it("looks for due messages once a second while they can't be written", { skip }, async () => {
		await using given = await folder();
		execFileSync("mount", ["-t", "tmpfs", "-o", "size=2m", "tmpfs", given.root]);
		try {
			let now = 1_000_000;
			const timers: { ms: number; run: () => void }[] = [];
			const warned = Promise.withResolvers<void>();
			const after = (ms: number, run: () => void) => {
				timers.push({ ms, run });
				return () => {};
			};
			const clock = { now: () => now, after };
			const log = { ...silentLog, warn: () => warned.resolve() };
			await using opened = await SqliteMessageLog.open({ path: given.path, clock, log });
			await opened.commit([{ ...append("a", "late"), delayMs: 500 }]);
			assert.equal(timers.at(-1)?.ms, 500);
			const ballast = join(given.root, "ballast");
			await assert.rejects(writeFile(ballast, Buffer.alloc(4_000_000)), { code: "ENOSPC" });
			now += 500;
			timers.at(-1)?.run();
			await warned.promise;
			assert.equal(timers.at(-1)?.ms, 1000);
			await rm(ballast);
			timers.at(-1)?.run();
			assert.equal((await opened.counts("a")).visible, 1);
		} finally {
			execFileSync("umount", [given.root]);
		}
	});

	it("is UNAVAILABLE while writes fail, acknowledges nothing of them, and goes on with a file opened anew", async () => {
		await using given = await folder();
		const file = join(given.root, "writer.mjs");
		await writeFile(file, failingWriter(given.path));
		const child = spawnSync(process.execPath, ["--disable-warning=ExperimentalWarning", file], { encoding: "utf8" });
		assert.equal(child.status, 0, child.stderr);
		const [failed, after] = child.stdout.trim().split("\n");
		assert.match(failed ?? "", /^UNAVAILABLE .*can't be read or written/);
		assert.deepEqual(JSON.parse(after ?? ""), {
			recovered: true,
			leased: ["held"],
			again: ["given up"],
			ids: ["held", "after"],
		});
		await using log = await given.open();
		assert.deepEqual(
			ids(await all(log, "a")).filter((id) => !id.startsWith("failed")),
			["held", "after"],
		);
	});
});

/** Its files may not grow for a while (RLIMIT_FSIZE), so that writes fail with EFBIG: SQLite's "disk I/O error". */
const failingWriter = (path: string) => `
	import { execFileSync } from "node:child_process";
	import { SqliteMessageLog } from ${JSON.stringify(new URL("./sqlite-message-log.ts", import.meta.url).href)};
	import { systemClock } from ${JSON.stringify(new URL("../../base/clock.ts", import.meta.url).href)};
	import { silentLog } from ${JSON.stringify(new URL("../../base/log.ts", import.meta.url).href)};
	process.on("SIGXFSZ", () => {});
	const limit = (bytes) => execFileSync("prlimit", ["--pid", String(process.pid), "--fsize=" + bytes + ":unlimited"]);
	const log = await SqliteMessageLog.open({ path: ${JSON.stringify(path)}, clock: systemClock, log: silentLog });
	const append = (lane, id, size = 10) => log.commit([{ change: "append", lane, id, body: Buffer.alloc(size, 65) }]);
	await append("a", "held");
	const leased = (await log.lease("a", { max: 1, visibility: "process" })).map(({ id }) => id);
	await append("b", "given up");
	limit(4096);
	const outcomes = await Promise.allSettled([append("a", "failed", 100_000), log.lease("b", { max: 1, visibility: "process" })]);
	const { code, message } = outcomes[0].reason ?? {};
	console.log(code + " " + message);
	if (!outcomes.every((one) => one.status === "rejected")) throw new Error("it was acknowledged");
	limit("unlimited");
	await append("a", "after");
	const again = (await log.lease("b", { max: 1, visibility: "process" })).map(({ id }) => id);
	const ids = (await log.scan("a", { limit: 10 })).map(({ id }) => id).filter((id) => id !== "failed");
	console.log(JSON.stringify({ recovered: log.stats().recoveries > 0, leased, again, ids }));
	await log[Symbol.asyncDispose]();`;

describe("SqliteMessageLog with much in it", () => {
	it("removes and purges step by step, without holding up others, and a new lane of the name is empty", async () => {
		await using given = await folder();
		await using log = await given.open();
		for (let i = 0; i < 12; i++)
			for (const lane of ["a", "b"])
				await log.commit(Array.from({ length: 500 }, (_, j) => append(lane, `${lane}-${i}-${j}`)));
		const purging = log.purge("a");
		await log.removeLane("b");
		await log.commit([append("b", "new"), append("a", "later")]);
		assert.deepEqual(ids(await all(log, "b")), ["new"]);
		assert.equal(await purging, 6000);
		assert.deepEqual(ids(await all(log, "a")), ["later"]);
		await log.defineLane("a", { ...defaultLaneSettings, ordered: false });
		assert.equal((await log.counts("b")).visible, 1);
	});

	it("goes on with the removal of a lane in the next process", async () => {
		await using given = await folder();
		{
			await using log = await given.open();
			for (let i = 0; i < 10; i++) await log.commit(Array.from({ length: 500 }, (_, j) => append("a", `${i}-${j}`)));
			await log.removeLane("a");
		}
		const left = () => {
			const file = new DatabaseSync(given.path);
			const count = Number(file.prepare("SELECT count(*) AS n FROM messages").get()?.n);
			file.close();
			return count;
		};
		{
			await using log = await given.open();
			// A step is one call in turn; these give it more turns than it needs.
			for (let i = 0; i < 30; i++) await log.lanes("");
		}
		assert.equal(left(), 0);
	});

	it("answers more calls than it takes with THROTTLED", async () => {
		await using given = await folder();
		await using log = await given.open();
		const settled = await Promise.allSettled(Array.from({ length: 20_001 }, () => log.trail("x")));
		const refusals = settled.filter((one) => one.status === "rejected");
		// The log itself may be at work with one or two.
		assert.ok(refusals.length >= 1 && refusals.length <= 3, `${refusals.length}`);
		refused("THROTTLED")(refusals[0]?.reason);
		assert.deepEqual(await log.trail("x"), []);
	});
});
