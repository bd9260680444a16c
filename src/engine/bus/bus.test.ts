import assert from "node:assert/strict";
import { test } from "node:test";
import { maxHops } from "../../core/invocation/lineage.ts";
import { maxUnmatched } from "./limits.ts";
import { busArn } from "./names.ts";
import { queueArn, serviceArn, TestBus, testPlace } from "./testing.ts";

const place = testPlace;

async function open(): Promise<TestBus> {
	const bus = new TestBus();
	for (const name of ["q", "dlq"]) bus.queueKind.queues.add(name);
	return bus.open();
}

const attributesOf = (headers: Record<string, unknown>) =>
	Object.fromEntries(
		Object.entries(headers.attributes as Record<string, { value: string }>).map(([name, { value }]) => [name, value]),
	);

test("an event goes to each target of each rule that matches, as EventBridge shapes it", async () => {
	await using test = await open();
	await test.rule("orders", { source: ["app"], detail: { n: [{ numeric: [">", 1] }] } }, {});
	await test.rule("all", { source: [{ prefix: "" }] }, { inputPath: "$.detail" });
	await test.rule("other", { source: ["x"] }, {});
	const [result] = await test.bus.publish("default", [
		{
			source: "app",
			detailType: "Order",
			detail: '{"n": 12345678901234567890}',
			resources: ["r"],
			time: Date.UTC(2026, 1, 2),
		},
	]);
	assert.ok(result && "id" in result);
	const messages = (await test.queued("q")).map(({ body }) => Buffer.from(body).toString());
	const head = { version: "0", id: result.id, "detail-type": "Order", source: "app", account: place.accountId };
	const rest = { time: "2026-02-02T00:00:00Z", region: place.region, resources: ["r"] };
	const whole = `${JSON.stringify({ ...head, ...rest }).slice(0, -1)},"detail":{"n": 12345678901234567890}}`;
	assert.deepEqual(messages.sort(), [whole, '{"n":12345678901234567000}'].sort());
	assert.deepEqual(test.bus.statistics(), {
		accepted: 1,
		unmatched: 0,
		delivered: 2,
		retried: 0,
		deadLettered: 0,
		dropped: 0,
	});
});

test("what matches nothing is accepted, counted and told", async () => {
	await using test = await open();
	const told: unknown[] = [];
	test.logger = { ...test.logger, debug: (_message, fields) => told.push(fields?.source) };
	await test.restart();
	const [result] = await test.publish({}, "nobody");
	assert.ok(result && "id" in result);
	assert.equal(test.bus.statistics().unmatched, 1);
	assert.deepEqual(told, ["nobody"]);
	assert.equal(test.bus.unmatched(result.id), "default");
	for (let i = 0; i < maxUnmatched; i++) await test.publish({}, "nobody");
	assert.equal(test.bus.unmatched(result.id), undefined);
});

test("entries that can't be are refused alone, in AWS's words", async () => {
	await using test = await open();
	await test.rule("all", { source: ["app"] }, {});
	const event = { source: "app", detailType: "T", detail: "{}" };
	const deep = `{"a":${"[".repeat(1000)}${"]".repeat(1000)}}`;
	const results = await test.bus.publish("default", [
		event,
		{ ...event, source: "" },
		{ ...event, detailType: "x".repeat(129) },
		{ ...event, detail: "[1]" },
		{ ...event, detail: '{"a":' },
		{ ...event, detail: deep },
		{ ...event, time: 1e16 },
		{ ...event, detail: JSON.stringify({ a: "x".repeat(1_048_576) }) },
	]);
	assert.deepEqual(
		results.map((result) => ("error" in result ? `${result.error.code}: ${result.error.message}`.slice(0, 90) : "ok")),
		[
			"ok",
			"InvalidArgument: Parameter Source is not valid. Reason: Source is a required argument.",
			"InvalidArgument: Parameter DetailType is not valid. Reason: DetailType must have length le",
			"MalformedDetail: Detail is malformed.",
			"MalformedDetail: Detail is malformed.",
			"MalformedDetail: Detail is malformed.",
			"InvalidArgument: Parameter Time is not valid. Reason: It is not a time between the years 0",
			"InvalidArgument: Parameter Detail is not valid. Reason: The event has 1048588 bytes, at mo",
		],
	);
	assert.equal((await test.queued("q")).length, 1);
	await assert.rejects(test.publish({}, "app", "nowhere"), {
		code: "NOT_FOUND",
		message: "Event bus nowhere does not exist.",
	});
});

test("accepted is committed: after a kill the event is still delivered, and once", async () => {
	await using test = await open();
	await test.rule("all", { source: ["app"] }, {});
	test.bus[Symbol.asyncDispose]();
	const [result] = await test.publish({ n: 1 });
	assert.ok(result && "id" in result);
	await test.restart();
	assert.equal((await test.queued("q")).length, 1);
	assert.equal((await test.log.lanes("events/"))[0]?.visible, 0);
});

