import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:http2";
import { test } from "node:test";
import { SlipwayError } from "../../base/error.ts";
import { stillClock, testGateway } from "./testing.ts";

const service = { service: "shop" };
const route = (rules: object[], more: object = {}) => ({ name: "r", rules, ...more });

test("A function gets payload format 2.0, as it was recorded of an HTTP API", async (t) => {
	const clock = stillClock(Date.UTC(2020, 2, 12, 19, 3, 58));
	const { call, invocations, port } = await testGateway(
		t,
		[route([{ method: "POST", path: "/my/{parameter1}/{rest+}", target: { function: "f", qualifier: "live" } }])],
		{ clock },
	);
	const headers = {
		cookie: "cookie1=a; cookie2=b",
		header1: "value1",
		header2: ["value1", "value2"],
		"user-agent": "agent",
		"content-type": "application/json",
		"x-amzn-trace-id": "Root=1-5e6a87ce-aaaaaaaaaaaaaaaaaaaaaaaa;Parent=1234567890abcdef;Sampled=0",
	};
	const { status, text } = await call(
		"POST",
		"/my/v%201/x/y?parameter1=value1&parameter1=value2&parameter2=a%20b",
		headers,
		'"Hello"',
	);
	assert.deepEqual([status, text], [200, "from the function"]);
	const [{ name, request, event } = { name: "", request: undefined, event: {} }] = invocations;
	assert.deepEqual(
		[name, request?.qualifier, request?.invokedArn],
		["f", "live", "arn:aws:lambda:us-east-1:123456789012:function:f:live"],
	);
	// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
	assert.deepEqual(event, {
		version: "2.0",
		routeKey: "POST /my/{parameter1}/{rest+}",
		rawPath: "/my/v%201/x/y",
		rawQueryString: "parameter1=value1&parameter1=value2&parameter2=a%20b",
		cookies: ["cookie1=a", "cookie2=b"],
		headers: {
			"content-length": "7",
			"content-type": "application/json",
			header1: "value1",
			header2: "value1, value2",
			host: "api.localhost",
			"user-agent": "agent",
			"x-amzn-trace-id": "Root=1-5e6a87ce-aaaaaaaaaaaaaaaaaaaaaaaa;Parent=1234567890abcdef;Sampled=0",
			"x-forwarded-for": "10.1.2.3",
			"x-forwarded-port": String(port),
			"x-forwarded-proto": "http",
		},
		queryStringParameters: { parameter1: "value1,value2", parameter2: "a b" },
		requestContext: {
			accountId: "123456789012",
			apiId: "api",
			domainName: "api.localhost",
			domainPrefix: "api",
			http: { method: "POST", path: "/my/v 1/x/y", protocol: "HTTP/1.1", sourceIp: "10.1.2.3", userAgent: "agent" },
			requestId: "request-1",
			routeKey: "POST /my/{parameter1}/{rest+}",
			stage: "$default",
			time: "12/Mar/2020:19:03:58 +0000",
			timeEpoch: 1_584_039_838_000,
		},
		pathParameters: { parameter1: "v 1", rest: "x/y" },
		body: '"Hello"',
		isBase64Encoded: false,
	});
});

test("What a function answers is a response, in full or in short", async (t) => {
	const answers: [unknown, number, string, string | undefined][] = [
		[{ statusCode: 201, headers: { "X-A": "1" }, cookies: ["a=1", "b=2"], body: "x" }, 201, "x", "application/json"],
		[
			{
				statusCode: 200,
				body: Buffer.from([0, 1]).toString("base64"),
				isBase64Encoded: true,
				headers: { "content-type": "image/png" },
			},
			200,
			"\0\x01",
			"image/png",
		],
		[{ message: "Hello" }, 200, '{"message":"Hello"}', "application/json"],
		["Hello", 200, "Hello", "application/json"],
		[{ statusCode: 204 }, 204, "", undefined],
		[{ statusCode: 9999, body: "x" }, 500, '{"message":"Internal Server Error"}', "application/json"],
		[
			{ statusCode: 200, headers: { "x-bad": "a\r\nb: c" } },
			500,
			'{"message":"Internal Server Error"}',
			"application/json",
		],
		[new Error("failed"), 500, '{"message":"Internal Server Error"}', "application/json"],
	];
	let next: unknown;
	const { call } = await testGateway(t, [route([{ path: "$default", target: { function: "f" } }])], {
		answer: () => next,
	});
	for (const [answer, status, text, type] of answers) {
		next = answer;
		const got = await call("GET", "/");
		assert.deepEqual([got.status, got.text], [status, text]);
		if (type) assert.equal(got.headers["content-type"], type);
		assert.equal(got.headers["apigw-requestid"], "request-1");
	}
});

