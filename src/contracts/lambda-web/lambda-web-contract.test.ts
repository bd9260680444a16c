import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { systemClock } from "../../base/clock.ts";
import { randomIds } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import type { FakeProgram } from "../../core/sandbox/fake-sandbox-runtime.ts";
import { revision, setUp } from "../../engine/testing/dispatcher.ts";
import { StreamedAnswer } from "../../front/streamed-answer.ts";
import { LambdaContract } from "../lambda/lambda-contract.ts";
import { LambdaWebContract } from "./lambda-web-contract.ts";

const port = 8080;

/** A web server as an image would have it: it knows of no Lambda. `delayMs`: until it listens. */
function webProgram(listener: RequestListener, delayMs = 0): FakeProgram {
	return async (process) => {
		const server = createServer({ keepAliveTimeout: 50 }, listener);
		await new Promise((resolve) => setTimeout(resolve, delayMs));
		process.stdout.write(`listening on ${process.env.PORT}\n`);
		await process.listen(Number(process.env.PORT), (socket) => void server.emit("connection", socket));
		await new Promise<void>((resolve) => process.ended.addEventListener("abort", () => resolve()));
		return 0;
	};
}

function web(
	t: TestContext,
	program: FakeProgram,
	variables: Record<string, string> = {},
	change: Record<string, unknown> = {},
	companions: string[] = [],
) {
	const contract = new LambdaWebContract(
		new LambdaContract({ region: "us-east-1", ids: randomIds, log: silentLog }),
		systemClock,
	);
	const environment = { AWS_LWA_PORT: String(port), ...variables };
	return setUp(t, { program, contract, companions, speed: 1, revisions: [revision("f", { environment, ...change })] });
}

/** Answers with what it saw. */
const echo: RequestListener = async (request, response) => {
	if (request.url === "/" && request.headers["x-amzn-lambda-context"] === undefined) return void response.end("ready");
	const body = await text(request);
	const { method, url, headers } = request;
	response.writeHead(201, { "content-type": "application/json", "set-cookie": ["a=1", "b=2"], "x-kind": "echo" });
	response.end(JSON.stringify({ method, url, headers, body }));
};

function httpEvent(method: string, path: string, change: Record<string, unknown> = {}) {
	return {
		version: "2.0",
		routeKey: "$default",
		rawPath: path,
		rawQueryString: "",
		headers: { host: "abc.example", "x-one": "1", "content-length": "999", connection: "upgrade" },
		requestContext: { http: { method, path }, stage: "$default", apiId: "abc" },
		isBase64Encoded: false,
		...change,
	};
}

test("An event of payload 2.0 is the web server's request, and its answer goes back as one", async (t) => {
	const { invoke, messages, idle } = web(t, webProgram(echo));
	const { json, functionError } = await invoke(
		httpEvent("PUT", "/orders/7", {
			rawQueryString: "a=1&b=two%20words",
			cookies: ["s=1", "t=2"],
			body: Buffer.from("grüße").toString("base64"),
			isBase64Encoded: true,
		}),
	);
	assert.equal(functionError, undefined, JSON.stringify(json));
	assert.deepEqual([json.statusCode, json.headers["x-kind"], json.cookies], [201, "echo", ["a=1", "b=2"]]);
	assert.equal(json.isBase64Encoded, false);
	assert.equal(json.headers["set-cookie"], undefined);
	const seen = JSON.parse(json.body);
	assert.deepEqual([seen.method, seen.url, seen.body], ["PUT", "/orders/7?a=1&b=two%20words", "grüße"]);
	assert.deepEqual(
		[seen.headers.host, seen.headers["x-one"], seen.headers.cookie, seen.headers["content-length"]],
		["abc.example", "1", "s=1;t=2", "7"],
	);
	const context = JSON.parse(seen.headers["x-amzn-lambda-context"]);
	assert.deepEqual([context.env_config.function_name, context.env_config.memory], ["f", 128]);
	assert.match(context.invoked_function_arn, /:function:f$/);
	assert.equal(JSON.parse(seen.headers["x-amzn-request-context"]).apiId, "abc");
	await idle();
	const log = (await messages()).join("\n");
	assert.match(log, /listening on 8080/);
	assert.match(log, /START RequestId: .*\nEND RequestId: .*\nREPORT RequestId: .*Init Duration: /s);
});

