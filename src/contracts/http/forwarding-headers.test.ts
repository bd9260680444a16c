import assert from "node:assert/strict";
import { test } from "node:test";
import type { ForwardOptions } from "../../core/service/forward.ts";
import { forwardedRequestHeaders, forwardedResponseHeaders, forwardedTrailers } from "./forwarding-headers.ts";

const options: ForwardOptions = { clientAddress: "9.9.9.9", scheme: "http", host: "a.example", responseHeaders: [] };
const request = (raw: string[], more: Partial<ForwardOptions> = {}) => {
	const headers = forwardedRequestHeaders(raw, { ...options, ...more });
	const fields: Record<string, string> = {};
	for (let i = 0; i < headers.length; i += 2) fields[headers[i]!.toLowerCase()] = headers[i + 1]!;
	return fields;
};

test("What the client says of itself counts only from a proxy of ours", () => {
	const said = [
		"X-Forwarded-For",
		"1.1.1.1",
		"X-Forwarded-Proto",
		"https",
		"X-Forwarded-Host",
		"b.example",
		"Forwarded",
		"for=1.1.1.1",
	];
	const plain = request(said);
	assert.equal(plain["x-forwarded-for"], "1.1.1.1, 9.9.9.9");
	assert.equal(plain["x-forwarded-proto"], "http");
	assert.equal(plain["x-forwarded-host"], "a.example");
	assert.equal(plain.forwarded, "for=9.9.9.9;host=a.example;proto=http");
	const trusted = request(said, { trustsPeer: true });
	assert.equal(trusted["x-forwarded-proto"], "https");
	assert.equal(trusted["x-forwarded-host"], "b.example");
	assert.equal(trusted.forwarded, "for=1.1.1.1, for=9.9.9.9;host=a.example;proto=http");
	assert.equal(request([], { clientAddress: "::1" }).forwarded, 'for="[::1]";host=a.example;proto=http');
});

test("A Connection header takes only what it may", () => {
	const kept = request([
		"Connection",
		"close, X-A, Content-Length, Host, Authorization",
		"X-A",
		"1",
		"Authorization",
		"b",
		"constructor",
		"c",
	]);
	assert.deepEqual([kept["x-a"], kept.authorization, kept.host, kept.constructor], [undefined, "b", "a.example", "c"]);
});

test("Own headers take the place of the client's, or only remove them", () => {
	const headers = request(["X-A", "1", "x-b", "2", "X-C", "3"], { requestHeaders: { "x-a": "own", "x-b": undefined } });
	assert.deepEqual([headers["x-a"], headers["x-b"], headers["x-c"]], ["own", undefined, "3"]);
});

test("Pseudo-headers stay, cookies of HTTP/2 become one", () => {
	const headers = request([":method", "GET", "cookie", "a=1", "cookie", "b=2", "te", "trailers"]);
	assert.equal(headers.cookie, "a=1; b=2");
	assert(!Object.keys(headers).some((name) => name.startsWith(":") || name === "te"));
});

test("An answer keeps Trailer only with chunks, and no framing of the container's", () => {
	const raw = [
		"Trailer",
		"x",
		"Connection",
		"x-hop",
		"X-Hop",
		"1",
		"Content-Length",
		"3",
		"Transfer-Encoding",
		"chunked",
		"A",
		"1",
		"A",
		"2",
	];
	assert.deepEqual(forwardedResponseHeaders(raw, [["B", "3"]], false), ["A", "1", "A", "2", "B", "3"]);
	assert.deepEqual(
		forwardedResponseHeaders(
			raw,
			[
				["a", undefined],
				["a", "3"],
			],
			false,
		),
		["a", "3"],
	);
	assert.deepEqual(forwardedResponseHeaders(raw, [], true), ["Trailer", "x", "A", "1", "A", "2"]);
});

test("What decides about a message is no trailer", () => {
	assert.deepEqual(forwardedTrailers(["Content-Length", "1", "Host", "x", "Set-Cookie", "a", "X-Sum", "9"]), [
		["X-Sum", "9"],
	]);
});
