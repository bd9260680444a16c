/** Function URLs: requests, responses, access and CORS. */
import assert from "node:assert/strict";
import { describe } from "node:test";
import { SlipwayError } from "../../../src/base/error.ts";
import type { FunctionUrl, FunctionUrlCors } from "../../../src/core/function/function.ts";
import {
	account,
	arn,
	call,
	type InvokeFront,
	keys,
	send,
	startInvokeFront,
	urlId,
} from "../../../src/front/testing/invoke-front.ts";
import { clause as declare } from "./clause.ts";

const guide = "https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads";
const auth = "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html";
const corsGuide = "https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html#urls-cors";
const recorded =
	"https://github.com/localstack/localstack/blob/main/tests/aws/services/lambda_/test_lambda.snapshot.json";
const emulated =
	"https://github.com/localstack/localstack/blob/main/localstack-core/localstack/services/lambda_/urlrouter.py";

function clause(
	says: string,
	source: string,
	test: (front: InvokeFront) => Promise<void>,
	options: { url?: Partial<FunctionUrl>; differs?: string } = {},
): void {
	const { url, differs } = options;
	declare({ area: "Function URLs", says, source, ...(differs !== undefined && { differs }) }, async () => {
		await using front = await startInvokeFront();
		Object.assign(front.functionUrl, url);
		await test(front);
	});
}

interface UrlEvent {
	version: string;
	routeKey: string;
	rawPath: string;
	rawQueryString: string;
	cookies?: string[];
	headers: Record<string, string>;
	queryStringParameters?: Record<string, string>;
	requestContext: Record<string, unknown> & { http: Record<string, string> };
	body?: string;
	isBase64Encoded: boolean;
}

const lastEvent = (front: InvokeFront): UrlEvent =>
	JSON.parse(Buffer.from(front.invocations.at(-1)?.payload ?? []).toString());

const answers = (value: unknown) => () => ({ payload: Buffer.from(JSON.stringify(value)) });

const forbidden = {
	Message:
		"Forbidden. For troubleshooting Function URL authorization issues, see: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html",
};

