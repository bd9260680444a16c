import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Clock, systemClock } from "../../base/clock.ts";
import { SlipwayError } from "../../base/error.ts";
import { randomIds } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import type { Delivery, TargetKind } from "../../core/delivery/target.ts";
import { FakeBroker } from "../../core/event-source/fake-broker.ts";
import type { InvocationRequest } from "../../core/invocation/invocation.ts";
import { FakeMessageLog } from "../../core/message-log/fake-message-log.ts";
import { FakeResourceStore } from "../../core/resource/fake-resource-store.ts";
import { TargetRegistry } from "../delivery/targets.ts";
import { BrokerTarget } from "./broker-target.ts";
import { Connections } from "./connections.ts";
import { Triggers } from "./triggers.ts";

const functionArn = "arn:aws:lambda:us-east-1:000000000000:function:f";
const queueArn = "arn:aws:sqs:us-east-1:000000000000:dead";
const connection = { name: "mq", kind: "rabbitmq", url: "amqp://user@localhost/shop", password: { value: "s3cret" } };
const orders = { name: "orders", source: { connection: "mq", queue: "in" }, target: functionArn };

const startedMs = systemClock.now();
/** A thousand times as fast as the real one. */
const quickClock: Clock = {
	now: () => startedMs + (systemClock.now() - startedMs) * 1000,
	monotonic: () => systemClock.monotonic() * 1000,
	sleep: (ms, signal) => systemClock.sleep(ms / 1000, signal),
	after: (ms, callback) => systemClock.after(ms / 1000, callback),
};

class Fixture implements AsyncDisposable {
	readonly broker = new FakeBroker();
	readonly store = new FakeResourceStore();
	readonly log = new FakeMessageLog({ clock: quickClock });
	readonly events: { request: InvocationRequest; event: unknown }[] = [];
	readonly deliveries: Delivery[] = [];
	answer: (event: unknown) => "ok" | "fail" | Promise<"ok" | "fail"> = () => "ok";
	/** What the function says of a batch, in place of null. */
	said: ((event: unknown) => unknown) | undefined;
	connections!: Connections;
	triggers!: Triggers;

	static async open(): Promise<Fixture> {
		const fixture = new Fixture();
		fixture.broker.makePlace("in");
		await fixture.wire();
		await fixture.connections.apply(connection);
		return fixture;
	}

	/** As a new process does. */
	async wire(): Promise<void> {
		const { store, broker, log } = this;
		const adapter = broker.adapter();
		const adapters = { rabbitmq: adapter, nats: adapter, redis: adapter, postgres: adapter };
		const secret = async () => "s3cret";
		this.connections = await Connections.open({ store, adapters, secret });
		const targets = new TargetRegistry([this.#anything(), new BrokerTarget({ connections: this.connections })]);
		const more = { clock: quickClock, ids: randomIds, logger: silentLog, random: Math.random };
		this.triggers = await Triggers.open({
			...more,
			store,
			log,
			targets,
			connections: this.connections,
			invoke: async (_, request) => this.#invoke(request),
			region: "us-east-1",
			accountId: "000000000000",
		});
		this.triggers.start();
	}

	bodies(): string[] {
		return this.events.map(({ event }) => {
			const { rmqMessagesByQueue: queues } = event as { rmqMessagesByQueue: Record<string, { data: string }[]> };
			const records = Object.values(queues).flat();
			return records.map(({ data }) => Buffer.from(data, "base64").toString()).join("+");
		});
	}

	async until(done: () => boolean | Promise<boolean>): Promise<void> {
		for (const deadline = Date.now() + 5000; !(await done()); await sleep(2))
			assert.ok(Date.now() < deadline, `still waiting: ${this.bodies().join(", ")}`);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.triggers[Symbol.asyncDispose]();
		await this.connections[Symbol.asyncDispose]();
		this.log[Symbol.dispose]();
	}

	async #invoke(request: InvocationRequest) {
		const event: unknown = JSON.parse(Buffer.from(request.payload).toString());
		this.events.push({ request, event });
		const failed = (await this.answer(event)) === "fail";
		const payload = Buffer.from(failed ? '{"errorMessage":"no"}' : JSON.stringify(this.said?.(event) ?? null));
		const functionError = failed ? ("Unhandled" as const) : undefined;
		return { payload, functionError, executedVersion: "1", logTail: undefined, coldStart: undefined };
	}

	#anything(): TargetKind {
		return {
			owns: (arn) => arn.startsWith("arn:aws:"),
			check(arn) {
				if (arn.endsWith(":gone")) throw new SlipwayError("NOT_FOUND", `${arn} is not there`);
			},
			handOver: (arn, delivery) => {
				this.deliveries.push(delivery);
				const lane = `sqs/${arn.split(":").at(-1)}`;
				return { kind: "append", changes: [{ change: "append", lane, id: delivery.id, body: delivery.body }] };
			},
		};
	}
}

