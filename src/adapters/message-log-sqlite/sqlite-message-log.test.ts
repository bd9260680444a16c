import assert from "node:assert/strict";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { VirtualClock } from "../../../tests/simulation/virtual-clock.ts";
import { silentLog } from "../../base/log.ts";
import { messageLogContract, refused } from "../../core/message-log/message-log.contract.ts";
import { defaultLaneSettings, trailEntries } from "../../core/message-log/message-log.ts";
import { SqliteMessageLog } from "./sqlite-message-log.ts";

async function fixture() {
	const root = await mkdtemp(join(tmpdir(), "slipway-events-"));
	const path = join(root, "events.db");
	const clock = new VirtualClock();
	const open = () => SqliteMessageLog.open({ path, clock, log: silentLog });
	let log = await open();
	const restart = async () => {
		await log[Symbol.asyncDispose]();
		log = await open();
		return log;
	};
	const dispose = async () => {
		await log[Symbol.asyncDispose]();
		await rm(root, { recursive: true });
	};
	return { log, path, clock, restart, sweep: () => log.sweep(), [Symbol.asyncDispose]: dispose };
}

messageLogContract("sqlite", fixture);

const append = (lane: string, id: string, more: object = {}) =>
	({ change: "append", lane, id, body: Buffer.from(id), ...more }) as const;
const numbered = (count: number, make: (i: number) => ReturnType<typeof append>) =>
	Array.from({ length: count }, (_, i) => make(i));

describe("SqliteMessageLog", () => {
	it("shares commits between calls of the same time, and tells so; readable by its owner only", async () => {
		await using given = await fixture();
		const before = given.log.stats();
		await Promise.all(numbered(600, (i) => append("a", `${i}`)).map((change) => given.log.commit([change])));
		const { commits, calls, commitSeconds, pending, fileBytes, walBytes } = given.log.stats();
		assert.ok(calls - before.calls >= 600);
		assert.ok(commits - before.commits <= 4, `${commits - before.commits} commits`);
		assert.ok(commitSeconds.sum > 0 && (commitSeconds.buckets.at(-1) ?? 0) <= commits);
		assert.ok(pending === 0 && fileBytes > 0 && walBytes > 0);
		for (const file of [given.path, `${given.path}-wal`]) assert.equal((await stat(file)).mode & 0o777, 0o600);
	});

	it("finishes the calls under way when disposed, then refuses; disposing twice is fine", async () => {
		await using given = await fixture();
		const calls = numbered(1000, (i) => append("a", `${i}`)).map((change) => given.log.commit([change]));
		const { log } = given;
		await Promise.all([log[Symbol.asyncDispose](), ...calls]);
		await log[Symbol.asyncDispose]();
		await assert.rejects(log.trail("1"), refused("UNAVAILABLE"));
		assert.equal((await (await given.restart()).counts("a")).visible, 1000);
	});

	it("never gives a sequence twice, whatever was deleted before it was opened again", async () => {
		await using given = await fixture();
		const [first] = await given.log.commit([append("a", "1")]);
		await given.log.purge("a");
		const [second] = await (await given.restart()).commit([append("a", "2")]);
		assert.equal(second?.sequence, (first?.sequence ?? 0) + 1);
	});

	it("scans, promotes and lists more than it does in one step", async () => {
		await using given = await fixture();
		const { log, clock } = given;
		const last = { sentMs: clock.now() - 5 };
		await log.commit(numbered(4500, (i) => append("a", `${i}`, i === 4499 ? last : { delayMs: 1000 })));
		const found = await log.scan("a", { limit: 10, toMs: clock.now() - 1 });
		assert.deepEqual(
			found.map(({ id }) => id),
			["4499"],
		);
		await clock.advance(1000);
		// Each call does a step of what is due, and so does the timer.
		for (let i = 0; i < 3; i++) await log.counts("a");
		assert.equal((await log.counts("a")).visible, 4500);
		const taken = await log.lease("a", { max: 4500, visibility: "process" });
		assert.deepEqual(
			taken.map(({ id }) => Number(id)),
			Array.from({ length: 4500 }, (_, i) => i),
		);
		await log.commit(numbered(2600, (i) => append(`lane/${i}`, `l${i}`)));
		assert.equal((await log.lanes("lane/")).length, 2600);
		const heard = new Set<string>();
		log.watch("lane/", (lane) => heard.add(lane));
		for (let i = 0; i < 10; i++) await log.lanes("none");
		assert.equal(heard.size, 2600);
	});

	it("keeps the newest entries of the trail only", async () => {
		await using given = await fixture();
		await given.log[Symbol.asyncDispose]();
		const file = new DatabaseSync(given.path);
		const sql = "INSERT INTO trail (n, id, lane, attempt, at, sent, result) VALUES (?, ?, 'a', 1, 1, 1, 'done')";
		const insert = file.prepare(sql);
		for (const n of [1, 1000, 1000 + trailEntries]) insert.run(n, `old${n}`);
		file.close();
		const log = await given.restart();
		await log.commit([append("a", "new")]);
		const [message] = await log.lease("a", { max: 1, visibility: "process" });
		await log.commit([{ change: "settle", token: message?.token ?? "", outcome: "done" }]);
		const kept = await Promise.all(["old1", "old1000", `old${1000 + trailEntries}`, "new"].map((id) => log.trail(id)));
		assert.deepEqual(
			kept.map(({ length }) => length),
			[0, 0, 1, 1],
		);
		await log[Symbol.asyncDispose]();
		const after = new DatabaseSync(given.path);
		assert.equal(after.prepare("SELECT count(*) AS n FROM trail").get()?.n, 2);
		after.close();
	});
});

