/**
 * Lambda Web Adapter: an unchanged web server in an image with one more file, /opt/extensions/lambda-adapter. The adapter is
 * an external extension and speaks the Runtime API; the image's own process never does.
 */
import assert from "node:assert/strict";
import { request } from "node:http";
import { after, before, describe } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
	AddPermissionCommand,
	type CreateFunctionCommandInput,
	CreateFunctionUrlConfigCommand,
	UpdateFunctionConfigurationCommand,
} from "@aws-sdk/client-lambda";
import { findBuilder } from "../../tools/builder.ts";
import { type LocalDaemon, startDaemon } from "../../tools/local-daemon.ts";
import { clause } from "../conformance/lambda/clause.ts";
import { FunctionClient } from "../e2e/function-client.ts";
import { type Answer, TestFunction } from "./function.ts";
import { buildImage, pushImage, Unavailable } from "./image.ts";
import { balancerEvent, restEvent, urlEvent, webAdapterImage } from "./web-adapter.ts";

const wanted = process.env.SLIPWAY_RUNTIMES?.split(",").includes(webAdapterImage.name) ?? true;
const skip = process.getuid?.() !== 0 ? "sandboxes and base images need root" : wanted ? false : "not asked for";
const buildTimeoutMs = 15 * 60_000;
const caseTimeoutMs = 120_000;
const source = "https://github.com/aws/aws-lambda-web-adapter";
/** From the request to stop until its line is in the log: the platform's grace of 2 s and the log's own way. */
const stopWaitMs = 10_000;