interface Records {
	rmqMessagesByQueue: Record<string, { id: string; data: string }[]>;
}

function recordsOf(event: unknown): { id: string; body: string }[] {
	const records = Object.values((event as Records).rmqMessagesByQueue).flat();
	return records.map(({ id, data }) => ({ id, body: Buffer.from(data, "base64").toString() }));
}

describe("Batches of which some failed", () => {
	const batched = { ...orders, delivery: "direct", batch: { size: 4, windowMs: 60_000, itemFailures: true } };

	test("Only what the function names is tried again, and dies alone", async () => {
		await using fixture = await Fixture.open();
		await fixture.triggers.apply({ ...batched, deadLetter: queueArn, retry: { maxAttempts: 3 } });
		fixture.said = (event) => ({
			batchItemFailures: recordsOf(event)
				.filter(({ body }) => body === "bad")
				.map(({ id }) => ({ itemIdentifier: id })),
		});
		for (const body of ["a", "bad", "b", "c"]) fixture.broker.publish("in", body);
		await fixture.until(() => fixture.triggers.status("orders").counters.deadLettered === 1);
		assert.deepEqual(fixture.bodies(), ["a+bad+b+c", "bad", "bad"]);
		const { delivered, failed } = fixture.triggers.status("orders").counters;
		assert.deepEqual([delivered, failed], [3, 3]);
		assert.equal((await fixture.log.counts("sqs/dead")).visible, 1);
	});

	test("An answer that names nobody of the batch fails all of it", async () => {
		await using fixture = await Fixture.open();
		await fixture.triggers.apply(batched);
		fixture.said = (event) => (recordsOf(event).length > 1 ? { batchItemFailures: [{ itemIdentifier: "who" }] } : {});
		for (const body of ["a", "b", "c", "d"]) fixture.broker.publish("in", body);
		await fixture.until(() => fixture.triggers.status("orders").counters.delivered === 4);
		assert.deepEqual(fixture.bodies(), ["a+b+c+d", "a", "b", "c", "d"]);
	});

	test("It is for direct delivery", async () => {
		await using fixture = await Fixture.open();
		await assert.rejects(fixture.triggers.apply({ ...batched, delivery: "durable" }), /batch\.itemFailures/);
	});
});