test("The next event finds the server running", async (t) => {
	let requests = 0;
	const { invoke, runtime } = web(
		t,
		webProgram((request, response) => response.end(request.headers["x-amzn-lambda-context"] ? `${++requests}` : "")),
	);
	for (const count of ["1", "2", "3"]) assert.equal((await invoke(httpEvent("GET", "/"))).json.body, count);
	assert.equal(runtime.created.length, 1);
});

test("Events of a REST API and of a load balancer are answered in their own forms", async (t) => {
	const { invoke } = web(t, webProgram(echo));
	const rest = {
		resource: "/{proxy+}",
		path: "/items",
		httpMethod: "POST",
		headers: { Host: "api", "x-kind": "last" },
		multiValueHeaders: { Host: ["api"], "x-kind": ["first", "last"] },
		multiValueQueryStringParameters: { q: ["1", "two words"] },
		requestContext: { stage: "prod", httpMethod: "POST", requestId: "r" },
		body: "a body",
		isBase64Encoded: false,
	};
	const { json: first } = await invoke(rest);
	assert.deepEqual([first.statusCode, first.headers, first.multiValueHeaders["set-cookie"]], [201, {}, ["a=1", "b=2"]]);
	const seen = JSON.parse(first.body);
	assert.deepEqual([seen.method, seen.url, seen.body], ["POST", "/items?q=1&q=two+words", "a body"]);
	assert.equal(seen.headers["x-kind"], "first, last");
	const { json: second } = await invoke({
		requestContext: { elb: { targetGroupArn: "arn:t" } },
		httpMethod: "GET",
		path: "/items",
		queryStringParameters: { q: "a%20b" },
		headers: { host: "balancer" },
		body: "",
		isBase64Encoded: false,
	});
	assert.deepEqual([second.statusDescription, JSON.parse(second.body).url], ["201 Created", "/items?q=a+b"]);
});

test("Any other event is POSTed to the pass-through path, and its answer is the JSON that came", async (t) => {
	const { invoke } = web(t, webProgram(echo), { AWS_LWA_PASS_THROUGH_PATH: "/hooks" });
	const event = { Records: [{ eventSource: "aws:sqs", body: "hi" }] };
	const { json } = await invoke(event);
	assert.deepEqual([json.method, json.url, JSON.parse(json.body)], ["POST", "/hooks", event]);
	assert.equal(json.headers["x-amzn-request-context"], "null");
});

test("Binary answers and compressed ones come in base64", async (t) => {
	const long = "word ".repeat(100);
	const { invoke } = web(
		t,
		webProgram((request, response) => {
			const binary = request.url === "/binary";
			response.setHeader("content-type", binary ? "application/octet-stream" : "text/plain");
			response.end(binary ? Buffer.from([0, 255, 1, 254]) : long);
		}),
		{ AWS_LWA_ENABLE_COMPRESSION: "true" },
	);
	const { json: binary } = await invoke(httpEvent("GET", "/binary"));
	assert.deepEqual([binary.body, binary.isBase64Encoded], ["AP8B/g==", true]);
	const { json: zipped } = await invoke(httpEvent("GET", "/text", { headers: { "accept-encoding": "gzip" } }));
	assert.deepEqual([zipped.headers["content-encoding"], zipped.isBase64Encoded], ["gzip", true]);
	assert.equal(gunzipSync(Buffer.from(zipped.body, "base64")).toString(), long);
});

