import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../../../tests/simulation/virtual-clock.ts";
import { SlipwayError } from "../../base/error.ts";
import type { InvocationRequest } from "../../core/invocation/invocation.ts";
import { addHop } from "../../core/invocation/lineage.ts";
import { gatherBatch } from "./batch.ts";
import { held, world } from "./test-world.ts";
import { failed } from "./testing.ts";

test("messages go to the function in batches and are deleted after success", async (context) => {
	const w = await world(context);
	await w.send("a", "b", "c");
	const view = await w.map({ batchSize: 2 });
	assert.equal(view.state, "Creating");
	await w.clock.advance(100);
	assert.equal(w.mappings.get(view.uuid).state, "Enabled");
	assert.deepEqual(w.batches, [["a", "b"], ["c"]]);
	assert.equal(await w.left(), 0);
	assert.equal(w.mappings.counters.deleted, 3);
	assert.equal(w.mappings.get(view.uuid).lastProcessingResult, "OK");
});

test("nothing runs on a timer while there is nothing to do", async (context) => {
	const base = new VirtualClock();
	let timers = 0;
	const after: VirtualClock["after"] = (ms, callback) => {
		timers++;
		return base.after(ms, callback);
	};
	const clock = { now: base.now, monotonic: base.monotonic, sleep: base.sleep, after };
	const w = await world(context, undefined, { more: { clock } });
	await w.map();
	await w.send("a");
	await w.clock.advance(10);
	assert.equal(w.batches.length, 1);
	assert.equal(timers, 0);
});

test("a failed batch is not deleted and comes back when the visibility timeout ends", async (context) => {
	let calls = 0;
	const w = await world(context, () => (++calls === 1 ? failed : null), { visibilityTimeoutS: 20 });
	const { uuid } = await w.map();
	await w.send("a", "b");
	await w.clock.advance(19_000);
	assert.ok(calls >= 1);
	assert.equal((await w.left()) > 0, true);
	assert.match(w.mappings.get(uuid).lastProcessingResult, /PROBLEM: Function call failed|OK/);
	await w.clock.advance(2000);
	assert.equal(await w.left(), 0);
});

test("a message that always fails goes to the queue's dead letters", async (context) => {
	const w = await world(context, () => failed, { visibilityTimeoutS: 5, redrive: { to: "dead", maxReceiveCount: 3 } });
	await w.map();
	await w.send("poison");
	await w.clock.advance(60_000);
	assert.equal(w.batches.length, 3);
	assert.deepEqual([await w.left(), await w.left("dead")], [0, 1]);
});

test("reported items come back and the others are deleted", async (context) => {
	let first = true;
	const w = await world(context, (records) => {
		if (!first) return { batchItemFailures: [] };
		first = false;
		return { batchItemFailures: [{ itemIdentifier: records.find(({ body }) => body === "b")?.messageId }] };
	});
	await w.send("a", "b", "c");
	await w.map({ reportsItemFailures: true });
	await w.clock.advance(31_000);
	assert.deepEqual(w.batches, [["a", "b", "c"], ["b"]]);
	assert.equal(await w.left(), 0);
	assert.equal(w.mappings.counters.failedItems, 1);
});

test("the trail has each failure at once, and nothing more of it when the message comes back", async (context) => {
	let calls = 0;
	const requests: string[] = [];
	const w = await world(context, async (records, { requestId }) => {
		requests.push(requestId);
		if (++calls === 1) {
			// A function may delete what it has done, and fail after that.
			const [, , { receiptHandle: token } = { receiptHandle: "" }] = records as { receiptHandle?: string }[];
			await w.log.commit([{ change: "settle", token: token ?? "", outcome: "done" }]);
			return failed;
		}
		const b = records.find(({ body }) => body === "b");
		return { batchItemFailures: calls === 2 && b ? [{ itemIdentifier: b.messageId }] : [] };
	});
	const [a = "", b = "", c = ""] = await w.send("a", "b", "c");
	await w.map({ reportsItemFailures: true });
	const trail = async (id: string) =>
		(await w.log.trail(id)).map(({ attempt, result, detail }) => [attempt, result, detail?.error, detail?.requestId]);
	await w.clock.advance(1000);
	const first = [1, "retry", "Error: out of stock", requests[0]];
	assert.deepEqual([await trail(a), await trail(b)], [[first], [first]]);
	assert.deepEqual(await trail(c), [[1, "done", undefined, undefined]]);
	const [held] = await w.log.scan("sqs/work", { limit: 1 });
	assert.deepEqual([held?.state, (held?.dueMs ?? 0) - w.clock.now() > 28_000], ["leased", true]);
	await w.clock.advance(61_000);
	assert.deepEqual(await trail(a), [first, [2, "done", undefined, undefined]]);
	const second = [2, "retry", "named in batchItemFailures", requests[1]];
	assert.deepEqual(await trail(b), [first, second, [3, "done", undefined, undefined]]);
});