describe("Durable triggers", () => {
	test("A message is in the log before it is acknowledged, and reaches the function in Lambda's form", async () => {
		await using fixture = await Fixture.open();
		await fixture.triggers.apply(orders);
		fixture.broker.publish("in", "hello", { properties: { messageId: "m1" } });
		await fixture.until(() => fixture.events.length === 1);
		const [first] = fixture.events;
		assert.deepEqual(first?.event, {
			eventSource: "aws:rmq",
			eventSourceArn: "arn:slipway:triggers:us-east-1:000000000000:trigger/orders",
			rmqMessagesByQueue: {
				"in::shop": [{ basicProperties: { messageId: "m1" }, redelivered: false, data: "aGVsbG8=" }],
			},
		});
		assert.match(first?.request.traceId ?? "", /^Root=1-.*Lineage=/);
		await fixture.until(async () => (await fixture.log.counts("triggers/orders")).inFlight === 0);
		const { counters, state } = fixture.triggers.status("orders");
		assert.equal(state, "connected");
		assert.deepEqual([counters.received, counters.accepted, counters.delivered], [1, 1, 1]);
	});

	test("While the log refuses, the broker keeps the message", async () => {
		await using fixture = await Fixture.open();
		await fixture.triggers.apply(orders);
		let refusals = 0;
		fixture.log.onCommit = (when) => {
			if (when === "before" && refusals++ < 3) throw new SlipwayError("EXHAUSTED", "full", { reason: "DiskFull" });
		};
		fixture.broker.publish("in", "kept");
		await fixture.until(() => fixture.events.length === 1);
		assert.ok(refusals > 3);
		assert.deepEqual(fixture.bodies(), ["kept"]);
	});

	test("One that the broker gives again is known by its id", async () => {
		await using fixture = await Fixture.open();
		await fixture.triggers.apply(orders);
		for (const body of ["once", "twice"]) fixture.broker.publish("in", body, { id: "same" });
		fixture.broker.publish("in", "other", { id: "other" });
		await fixture.until(() => fixture.events.length === 2);
		assert.deepEqual(fixture.bodies().sort(), ["once", "other"]);
		assert.equal(fixture.triggers.status("orders").counters.duplicates, 1);
	});

	test("Failures are retried with the same request id, then dead, once; the dead one can be sent again", async () => {
		await using fixture = await Fixture.open();
		await fixture.triggers.apply({ ...orders, retry: { maxAttempts: 3 } });
		fixture.answer = () => "fail";
		fixture.broker.publish("in", "poison");
		const dead = "dead-letters/triggers/orders";
		await fixture.until(async () => (await fixture.log.scan(dead, { limit: 10 })).length === 1);
		assert.equal(fixture.events.length, 3);
		assert.equal(new Set(fixture.events.map(({ request }) => request.requestId)).size, 1);
		const [message] = await fixture.log.scan(dead, { limit: 10 });
		assert.match(String(message?.headers.reason), /errorMessage/);
		fixture.answer = () => "ok";
		assert.equal(await fixture.log.move(dead, { max: 10, to: "origin" }), 1);
		await fixture.until(() => fixture.events.length === 4);
		assert.deepEqual(fixture.bodies(), ["poison", "poison", "poison", "poison"]);
	});

	test("Dead letters go to a queue in the commit that ends them", async () => {
		await using fixture = await Fixture.open();
		await fixture.triggers.apply({ ...orders, retry: { maxAttempts: 1 }, deadLetter: queueArn });
		fixture.answer = () => "fail";
		fixture.broker.publish("in", "poison");
		await fixture.until(async () => (await fixture.log.scan("sqs/dead", { limit: 10 })).length === 1);
		const [delivery] = fixture.deliveries;
		assert.equal(Buffer.from(delivery?.body ?? []).toString(), "poison");
		assert.match(delivery?.attributes?.ErrorMessage?.value ?? "", /Unhandled/);
		assert.equal((await fixture.log.counts("triggers/orders")).inFlight, 0);
	});

	test("In order: one that fails holds up those behind it", async () => {
		await using fixture = await Fixture.open();
		await fixture.triggers.apply({ ...orders, ordered: true });
		let failures = 0;
		fixture.answer = () => (failures++ < 2 ? "fail" : "ok");
		for (const body of ["1", "2", "3"]) fixture.broker.publish("in", body);
		await fixture.until(() => fixture.events.length === 5);
		assert.deepEqual(fixture.bodies(), ["1", "1", "1", "2", "3"]);
	});

	test("What was accepted is delivered by the next process", async () => {
		const fixture = await Fixture.open();
		const stuck = Promise.withResolvers<"ok">();
		fixture.answer = () => stuck.promise;
		await fixture.triggers.apply(orders);
		fixture.broker.publish("in", "kept");
		await fixture.until(() => fixture.events.length === 1);
		fixture.log.restart();
		fixture.answer = () => "ok";
		const before = fixture.triggers;
		await fixture.wire();
		await fixture.until(() => fixture.events.length === 2);
		stuck.resolve("ok");
		await before[Symbol.asyncDispose]();
		await fixture[Symbol.asyncDispose]();
		assert.deepEqual(fixture.bodies(), ["kept", "kept"]);
		assert.deepEqual(fixture.broker.waiting("in"), []);
	});
});

