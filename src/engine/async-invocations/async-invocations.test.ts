import assert from "node:assert/strict";
import { test } from "node:test";
import { SlipwayError } from "../../base/error.ts";
import { maxAsyncPayloadBytes } from "./async-invocations.ts";
import { busArn, failure, functionArn, queueArn, testWorld } from "./testing.ts";

const minute = 60_000;
const hour = 60 * minute;
const config = { onSuccess: undefined, onFailure: undefined };

test("an accepted event is in the log before it is answered, runs once, and is gone", async () => {
	await using world = await testWorld();
	world.functions.put("f");
	await world.send("f", "r1", '{"n":1}');
	assert.equal((await world.log.find("r1")).length, 1);
	await world.clock.advance(0);
	assert.equal(world.calls.length, 1);
	const { request } = world.calls[0]!;
	assert.equal(request.requestId, "r1");
	assert.equal(request.invokedArn, functionArn("f"));
	assert.equal(Buffer.from(request.payload).toString(), '{"n":1}');
	assert.match(
		request.traceId ?? "",
		/^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0;Lineage=[0-9a-f]{8}:1$/,
	);
	assert.deepEqual(await world.log.find("r1"), []);
	const [counts] = world.invocations.counters();
	assert.deepEqual([counts?.function, counts?.accepted, counts?.succeeded], ["f", 1, 1]);
});

test("a function that fails runs again after one and after two minutes, with the same request id", async () => {
	await using world = await testWorld();
	world.functions.put("f", { deadLetterArn: queueArn("dead") });
	world.answer = () => failure("it broke");
	await world.send("f", "r1", '{"n":12345678901234567890}');
	await world.clock.advance(hour);
	assert.deepEqual(
		world.calls.map(({ atMs, request }) => [atMs, request.requestId]),
		[
			[0, "r1"],
			[minute, "r1"],
			[3 * minute, "r1"],
		],
	);
	const dead = await world.inLane("sqs/dead");
	assert.equal(dead.length, 1);
	assert.equal(dead[0]?.body, '{"n":12345678901234567890}');
	assert.equal(dead[0]?.correlation, "r1");
	assert.deepEqual(dead[0]?.headers.attributes, {
		RequestID: { dataType: "String", value: "r1" },
		ErrorCode: { dataType: "Number", value: "200" },
		ErrorMessage: { dataType: "String", value: "it broke" },
	});
	const [counts] = world.invocations.counters();
	assert.deepEqual([counts?.retried, counts?.failed, counts?.deadLettered], [2, 1, 1]);
});

for (const [attempts, calls] of [
	[0, 1],
	[1, 2],
	[2, 3],
] as const)
	test(`MaximumRetryAttempts ${attempts}: ${calls} calls`, async () => {
		await using world = await testWorld();
		world.functions.put("f");
		await world.invocations.configs.put("f", "$LATEST", { ...config, maximumRetryAttempts: attempts });
		world.answer = () => failure();
		await world.send("f", "r1");
		await world.clock.advance(hour);
		assert.equal(world.calls.length, calls);
	});

test("the record of a failure and of a success, to the letter", async () => {
	await using world = await testWorld();
	world.functions.put("f");
	await world.invocations.configs.put("f", "$LATEST", {
		onSuccess: queueArn("good"),
		onFailure: queueArn("bad"),
		maximumRetryAttempts: 0,
	});
	world.answer = (_name, { requestId }) =>
		requestId === "r1" ? { payload: Buffer.from('{"big":12345678901234567890}') } : failure();
	await world.send("f", "r1", '{"a":1}');
	await world.send("f", "r2", "[2]");
	await world.clock.advance(0);
	assert.equal(
		(await world.inLane("sqs/good"))[0]?.body,
		`{"version":"1.0","timestamp":"2026-01-01T00:00:00.000Z","requestContext":{"requestId":"r1","functionArn":"${functionArn("f")}:$LATEST","condition":"Success","approximateInvokeCount":1},"requestPayload":{"a":1},"responseContext":{"statusCode":200,"executedVersion":"$LATEST"},"responsePayload":{"big":12345678901234567890}}`,
	);
	assert.equal(
		(await world.inLane("sqs/bad"))[0]?.body,
		`{"version":"1.0","timestamp":"2026-01-01T00:00:00.000Z","requestContext":{"requestId":"r2","functionArn":"${functionArn("f")}:$LATEST","condition":"RetriesExhausted","approximateInvokeCount":1},"requestPayload":[2],"responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},"responsePayload":{"errorMessage":"no","errorType":"Error"}}`,
	);
});

