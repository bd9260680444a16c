import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import { type CloudEvent, checkCloudEvent } from "./cloud-event.ts";
import { answersValidation, cloudEventDelivery, replyEvent, subscriptionValidation } from "./delivery.ts";
import { contentModeOf, readCloudEvents, writeBatch, writeBinary, writeStructured } from "./http-binding.ts";

const event: CloudEvent = {
	specversion: "1.0",
	id: 'a b"%é€😀',
	source: "/orders/1",
	type: "order.made",
	subject: "Ünicode",
	time: "2026-03-04T05:06:07.123Z",
	datacontenttype: "application/json",
	data: { total: 3 },
};
const utf8 = (body: Uint8Array) => Buffer.from(body).toString("utf8");

function whyRefused(work: () => unknown): string {
	try {
		work();
	} catch (error) {
		assert(isSlipwayError(error, "INVALID"), String(error));
		return error.message;
	}
	return assert.fail("it was taken");
}

describe("HTTP binding", () => {
	test("each mode reads what it writes", () => {
		const text: CloudEvent = { ...event, datacontenttype: "text/plain", data: "hé" };
		const { data: _data, ...rest } = event;
		const bytes: CloudEvent = { ...rest, datacontenttype: "application/octet-stream", data_base64: "/wA=" };
		const { datacontenttype: _type, ...empty } = rest;
		for (const one of [event, text, bytes, empty as CloudEvent]) {
			assert.deepEqual(readCloudEvents(writeBinary(one)), [one]);
			assert.deepEqual(readCloudEvents(writeStructured(one)), [one]);
			assert.deepEqual(readCloudEvents(writeBatch([one, one])), [one, one]);
		}
	});

	test("the examples of the binding: percent-encoding, quotes, the mode by the type", () => {
		const { headers } = writeBinary({ ...event, subject: "Euro € 😀" });
		assert.equal(headers["ce-subject"], "Euro%20%E2%82%AC%20%F0%9F%98%80");
		const binary = {
			"ce-specversion": "1.0",
			"ce-id": '"q\\"u%20o"',
			"ce-source": "s",
			"ce-type": "t",
			"ce-pct": "100%25",
		};
		assert.deepEqual(readCloudEvents({ headers: binary, body: Buffer.alloc(0) }), [
			{ specversion: "1.0", id: 'q"u o', source: "s", type: "t", pct: "100%" },
		]);
		assert.equal(contentModeOf({ "content-type": " Application/CloudEvents-BATCH+json" }), "batched");
		assert.equal(contentModeOf({ "content-type": "application/CLOUDEVENTS+json" }), "structured");
		assert.equal(contentModeOf({ "content-type": "application/json" }), "binary");
	});

	test("what is not one is refused with why", () => {
		const cases: [Record<string, unknown>, RegExp][] = [
			[{ specversion: "0.3" }, /specversion/],
			[{ id: "" }, /id is not/],
			[{ id: undefined }, /id is missing/],
			[{ source: "a b" }, /URI reference/],
			[{ type: 3 }, /type is not/],
			[{ time: "2026-13-01T00:00:00Z" }, /RFC 3339/],
			[{ dataschema: "relative" }, /absolute URI/],
			[{ datacontenttype: "json" }, /media type/],
			[{ Upper: "x" }, /lower-case/],
			[{ ext: { a: 1 } }, /neither a string/],
			[{ ext: 1.5 }, /neither a string/],
			[{ ext: "a\u0000b" }, /characters/],
			[{ ext: "\ud800" }, /characters/],
			[{ data_base64: "%%%" }, /Base64/],
			[{ data_base64: "AA==" }, /both/],
		];
		for (const [change, words] of cases)
			assert.match(
				whyRefused(() => checkCloudEvent({ ...event, ...change })),
				words,
			);
		for (const value of [null, [], "x", 1]) whyRefused(() => checkCloudEvent(value));
		const headers = { "ce-specversion": "1.0", "ce-id": "%ff", "ce-source": "s", "ce-type": "t" };
		assert.match(
			whyRefused(() => readCloudEvents({ headers, body: Buffer.alloc(0) })),
			/UTF-8/,
		);
		const twice = { ...headers, "ce-id": "1", "ce-datacontenttype": "text/plain" };
		assert.match(
			whyRefused(() => readCloudEvents({ headers: twice, body: Buffer.alloc(0) })),
			/ce-datacontenttype/,
		);
		const batch = { "content-type": "application/cloudevents-batch+json" };
		assert.match(
			whyRefused(() => readCloudEvents({ headers: batch, body: Buffer.from("{}") })),
			/array/,
		);
	});

	test("ten thousand broken messages: events or a reason, never another error; what is read can be written", () => {
		let state = 7;
		const random = (below: number) => {
			state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
			return Math.floor((state / 2 ** 32) * below);
		};
		let taken = 0;
		for (let i = 0; i < 10_000; i++) {
			const written = [writeBinary(event), writeStructured(event), writeBatch([event])][i % 3]!;
			const body = Buffer.from(written.body);
			for (let n = random(3); n > 0; n--) body[random(body.length)] = random(256);
			const headers = Object.fromEntries(
				Object.entries(written.headers).map(([name, value]) => {
					const at = random(value.length);
					return [
						name,
						random(4) === 0 ? value.slice(0, at) + String.fromCharCode(random(256)) + value.slice(at + 1) : value,
					];
				}),
			);
			try {
				for (const read of readCloudEvents({ headers, body }))
					assert.deepEqual(readCloudEvents(writeStructured(read)), [read]);
				taken++;
			} catch (error) {
				assert(isSlipwayError(error, "INVALID"), `${i}: ${error}`);
			}
		}
		assert(taken > 500 && taken < 9500, String(taken));
	});
});

