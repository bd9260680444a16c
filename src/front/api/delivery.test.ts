import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { type ErrorCode, isSlipwayError } from "../../base/error.ts";
import { randomIds } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { SlipwayClient } from "../../client/client.ts";
import { eventComponents } from "../../client/event-schema.ts";
import { nodeFetch } from "../../client/node-fetch.ts";
import { apiFront, apiRoutes } from "./api.ts";
import { fakeDelivery } from "./fake-delivery.ts";
import { fakeApiDeps } from "./fake-engine.ts";
import { openApiDocument } from "./openapi.ts";

const token = "slw_test";

async function served(context: TestContext) {
	const home = await mkdtemp(join(tmpdir(), "slipway-api-"));
	const delivery = await fakeDelivery();
	const closing = new AbortController();
	const common = { closing: closing.signal, clock: systemClock, ids: randomIds, log: silentLog };
	const deps = { ...fakeApiDeps({ ...common, accountId: "123456789012", home }), token, delivery };
	const server = createServer(apiFront(deps));
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	context.after(async () => {
		closing.abort();
		server.closeAllConnections();
		server.close();
		await delivery[Symbol.asyncDispose]();
		await rm(home, { recursive: true });
	});
	const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	const call = (path: string, init: RequestInit = {}) =>
		fetch(`${url}/_slipway${path}`, { ...init, headers: { authorization: `Bearer ${token}`, ...init.headers } });
	const client = new SlipwayClient({ url, token, fetch: nodeFetch }).events;
	return { client, call, log: delivery.messageLog, deps };
}

const isCode = (code: ErrorCode) => (error: unknown) => isSlipwayError(error, code);

test("A queue from its making to its end: send, peek, receive, delete, purge", async (context) => {
	const { client, call } = await served(context);
	const queue = await client.createQueue({
		name: "orders",
		attributes: { VisibilityTimeout: "5" },
		tags: { team: "a" },
	});
	eventComponents.Queue.parse(queue);
	assert.deepEqual([queue.visibilityTimeoutS, queue.tags, queue.fifo], [5, { team: "a" }, false]);
	const [id = ""] = await client.send("orders", { body: '{"a":1}', attributes: { k: "v" } });
	assert.equal((await client.send("orders", { body: "copy", count: 150 })).length, 150);
	const { messages, next } = eventComponents.MessageList.parse(await client.peek("orders", { limit: 2 }));
	assert.deepEqual([messages[0]?.id, messages[0]?.attributes, messages[0]?.receiptHandle], [id, { k: "v" }, undefined]);
	assert.equal((await client.peek("orders", { limit: 1, after: next })).messages[0]?.body, "copy");
	const [taken] = await client.receive("orders", { visibilityS: 60 });
	assert.ok(taken?.receiptHandle);
	assert.deepEqual(
		(await client.queues("ord")).map(({ visible, inFlight }) => [visible, inFlight]),
		[[150, 1]],
	);
	await client.deleteMessage("orders", taken.receiptHandle);
	assert.equal(await client.purgeQueue("orders"), 150);
	assert.deepEqual(await client.receive("orders"), []);
	await client.deleteQueue("orders");
	for (const refused of [client.queue("orders"), client.send("orders", { body: "x" }), client.purgeQueue("orders")])
		await assert.rejects(refused, isCode("NOT_FOUND"));
	for (const body of [{ body: "" }, { body: "x", delayS: 901 }, { body: "x", count: 0 }, { bdy: "x" }])
		assert.equal((await call("/queues/orders/messages", { method: "POST", body: JSON.stringify(body) })).status, 400);
	assert.equal((await call("/queues/or%20ders")).status, 400);
});

test("A FIFO queue keeps the order of its groups", async (context) => {
	const { client } = await served(context);
	await client.createQueue({ name: "q.fifo", attributes: { ContentBasedDeduplication: "true" } });
	await client.send("q.fifo", { body: "1", group: "a" });
	await client.send("q.fifo", { body: "1", group: "a" });
	await client.send("q.fifo", { body: "2", group: "a" });
	assert.deepEqual(
		(await client.peek("q.fifo")).messages.map(({ body, group }) => [body, group]),
		[
			["1", "a"],
			["2", "a"],
		],
	);
});

test("Dead letters are seen, followed and sent back, by replay and by redrive", async (context) => {
	const { client } = await served(context);
	const { arn } = await client.createQueue({ name: "dlq" });
	const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: arn, maxReceiveCount: 1 });
	const source = await client.createQueue({ name: "orders", attributes: { VisibilityTimeout: "0", RedrivePolicy } });
	assert.deepEqual([source.deadLetterQueue, source.maxReceiveCount], ["dlq", 1]);
	assert.deepEqual((await client.queue("dlq")).deadLettersOf, ["orders"]);
	const [id = ""] = await client.send("orders", { body: "bad" });
	await client.receive("orders");
	assert.deepEqual(await client.receive("orders"), []);
	const overview = eventComponents.EventsOverview.parse(await client.overview());
	assert.deepEqual(
		overview.lanes.map(({ name, dead }) => [name, dead]),
		[["queue dlq", 1]],
	);
	const story = eventComponents.EventStory.parse(await client.story(id, { body: true }));
	assert.deepEqual([story.state, story.present[0]?.body], ["dead", "bad"]);
	const listed = eventComponents.EventList.parse(await client.list("queue/dlq", { bodyBytes: 2, state: "dead" }));
	assert.deepEqual([listed.events[0]?.id, listed.events[0]?.body, listed.events[0]?.truncated], [id, "ba", true]);
	const replayed = eventComponents.ReplayResult.parse(await client.replay({ place: "queue dlq", ids: [id] }));
	assert.equal(replayed.replayed, 1);
	await client.receive("orders");
	await client.receive("orders");
	const task = eventComponents.MoveTask.parse(await client.redrive("dlq"));
	assert.equal(task.toMove, 1);
	for (let tries = 0; (await client.redrives("dlq"))[0]?.status !== "COMPLETED"; tries++) {
		assert.ok(tries < 500, "the redrive goes on");
		await systemClock.sleep(10);
	}
	assert.equal((await client.queue("orders")).visible, 1);
	assert.deepEqual(await client.faults(), []);
});