test("Init is over when the server says that it is ready, by path, status and protocol", async (t) => {
	let looks = 0;
	const listener: RequestListener = (request, response) => {
		if (request.url === "/ready") response.writeHead(++looks < 3 ? 503 : 204).end();
		else response.end(`after ${looks}`);
	};
	const { invoke } = web(t, webProgram(listener, 60), { AWS_LWA_READINESS_CHECK_PATH: "/ready" });
	assert.equal((await invoke(httpEvent("GET", "/"))).json.body, "after 3");
	const tcp = web(t, webProgram(listener), { AWS_LWA_READINESS_CHECK_PROTOCOL: "tcp" });
	assert.equal((await tcp.invoke(httpEvent("GET", "/"))).json.body, "after 3");
});

test("A base path is taken off, and a header can take Authorization's place", async (t) => {
	const { invoke } = web(t, webProgram(echo), {
		AWS_LWA_REMOVE_BASE_PATH: "/v1",
		AWS_LWA_AUTHORIZATION_SOURCE: "X-Auth",
	});
	const { json } = await invoke(httpEvent("GET", "/v1/a b/ü", { headers: { "x-auth": "token" } }));
	const { url, headers } = JSON.parse(json.body);
	assert.deepEqual([url, headers.authorization, headers["x-auth"]], ["/a%20b/%C3%BC", "token", undefined]);
});

test("Failures are a function's: an exit, a time that is up, a status that counts as one, an answer that is too long", async (t) => {
	const exits: FakeProgram = async (process) => {
		const server = createServer((request, response) => {
			if (request.headers["x-amzn-lambda-context"]) process.stdout.write("bye\n", () => done.resolve(3));
			else response.end();
		});
		const done = Promise.withResolvers<number>();
		await process.listen(port, (socket) => void server.emit("connection", socket));
		return done.promise;
	};
	const exit = await web(t, exits).invoke(httpEvent("GET", "/"));
	assert.deepEqual([exit.functionError, exit.json.errorType], ["Unhandled", "Runtime.ExitError"]);
	assert.match(exit.json.errorMessage, /exit status 3/);

	const never: RequestListener = (request, response) => void (request.url === "/" && response.end());
	const late = web(t, webProgram(never), {}, { timeoutS: 1 });
	const timedOut = await late.invoke(httpEvent("GET", "/never"));
	assert.deepEqual([timedOut.json.errorType], ["Sandbox.Timedout"]);
	// The sandbox was reset, and serves again.
	assert.equal((await late.invoke(httpEvent("GET", "/"))).json.statusCode, 200);

	const failing = web(
		t,
		webProgram((request, response) => response.writeHead(request.url === "/fail" ? 503 : 200).end()),
		{ AWS_LWA_ERROR_STATUS_CODES: "500,502-504" },
	);
	const failed = await failing.invoke(httpEvent("GET", "/fail"));
	assert.deepEqual([failed.functionError, failed.json.errorType], ["Unhandled", "Function.ErrorStatusCode"]);
	assert.equal((await failing.invoke(httpEvent("GET", "/"))).json.statusCode, 200);

	const large = web(
		t,
		webProgram((request, response) => void response.end(request.url === "/" ? "" : Buffer.alloc(7 << 20, "x"))),
	);
	const tooLarge = await large.invoke(httpEvent("GET", "/large"));
	assert.equal(tooLarge.json.errorType, "Function.ResponseSizeTooLarge");
	assert.equal((await large.invoke(httpEvent("GET", "/"))).json.statusCode, 200);
});

test("A server that ends before it listens is an init that failed", async (t) => {
	const { invoke } = web(t, async () => 7);
	const { functionError, json } = await invoke(httpEvent("GET", "/"));
	assert.deepEqual([functionError, json.errorType], ["Unhandled", "Runtime.ExitError"]);
});