describe("SqliteMessageLog with a file that it can't work with", () => {
	it("tries what nobody waits for less and less often, with one line each time", async () => {
		await using given = await fixture();
		await given.log.defineLane("f", { ...defaultLaneSettings, ordered: true });
		await given.log.commit([append("f", "m", { group: "g", delayMs: 500 })]);
		await given.log[Symbol.asyncDispose]();
		const file = new DatabaseSync(given.path);
		file.exec("DROP INDEX messages_held");
		file.close();
		let now = given.clock.now();
		const timers: { ms: number; run: () => void }[] = [];
		const after = (ms: number, run: () => void) => {
			timers.push({ ms, run });
			return () => {};
		};
		const lines: string[] = [];
		let warned = Promise.withResolvers<void>();
		const warn = (line: string) => {
			lines.push(line);
			warned.resolve();
		};
		const options = { path: given.path, clock: { now: () => now, after }, log: { ...silentLog, warn } };
		await using log = await SqliteMessageLog.open(options);
		await assert.doesNotReject(log.counts("f"));
		const waits: number[] = [];
		for (let tries = 0; tries < 11; tries++) {
			const timer = timers.at(-1);
			now += timer?.ms ?? 0;
			warned = Promise.withResolvers<void>();
			timer?.run();
			await warned.promise;
			waits.push(timers.at(-1)?.ms ?? 0);
		}
		assert.deepEqual(
			waits.map((ms) => ms / 1000),
			[1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300],
		);
		assert.deepEqual(lines, Array(11).fill("The event log could not tidy up"));
	});
});

describe("SqliteMessageLog, watched when it can't answer", () => {
	it("tells of what is ready once it can", async () => {
		await using given = await fixture();
		const { log, clock } = given;
		await log.commit([append("a/1", "m1")]);
		// More calls than may wait at one time.
		const flood = Promise.allSettled(Array.from({ length: 21_000 }, () => log.counts("a/1")));
		const told = Promise.withResolvers<string>();
		const end = log.watch("a/", (lane) => told.resolve(lane));
		await flood;
		await clock.advance(1000);
		assert.equal(await told.promise, "a/1");
		end();
	});

	it("is told of nothing when it was closed", async () => {
		const given = await fixture();
		await given[Symbol.asyncDispose]();
		given.log.watch("a/", () => assert.fail("There is nothing"));
		await new Promise((resolve) => setImmediate(resolve));
	});
});