test("An event for a function is kept, and followed by the id of its acceptance", async (context) => {
	const { client, log } = await served(context);
	const id = await client.invokeLater("hello", '{"n":1}', { qualifier: "live" });
	assert.equal((await client.story(id)).state, "ready");
	const [message] = await log.lease("lambda/hello:live", { max: 1, visibility: "process" });
	assert.equal((await client.list("function/hello:live")).events[0]?.state, "in-flight");
	await log.commit([{ change: "settle", token: message!.token, outcome: "done" }]);
	assert.deepEqual(
		(await client.story(id)).steps.map(({ step }) => step),
		["sent", "delivered"],
	);
	await assert.rejects(client.invokeLater("missing", "{}"), isCode("NOT_FOUND"));
	await client.invokeLater("hello", "{}");
	assert.equal(await client.purge("function hello"), 1);
});

test("Triggers of queues and of brokers are made, listed, paused and deleted alike", async (context) => {
	const { client, call } = await served(context);
	await client.createQueue({ name: "orders" });
	const toFunction = await client.createQueueTrigger("orders", { function: "work:live", batchSize: 5 });
	eventComponents.Trigger.parse(toFunction);
	assert.deepEqual(
		[toFunction.source, toFunction.definition.batchSize, toFunction.state],
		["queue orders", 5, "Enabled"],
	);
	const toService = await client.createQueueTrigger("orders", { service: "shop/inbox/a/b", enabled: false });
	assert.deepEqual(
		[toService.target, toService.state],
		["arn:slipway:run:us-east-1:123456789012:service/shop/inbox/a/b", "Disabled"],
	);
	const inDefault = await client.createQueueTrigger("orders", { service: "inbox", format: "batch" });
	assert.match(inDefault.target, /:service\/default\/inbox$/);
	const broker = await client.applyTrigger({
		name: "mq",
		source: { connection: "rabbit", queue: "q" },
		target: "arn:x",
	});
	assert.deepEqual(
		[broker.kind, broker.state, broker.counters],
		["broker", "connected", { received: 4, delivered: 3 }],
	);
	assert.equal((await client.triggers()).length, 4);
	for (const { name } of [toFunction, broker]) {
		assert.equal((await client.pauseTrigger(name)).enabled, false);
		assert.equal((await client.resumeTrigger(name)).enabled, true);
		await client.deleteTrigger(name);
		await assert.rejects(client.trigger(name), isCode("NOT_FOUND"));
	}
	for (const body of [
		{},
		{ function: "a", service: "b" },
		{ function: "a", format: "batch" },
		{ function: "a", batchSize: 0 },
	])
		assert.equal((await call("/queues/orders/triggers", { method: "POST", body: JSON.stringify(body) })).status, 400);
	await client.applyConnection({ name: "rabbit", kind: "rabbitmq", url: "amqp://127.0.0.1" });
	assert.deepEqual(
		(await client.connections()).map(({ name }) => name),
		["rabbit"],
	);
	await client.deleteConnection("rabbit");
});

test("What can't be found or understood is told with the way on", async (context) => {
	const { call } = await served(context);
	const cases: [string, number, RegExp][] = [
		["/events/messages?place=queue/none", 404, /events ls --all/],
		["/events/messages?place=what", 400, /function\/NAME/],
		["/events/messages?place=queue/x&limit=1001", 400, /limit/],
		["/events/messages", 400, /place/],
		["/events/0199", 404, /request ids/],
		["/triggers/none", 404, /trigger ls/],
	];
	for (const [path, status, text] of cases) {
		const response = await call(path);
		assert.equal(response.status, status, path);
		assert.match(await response.text(), text);
	}
});

test("Metrics tell what waits by kind, by queue, and of the log; labels are bounded by what exists", async (context) => {
	const { client, call } = await served(context);
	await client.createQueue({ name: "orders" });
	await client.send("orders", { body: "x", count: 3 });
	await client.invokeLater("f", "{}");
	const text = await (await call("/metrics")).text();
	for (const line of [
		'slipway_events_waiting{kind="queue",state="ready"} 3',
		'slipway_events_waiting{kind="function",state="ready"} 1',
		'slipway_events_waiting{kind="rule",state="dead"} 0',
		'slipway_queue_messages{queue="orders",state="visible"} 3',
		'slipway_async_invocations_total{function="hello",outcome="retried"} 1',
		"slipway_log_commit_seconds_total 0.5",
		"slipway_log_faults 0",
	])
		assert.ok(text.includes(`${line}\n`), line);
	assert.match(text, /slipway_events_oldest_seconds\{kind="function"\} \d/);
});

test("The document describes each of these operations", async (context) => {
	const { deps } = await served(context);
	const document = openApiDocument(apiRoutes(deps), "/_slipway", "1.0.0") as { paths: Record<string, object> };
	for (const path of [
		"/events",
		"/events/{id}",
		"/queues/{name}/messages",
		"/triggers/{name}/pause",
		"/functions/{name}/events",
	])
		assert.ok(document.paths[path], path);
});
