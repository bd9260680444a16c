import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { test } from "node:test";
import { TLSSocket } from "node:tls";
import type { Principal } from "../aws/service.ts";
import { commonLogTime } from "../lambda-http/request-event.ts";
import { requestEvent } from "./request-event.ts";

interface Event {
	rawPath: string;
	rawQueryString: string;
	headers: Record<string, string>;
	requestContext: { http: Record<string, string> };
}

/** As node:http hands it over, as far as an event needs it. */
function eventOf(
	parts: Partial<IncomingMessage>,
	socket: object = { remoteAddress: "::ffff:10.0.0.7" },
	principal?: Principal,
): Event {
	const request = { method: "GET", url: "/", headers: {}, headersDistinct: {}, httpVersion: "1.1", socket, ...parts };
	return requestEvent({
		request: request as unknown as IncomingMessage,
		body: Buffer.alloc(0),
		urlId: "id",
		requestId: "r",
		traceId: "t",
		nowMs: 0,
		principal,
	}) as unknown as Event;
}

test("Times are the common log format's", () => {
	assert.equal(commonLogTime(Date.UTC(2020, 2, 12, 19, 3, 58)), "12/Mar/2020:19:03:58 +0000");
	assert.equal(commonLogTime(0), "01/Jan/1970:00:00:00 +0000");
});

test("The request target in any of its forms", () => {
	const targets: [string, string, string][] = [
		["/a/b?c", "/a/b", "c"],
		["/", "/", ""],
		["/?", "/", ""],
		["/a??b=?", "/a", "?b=?"],
		["http://id.lambda-url.r.localhost:1/a?b=1", "/a", "b=1"],
		["http://id.lambda-url.r.localhost", "/", ""],
		["*", "/", ""],
		["/http://x/", "/http://x/", ""],
	];
	for (const [url, path, query] of targets) {
		const event = eventOf({ url });
		assert.deepEqual([event.rawPath, event.rawQueryString], [path, query], url);
	}
});

test("An IPv4 client of a dual-stack port has its IPv4 address", () => {
	const { headers, requestContext } = eventOf({});
	assert.deepEqual([headers["x-forwarded-for"], requestContext.http.sourceIp], ["10.0.0.7", "10.0.0.7"]);
	assert.equal(headers["x-forwarded-proto"], "http");
});

test("Over TLS, the event says how", () => {
	const socket = Object.assign(Object.create(TLSSocket.prototype) as object, {
		getCipher: () => ({ standardName: "TLS_AES_128_GCM_SHA256" }),
		getProtocol: () => "TLSv1.3",
	});
	Object.defineProperty(socket, "remoteAddress", { value: "::1" });
	Object.defineProperty(socket, "localPort", { value: 443 });
	const { headers } = eventOf({}, socket);
	assert.equal(headers["x-forwarded-proto"], "https");
	assert.equal(headers["x-amzn-tls-cipher-suite"], "TLS_AES_128_GCM_SHA256");
	assert.equal(headers["x-amzn-tls-version"], "TLSv1.3");
	assert.equal(headers["x-forwarded-port"], "443");
});

test("A header by the name of a prototype's member is a header", () => {
	const headersDistinct = JSON.parse('{"__proto__":["x"],"constructor":["y"]}') as IncomingMessage["headersDistinct"];
	const { headers } = eventOf({ headersDistinct });
	assert.deepEqual([JSON.stringify(headers).includes('"__proto__":"x"'), headers.constructor], [true, "y"]);
});

test("The function never sees the signature that it was called with, in a header or in a presigned URL", () => {
	const principal = { accessKeyId: "AKIA", arn: "arn:aws:iam::1:root", userId: "1", accountId: "1" };
	const presigned =
		"a=1&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA&X-Amz-Date=20260101T000000Z&X-Amz-Expires=604800" +
		"&X-Amz-SignedHeaders=host&b=2&X-Amz-Security-Token=t&X-Amz-Signature=00";
	const seen = (url: string, by?: Principal) => eventOf({ url }, undefined, by).rawQueryString;
	assert.equal(seen(`/?${presigned}`, principal), "a=1&b=2");
	assert.equal(seen("/?X-Amz-Date=mine&a=1", principal), "X-Amz-Date=mine&a=1");
	assert.equal(seen(`/?${presigned}`), presigned);
	const headersDistinct = { authorization: ["AWS4-HMAC-SHA256 x"], "x-amz-security-token": ["t"], "x-a": ["1"] };
	const names = Object.keys(eventOf({ headersDistinct }, undefined, principal).headers);
	assert.deepEqual([names.includes("authorization"), names.includes("x-amz-security-token")], [false, false]);
});