test("Answers that are broken off or are no HTTP are the function's error, and the next event is served", async (t) => {
	const { invoke } = web(
		t,
		webProgram((request, response) => {
			if (request.url === "/garbage") request.socket.end("no http at all\r\n\r\n");
			else if (request.url === "/short") {
				response.writeHead(200, { "content-length": "100" });
				response.write("x");
				setTimeout(() => request.socket.destroy(), 5);
			} else response.end("fine");
		}),
	);
	for (const path of ["/garbage", "/short"]) {
		const { functionError, json } = await invoke(httpEvent("GET", path));
		assert.deepEqual([path, functionError, json.errorType], [path, "Unhandled", "Runtime.WebServerError"]);
	}
	assert.equal((await invoke(httpEvent("GET", "/"))).json.body, "fine");
});

test("A streamed answer begins before it is whole: a prelude, then the body as the server wrote it", async (t) => {
	const more = Promise.withResolvers<void>();
	const { dispatcher } = web(
		t,
		webProgram(async (request: IncomingMessage, response) => {
			if (request.url === "/") return void response.end();
			response.writeHead(203, { "content-type": "text/plain", "set-cookie": "a=1" });
			response.write("first ");
			await more.promise;
			response.end("second");
		}),
		{ AWS_LWA_INVOKE_MODE: "response_stream" },
	);
	const answer = new StreamedAnswer();
	const heads: string[] = [];
	const done = dispatcher.invoke("f", {
		requestId: randomIds.uuid(),
		payload: Buffer.from(JSON.stringify(httpEvent("GET", "/s"))),
		invokedArn: "arn:f",
		stream: ({ contentType }) => {
			heads.push(contentType);
			return answer;
		},
	});
	let seen = "";
	while (!seen.includes("first ")) seen += (await answer.next())?.toString("latin1");
	more.resolve();
	for (let piece = await answer.next(); piece !== undefined; piece = await answer.next())
		seen += piece.toString("latin1");
	assert.equal((await done).functionError, undefined);
	const [prelude = "", body] = seen.split("\0".repeat(8));
	assert.deepEqual(heads, ["application/vnd.awslambda.http-integration-response"]);
	const { statusCode, headers, cookies } = JSON.parse(prelude);
	assert.deepEqual([statusCode, headers["content-type"], cookies, body], [203, "text/plain", ["a=1"], "first second"]);
});

test("An image that brings the adapter, and one that is no web server, are left to themselves", async (t) => {
	const contract = new LambdaWebContract(
		new LambdaContract({ region: "us-east-1", ids: randomIds, log: silentLog }),
		systemClock,
	);
	const identity = { id: "s", logStream: "l", initializationType: "on-demand" } as const;
	assert.equal(contract.process(revision("f"), identity).env.PORT, undefined);
	const own = revision("f", { environment: { AWS_LWA_PORT: "9000", PORT: "1234" } });
	assert.equal(contract.process(own, identity).env.PORT, "1234");
	assert.equal(contract.process(revision("f", { environment: { AWS_LWA_PORT: "9000" } }), identity).env.PORT, "9000");
	const listener = new Proxy({}, { get: () => () => {} }) as never;
	let connects = 0;
	const connect = async () => {
		connects++;
		throw new Error("refused");
	};
	const setup = { ...identity, revision: own, connect };
	const start = { type: "init-start", phase: "init", initializationType: "on-demand", atMs: 0 } as const;
	const adapted = contract.openSession(listener, { ...setup, companions: ["/opt/extensions/lambda-adapter"] });
	adapted.onLifecycle(start);
	await new Promise((resolve) => setTimeout(resolve, 20));
	assert.equal(connects, 0);
	const bare = contract.openSession(listener, { ...setup, companions: [] });
	await new Promise((resolve) => setTimeout(resolve, 20));
	assert.equal(connects, 0, "a sandbox that has not started is not looked at");
	bare.onLifecycle(start);
	await new Promise((resolve) => setTimeout(resolve, 20));
	assert(connects > 1);
	bare.close();
	adapted.close();
	const after = connects;
	await new Promise((resolve) => setTimeout(resolve, 30));
	assert.equal(connects, after, "a closed one is not looked at any more");
	t.diagnostic(`${after} looks in 20 ms`);
});