test("a bus gets the record as the detail of an event of Lambda", async () => {
	await using world = await testWorld();
	world.functions.put("f");
	await world.invocations.configs.put("f", "$LATEST", { ...config, onSuccess: busArn("default") });
	await world.send("f", "r1");
	await world.clock.advance(0);
	assert.deepEqual((await world.inLane("bus/default"))[0]?.headers.event, {
		source: "lambda",
		detailType: "Lambda Function Invocation Result - Success",
		resources: [busArn("default"), `${functionArn("f")}:$LATEST`],
		time: world.clock.now(),
	});
});

test("a function as destination gets the record as its event, one hop further", async () => {
	await using world = await testWorld();
	world.functions.put("f");
	world.functions.put("g");
	await world.invocations.configs.put("f", "$LATEST", { ...config, onSuccess: functionArn("g") });
	await world.send("f", "r1");
	await world.clock.advance(0);
	assert.deepEqual(
		world.calls.map(({ name }) => name),
		["f", "g"],
	);
	const record = JSON.parse(Buffer.from(world.calls[1]!.request.payload).toString()) as { requestContext: object };
	assert.equal((record.requestContext as { requestId: string }).requestId, "r1");
	assert.match(world.calls[1]?.request.traceId ?? "", /Lineage=[0-9a-f]{8}:1\|[0-9a-f]{8}:1$/);
});

test("dead-letter queue and on-failure destination both get their form", async () => {
	await using world = await testWorld();
	world.functions.put("f", { deadLetterArn: queueArn("dead") });
	await world.invocations.configs.put("f", "$LATEST", {
		...config,
		onFailure: queueArn("bad"),
		maximumRetryAttempts: 0,
	});
	world.answer = () => failure();
	await world.send("f", "r1");
	await world.clock.advance(0);
	assert.equal((await world.inLane("sqs/dead")).length, 1);
	assert.equal((await world.inLane("sqs/bad")).length, 1);
	assert.equal(world.invocations.counters()[0]?.deadLettered, 1);
});

test("throttles and the platform's errors use up no retry, come back from 1 s to 5 min, and end with the event's age", async () => {
	for (const error of [
		new SlipwayError("THROTTLED", "Rate Exceeded."),
		new SlipwayError("SANDBOX_FAILED", "no sandbox"),
	]) {
		await using world = await testWorld();
		world.functions.put("f");
		await world.invocations.configs.put("f", "$LATEST", { ...config, onFailure: queueArn("bad") });
		world.answer = () => Promise.reject(error);
		await world.send("f", "r1");
		await world.clock.advance(5 * hour);
		const waits = world.calls.slice(1).map(({ atMs }, index) => atMs - world.calls[index]!.atMs);
		assert.ok(waits[0]! >= 500 && waits[0]! <= 2000, String(waits[0]));
		assert.ok(Math.max(...waits) <= 301_000);
		assert.ok(waits.at(-1)! >= 149_000);
		assert.equal((await world.inLane("sqs/bad")).length, 0);
		await world.clock.advance(hour + minute);
		const [bad, ...more] = await world.inLane("sqs/bad");
		assert.equal(more.length, 0);
		const record = JSON.parse(bad!.body) as Record<string, { condition: string; approximateInvokeCount: number }>;
		assert.equal(record.requestContext?.condition, "EventAgeExceeded");
		assert.equal(record.requestContext?.approximateInvokeCount, 0);
		assert.equal("responseContext" in record, false);
		const expiredAt = Date.parse(String(record.timestamp)) - Date.UTC(2026, 0, 1);
		assert.ok(Math.abs(expiredAt - 6 * hour) <= 1000, `at its age, not five minutes later: ${expiredAt}`);
	}
});

test("after throttles a function still has all of its retries", async () => {
	await using world = await testWorld();
	world.functions.put("f");
	let calls = 0;
	world.answer = () =>
		++calls % 2 === 1 ? Promise.reject(new SlipwayError("THROTTLED", "Rate Exceeded.")) : failure();
	await world.send("f", "r1");
	await world.clock.advance(hour);
	assert.equal(calls, 6);
});

test("a retry that would come too late is not waited for", async () => {
	await using world = await testWorld();
	world.functions.put("f");
	await world.invocations.configs.put("f", "$LATEST", { ...config, maximumEventAgeS: 90, onFailure: queueArn("bad") });
	world.answer = () => failure();
	await world.send("f", "r1");
	await world.clock.advance(minute);
	assert.equal(world.calls.length, 2);
	const [bad] = await world.inLane("sqs/bad");
	assert.match(bad!.body, /"condition":"EventAgeExceeded","approximateInvokeCount":2.*"functionError":"Unhandled"/);
});