test("Functions that are throttled, late, gone, or get too much", async (t) => {
	const clock = stillClock();
	const refusals: [SlipwayError, number][] = [
		[new SlipwayError("THROTTLED", "too many", { retryAfterMs: 1500 }), 429],
		[new SlipwayError("NOT_FOUND", "no such function"), 500],
		[new SlipwayError("EXHAUSTED", "full"), 503],
	];
	let refusal: SlipwayError | undefined;
	const stuck = Promise.withResolvers<unknown>();
	const { call } = await testGateway(t, [route([{ path: "/{proxy+}", target: { function: "f" }, timeoutMs: 5000 }])], {
		clock,
		answer: () => {
			if (refusal) throw refusal;
			return stuck.promise;
		},
	});
	for (const [error, status] of refusals) {
		refusal = error;
		const got = await call("GET", "/x");
		assert.equal(got.status, status);
		if (status === 429) assert.equal(got.headers["retry-after"], "2");
	}
	refusal = undefined;
	const late = call("GET", "/x");
	await new Promise((resolve) => setTimeout(resolve, 30));
	clock.move(5000);
	assert.deepEqual([(await late).status, (await late).text], [503, '{"message":"Service Unavailable"}']);
	assert.equal((await call("POST", "/x", {}, Buffer.alloc(5 << 20))).status, 413, "base64 makes it too long");
	assert.equal((await call("POST", "/x", {}, Buffer.alloc((6 << 20) + 1)).catch(() => ({ status: 413 }))).status, 413);
});

test("HTTP/2 requests are looked at in the same way", async (t) => {
	const { http2Port, invocations } = await testGateway(
		t,
		[
			route([
				{ path: "/f/{id}", target: { function: "f" }, schema: { body: { type: "object" } } },
				{ path: "/limited", target: service, rateLimit: { rate: 0.01, burst: 1 } },
			]),
		],
		{ answer: () => ({ statusCode: 200, headers: { connection: "close", "x-a": "1" }, body: "two" }) },
	);
	const session = connect(`http://127.0.0.1:${http2Port}`);
	t.after(() => session.close());
	const call = async (path: string, body?: string) => {
		const stream = session.request({
			":method": body === undefined ? "GET" : "POST",
			":path": path,
			":authority": "api.localhost",
			cookie: "a=1",
			"content-type": "application/json",
		});
		stream.end(body);
		const [headers] = await once(stream, "response");
		let text = "";
		for await (const chunk of stream) text += chunk;
		return { status: headers[":status"], text, header: headers["x-a"] };
	};
	assert.deepEqual(await call("/f/7", '{"a":1}'), { status: 200, text: "two", header: "1" });
	const { headers, cookies, requestContext, body } = invocations[0]!.event as {
		headers: Record<string, string>;
		cookies: string[];
		requestContext: { http: { protocol: string } };
		body: string;
	};
	assert.deepEqual(
		[headers.host, headers[":path"], cookies, requestContext.http.protocol, body],
		["api.localhost", undefined, ["a=1"], "HTTP/2.0", '{"a":1}'],
	);
	assert.equal((await call("/f/7", "[]")).status, 400);
	assert.equal((await call("/f/%2f")).status, 400);
	assert.deepEqual([(await call("/limited")).status, (await call("/limited")).status], [200, 429]);
});
