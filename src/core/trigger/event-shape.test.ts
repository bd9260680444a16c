import assert from "node:assert/strict";
import { test } from "node:test";
import type { BrokerMessage } from "../event-source/event-source.ts";
import { cloudEventOf, dataOf, deliveryOf, filterView, functionEvent, type Origin } from "./event-shape.ts";

const origin: Origin = { kind: "nats", arn: "arn:slipway:triggers:r:1:trigger/t", vhost: "/", place: "S" };
const account = "us-east-1:000000000000";

function message(body: string | Uint8Array, more: Partial<BrokerMessage> = {}): BrokerMessage {
	return {
		id: "1",
		body: Buffer.from(body),
		headers: {},
		subject: "orders.new",
		publishedMs: Date.UTC(2026, 0, 2),
		contentType: undefined,
		redelivered: false,
		properties: {},
		...more,
	};
}

const textOf = (bytes: Uint8Array) => Buffer.from(bytes).toString();

test("JSON is data, text is text, other bytes are base64", () => {
	assert.deepEqual(dataOf(message('{"a":1}')), { json: { a: 1 } });
	assert.deepEqual(dataOf(message("1", { contentType: "text/plain" })), { text: "1" });
	assert.deepEqual(dataOf(message("no JSON")), { text: "no JSON" });
	assert.equal(dataOf(message(Uint8Array.of(0xff, 0xfe))), undefined);
	const event = cloudEventOf(message(Uint8Array.of(0xff, 0xfe)), origin, "id");
	assert.deepEqual(event, {
		specversion: "1.0",
		id: "id",
		source: origin.arn,
		type: "slipway.nats.message",
		subject: "orders.new",
		time: "2026-01-02T00:00:00.000Z",
		datacontenttype: "application/octet-stream",
		data_base64: "//4=",
	});
});

test("A function gets one CloudEvent, or a list where it may be more", () => {
	const one = { message: message('{"a":1}'), id: "x" };
	assert.deepEqual(
		functionEvent([one], origin, { batched: false, withIds: false }),
		cloudEventOf(one.message, origin, "x"),
	);
	assert.deepEqual(functionEvent([one], origin, { batched: true, withIds: false }), [
		cloudEventOf(one.message, origin, "x"),
	]);
});

test("A service gets the bytes, with the attributes in headers", () => {
	const target = `arn:slipway:run:${account}:service/default/s`;
	const { body, http } = deliveryOf(message('{"a":1}'), origin, "x", target);
	assert.equal(textOf(body), '{"a":1}');
	assert.equal(http?.headers["ce-id"], "x");
	assert.equal(http?.headers["ce-type"], "slipway.nats.message");
	assert.equal(http?.headers["content-type"], "application/json");
});

test("A bus gets an object as detail, whatever came", () => {
	const target = `arn:aws:events:${account}:event-bus/default`;
	const { body, event } = deliveryOf(message('{"a":1}'), origin, "x", target);
	assert.equal(textOf(body), '{"a":1}');
	assert.deepEqual(event?.resources, [origin.arn]);
	assert.equal(JSON.parse(textOf(deliveryOf(message("[1]"), origin, "x", target).body)).specversion, "1.0");
});

test("A queue gets text", () => {
	const target = `arn:aws:sqs:${account}:q`;
	assert.equal(textOf(deliveryOf(message("plain"), origin, "x", target).body), "plain");
	const bytes = deliveryOf(message(Uint8Array.of(0xff)), origin, "x", target);
	assert.equal(JSON.parse(textOf(bytes.body)).data_base64, "/w==");
});

test("Filters see data, headers, subject", () => {
	assert.deepEqual(filterView(message("[1]", { headers: { a: "b" }, redelivered: true })), {
		data: [1],
		headers: { a: "b" },
		subject: "orders.new",
		redelivered: true,
	});
});