describe("Direct triggers", () => {
	test("Acknowledged when the function has done it; its messages come in one event", async () => {
		await using fixture = await Fixture.open();
		for (const body of ["a", "b", "c", "d"]) fixture.broker.publish("in", body);
		const batch = { size: 2, windowMs: 1000 };
		await fixture.triggers.apply({ ...orders, delivery: "direct", batch });
		await fixture.until(() => fixture.triggers.status("orders").counters.delivered === 4);
		assert.deepEqual(fixture.bodies(), ["a+b", "c+d"]);
		assert.deepEqual(await fixture.log.lanes("dead-letters/"), []);
	});

	test("A bad one in a batch goes to the broker's dead letters alone, once", async () => {
		await using fixture = await Fixture.open();
		fixture.answer = (event) => (JSON.stringify(event).includes(Buffer.from("bad").toString("base64")) ? "fail" : "ok");
		for (const body of ["a", "bad", "c"]) fixture.broker.publish("in", body);
		const more = { delivery: "direct", batch: { size: 3, windowMs: 1000 }, deadLetter: "broker" };
		await fixture.triggers.apply({ ...orders, ...more });
		await fixture.until(() => fixture.broker.dead("in").length === 1);
		assert.equal(Buffer.from(fixture.broker.dead("in")[0]?.body ?? []).toString(), "bad");
		assert.deepEqual(fixture.bodies(), ["a+bad+c", "a", "bad", "bad", "c"]);
		assert.equal(fixture.triggers.status("orders").counters.deadLettered, 1);
	});

	test("Without a place for dead letters they are in the log", async () => {
		await using fixture = await Fixture.open();
		fixture.answer = () => "fail";
		fixture.broker.publish("in", "bad");
		await fixture.triggers.apply({ ...orders, delivery: "direct", retry: { maxAttempts: 2 } });
		await fixture.until(
			async () => (await fixture.log.scan("dead-letters/triggers/orders", { limit: 9 })).length === 1,
		);
		assert.deepEqual(fixture.broker.dead("in"), []);
	});

	test("A connection that is lost is made again, and what was in hand comes again", async () => {
		await using fixture = await Fixture.open();
		const stuck = Promise.withResolvers<"ok">();
		fixture.answer = () => stuck.promise;
		await fixture.triggers.apply({ ...orders, delivery: "direct" });
		fixture.broker.publish("in", "again");
		await fixture.until(() => fixture.events.length === 1);
		fixture.broker.refusal = "no room";
		fixture.broker.cut();
		await fixture.until(() => fixture.triggers.status("orders").state === "error");
		await fixture.until(() => fixture.triggers.status("orders").counters.reconnects > 2);
		assert.equal(fixture.triggers.status("orders").message, "no room");
		fixture.answer = () => "ok";
		stuck.resolve("ok");
		fixture.broker.refusal = undefined;
		await fixture.until(() => fixture.events.length === 2);
		assert.equal(fixture.triggers.status("orders").state, "connected");
	});

	test("Paused, nothing is taken; what was in hand has gone back", async () => {
		await using fixture = await Fixture.open();
		fixture.answer = () => "fail";
		const retry = { maxAttempts: 1000 };
		await fixture.triggers.apply({ ...orders, delivery: "direct", retry });
		fixture.broker.publish("in", "x");
		await fixture.until(() => fixture.events.length > 0);
		await fixture.triggers.pause("orders");
		assert.deepEqual(fixture.broker.waiting("in"), ["x"]);
		assert.equal(fixture.triggers.status("orders").state, "disabled");
		fixture.answer = () => "ok";
		await fixture.triggers.resume("orders");
		await fixture.until(() => fixture.triggers.status("orders").counters.delivered === 1);
	});
});