describe("Requests", () => {
	clause("A request is an event of format 2.0", guide, async (front) => {
		const before = Date.now();
		const { headers } = await call(front, "POST", "/my/p%20ath?a=1&b=x+y", {
			headers: { "Content-Type": "application/json", "User-Agent": "test/1", "X-Forwarded-For": "6.6.6.6" },
			body: '{"hello":"€"}',
		});
		const event = lastEvent(front);
		const { time, timeEpoch, ...context } = event.requestContext;
		const trace = headers["x-amzn-trace-id"];
		assert.deepEqual(
			{ ...event, requestContext: context },
			{
				version: "2.0",
				routeKey: "$default",
				rawPath: "/my/p%20ath",
				rawQueryString: "a=1&b=x+y",
				headers: {
					"content-length": "15",
					"content-type": "application/json",
					host: front.host,
					"user-agent": "test/1",
					"x-amzn-trace-id": trace,
					"x-forwarded-for": "127.0.0.1",
					"x-forwarded-port": String(front.port),
					"x-forwarded-proto": "http",
				},
				queryStringParameters: { a: "1", b: "x y" },
				requestContext: {
					accountId: "anonymous",
					apiId: urlId,
					domainName: front.host.replace(/:\d+$/, ""),
					domainPrefix: urlId,
					http: {
						method: "POST",
						path: "/my/p ath",
						protocol: "HTTP/1.1",
						sourceIp: "127.0.0.1",
						userAgent: "test/1",
					},
					requestId: headers["x-amzn-requestid"],
					routeKey: "$default",
					stage: "$default",
				},
				body: '{"hello":"€"}',
				isBase64Encoded: false,
			},
		);
		assert.match(String(time), /^\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d \+0000$/);
		assert(Number(timeEpoch) >= before && Number(timeEpoch) <= Date.now());
		const [request] = front.invocations;
		assert.deepEqual([request?.requestId, request?.traceId], [headers["x-amzn-requestid"], trace]);
		assert.deepEqual([request?.invokedArn, request?.qualifier], [arn, undefined]);
	});

	clause("What a request does not have is not in its event", recorded, async (front) => {
		await call(front, "GET", "/");
		const event = lastEvent(front);
		const absent = ["body", "cookies", "queryStringParameters", "pathParameters", "stageVariables"];
		assert.deepEqual(
			absent.filter((key) => key in event),
			[],
		);
		assert.deepEqual(
			["authorizer", "authentication"].filter((key) => key in event.requestContext),
			[],
		);
		assert.deepEqual([event.rawQueryString, event.isBase64Encoded], ["", false]);
	});

	clause(
		"Header names are in lower case; values of one name, in headers and in the query, are joined by commas",
		recorded,
		async (front) => {
			const twice = { "ExTrA-HeadErs": "With WeiRd CapS", "X-Two": ["a", "b"] } as unknown as Record<string, string>;
			await call(front, "GET", "/pa2%Fth/1?q=query&multiQuery=foo&multiQuery=%2Fbar&empty&e2=", { headers: twice });
			const { headers, queryStringParameters, rawPath, requestContext } = lastEvent(front);
			assert.deepEqual([headers["extra-headers"], headers["x-two"]], ["With WeiRd CapS", "a,b"]);
			assert.deepEqual(queryStringParameters, { q: "query", multiQuery: "foo,/bar", empty: "", e2: "" });
			// An escape that is none stays as it came.
			assert.deepEqual([rawPath, requestContext.http.path], ["/pa2%Fth/1", "/pa2%Fth/1"]);
		},
	);

	clause("Cookies are a list, and no header", guide, async (front) => {
		await call(front, "GET", "/", { headers: { cookie: "a=1; b=2;c=3" } });
		const { cookies, headers } = lastEvent(front);
		assert.deepEqual([cookies, headers.cookie], [["a=1", "b=2", "c=3"], undefined]);
	});

	clause("A body that is no text comes in base64", recorded, async (front) => {
		const bytes = Buffer.from([0, 1, 0xff]);
		const cases: [string | undefined, string | Buffer, boolean][] = [
			["application/json", "{}", false],
			["text/plain; charset=utf-8", "ü", false],
			["application/vnd.api+json", "{}", false],
			["application/xml", "<a/>", false],
			["application/octet-stream", "abc", true],
			["multipart/form-data; boundary=x", "--x--", true],
			["application/x-www-form-urlencoded", "a=1", true],
			["text/plain", bytes, true],
			[undefined, "abc", true],
		];
		for (const [type, body, encoded] of cases) {
			await call(front, "PUT", "/", { body, headers: type === undefined ? {} : { "content-type": type } });
			const event = lastEvent(front);
			assert.equal(event.isBase64Encoded, encoded, String(type));
			const read = Buffer.from(event.body ?? "", encoded ? "base64" : "utf8");
			assert.deepEqual(read, typeof body === "string" ? Buffer.from(body) : body, String(type));
		}
	});

	clause("Every method and path reaches the function, those of other services too", guide, async (front) => {
		const paths = ["/2015-03-31/functions", "/v2/", "/_slipway/status", "/healthz", "/a//b/../c", "//x"];
		for (const method of ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
			for (const path of paths) {
				assert.equal((await call(front, method, path)).status, 200);
				assert.deepEqual([lastEvent(front).rawPath, lastEvent(front).requestContext.http.method], [path, method]);
			}
	});

	clause(
		"More than 6 MB of request is 413, base64 counted",
		"https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html",
		async (front) => {
			front.answer = answers({});
			const type = (name: string) => ({ "content-type": name });
			const large = { body: Buffer.alloc(6_291_457, "x"), headers: type("text/plain") };
			const { status, headers, body } = await call(front, "POST", "/", large);
			assert.deepEqual([status, headers["x-amzn-errortype"]], [413, "RequestEntityTooLargeException"]);
			assert.deepEqual(JSON.parse(body.toString()), {
				Message: "Request must be smaller than 6291456 bytes for the InvokeFunction operation",
			});
			const binary = { body: Buffer.alloc(5_000_000), headers: type("application/octet-stream") };
			assert.equal((await call(front, "POST", "/", binary)).status, 413);
			assert.deepEqual(front.invocations, []);
			assert.equal(
				(await call(front, "POST", "/", { ...binary, headers: type("text/plain") })).status,
				413,
				"escapes count",
			);
			const text = { body: Buffer.alloc(6_280_000, "x"), headers: type("text/plain") };
			assert.equal((await call(front, "POST", "/", text)).status, 200);
		},
	);
});

describe("Responses", () => {
	clause(
		"Without a statusCode the answer is status 200 and the body as it is, a string without its quotes",
		recorded,
		async (front) => {
			const cases: [unknown, string][] = [
				[{ hello: "world" }, '{"hello":"world"}'],
				["hello", "hello"],
				['with "quotes" and €', 'with "quotes" and €'],
				[["hello", 3, true], '["hello",3,true]'],
				[3, "3"],
				[1.1, "1.1"],
				[true, "true"],
				[null, "null"],
				["", ""],
			];
			for (const [value, expected] of cases) {
				front.answer = answers(value);
				const { status, headers, body } = await call(front, "GET", "/");
				assert.deepEqual([status, body.toString()], [200, expected]);
				assert.equal(headers["content-type"], "application/json");
				assert.equal(headers["content-length"], String(body.length));
			}
		},
	);

	clause("statusCode, headers, cookies, body and isBase64Encoded make the response", guide, async (front) => {
		front.answer = answers({
			statusCode: 201,
			headers: { "Content-Type": "image/gif", "X-Custom": "1", "X-Number": 7, "Set-Cookie": "z=0" },
			cookies: ["a=1; Path=/", "b=2"],
			body: Buffer.from([0, 255]).toString("base64"),
			isBase64Encoded: true,
		});
		const { status, headers, body } = await call(front, "GET", "/");
		assert.deepEqual([status, [...body]], [201, [0, 255]]);
		assert.deepEqual([headers["content-type"], headers["x-custom"], headers["x-number"]], ["image/gif", "1", "7"]);
		assert.deepEqual(headers["set-cookie"], ["z=0", "a=1; Path=/", "b=2"]);
		assert.equal(headers["content-length"], "2");
		front.answer = answers({ statusCode: 200, body: '{ "hello":"world"}' });
		const json = await call(front, "GET", "/");
		assert.deepEqual([json.body.toString(), json.headers["content-type"]], ['{ "hello":"world"}', "application/json"]);
		front.answer = answers({ statusCode: "404" });
		assert.deepEqual((await call(front, "GET", "/")).status, 404);
	});

	clause("An object as the body is written as JSON", emulated, async (front) => {
		front.answer = answers({ statusCode: 200, body: { a: 1 } });
		assert.equal((await call(front, "GET", "/")).body.toString(), '{"a":1}');
	});

	clause(
		"204 and 304 have no body, and HEAD gets the head alone",
		"https://www.rfc-editor.org/rfc/rfc9110.html#section-6.4.1",
		async (front) => {
			for (const statusCode of [204, 304]) {
				front.answer = answers({ statusCode, body: "no" });
				const { status, headers, body } = await call(front, "GET", "/");
				assert.deepEqual([status, headers["content-length"], body.length], [statusCode, undefined, 0]);
			}
			front.answer = answers({ statusCode: 200, body: "body" });
			const { headers, body } = await call(front, "HEAD", "/");
			assert.deepEqual([headers["content-length"], body.length], ["4", 0]);
		},
	);

	clause("What is no response is 502", guide, async (front) => {
		const bad = [
			{ statusCode: 99 },
			{ statusCode: 100 },
			{ statusCode: 600 },
			{ statusCode: 200.5 },
			{ statusCode: "abc" },
			{ statusCode: null },
			{ statusCode: 200, headers: "no" },
			{ statusCode: 200, headers: { a: { b: 1 } } },
			{ statusCode: 200, headers: { "bad name": "x" } },
			{ statusCode: 200, headers: { a: "x\r\nInjected: 1" } },
			{ statusCode: 200, cookies: "a=1" },
			{ statusCode: 200, cookies: ["a=1\r\nInjected: 1"] },
		];
		for (const value of bad) {
			front.answer = answers(value);
			const { status, headers, body } = await call(front, "GET", "/");
			assert.deepEqual([status, body.toString()], [502, "Internal Server Error"], JSON.stringify(value));
			assert.equal(headers.injected, undefined);
		}
	});

	clause("A function that fails or times out is 502 and Internal Server Error", recorded, async (front) => {
		for (const errorType of ["Function.Error", "Sandbox.Timedout", "Runtime.ExitError"]) {
			front.answer = () => ({
				payload: Buffer.from('{"errorMessage":"secret"}'),
				functionError: "Unhandled",
				errorType,
			});
			const { status, headers, body } = await call(front, "GET", "/");
			assert.deepEqual([status, body.toString()], [502, "Internal Server Error"]);
			assert.equal(headers["x-amzn-requestid"], front.invocations.at(-1)?.requestId);
		}
	});

	clause(
		"A throttled request is 429",
		"https://docs.aws.amazon.com/lambda/latest/dg/urls-monitoring.html",
		async (front) => {
			front.answer = () => {
				throw new SlipwayError("THROTTLED", "Rate Exceeded.", {
					reason: "ReservedFunctionConcurrentInvocationLimitExceeded",
					retryAfterMs: 900,
				});
			};
			const { status, headers } = await call(front, "GET", "/");
			assert.deepEqual(
				[status, headers["x-amzn-errortype"], headers["retry-after"]],
				[429, "TooManyRequestsException", "1"],
			);
		},
	);
});

describe("Access", () => {
	clause("An id that is no URL's is 403 and a Message of null", recorded, async (front) => {
		const host = `${"z".repeat(32)}.lambda-url.us-east-1.localhost`;
		const { status, headers, body } = await send(front, "GET", "/", { headers: { host } });
		assert.deepEqual([status, body.toString()], [403, '{"Message":null}']);
		assert.equal(headers["x-amzn-errortype"], "AccessDeniedException");
	});

	clause("Without a policy that lets anybody in, a URL of AuthType NONE is 403", recorded, async (front) => {
		front.anybody = false;
		const { status, headers, body } = await call(front, "GET", "/");
		assert.deepEqual([status, JSON.parse(body.toString())], [403, forbidden]);
		assert.equal(headers["x-amzn-errortype"], "AccessDeniedException");
		assert.deepEqual(front.invocations, []);
	});

	clause("A URL whose alias is gone is 403", recorded, async (front) => {
		front.answer = () => {
			throw new SlipwayError("NOT_FOUND", "Alias not found");
		};
		const { status, body } = await call(front, "GET", "/");
		assert.deepEqual([status, JSON.parse(body.toString())], [403, forbidden]);
	});

	clause(
		"With AWS_IAM a request must be signed for lambda, and the event says by whom",
		auth,
		async (front) => {
			const options = { body: '{"a":1}', headers: { "content-type": "application/json" } };
			const unsigned = await call(front, "POST", "/p%20q?b=2&a=1", options);
			assert.deepEqual([unsigned.status, JSON.parse(unsigned.body.toString())], [403, forbidden]);
			assert.deepEqual(front.invocations, []);
			const signed = await call(front, "POST", "/p%20q?b=2&a=1", { ...options, signed: true });
			assert.equal(signed.status, 200);
			const { requestContext, headers } = lastEvent(front);
			assert.equal(requestContext.accountId, account);
			assert.deepEqual(requestContext.authorizer, {
				iam: {
					accessKey: keys.accessKeyId,
					accountId: account,
					callerId: account,
					cognitoIdentity: null,
					principalOrgId: null,
					userArn: `arn:aws:iam::${account}:root`,
					userId: account,
				},
			});
			assert.equal(headers.authorization, undefined);
		},
		{
			url: { authType: "AWS_IAM" },
			differs:
				"What the cloud does with the signature's own headers is not documented: here Authorization and X-Amz-Security-Token are not passed on, since a function could use them again for a quarter of an hour",
		},
	);

	clause(
		"A signature that does not match is refused before the function runs",
		auth,
		async (front) => {
			const authorization = `AWS4-HMAC-SHA256 Credential=${keys.accessKeyId}/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host;x-amz-date, Signature=${"0".repeat(64)}`;
			const { status, headers } = await call(front, "GET", "/", {
				headers: { authorization, "x-amz-date": "20260101T000000Z" },
			});
			assert.deepEqual([status, headers["x-amzn-errortype"]], [403, "InvalidSignatureException"]);
			assert.deepEqual(front.invocations, []);
		},
		{ url: { authType: "AWS_IAM" } },
	);
});

describe("CORS", () => {
	const cors: FunctionUrlCors = {
		allowOrigins: ["https://a.example", "https://b.example"],
		allowMethods: ["GET", "PUT"],
		allowHeaders: ["X-One", "content-type"],
		exposeHeaders: ["X-Seen"],
		allowCredentials: true,
		maxAge: 600,
	};
	const asks = (origin: string, method: string, headers?: string) => ({
		origin,
		"access-control-request-method": method,
		...(headers !== undefined && { "access-control-request-headers": headers }),
	});
	const granted = (headers: Record<string, unknown>) =>
		Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith("access-control-")));

	clause(
		"A preflight is answered by the platform, also where requests must be signed",
		corsGuide,
		async (front) => {
			const ask = async (headers: Record<string, string>) => {
				const answer = await call(front, "OPTIONS", "/any", { headers });
				assert.deepEqual([answer.status, answer.body.length, answer.headers.vary], [200, 0, "Origin"]);
				return granted(answer.headers);
			};
			assert.deepEqual(await ask(asks("https://b.example", "PUT", "x-one, Content-Type")), {
				"access-control-allow-origin": "https://b.example",
				"access-control-allow-credentials": "true",
				"access-control-allow-methods": "GET,PUT",
				"access-control-allow-headers": "X-One,content-type",
				"access-control-expose-headers": "X-Seen",
				"access-control-max-age": "600",
			});
			assert.deepEqual(await ask(asks("https://evil.example", "PUT")), {});
			assert.deepEqual(await ask(asks("https://b.example", "DELETE")), {});
			assert.deepEqual(await ask(asks("https://b.example", "GET", "x-two")), {});
			assert.deepEqual(front.invocations, []);
		},
		{ url: { cors, authType: "AWS_IAM" } },
	);

	clause(
		"Responses get the configured headers in place of the function's own",
		corsGuide,
		async (front) => {
			front.answer = answers({ statusCode: 200, headers: { "Access-Control-Allow-Origin": "*" }, body: "x" });
			const own = await call(front, "GET", "/", { headers: { origin: "https://a.example" } });
			assert.deepEqual(granted(own.headers), {
				"access-control-allow-origin": "https://a.example",
				"access-control-allow-credentials": "true",
				"access-control-expose-headers": "X-Seen",
			});
			front.answer = () => ({ functionError: "Unhandled" });
			const failed = await call(front, "GET", "/", { headers: { origin: "https://a.example" } });
			assert.deepEqual([failed.status, failed.headers["access-control-allow-origin"]], [502, "https://a.example"]);
		},
		{ url: { cors } },
	);

	clause(
		"The wildcard lets every origin in; with credentials it is named",
		"https://fetch.spec.whatwg.org/#http-cors-protocol",
		async (front) => {
			const origin = "https://x.example";
			front.functionUrl.cors = { allowOrigins: ["*"], allowMethods: ["*"], allowHeaders: ["*"] };
			const open = await call(front, "OPTIONS", "/", { headers: asks(origin, "DELETE", "x-any") });
			assert.deepEqual(granted(open.headers), {
				"access-control-allow-origin": "*",
				"access-control-allow-methods": "DELETE",
				"access-control-allow-headers": "x-any",
			});
			front.functionUrl.cors.allowCredentials = true;
			const named = await call(front, "OPTIONS", "/", { headers: asks(origin, "DELETE") });
			assert.equal(named.headers["access-control-allow-origin"], origin);
		},
	);

	clause("Without a configuration, OPTIONS is the function's", corsGuide, async (front) => {
		await call(front, "OPTIONS", "/", { headers: asks("https://a.example", "GET") });
		assert.equal(lastEvent(front).requestContext.http.method, "OPTIONS");
	});
});
