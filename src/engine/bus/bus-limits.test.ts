/** What could lose an event or give it twice: many targets, parts of a batch, what another version has stored. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SlipwayError } from "../../base/error.ts";
import { maxAppendsPerEvent } from "./limits.ts";
import { busArn } from "./names.ts";
import { queueArn, serviceArn, TestBus, testPlace } from "./testing.ts";

async function open(): Promise<TestBus> {
	const bus = new TestBus();
	for (const name of ["q", "dlq"]) bus.queueKind.queues.add(name);
	return bus.open();
}

const targetsOf = (count: number) => Array.from({ length: count }, (_, i) => ({ id: `t${i}`, arn: queueArn("q") }));

/** Rules of the bus until an event of "app" has more targets than one commit has room for. */
async function manyTargets(test: TestBus, bus = "default"): Promise<number> {
	const rules = Math.floor(maxAppendsPerEvent / 5) + 1;
	for (let i = 0; i < rules; i++) {
		await test.bus.putRule(bus, `r${i}`, { eventPattern: '{"source":["app"]}', enabled: true });
		await test.bus.putTargets(bus, `r${i}`, targetsOf(5));
	}
	return rules * 5;
}

const waiting = async (test: TestBus, prefix: string) =>
	(await test.log.lanes(prefix)).reduce((sum, { visible, delayed, inFlight }) => sum + visible + delayed + inFlight, 0);

test("an event with more targets than a commit has room for is accepted whole, and given to each once over kills", async () => {
	await using test = await open();
	const count = await manyTargets(test);
	test.bus[Symbol.asyncDispose]();
	const [result] = await test.publish({ n: 1 });
	assert.ok(result && "id" in result);
	assert.deepEqual([await waiting(test, "events/"), await waiting(test, "fan-out/")], [0, 1]);
	// The process dies with the commit that ends the fan-out done, and before; what it has appended is not appended again.
	let kills = 0;
	test.log.onCommit = (when) => {
		if (kills++ < 2) throw new SlipwayError("UNAVAILABLE", `killed ${when} the commit`);
	};
	await test.restart();
	test.log.onCommit = undefined;
	await test.clock.advance(600_000);
	const delivered = new Map<string, number>();
	for (let after = 0, page = 1000; page === 1000; ) {
		const messages = await test.log.scan("sqs/q", { limit: 1000, after });
		for (const { correlation = "" } of messages) delivered.set(correlation, (delivered.get(correlation) ?? 0) + 1);
		page = messages.length;
		after = messages.at(-1)?.sequence ?? 0;
	}
	assert.deepEqual([...delivered], [[result.id, count]]);
	assert.equal(await waiting(test, "fan-out/"), 0);
});

test("a bus with many targets is itself a target", async () => {
	await using test = await open();
	await test.bus.createBus({ name: "two", tags: {} });
	const count = await manyTargets(test, "two");
	await test.rule("on", { source: ["app"] }, { arn: busArn(testPlace, "two") });
	const changes = test.bus.changesOf("two", { source: "app", detailType: "x", detail: "{}" });
	assert.equal(changes.length, 1);
	await test.publish({});
	await test.clock.advance(1000);
	assert.equal(test.bus.statistics().delivered, count + 1);
});

test("events of a batch that the log does not take are refused alone, and the others are written once", async () => {
	await using test = await open();
	await test.rule("all", { source: ["app"] }, {});
	const event = (extra: object) => ({ source: "app", detailType: "x", detail: "{}", ...extra });
	// The log takes no correlation of more than 512 characters.
	const results = await test.bus.publish("default", [event({}), event({ id: "i".repeat(600) }), event({})]);
	assert.deepEqual(
		results.map((result) => ("id" in result ? "taken" : result.error.code)),
		["taken", "InvalidArgument", "taken"],
	);
	assert.equal((await test.queued("q")).length, 2);
	// What may have been written is not written again: the whole call fails, and its sender knows that nothing is certain.
	let commits = 0;
	test.log.onCommit = () => {
		commits++;
		throw new SlipwayError("UNAVAILABLE", "the disk is gone");
	};
	await assert.rejects(test.bus.publish("default", [event({}), event({})]), { code: "UNAVAILABLE" });
	assert.equal(commits, 1);
	test.log.onCommit = undefined;
});

test("from bus to bus an event keeps the digits of its numbers and what the CloudEvent had", async () => {
	await using test = await open();
	await test.bus.createBus({ name: "two", tags: {} });
	await test.rule("on", { source: ["app"] }, { arn: busArn(testPlace, "two") });
	await test.rule("seen", { source: ["app"] }, {}, "two");
	await test.rule("served", { source: ["app"] }, { arn: serviceArn }, "two");
	await test.bus.publish("default", [{ source: "app", detailType: "x", detail: '{"n": 12345678901234567890}' }]);
	assert.match(Buffer.from((await test.queued("q"))[0]!.body).toString(), /"detail":\{"n": 12345678901234567890\}\}$/);
	const cloudEvent = { specversion: "1.0", id: "1", source: "app", type: "t", tenant: "blue", data: [1] };
	await test.bus.publish("default", [{ source: "", detailType: "", detail: "", cloudEvent }]);
	await test.clock.advance(1000);
	const call = test.service.calls.at(-1)?.delivery;
	assert.equal(call?.http?.headers["ce-tenant"], "blue");
	assert.equal(Buffer.from(call?.body ?? []).toString(), "[1]");
});