test("a commit that fails fails the call; of several events the others go on", async () => {
	await using test = await open();
	await test.rule("all", { source: ["app"] }, {});
	let commits = 0;
	test.log.onCommit = (when) => {
		if (when === "before" && commits++ < 2) throw Object.assign(new Error("disk"), {});
	};
	await assert.rejects(test.publish({}), /disk/);
	test.log.onCommit = undefined;
	assert.equal((await test.queued("q")).length, 0);
});

test("a target that is gone goes to the dead-letter queue at once, with why", async () => {
	await using test = await open();
	await test.rule("r", { source: ["app"] }, { arn: queueArn("gone"), deadLetterArn: queueArn("dlq") });
	await test.publish({ n: 1 });
	const [letter] = await test.queued("dlq");
	assert.ok(letter);
	assert.deepEqual(attributesOf(letter.headers), {
		RULE_ARN: "arn:aws:events:us-east-1:123456789012:rule/r",
		TARGET_ARN: queueArn("gone"),
		ERROR_CODE: "NO_RESOURCE",
		ERROR_MESSAGE: "There is no queue 'gone'",
		RETRY_ATTEMPTS: "0",
	});
	assert.deepEqual((JSON.parse(Buffer.from(letter.body).toString()) as { detail: unknown }).detail, { n: 1 });
});

test("retries for a day or 185 times, further and further apart, and then to the dead-letter queue once", async () => {
	await using test = await open();
	test.service.answer = () => ({ ok: false, permanent: false, code: "503", message: "down" });
	await test.rule("r", { source: ["app"] }, { arn: serviceArn, deadLetterArn: queueArn("dlq") });
	await test.publish({});
	await test.clock.advance(3 * 86_400_000);
	const { calls } = test.service;
	assert.ok(calls.length > 150 && calls.length <= 186, `${calls.length} calls`);
	const waits = calls.slice(1).map(({ atMs }, index) => atMs - calls[index]!.atMs);
	for (const [index, wait] of waits.entries()) {
		const base = Math.min(480_000, 1000 * 2 ** index);
		const isLast = index === waits.length - 1;
		assert.ok(wait <= base * 1.25 + 1 && (isLast || wait >= base * 0.75 - 1), `wait ${index} was ${wait}`);
	}
	const letters = await test.queued("dlq");
	assert.equal(letters.length, 1);
	const attributes = attributesOf(letters[0]!.headers);
	assert.equal(attributes.RETRY_ATTEMPTS, String(calls.length - 1));
	assert.ok(["MaximumRetryAttempts", "MaximumEventAgeInSeconds"].includes(attributes.EXHAUSTED_RETRY_CONDITION ?? ""));
	assert.ok(calls.at(-1)!.atMs - calls[0]!.atMs <= 86_400_000);
});

test("a retry policy of the target's own, and a service that comes back", async () => {
	await using test = await open();
	test.service.answer = () => ({ ok: false, permanent: false, code: "503", message: "down" });
	await test.rule(
		"r",
		{ source: ["app"] },
		{ arn: serviceArn, deadLetterArn: queueArn("dlq"), retry: { maxAttempts: 2 } },
	);
	await test.rule(
		"s",
		{ source: ["old"] },
		{ arn: serviceArn, deadLetterArn: queueArn("dlq"), retry: { maxAgeS: 60 } },
	);
	await test.publish({});
	await test.clock.advance(60_000);
	assert.equal(test.service.calls.length, 3);
	await test.publish({}, "old");
	await test.clock.advance(120_000);
	const conditions = (await test.queued("dlq")).map(({ headers }) => attributesOf(headers).EXHAUSTED_RETRY_CONDITION);
	assert.deepEqual(conditions, ["MaximumRetryAttempts", "MaximumEventAgeInSeconds"]);
	const before = test.service.calls.length;
	test.service.answer = (call) =>
		call < before + 3
			? { ok: false, permanent: false, code: "429", message: "busy", retryAfterMs: 30_000 }
			: { ok: true, status: 204, headers: {}, body: new Uint8Array() };
	await test.publish({}, "old");
	await test.restart();
	await test.clock.advance(120_000);
	assert.equal(test.service.calls.length, before + 3);
	assert.equal((await test.queued("dlq")).length, 2);
});