test("an answer that names an unknown item fails the whole batch", async (context) => {
	const w = await world(context, () => ({ batchItemFailures: [{ itemIdentifier: "nobody" }] }));
	await w.send("a", "b");
	await w.map({ reportsItemFailures: true });
	await w.clock.advance(1000);
	assert.equal(await w.left(), 2);
	assert.equal(w.mappings.counters.failedBatches, 1);
});

test("messages that no filter lets through are deleted without being seen", async (context) => {
	const w = await world(context);
	await w.send('{"kind":"order"}', '{"kind":"spam"}', "text", '{"kind":"order","n":2}');
	await w.map({ filters: ['{"body":{"kind":["order"]}}'] });
	await w.clock.advance(100);
	assert.deepEqual(w.batches.flat(), ['{"kind":"order"}', '{"kind":"order","n":2}']);
	assert.equal(await w.left(), 0);
	assert.equal(w.mappings.counters.filtered, 2);
});

test("a window fills a batch, and leaves the messages in nobody's hand meanwhile", async (context) => {
	const w = await world(context);
	await w.map({ batchSize: 3, windowS: 10 });
	await w.send("a");
	await w.clock.advance(4000);
	assert.equal((await w.log.counts("sqs/work")).inFlight, 0);
	await w.send("b");
	await w.clock.advance(5000);
	assert.equal(w.batches.length, 0);
	await w.clock.advance(1100);
	assert.deepEqual(w.batches, [["a", "b"]]);
	await w.send("c", "d", "e");
	await w.clock.advance(10);
	assert.deepEqual(w.batches[1], ["c", "d", "e"]);
});

test("a window that ends while all hands are full waits for a hand, and one without messages for the next", async (context) => {
	const { code, release } = held();
	const w = await world(context, code, { visibilityTimeoutS: 600 });
	await w.map({ batchSize: 2, windowS: 1, maximumConcurrency: 2 });
	await w.send("a", "b", "c", "d", "e");
	await w.clock.advance(5000);
	assert.equal(w.functions.running, 2);
	release();
	await w.clock.advance(2000);
	assert.deepEqual(w.batches[2], ["e"]);
	release();
	await w.clock.advance(10);
	await w.send("f");
	await w.clock.advance(500);
	const [taken] = await w.log.lease("sqs/work", { max: 1, visibility: 600_000 });
	await w.log.commit([{ change: "settle", token: taken!.token, outcome: "done" }]);
	await w.clock.advance(5000);
	assert.equal(w.batches.length, 3);
});

test("an event is at most 6 MB: what does not fit goes back uncounted", async (context) => {
	const counts: unknown[] = [];
	const w = await world(context, (_records, request) => {
		counts.push(request.payload.length);
		return null;
	});
	// Quotes take two bytes each in JSON: 7 MB as an event.
	await w.send(...Array.from({ length: 7 }, () => '"'.repeat(500_000)));
	await w.map({ batchSize: 10 });
	await w.clock.advance(1000);
	assert.equal(await w.left(), 0);
	assert.ok(w.batches.length >= 2);
	for (const bytes of counts) assert.ok(Number(bytes) <= 6 * 1024 * 1024, `${bytes}`);
});

test("throttled batches are kept, uncounted, and tried again with growing pauses", async (context) => {
	let throttles = 3;
	const at: number[] = [];
	const w = await world(
		context,
		() => {
			at.push(w.clock.monotonic());
			if (throttles-- > 0) throw new SlipwayError("THROTTLED", "Rate Exceeded.", { retryAfterMs: 1 });
			return null;
		},
		{ redrive: { to: "dead", maxReceiveCount: 1 } },
	);
	await w.map();
	await w.send("a");
	await w.clock.advance(30_000);
	assert.deepEqual([await w.left(), await w.left("dead")], [0, 0]);
	assert.equal(w.mappings.counters.throttled, 3);
	const pauses = at.slice(1).map((time, index) => time - at[index]!);
	assert.deepEqual(pauses, [500, 1000, 2000]);
});