describe("events to services", () => {
	const envelope = {
		id: "e1",
		source: "my shop",
		"detail-type": "made",
		detail: { total: 1 },
		time: "2026-01-02T03:04:05Z",
		resources: ["r"],
	};

	test("by profile", () => {
		const binary = cloudEventDelivery({ kind: "bus", event: envelope }, "cloudevents-binary");
		assert.deepEqual(
			[binary.http.headers, utf8(binary.body)],
			[
				{
					"ce-specversion": "1.0",
					"ce-id": "e1",
					"ce-source": "my%2520shop",
					"ce-type": "made",
					"ce-time": "2026-01-02T03:04:05Z",
					"ce-subject": "r",
					"content-type": "application/json",
				},
				'{"total":1}',
			],
		);
		const grid = cloudEventDelivery({ kind: "bus", event: envelope }, "eventgrid");
		assert.equal(grid.http.headers["aeg-event-type"], "Notification");
		const [item] = JSON.parse(utf8(grid.body));
		assert.deepEqual([item.eventType, item.subject, item.data], ["made", "r", { total: 1 }]);
		const message = { id: "m", body: "hi", sentMs: 0, attributes: { a: "1" } };
		const queue = { kind: "queue", queueArn: "arn:aws:sqs:eu-central-1:123456789012:jobs", message } as const;
		const pubSub = JSON.parse(utf8(cloudEventDelivery(queue, "eventarc").body));
		assert.deepEqual(pubSub.message, {
			data: "aGk=",
			attributes: { a: "1" },
			messageId: "m",
			publishTime: "1970-01-01T00:00:00.000Z",
		});
		assert.equal(utf8(cloudEventDelivery(queue, "cloudevents-binary").body), "hi");
		const tick = { kind: "tick", scheduleArn: "arn:s", id: "t", scheduledMs: 0, body: Buffer.from('{"a":1}') } as const;
		assert.deepEqual(JSON.parse(utf8(cloudEventDelivery(tick, "cloudevents-structured").body)).data, { a: 1 });
		assert.deepEqual(
			readCloudEvents({
				...cloudEventDelivery({ kind: "bus", event: envelope, cloudEvent: event }, "eventarc").http,
				body: Buffer.from('{"total":3}'),
			}),
			[event],
		);
	});

	test("validation of a subscription, and replies", () => {
		const { body, http } = subscriptionValidation("1", "topic", "code-1", 0);
		assert.equal(http.headers["aeg-event-type"], "SubscriptionValidation");
		assert.equal(JSON.parse(utf8(body))[0].data.validationCode, "code-1");
		assert(answersValidation(200, Buffer.from('{"validationResponse":"code-1"}'), "code-1"));
		assert(!answersValidation(200, Buffer.from('{"validationResponse":"code-2"}'), "code-1"));
		assert(!answersValidation(200, Buffer.from("null"), "code-1") && !answersValidation(500, body, "code-1"));
		const reply = writeBinary(event);
		assert.deepEqual(replyEvent(reply.headers, reply.body), { event });
		assert.equal(replyEvent({ "content-type": "application/json" }, Buffer.from("{}")), undefined);
		assert.match(
			(replyEvent({ "ce-specversion": "1.0" }, Buffer.alloc(0)) as { malformed: string }).malformed,
			/missing/,
		);
	});
});