describe("Lambda Web Adapter", { skip }, () => {
	let daemon: LocalDaemon;
	let lambda: FunctionClient;
	let image: string;
	let unavailable: string | undefined;
	const made = new Map<string, Promise<TestFunction>>();

	before(
		async () => {
			daemon = await startDaemon();
			lambda = new FunctionClient(daemon);
			const builder = await findBuilder();
			try {
				const built = await buildImage(webAdapterImage, builder, (line) => process.stderr.write(`${line}\n`));
				image = await pushImage(daemon, builder, built, webAdapterImage.name);
			} catch (error) {
				if (!(error instanceof Unavailable)) throw error;
				unavailable = error.message;
			}
		},
		{ timeout: buildTimeoutMs },
	);
	after(async () => {
		lambda?.[Symbol.dispose]();
		await daemon?.[Symbol.asyncDispose]();
	});

	function create(name: string, variables: Record<string, string> = {}): Promise<TestFunction> {
		const change: Partial<CreateFunctionCommandInput> = { MemorySize: 512 };
		if (Object.keys(variables).length > 0) change.Environment = { Variables: variables };
		const found = made.get(name) ?? TestFunction.create(lambda, name, image, change);
		made.set(name, found);
		return found;
	}

	function adapter(says: string, body: () => Promise<void>): void {
		clause(
			{ area: "Tools", says: `Lambda Web Adapter 1.0.0-rc1: ${says}`, source },
			async (context) => {
				if (unavailable !== undefined) return context.skip(unavailable);
				await body();
			},
			{ timeout: caseTimeoutMs },
		);
	}

	adapter("a function URL's event reaches the web server as its request, and the answer goes back", async () => {
		const f = await create("web");
		const event = urlEvent("PUT", "/orders/7", "a=1&b=two%20words", {
			cookies: ["s=1", "t=2"],
			body: Buffer.from("grüße").toString("base64"),
			isBase64Encoded: true,
		});
		const answer = await f.invoke(event);
		assert.equal(answer.error, undefined, answer.text);
		const { statusCode, headers, body, cookies } = JSON.parse(answer.text);
		assert.deepEqual([statusCode, headers["x-kind"], cookies], [201, "echo", ["a=1", "b=2"]]);
		const { lambda: context, requests: _, ...seen } = JSON.parse(body);
		assert.deepEqual(seen, {
			method: "PUT",
			path: "/orders/7",
			query: { a: "1", b: "two words" },
			host: "abc.lambda-url.us-east-1.on.aws",
			kind: "url",
			cookie: "s=1;t=2",
			body: "grüße",
		});
		assert.equal(context.request_id, answer.id);
		assert.match(context.invoked_function_arn, /:function:web$/);
		assert.equal(context.env_config.function_name, "web");
	});

	adapter("events of a REST API and of a load balancer are answered in their own forms", async () => {
		const f = await create("web");
		const rest = JSON.parse((await f.invoke(restEvent("POST", "/items", "a body"))).text);
		assert.deepEqual(rest.multiValueHeaders["set-cookie"], ["a=1", "b=2"]);
		const { method, path, query, kind, body } = JSON.parse(rest.body);
		assert.deepEqual(
			{ method, path, query, kind, body },
			{
				method: "POST",
				path: "/items",
				query: { q: "1" },
				kind: "rest",
				body: "a body",
			},
		);
		const balanced = JSON.parse((await f.invoke(balancerEvent("GET", "/items"))).text);
		assert.equal(balanced.statusDescription, "201 Created");
		assert.equal(JSON.parse(balanced.body).kind, "balancer");
	});

	adapter("any other event is POSTed to /events", async () => {
		const f = await create("web");
		const event = { Records: [{ eventSource: "aws:sqs", body: "hi" }] };
		const { method, path, body } = JSON.parse((await f.invoke(event)).text);
		assert.deepEqual([method, path, JSON.parse(body)], ["POST", "/events", event]);
	});

	adapter("binary answers come base64-encoded", async () => {
		const f = await create("web");
		const { body, isBase64Encoded } = JSON.parse((await f.invoke(urlEvent("GET", "/binary"))).text);
		assert.deepEqual([body, isBase64Encoded], ["AP8B/g==", true]);
	});

	adapter("the first event waits until the server is ready, and the server serves one after the other", async () => {
		const f = await create("slow-start", { SLOW_START_MS: "2500" });
		assert.equal(bodyOf(await f.invoke(urlEvent("GET", "/"))).requests, 1);
		assert.equal(bodyOf(await f.invoke(urlEvent("GET", "/"))).requests, 2);
	});

	adapter("a status that counts as an error becomes the function's error", async () => {
		const f = await create("errors", { AWS_LWA_ERROR_STATUS_CODES: "500-599" });
		const answer = await f.invoke(urlEvent("GET", "/fail"));
		assert.equal(answer.error, "Unhandled");
		assert.equal(JSON.parse(answer.text).errorMessage, "Request failed with configured error status code: 503");
		const { statusCode } = JSON.parse((await (await create("web")).invoke(urlEvent("GET", "/fail"))).text);
		assert.equal(statusCode, 503);
	});

	adapter("a server that exits fails its event, and the next one finds a new server", async () => {
		const f = await create("exits");
		assert.equal(bodyOf(await f.invoke(urlEvent("GET", "/"))).requests, 1);
		assert.equal((await f.invoke(urlEvent("GET", "/exit"))).error, "Unhandled");
		assert.equal(bodyOf(await f.invoke(urlEvent("GET", "/"))).requests, 1);
	});

	adapter("in response_stream mode the server's chunks come as it writes them, after the prelude", async () => {
		const f = await create("streaming", { AWS_LWA_INVOKE_MODE: "response_stream" });
		const answer = await f.stream(urlEvent("GET", "/drip"));
		const cut = answer.text.indexOf("\0".repeat(8));
		const prelude = JSON.parse(answer.text.slice(0, cut));
		assert.deepEqual([prelude.statusCode, prelude.headers["x-kind"]], [200, "drip"]);
		assert.equal(answer.text.slice(cut + 8), "one two three");
		const [first = Number.NaN, last = Number.NaN] = [answer.arrivals[0], answer.arrivals.at(-1)];
		assert.ok(last - first > 400, `chunks came at ${answer.arrivals.map(Math.round).join(", ")} ms`);
	});

	adapter("in response_stream mode 10 MB pass, more than a buffered answer may have", async () => {
		const f = await create("streaming", { AWS_LWA_INVOKE_MODE: "response_stream" });
		const answer = await f.stream(urlEvent("GET", "/flood"));
		assert.equal(answer.text.length - answer.text.indexOf("\0".repeat(8)) - 8, 10_000_000);
	});

	adapter("a function URL serves the web server to a browser, buffered and streamed", async () => {
		const urlOf = async (name: string, InvokeMode: "BUFFERED" | "RESPONSE_STREAM", variables = {}) => {
			await create(name, variables);
			const all = { FunctionName: name, Principal: "*" };
			const url = { StatementId: "url", Action: "lambda:InvokeFunctionUrl", FunctionUrlAuthType: "NONE" as const };
			const invoke = { StatementId: "invoke", Action: "lambda:InvokeFunction", InvokedViaFunctionUrl: true };
			for (const statement of [url, invoke])
				await lambda.lambda.send(new AddPermissionCommand({ ...all, ...statement }));
			const config = { FunctionName: name, AuthType: "NONE" as const, InvokeMode };
			return new URL(String((await lambda.lambda.send(new CreateFunctionUrlConfigCommand(config))).FunctionUrl));
		};
		const buffered = await get(daemon, await urlOf("site", "BUFFERED"), "/page?a=1");
		assert.equal(buffered.status, 201, buffered.text);
		assert.deepEqual(buffered.cookies, ["a=1", "b=2"]);
		assert.equal(JSON.parse(buffered.text).path, "/page");
		const streaming = { AWS_LWA_INVOKE_MODE: "response_stream" };
		const streamed = await get(daemon, await urlOf("streaming-site", "RESPONSE_STREAM", streaming), "/drip");
		assert.deepEqual([streamed.status, streamed.text], [200, "one two three"]);
		assert.ok(streamed.spreadMs > 400, `all came within ${streamed.spreadMs} ms`);
	});

	adapter("the server is asked to stop before it is ended, as it has an extension beside it", async () => {
		const f = await create("stopping");
		await f.invoke(urlEvent("GET", "/"));
		const change = { FunctionName: f.name, Environment: { Variables: { NEW: "1" } } };
		await lambda.lambda.send(new UpdateFunctionConfigurationCommand(change));
		for (const until = performance.now() + stopWaitMs; ; await sleep(100)) {
			const log = await (await lambda.native(`/functions/${f.name}/logs?limit=1000`)).text();
			if (log.includes("the server was asked to stop")) break;
			assert.ok(performance.now() < until, log);
		}
	});
});

function bodyOf(answer: Answer): { requests: number } {
	assert.equal(answer.error, undefined, answer.text);
	return JSON.parse(JSON.parse(answer.text).body);
}

/** The URL's own name need not resolve here: it goes as the Host header to the daemon's address. */
function get(daemon: LocalDaemon, url: URL, path: string) {
	const { hostname, port } = new URL(daemon.url);
	return new Promise<{ status: number | undefined; cookies: string[] | undefined; text: string; spreadMs: number }>(
		(resolve, reject) => {
			const call = request({ hostname, port, path, headers: { host: url.host } }, (response) => {
				const arrivals: number[] = [];
				let text = "";
				response.setEncoding("utf8").on("data", (chunk: string) => {
					arrivals.push(performance.now());
					text += chunk;
				});
				response.on("error", reject).on("end", () => {
					const spreadMs = (arrivals.at(-1) ?? 0) - (arrivals[0] ?? 0);
					resolve({ status: response.statusCode, cookies: response.headers["set-cookie"], text, spreadMs });
				});
			});
			call.on("error", reject).end();
		},
	);
}