test("what a dead-letter queue does not take waits in the dead letters of its target", async () => {
	await using test = await open();
	await test.rule("all", { source: ["app"] }, { arn: queueArn("gone"), deadLetterArn: queueArn("gone-too") });
	await test.publish({ n: 1 });
	await test.clock.advance(1000);
	const [letter] = await test.log.scan("dead-letters/events/default/all/t", { limit: 10 });
	assert.match(Buffer.from(letter?.body ?? []).toString(), /"detail":\{"n":1\}/);
	assert.equal(await waiting(test, "events/"), 0);
	assert.deepEqual([test.bus.statistics().deadLettered, test.bus.statistics().dropped], [1, 0]);
});

test("a template that makes more than a message may have is told, before it is made", async () => {
	await using test = await open();
	const template = `[${Array.from({ length: 300 }, () => "<aws.events.event.json>").join(",")}]`;
	const transformer = { pathsMap: {}, template };
	await test.rule("all", { source: ["app"] }, { transformer, deadLetterArn: queueArn("dlq") });
	await test.publish({ text: "x".repeat(100_000) });
	const [letter] = await test.queued("dlq");
	assert.match(JSON.stringify(letter?.headers), /INVALID_PARAMETER.*more than 1310720 characters/);
});

test("what another version has stored and this one can't read keeps nothing from starting", async () => {
	await using test = await open();
	await test.rule("good", { source: ["app"] }, {});
	await test.rule("bad", { source: ["app"] }, { deadLetterArn: queueArn("dlq") });
	await test.bus.putRule("default", "tick", { scheduleExpression: "rate(5 minutes)", enabled: true });
	test.ticks = {
		define: () => {
			throw new SlipwayError("INVALID", "Parameter ScheduleExpression is not valid.");
		},
		remove: () => {},
	};
	test.bus[Symbol.asyncDispose]();
	await test.publish({ n: 1 });
	const { document } = (await test.store.list("event-rule")).find(({ name }) => name === "bad") ?? {};
	const record = document as { targets: object[] };
	const broken = {
		...record,
		eventPattern: '{"source":[{"future":1}]}',
		targets: record.targets.map((target) => ({ ...target, inputPath: "$..[future]" })),
	};
	const put = { change: "put", kind: "event-rule", namespace: "default", name: "bad", document: broken } as const;
	await test.store.commit([put]);
	const archive = { name: "a", bus: "default", eventPattern: "{", retentionDays: 0, createdMs: 0 };
	await test.store.commit([{ change: "put", kind: "event-archive", namespace: "", name: "a", document: archive }]);
	await test.restart();
	// What waited for the rule's target is not lost with it.
	assert.equal((await test.queued("q")).length, 1);
	assert.equal((await test.queued("dlq")).length, 1);
	await test.publish({ n: 2 });
	assert.equal((await test.queued("q")).length, 2);
	assert.equal(test.bus.describeRule("default", "tick").scheduleExpression, "rate(5 minutes)");
});

test("an archive outlives its bus, and takes the events of the next one of its name", async () => {
	await using test = await open();
	const bus = { name: "two", tags: {} };
	await test.bus.createBus(bus);
	await test.bus.createArchive({ name: "kept", bus: "two", retentionDays: 0 });
	await test.bus.deleteBus("two");
	await test.bus.createBus(bus);
	await test.publish({}, "app", "two");
	assert.equal((await test.bus.archiveSize("kept")).events, 1);
});

test("targets that could never be called are refused", async () => {
	await using test = await open();
	await test.bus.putRule("default", "r", { eventPattern: '{"source":["app"]}', enabled: true });
	const put = async (target: object) =>
		test.bus.putTargets("default", "r", [{ id: "t", arn: serviceArn, ...target } as never]);
	test.queueKind.queues.add("f.fifo");
	await assert.rejects(put({ arn: queueArn("f.fifo") }), /SqsParameters must be specified for target: t/);
	for (const headers of [
		{ "content-length": "5" },
		{ "a b": "x" },
		{ a: "x\r\nb: c" },
		{ "Transfer-Encoding": "chunked" },
	])
		await assert.rejects(put({ http: { headers } }), /HeaderParameters/);
	await assert.rejects(put({ http: { headers: { "slipway-event-format": "xml" } } }), /cloudevents-binary/);
	await put({ http: { headers: { "Slipway-Event-Format": "eventgrid", a: "" } } });
});

test("a fault of ours while an event is handed over is tried as its policy says, and ends in the dead letters", async () => {
	await using test = await open();
	await test.rule(
		"all",
		{ source: ["app"] },
		{ arn: serviceArn, retry: { maxAttempts: 2 }, deadLetterArn: queueArn("dlq") },
	);
	test.service.answer = () => {
		throw new TypeError("a bug");
	};
	await test.publish({});
	await test.clock.advance(60_000);
	assert.equal(test.service.calls.length, 3);
	assert.match(JSON.stringify((await test.queued("dlq"))[0]?.headers), /INTERNAL_ERROR/);
});