test("services get CloudEvents: the one that came, or one made of the envelope", async () => {
	await using test = await open();
	const http = { pathValues: ["a b"], query: { k: "v" }, headers: { "x-own": "1" } };
	await test.rule("r", { source: [{ prefix: "" }] }, { arn: serviceArn, http });
	const cloudEvent = {
		specversion: "1.0",
		id: "c1",
		source: "/s",
		type: "t",
		subject: "sub",
		myext: "e",
		datacontenttype: "text/plain",
		data: "hé",
	};
	await test.bus.publish("default", [{ source: "", detailType: "", detail: "", cloudEvent }]);
	await test.publish({ n: 1 });
	await test.clock.advance(0);
	const [kept, made] = test.service.calls.map(({ delivery }) => delivery);
	assert.equal(kept?.http?.path, "/events/a%20b?k=v");
	assert.equal(kept.http.headers["x-own"], "1");
	assert.equal(kept.http.headers["ce-id"], "c1");
	assert.equal(kept.http.headers["ce-subject"], "sub");
	assert.equal(kept.http.headers["ce-myext"], "e");
	assert.equal(Buffer.from(kept.body).toString(), "hé");
	assert.equal(made?.http?.headers["ce-type"], "Order");
	assert.equal(made.http.headers["ce-source"], "app");
	assert.equal(Buffer.from(made.body).toString(), '{"n":1}');
});

test("a service's answer that is an event goes to its bus; one that answers its own answers is stopped", async () => {
	await using test = await open();
	await test.rule("r", { source: ["app"] }, { arn: serviceArn });
	await test.rule("seen", { source: ["/reply"] }, {});
	const headers = {
		"ce-specversion": "1.0",
		"ce-id": "re",
		"ce-source": "/reply",
		"ce-type": "t",
		"content-type": "application/json",
	};
	test.service.answer = () => ({ ok: true, status: 200, headers, body: Buffer.from('{"ok":true}') });
	await test.publish({});
	const [reply] = (await test.bodies("q")) as { id: string; detail: unknown }[];
	assert.deepEqual([reply?.id, reply?.detail], ["re", { ok: true }]);
	await test.rule("r", { source: ["app", "/reply"] }, { arn: serviceArn });
	await test.publish({});
	await test.clock.advance(1000);
	assert.equal(test.service.calls.length, 2 + maxHops);
	assert.equal((await test.queued("q")).length, 1 + maxHops);
});

test("events go from bus to bus with their id, and one that would come back ends in the dead letters", async () => {
	await using test = await open();
	await test.bus.createBus({ name: "two", tags: {} });
	const to = (bus: string) => ({ arn: busArn(place, bus), deadLetterArn: queueArn("dlq") });
	// Two rules each way: without a bound the event would be twice as many at each hop.
	for (const id of ["a", "b"]) {
		await test.rule(`there-${id}`, { source: ["loop"] }, to("two"));
		await test.rule(`back-${id}`, { source: ["loop"] }, to("default"), "two");
	}
	await test.rule("self", { source: ["loop"] }, to("default"));
	await test.rule("seen", { source: ["loop"] }, {}, "two");
	const [result] = await test.publish({ n: 1 }, "loop");
	assert.ok(result && "id" in result);
	await test.clock.advance(60_000);
	const seen = (await test.bodies("q")) as { id: string; detail: unknown }[];
	assert.equal(seen.length, 2);
	assert.ok(seen.every(({ id, detail }) => id === result.id && JSON.stringify(detail) === '{"n":1}'));
	const letters = await test.queued("dlq");
	assert.equal(letters.length, 5);
	for (const { headers } of letters) {
		assert.equal(attributesOf(headers).ERROR_CODE, "RECURSION_DETECTED");
		assert.match(attributesOf(headers).ERROR_MESSAGE ?? "", /on event bus default already: rules send it round/);
	}
});

test("an event goes to five buses, one after the other, and no further", async () => {
	await using test = await open();
	for (let bus = 1; bus <= 6; bus++) await test.bus.createBus({ name: `b${bus}`, tags: {} });
	const next = (bus: number) => ({ arn: busArn(place, `b${bus}`), deadLetterArn: queueArn("dlq") });
	await test.rule("r", { source: ["chain"] }, next(1));
	for (let bus = 1; bus <= 5; bus++) await test.rule("r", { source: ["chain"] }, next(bus + 1), `b${bus}`);
	await test.rule("seen", { source: ["chain"] }, {}, "b4");
	await test.rule("unseen", { source: ["chain"] }, {}, "b5");
	await test.publish({}, "chain");
	await test.clock.advance(60_000);
	assert.equal((await test.bodies("q")).length, 1);
	const [letter] = await test.queued("dlq");
	assert.match(attributesOf(letter!.headers).ERROR_MESSAGE ?? "", /has been on 5 event buses/);
});

