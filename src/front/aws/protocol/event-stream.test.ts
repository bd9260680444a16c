import assert from "node:assert/strict";
import { test } from "node:test";
import { EventStreamCodec } from "@smithy/core/event-streams";
import { encodeEvent, encodeException } from "./event-stream.ts";

const codec = new EventStreamCodec(
	(bytes) => Buffer.from(bytes as Uint8Array).toString(),
	(text) => Buffer.from(text),
);
const text = (value: string) => ({ type: "string", value });

test("The SDK's codec reads what is written, and would write the same bytes", () => {
	for (const body of [Buffer.alloc(0), Buffer.from("{}"), Buffer.alloc(300_000, 7)])
		for (const contentType of ["application/octet-stream", undefined]) {
			const message = encodeEvent({ type: "PayloadChunk", body, ...(contentType !== undefined && { contentType }) });
			const headers = {
				":message-type": text("event"),
				":event-type": text("PayloadChunk"),
				...(contentType !== undefined && { ":content-type": text(contentType) }),
			};
			const decoded = codec.decode(message);
			assert.deepEqual(decoded.headers, headers);
			assert(Buffer.from(decoded.body).equals(body));
			assert(Buffer.from(codec.encode({ headers: decoded.headers, body })).equals(message));
		}
});

test("Event types of the same length do not share headers", () => {
	const types = ["sessionStart", "sessionUpdat", "initial-resp"];
	for (const type of [...types, ...types])
		assert.deepEqual(codec.decode(encodeEvent({ type, body: Buffer.alloc(0) })).headers[":event-type"], text(type));
});

test("An exception has its type in a header of its own", () => {
	const { headers, body } = codec.decode(encodeException("ServiceException", Buffer.from('{"message":"é"}')));
	assert.deepEqual(headers, {
		":message-type": text("exception"),
		":exception-type": text("ServiceException"),
		":content-type": text("application/json"),
	});
	assert.equal(Buffer.from(body).toString(), '{"message":"é"}');
});