test("concurrency begins at five batches, grows with a backlog, and keeps to the bounds", async (context) => {
	const { code, release } = held();
	const w = await world(context, code, { visibilityTimeoutS: 600 });
	await w.send(...Array.from({ length: 60 }, (_, index) => String(index)));
	const { uuid } = await w.map({ batchSize: 1, maximumConcurrency: 12 });
	await w.clock.advance(10);
	assert.equal(w.functions.running, 5);
	await w.clock.advance(1100);
	assert.equal(w.functions.running, 10);
	await w.clock.advance(5000);
	assert.equal(w.functions.running, 12);
	await w.mappings.update(uuid, { maximumConcurrency: 3 });
	release();
	await w.clock.advance(10);
	assert.equal(w.functions.running, 3);
	w.functions.record.reservedConcurrency = 2;
	release();
	await w.clock.advance(10);
	assert.equal(w.functions.running, 2);
	w.functions.record.reservedConcurrency = undefined;
	for (let round = 0; round < 40; round++) {
		release();
		await w.clock.advance(10);
	}
	assert.equal(await w.left(), 0);
});

test("a FIFO group is in one hand, and one that fails holds up its group only", async (context) => {
	const seen: string[] = [];
	let fails = 2;
	const w = await world(
		context,
		([record]) => {
			seen.push(record!.body);
			return record!.body === "a1" && fails-- > 0 ? failed : null;
		},
		{ queue: "work.fifo", visibilityTimeoutS: 5 },
	);
	await w.map({ batchSize: 1 });
	for (const [group, body] of [
		["a", "a1"],
		["a", "a2"],
		["b", "b1"],
		["b", "b2"],
	] as const)
		await w.queues.send("work.fifo", body, { groupId: group });
	await w.clock.advance(4000);
	assert.deepEqual(
		seen.filter((body) => body.startsWith("a")),
		["a1"],
	);
	assert.deepEqual(
		seen.filter((body) => body.startsWith("b")),
		["b1", "b2"],
	);
	await w.clock.advance(20_000);
	assert.deepEqual(
		seen.filter((body) => body.startsWith("a")),
		["a1", "a1", "a1", "a2"],
	);
});

test("behind a FIFO message that failed nothing of its group is deleted, whatever the function says", async (context) => {
	let fails = 2;
	const w = await world(
		context,
		(records) => {
			const bad = records.find(({ body }) => body === "a2");
			return bad && fails-- > 0 ? { batchItemFailures: [{ itemIdentifier: bad.messageId }] } : null;
		},
		{ queue: "work.fifo", visibilityTimeoutS: 5, redrive: { to: "dead", maxReceiveCount: 3 } },
	);
	for (const body of ["a1", "a2", "b1", "a3", "b2", "a4"])
		await w.queues.send("work.fifo", body, { groupId: body[0]! });
	await w.map({ reportsItemFailures: true });
	await w.clock.advance(4000);
	assert.deepEqual(w.batches, [["a1", "a2", "a3", "a4", "b1", "b2"]]);
	assert.deepEqual([await w.left(), w.mappings.counters.failedItems], [3, 1]);
	await w.clock.advance(20_000);
	assert.deepEqual(w.batches.slice(1), [
		["a2", "a3", "a4"],
		["a2", "a3", "a4"],
	]);
	assert.deepEqual([await w.left(), await w.left("dead")], [0, 0]);
});

test("a poison message of a FIFO queue takes none of its group with it to the dead letters", async (context) => {
	const w = await world(
		context,
		(records) => {
			const at = records.findIndex(({ body }) => body === "poison");
			const failures = at < 0 ? [] : records.slice(at).map(({ messageId: itemIdentifier }) => ({ itemIdentifier }));
			return { batchItemFailures: failures };
		},
		{ queue: "work.fifo", visibilityTimeoutS: 5, redrive: { to: "dead", maxReceiveCount: 2 } },
	);
	await w.send("1", "poison", "2", "3");
	await w.map({ reportsItemFailures: true });
	await w.clock.advance(30_000);
	assert.deepEqual(w.batches, [
		["1", "poison", "2", "3"],
		["poison", "2", "3"],
		["2", "3"],
	]);
	assert.deepEqual([await w.left(), await w.left("dead")], [0, 1]);
});

test("a function that feeds its own queue is stopped after sixteen runs", async (context) => {
	const headers: (string | undefined)[] = [];
	const w = await world(
		context,
		async (_records, request: InvocationRequest) => {
			headers.push(request.traceId);
			if (w.batches.length >= 40) return null;
			await w.queues.send("work", "again", request.traceId === undefined ? {} : { traceHeader: request.traceId });
			return null;
		},
		{ redrive: { to: "dead", maxReceiveCount: 5 } },
	);
	await w.map();
	await w.send("start");
	await w.clock.advance(10_000);
	assert.equal(w.batches.length, 16);
	assert.match(headers[15] ?? "", /Lineage=[0-9a-f]{8}:16$/);
	assert.deepEqual([await w.left(), await w.left("dead")], [0, 1]);
	assert.equal(w.mappings.counters.loops, 1);
	w.functions.record.recursiveLoop = "Allow";
	await w.send("start");
	await w.clock.advance(100);
	assert.equal(w.batches.length, 40);
});