test("disabled rules match nothing; events of a removed target are dropped, and told", async () => {
	await using test = await open();
	await test.rule("r", { source: ["app"] }, {});
	await test.bus.setRuleEnabled("default", "r", false);
	await test.publish({});
	assert.equal(test.bus.statistics().unmatched, 1);
	await test.bus.setRuleEnabled("default", "r", true);
	test.service.answer = () => ({ ok: false, permanent: false, code: "503", message: "down" });
	await test.bus.putTargets("default", "r", [{ id: "t", arn: serviceArn }]);
	const [result] = await test.publish({});
	assert.ok(result && "id" in result);
	await test.clock.advance(100);
	assert.deepEqual(await test.bus.removeTargets("default", "r", ["t", "x"]), ["x"]);
	await test.clock.advance(10_000);
	assert.equal((await test.log.trail(result.id)).at(-1)?.result, "dropped");
	await test.restart();
	assert.deepEqual(await test.log.lanes("events/"), []);
});

test("a template whose values break its JSON is told, and queues take any text", async () => {
	await using test = await open();
	const transformer = { pathsMap: { q: "$.detail.q" }, template: '{"q": "<q>"}' };
	await test.rule("s", { source: ["app"] }, { arn: serviceArn, transformer, deadLetterArn: queueArn("dlq") });
	await test.rule("q", { source: ["app"] }, { transformer });
	await test.publish({ q: '"' });
	const [letter] = await test.queued("dlq");
	assert.equal(letter && attributesOf(letter.headers).ERROR_CODE, "INVALID_JSON");
	assert.equal(Buffer.from((await test.queued("q"))[0]!.body).toString(), '{"q": """}');
});

test("schedules are handed to the ticks, and a tick goes to each target", async () => {
	await using test = await open();
	const defined = new Map<
		string,
		{ expression: string; fire: (tick: { scheduledMs: number; id: string; event: object }) => unknown[] }
	>();
	test.ticks = {
		define: (arn, { expression }, changes) =>
			void defined.set(arn, { expression, fire: (tick) => changes({ ...tick, event: { ...tick.event } }) }),
		remove: (arn) => void defined.delete(arn),
	};
	await test.restart();
	await test.bus.putRule("default", "every", { scheduleExpression: "rate(5 minutes)", enabled: true });
	await test.bus.putTargets("default", "every", [{ id: "a", arn: queueArn("q") }]);
	await test.restart();
	const rule = defined.get("arn:aws:events:us-east-1:123456789012:rule/every");
	assert.equal(rule?.expression, "rate(5 minutes)");
	const event = { id: "tick-1", source: "aws.events", "detail-type": "Scheduled Event", detail: {} };
	const [change] = rule.fire({ scheduledMs: 0, id: "tick-1", event });
	assert.partialDeepStrictEqual(change, { change: "append", lane: "events/default/every/a", correlation: "tick-1" });
	await test.bus.setRuleEnabled("default", "every", false);
	assert.equal(defined.size, 0);
	await assert.rejects(test.bus.putRule("default", "bad", { scheduleExpression: "rate(1 minutes)", enabled: true }), {
		code: "INVALID",
	});
});

test("refuses what AWS refuses", async () => {
	await using test = await open();
	const rule = { eventPattern: '{"a":["b"]}', enabled: true };
	await test.bus.putRule("default", "r", rule);
	const targets = (count: number) =>
		Array.from({ length: count }, (_, index) => ({ id: `t${index}`, arn: queueArn("q") }));
	await assert.rejects(test.bus.putTargets("default", "r", targets(6)), { reason: "LimitExceeded" });
	await test.bus.putTargets("default", "r", targets(5));
	await assert.rejects(test.bus.deleteRule("default", "r"), { message: "Rule can't be deleted since it has targets." });
	await assert.rejects(
		test.bus.putRule("default", "x", { enabled: true }),
		/EventPattern or ScheduleExpression must be specified/,
	);
	await assert.rejects(test.bus.putRule("default", "x", { enabled: true, eventPattern: "{" }), {
		reason: "InvalidEventPattern",
	});
	await assert.rejects(async () => test.bus.putTargets("default", "r", [{ id: "t0", arn: "arn:aws:kinesis:::x" }]), {
		code: "INVALID",
	});
	await assert.rejects(
		async () =>
			test.bus.putTargets("default", "r", [{ id: "t0", arn: queueArn("q"), deadLetterArn: queueArn("d.fifo") }]),
		/standard SQS/,
	);
	await assert.rejects(test.bus.deleteBus("default"), /Cannot delete event bus default/);
	await test.bus.createBus({ name: "b", tags: {} });
	await assert.rejects(test.bus.createBus({ name: "b", tags: {} }), { message: "Event bus b already exists." });
	await assert.rejects(
		test.bus.putRule("b", "s", { scheduleExpression: "rate(1 minute)", enabled: true }),
		/only on the default event bus/,
	);
	assert.throws(() => test.bus.describeRule("b", "r"), { message: "Rule r does not exist on EventBus b." });
});