describe("Documents", () => {
	test("What does not match the filter is acknowledged and dropped", async () => {
		await using fixture = await Fixture.open();
		await fixture.triggers.apply({ ...orders, filter: { data: { kind: ["order"] } } });
		fixture.broker.publish("in", '{"kind":"other"}');
		fixture.broker.publish("in", '{"kind":"order"}');
		fixture.broker.publish("in", "no JSON");
		await fixture.until(() => fixture.triggers.status("orders").counters.received === 3);
		await fixture.until(() => fixture.events.length === 1);
		assert.deepEqual(fixture.bodies(), ['{"kind":"order"}']);
		assert.equal(fixture.triggers.status("orders").counters.filtered, 2);
		assert.deepEqual(fixture.broker.waiting("in"), []);
	});

	test("Passwords are shown to nobody, and survive an apply of what was shown", async () => {
		await using fixture = await Fixture.open();
		const shown = fixture.connections.get("mq");
		assert.deepEqual(shown.password, { value: "********" });
		assert.doesNotMatch(JSON.stringify(fixture.connections.list()), /s3cret/);
		await fixture.connections.apply(shown);
		const [stored] = await fixture.store.list("broker-connection");
		assert.match(JSON.stringify(stored), /s3cret/);
	});

	test("A connection that is used stays; a trigger that is gone leaves nothing but its dead letters", async () => {
		await using fixture = await Fixture.open();
		await fixture.triggers.apply({ ...orders, enabled: false });
		await assert.rejects(fixture.connections.remove("mq"), { code: "CONFLICT" });
		await fixture.triggers.remove("orders");
		await fixture.connections.remove("mq");
		assert.throws(() => fixture.triggers.get("orders"), { code: "NOT_FOUND" });
		assert.deepEqual(await fixture.log.lanes("triggers/"), []);
	});

	const bad: [string, object, RegExp][] = [
		["no target", { ...orders, target: undefined }, /missing field\(s\): target/],
		["unknown connection", { ...orders, source: { connection: "x", queue: "q" } }, /no such connection/],
		["no queue", { ...orders, source: { connection: "mq" } }, /source\.queue/],
		["unknown field", { ...orders, colour: "blue" }, /colour/],
		["broker's dead letters of durable ones", { ...orders, deadLetter: "broker" }, /delivery direct/],
		["a bad filter", { ...orders, filter: { data: 1 } }, /[Pp]attern/],
		["a batch of 0", { ...orders, batch: { size: 0 } }, /expected 1 <= 0 <= 1000/],
		["a name of slashes", { ...orders, name: "a/b" }, /must be 1 to 64/],
	];
	for (const [what, document, message] of bad)
		test(`INVALID: ${what}`, async () => {
			await using fixture = await Fixture.open();
			await assert.rejects(fixture.triggers.apply(document), (error: Error & { code?: string }) => {
				assert.equal(error.code, "INVALID");
				assert.match(error.message, message);
				return true;
			});
			assert.deepEqual(fixture.triggers.list(), []);
		});

	test("INVALID connections repeat no secret", async () => {
		await using fixture = await Fixture.open();
		const wrong = [
			{ ...connection, url: "amqp://user:s3cret@localhost" },
			{ ...connection, url: "s3cret" },
			{ ...connection, password: { env: "PATH" } },
			{ ...connection, password: { secret: "../s3cret" } },
			{ ...connection, kind: "kafka" },
		];
		for (const document of wrong) await assert.rejects(fixture.connections.apply(document), { code: "INVALID" });
		await assert.rejects(fixture.connections.apply(wrong[0]), (error: Error) => !error.message.includes("s3cret"));
	});
});

test("Brokers are targets: confirmed is delivered, refused is tried again", async () => {
	await using fixture = await Fixture.open();
	fixture.broker.makePlace("out");
	const target = "arn:slipway:broker:us-east-1:000000000000:mq/queue/out";
	await assert.rejects(fixture.triggers.apply({ ...orders, target: target.replace("queue/out", "subject/x") }), {
		code: "INVALID",
	});
	fixture.broker.publish("in", "onward", { headers: { colour: "blue" } });
	await fixture.triggers.apply({ ...orders, target });
	await fixture.until(() => fixture.broker.waiting("out").length === 1);
	assert.deepEqual(fixture.broker.waiting("out"), ["onward"]);
});