test("with a reserve of 0 the event goes to its destination at once, without a call", async () => {
	await using world = await testWorld();
	world.functions.put("f", { deadLetterArn: queueArn("dead") });
	world.reserved.set("f", 0);
	await world.invocations.configs.put("f", "$LATEST", { ...config, onFailure: queueArn("bad") });
	await world.send("f", "r1", '{"a":1}');
	await world.clock.advance(0);
	assert.equal(world.calls.length, 0);
	const [bad] = await world.inLane("sqs/bad");
	assert.deepEqual(JSON.parse(bad!.body), {
		version: "1.0",
		timestamp: "2026-01-01T00:00:00.000Z",
		requestContext: {
			requestId: "r1",
			functionArn: `${functionArn("f")}:$LATEST`,
			condition: "ZeroReservedConcurrency",
			approximateInvokeCount: 0,
		},
		requestPayload: { a: 1 },
	});
	assert.equal((await world.inLane("sqs/dead")).length, 1);
});

test("versions and aliases have settings and dead-letter queues of their own", async () => {
	await using world = await testWorld();
	world.functions.put("f", { deadLetterArn: queueArn("latest") });
	world.functions.putVersion("f", "1", queueArn("one"));
	world.functions.put("f", {
		aliases: { live: { name: "live", description: "", version: "1", routing: undefined, revisionId: "" } },
	});
	await world.invocations.configs.put("f", "live", { ...config, maximumRetryAttempts: 0 });
	await world.invocations.configs.put("f", "1", { ...config, maximumRetryAttempts: 1 });
	world.answer = () => failure();
	await world.send("f", "r-live", "{}", "live");
	await world.send("f", "r-one", "{}", "1");
	await world.send("f", "r-latest");
	await world.clock.advance(hour);
	const times = (id: string) => world.calls.filter(({ request }) => request.requestId === id).length;
	assert.deepEqual(["r-live", "r-one", "r-latest"].map(times), [1, 2, 3]);
	assert.equal(world.calls.find(({ request }) => request.requestId === "r-live")?.request.qualifier, "live");
	assert.equal((await world.inLane("sqs/one")).length, 2);
	assert.equal((await world.inLane("sqs/latest")).length, 1);
});

test("a destination that is gone, or full, is counted and holds nothing up: the function is not run again", async () => {
	await using world = await testWorld();
	world.functions.put("f");
	await world.log.defineLane("sqs/full", { ordered: false, retentionMs: 1e9, maxMessages: 1, maxInFlight: 1 });
	await world.log.commit([{ change: "append", lane: "sqs/full", id: "x", body: Buffer.from("x") }]);
	for (const arn of [queueArn("gone"), queueArn("full")]) {
		await world.invocations.configs.put("f", "$LATEST", { ...config, onSuccess: arn });
		world.targets.gone.add(queueArn("gone"));
		await world.send("f", arn);
		await world.clock.advance(hour);
	}
	assert.equal(world.calls.length, 2);
	const [counts] = world.invocations.counters();
	assert.deepEqual([counts?.succeeded, counts?.destinationFailures], [2, 2]);
	assert.deepEqual(
		(await world.log.lanes("lambda/")).map(({ visible, delayed, inFlight }) => visible + delayed + inFlight),
		[0],
	);
});

test("events of a function that was deleted are dropped, also when another of its name is made", async () => {
	await using world = await testWorld();
	world.functions.put("f", { createdMs: 1 });
	await world.invocations.configs.put("f", "$LATEST", { ...config, maximumRetryAttempts: 2 });
	world.answer = () => failure();
	await world.send("f", "r1");
	await world.clock.advance(0);
	world.functions.delete("f");
	await world.clock.advance(0);
	assert.deepEqual(await world.store.list("event-invoke-config"), []);
	world.functions.put("f", { createdMs: 2 });
	world.answer = () => ({});
	await world.send("f", "r2");
	await world.clock.advance(hour);
	assert.deepEqual(
		world.calls.map(({ request }) => request.requestId),
		["r1", "r2"],
	);
	assert.deepEqual(
		(await world.log.trail("r1")).map(({ result }) => result),
		["retry", "dropped"],
	);
});

test("a loop of functions is stopped past 16 runs, unless it is allowed", async () => {
	for (const recursiveLoop of ["Terminate", "Allow"] as const) {
		await using world = await testWorld();
		world.functions.put("f", { recursiveLoop, deadLetterArn: queueArn("dead") });
		world.answer = async (_name, { traceId = "" }) => {
			if (world.calls.length >= 50) return {};
			const event = {
				requestId: `r${world.calls.length}`,
				payload: Buffer.from("{}"),
				invokedArn: functionArn("f"),
				traceId,
			};
			await world.invocations.accept("f", undefined, event);
			return {};
		};
		await world.send("f", "r0");
		await world.clock.advance(minute);
		for (let turn = 0; turn < 20; turn++) await world.clock.advance(0);
		assert.equal(world.calls.length, recursiveLoop === "Allow" ? 50 : 16);
		const dead = await world.inLane("sqs/dead");
		assert.equal(dead.length, recursiveLoop === "Allow" ? 0 : 1);
		if (recursiveLoop === "Terminate")
			assert.match(JSON.stringify(dead[0]?.headers.attributes), /recursive loop was detected/);
	}
});

