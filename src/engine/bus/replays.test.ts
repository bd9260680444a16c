import assert from "node:assert/strict";
import { test } from "node:test";
import { queueArn, TestBus } from "./testing.ts";

async function openWithArchive(events: number): Promise<TestBus> {
	const bus = new TestBus();
	for (const name of ["q", "other"]) bus.queueKind.queues.add(name);
	await bus.open();
	await bus.bus.createArchive({ name: "arc", bus: "default", eventPattern: '{"source":["app"]}', retentionDays: 1 });
	for (let n = 0; n < events; n++) await bus.publish({ n });
	await bus.publish({}, "elsewhere");
	return bus;
}

const numbersOf = (bodies: unknown[]) => (bodies as { detail: { n: number } }[]).map(({ detail }) => detail.n);
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index);

test("an archive keeps what matches, for its days", async () => {
	await using test = await openWithArchive(3);
	assert.deepEqual((await test.bus.archiveSize("arc")).events, 3);
	await test.clock.advance(25 * 3_600_000);
	assert.deepEqual((await test.bus.archiveSize("arc")).events, 0);
	await test.bus.deleteArchive("arc");
	assert.throws(() => test.bus.describeArchive("arc"), { message: "Archive arc does not exist." });
});

test("a replay sends each event of its time to its rules, says so in the event, and fills no archive", async () => {
	await using test = await openWithArchive(0);
	const [first] = [await test.publish({ n: -1 })].flat();
	await test.clock.advance(10_000);
	const fromMs = test.clock.now();
	for (const n of range(0, 450)) await test.publish({ n });
	await test.clock.advance(10_000);
	const toMs = test.clock.now();
	await test.clock.advance(1);
	await test.publish({ n: 1000 });
	await test.rule("a", { source: ["app"] }, {});
	await test.rule("b", { source: ["app"] }, { arn: queueArn("other") });
	const input = { name: "rep", archive: "arc", bus: "default", fromMs, toMs };
	assert.equal((await test.bus.startReplay({ ...input, rules: ["a"] })).state, "STARTING");
	await test.clock.advance(1000);
	const { state, replayed } = test.bus.describeReplay("rep");
	assert.deepEqual([state, replayed], ["COMPLETED", 450]);
	const bodies = (await test.bodies("q")) as { "replay-name": string; id: string; detail: { n: number } }[];
	assert.deepEqual(numbersOf(bodies), range(0, 450));
	assert.ok(bodies.every((body) => body["replay-name"] === "rep"));
	assert.deepEqual(await test.bodies("other"), []);
	assert.equal((await test.bus.archiveSize("arc")).events, 452);
	await test.bus.startReplay({ ...input, name: "all", fromMs: 0 });
	await test.clock.advance(1000);
	const others = (await test.bodies("other")) as { id: string; detail: { n: number } }[];
	assert.deepEqual(numbersOf(others), range(-1, 450));
	assert.equal(others[0]?.id, first && "id" in first ? first.id : "");
	assert.deepEqual(
		test.bus.listReplays().map(({ name }) => name),
		["all", "rep"],
	);
});

test("a replay goes on after a kill, and nothing is sent twice, wherever it falls", async () => {
	for (const at of [1, 2, 3, 4, 5]) {
		await using test = await openWithArchive(450);
		await test.rule("a", { source: ["app"] }, {});
		const { onCommit } = test.store;
		let commits = 0;
		let kill = () => {};
		// The page's events are on the disk, its place is not.
		test.store.onCommit = async (when) => {
			if (when !== "before" || ++commits !== at + 1) return;
			await new Promise((_, reject) => {
				kill = () => reject(new Error("killed"));
			});
		};
		await test.bus.startReplay({ name: "rep", archive: "arc", bus: "default", fromMs: 0, toMs: test.clock.now() + 1 });
		await test.clock.advance(1000);
		test.store.onCommit = onCommit;
		const killed = new TestBus();
		Object.assign(killed, { clock: test.clock, log: test.log, store: test.store });
		await using next = killed;
		for (const name of ["q"]) next.queueKind.queues.add(name);
		test.log.restart();
		await next.open();
		await test.clock.advance(1000);
		assert.equal(next.bus.describeReplay("rep").state, "COMPLETED");
		assert.deepEqual(
			numbersOf(await test.bodies("q")).sort((a, b) => a - b),
			range(0, 450),
			`stopped at commit ${at}`,
		);
		kill();
	}
});

test("a replay can be cancelled once, and refuses what can't be", async () => {
	await using test = await openWithArchive(450);
	await test.bus.createBus({ name: "two", tags: {} });
	const input = { name: "rep", archive: "arc", bus: "default", fromMs: 0, toMs: test.clock.now() + 1 };
	await assert.rejects(test.bus.startReplay({ ...input, bus: "two" }), /Cross event bus replay is not permitted/);
	await assert.rejects(test.bus.startReplay({ ...input, toMs: 0 }), /EventStartTime must be before EventEndTime/);
	await assert.rejects(test.bus.startReplay({ ...input, rules: ["no"] }), /Rule no does not exist/);
	const started = test.bus.startReplay(input);
	const cancelled = test.bus.cancelReplay("rep");
	await started;
	assert.equal((await cancelled).state, "CANCELLING");
	await test.clock.advance(1000);
	assert.equal(test.bus.describeReplay("rep").state, "CANCELLED");
	await assert.rejects(test.bus.cancelReplay("rep"), { reason: "IllegalStatus" });
	await assert.rejects(test.bus.startReplay(input), { message: "Replay rep already exists." });
});
