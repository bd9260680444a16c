import assert from "node:assert/strict";
import { test } from "node:test";
import { brokerMessage } from "./message.ts";

const noProperties = {
	contentType: undefined,
	contentEncoding: undefined,
	headers: undefined,
	deliveryMode: undefined,
	priority: undefined,
	correlationId: undefined,
	replyTo: undefined,
	expiration: undefined,
	messageId: undefined,
	timestamp: undefined,
	type: undefined,
	userId: undefined,
	appId: undefined,
	clusterId: undefined,
};
const fields = { deliveryTag: 1, redelivered: true, exchange: "", routingKey: "k", consumerTag: "c" };

test("Properties are as in Lambda's event for Amazon MQ", () => {
	const properties = {
		...noProperties,
		contentType: "text/plain",
		headers: { h: "v", n: 10 },
		deliveryMode: 1,
		priority: 34,
		expiration: "60000",
		timestamp: 2021,
		userId: "AIDACKCEVSQ6C2EXAMPLE",
	};
	const message = brokerMessage({ content: Buffer.from("{}"), fields, properties });
	// The example of https://docs.aws.amazon.com/lambda/latest/dg/with-mq.html.
	assert.deepEqual(message.properties, {
		contentType: "text/plain",
		contentEncoding: null,
		headers: { h: { bytes: [118] }, n: 10 },
		deliveryMode: 1,
		priority: 34,
		correlationId: null,
		replyTo: null,
		expiration: "60000",
		messageId: null,
		timestamp: "Jan 1, 1970, 12:33:41 AM",
		type: null,
		userId: "AIDACKCEVSQ6C2EXAMPLE",
		appId: null,
		clusterId: null,
		bodySize: 2,
	});
	assert.deepEqual(message.headers, { h: "v", n: "10" });
	assert.equal(message.redelivered, true);
	assert.equal(message.id, undefined);
	assert.equal(message.publishedMs, 2_021_000);
});

test("A message without properties", () => {
	const message = brokerMessage({ content: Buffer.alloc(0), fields, properties: noProperties });
	assert.deepEqual([message.contentType, message.publishedMs, message.headers], [undefined, undefined, {}]);
});