test("functions that are each other's on-failure destinations come to an end", async () => {
	await using world = await testWorld();
	for (const [name, other] of [
		["f", "g"],
		["g", "f"],
	] as const) {
		world.functions.put(name);
		const settings = { ...config, maximumRetryAttempts: 0, onFailure: functionArn(other) };
		await world.invocations.configs.put(name, "$LATEST", settings);
	}
	world.answer = () => failure();
	await world.send("f", "r0");
	for (let turn = 0; turn < 60; turn++) await world.clock.advance(1000);
	assert.equal(world.calls.length, 32);
	const accepted = world.invocations.counters().reduce((sum, counts) => sum + counts.accepted, 0);
	assert.ok(accepted <= 36, `${accepted} events came of one`);
	assert.deepEqual([await world.inLane("lambda/f"), await world.inLane("lambda/g")], [[], []]);
});

test("an answer that is long as JSON text uses up an attempt as any other", async () => {
	await using world = await testWorld();
	world.functions.put("f");
	world.answer = () => ({ functionError: "Unhandled", payload: Buffer.alloc(4096, 1) });
	await world.send("f", "r1");
	await world.clock.advance(hour);
	assert.equal(world.calls.length, 3);
});

test("the largest event goes to the dead-letter queue, if need be without attributes", async () => {
	await using world = await testWorld();
	world.functions.put("f", { deadLetterArn: queueArn("dead") });
	world.answer = () => failure();
	await world.send("f", "r1", JSON.stringify("x".repeat(maxAsyncPayloadBytes - 2)));
	await world.clock.advance(hour);
	const [dead] = await world.inLane("sqs/dead");
	assert.equal(dead?.body.length, maxAsyncPayloadBytes);
	assert.equal(dead?.headers.attributes, undefined);
});

test("what is too large, or for no function, is not accepted", async () => {
	await using world = await testWorld();
	world.functions.put("f");
	await world.send("f", "most", JSON.stringify("x".repeat(maxAsyncPayloadBytes - 2)));
	await assert.rejects(world.send("f", "more", JSON.stringify("x".repeat(maxAsyncPayloadBytes - 1))), {
		code: "TOO_LARGE",
		message: "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)",
	});
	await assert.rejects(world.send("g", "r"), { code: "NOT_FOUND" });
	await world.clock.advance(0);
	assert.equal(world.calls.length, 1);
});

test("records that are too large go without the response, then without the request", async () => {
	await using world = await testWorld();
	world.functions.put("f");
	const big = JSON.stringify("x".repeat(700_000));
	world.answer = () => ({ payload: Buffer.from(big) });
	for (const [arn, lane, has] of [
		[queueArn("q"), "sqs/q", true],
		[busArn("b"), "bus/b", false],
	] as const) {
		await world.invocations.configs.put("f", "$LATEST", { ...config, onSuccess: arn });
		await world.send("f", arn, big);
		await world.clock.advance(0);
		const record = JSON.parse((await world.inLane(lane))[0]!.body) as object;
		assert.equal("requestPayload" in record, has);
		assert.equal("responsePayload" in record, false);
		assert.equal("responseContext" in record, true);
	}
});

test("an answer that is not JSON is in the record as text", async () => {
	await using world = await testWorld();
	world.functions.put("f");
	await world.invocations.configs.put("f", "$LATEST", { ...config, onSuccess: queueArn("q") });
	world.answer = () => ({ payload: Buffer.from("<p>") });
	await world.send("f", "r1");
	await world.clock.advance(0);
	assert.match((await world.inLane("sqs/q"))[0]!.body, /"responsePayload":"<p>"\}$/);
});

test("a kill between the attempt and its settling runs the event again, with the same id", async () => {
	await using world = await testWorld();
	world.functions.put("f");
	let hang = true;
	world.answer = () => (hang ? new Promise(() => {}) : {});
	await world.send("f", "r1");
	await world.clock.advance(0);
	hang = false;
	await world.restart();
	await world.clock.advance(0);
	assert.deepEqual(
		world.calls.map(({ request }) => request.requestId),
		["r1", "r1"],
	);
	assert.deepEqual(await world.log.find("r1"), []);
});