test("a function that is gone loses nothing: its messages wait", async (context) => {
	const w = await world(context);
	await w.map();
	const { find } = w.functions;
	w.functions.find = () => undefined;
	await w.send("a");
	await w.clock.advance(5000);
	assert.equal(await w.left(), 1);
	w.functions.find = find;
	await w.clock.advance(70_000);
	assert.deepEqual([w.batches, await w.left()], [[["a"]], 0]);
});

test("a disk that refuses for a while does no more than delay", async (context) => {
	const w = await world(context);
	await w.map();
	let refusals = 2;
	w.log.onCommit = (when, _number, changes) => {
		if (when === "before" && changes.some(({ change }) => change === "settle") && refusals-- > 0)
			throw new SlipwayError("UNAVAILABLE", "The disk refuses");
	};
	await w.send("a");
	await w.clock.advance(5000);
	assert.deepEqual([w.batches.length, await w.left()], [1, 0]);
});

test("a queue that is deleted and made again is served again", async (context) => {
	const w = await world(context);
	const { uuid } = await w.map();
	await w.send("a");
	await w.clock.advance(10);
	await w.queues.delete("work");
	await w.clock.advance(10);
	await w.queues.create("work");
	await w.send("b");
	await w.clock.advance(10);
	assert.deepEqual(w.batches, [["a"], ["b"]]);
	assert.equal(w.mappings.get(uuid).lastProcessingResult, "OK");
});

test("a loop's messages are dropped, and said to be, when the queue's dead letters were deleted", async (context) => {
	const w = await world(context, () => null, { redrive: { to: "dead", maxReceiveCount: 5 } });
	await w.map();
	await w.queues.delete("dead");
	const { traceHeader } = addHop(`Root=1-0-0;Lineage=${"0".repeat(8)}:1`, w.functions.record.arn);
	await w.queues.send("work", "again", { traceHeader: traceHeader.replace(/:1$/, ":16") });
	await w.clock.advance(10_000);
	assert.equal(w.batches.length, 0);
	assert.equal(w.mappings.counters.loops, 1);
	assert.deepEqual(await w.log.lanes("sqs/dead"), []);
	assert.equal((await w.log.trail("m-000001"))[0]?.result, "dropped");
});

test("a filter that lets nothing through gives others their turn in a long backlog", async (context) => {
	const w = await world(context);
	await w.send(...Array.from({ length: 350 }, (_, i) => String(i)));
	const options = { queueName: "work", batchSize: 10, atLeastS: 30, matches: () => false };
	const filtered: [number, boolean][] = [];
	for (let more = true; more; ) {
		const batch = await gatherBatch(w.queues, options);
		filtered.push([batch.filtered, batch.more]);
		more = batch.more;
	}
	assert.deepEqual(filtered, [
		[100, true],
		[100, true],
		[100, true],
		[50, false],
	]);
});

test("a mapping whose filter lets nothing through goes on to the end of its backlog", async (context) => {
	const w = await world(context);
	await w.send(...Array.from({ length: 350 }, (_, i) => String(i)));
	await w.map({ filters: [JSON.stringify({ body: ["no such"] })] });
	await w.clock.advance(1000);
	assert.deepEqual([await w.left(), w.batches.length, w.mappings.counters.filtered], [0, 0, 350]);
});

test("what the target has not seen comes back soon and uncounted, on a clock with fractions too", async (context) => {
	const base = new VirtualClock();
	// As the system's: no two looks at it are the same.
	let looks = 0;
	const { now, sleep, after } = base;
	const clock = { now, sleep, after, monotonic: () => base.monotonic() + ++looks / 1024 };
	let refusals = 0;
	const code = () => {
		if (++refusals <= 3) throw new SlipwayError("THROTTLED", "Rate Exceeded.");
		return null;
	};
	const w = await world(context, code, { redrive: { to: "dead", maxReceiveCount: 1 }, more: { clock } });
	await w.map();
	await w.send("a");
	for (let second = 0; second < 20; second++) {
		await base.advance(1000);
		await w.clock.advance(1000);
	}
	assert.deepEqual([await w.left(), await w.left("dead"), w.batches.length], [0, 0, 4]);
});

test("a batch is not taken again while its function may be at work, whatever the queue's visibility timeout was set to", async (context) => {
	const { code, release } = held();
	const w = await world(context, code);
	await w.map();
	await w.queues.create("work", { visibilityTimeoutS: 0 });
	await w.send("a");
	await w.clock.advance(2900);
	assert.deepEqual(w.batches, [["a"]]);
	release();
	await w.clock.advance(100);
	assert.equal(await w.left(), 0);
});
