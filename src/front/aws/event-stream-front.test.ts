/** Operations that answer with an event stream, in any protocol: what `AwsService.streamHandlers` promises. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CloudWatchLogsClient, StartLiveTailCommand } from "@aws-sdk/client-cloudwatch-logs";
import { SlipwayError } from "../../base/error.ts";
import { silentLog } from "../../base/log.ts";
import { begin, keys, region, startInvokeFront } from "../testing/invoke-front.ts";
import type { AwsService, StreamEvent, StreamHandler } from "./service.ts";
import { lambdaErrors } from "./services/lambda/errors.ts";

const group = "arn:aws:logs:us-east-1:123456789012:log-group:g";
const target = { "content-type": "application/x-amz-json-1.1", "x-amz-target": "Logs_20140328.StartLiveTail" };

const json = (type: string, value: unknown): StreamEvent => ({
	type,
	contentType: "application/json",
	body: Buffer.from(JSON.stringify(value)),
});
const answering = (events: () => AsyncIterable<StreamEvent>): StreamHandler => {
	return async (request) => {
		request.input();
		return { status: 200, headers: {}, events: events() };
	};
};

async function liveTail(StartLiveTail: StreamHandler) {
	const failures: unknown[] = [];
	const service: AwsService = {
		name: "logs",
		protocol: "aws-json-1.1",
		sdkPackage: "@aws-sdk/client-cloudwatch-logs",
		targetPrefix: "Logs_20140328",
		handlers: {},
		streamHandlers: { StartLiveTail },
		errors: lambdaErrors,
	};
	const log = { ...silentLog, error: (message: string) => void failures.push(message) };
	const front = await startInvokeFront({ services: [service], log });
	// Or the SDK would ask streaming-127.0.0.1.
	const options = { disableHostPrefix: true, maxAttempts: 1 };
	const client = new CloudWatchLogsClient({ endpoint: front.url, region, credentials: keys, ...options });
	return {
		front,
		failures,
		async read(logGroupIdentifiers: string[] | undefined = [group]) {
			const answer = await client.send(new StartLiveTailCommand({ logGroupIdentifiers }));
			const events: unknown[] = [];
			for await (const event of answer.responseStream ?? []) events.push(event);
			return JSON.parse(JSON.stringify(events)) as unknown[];
		},
		async [Symbol.asyncDispose]() {
			client.destroy();
			await front[Symbol.asyncDispose]();
		},
	};
}

test("An aws-json operation reads its input by its schema and answers with events", async () => {
	let input: unknown;
	await using live = await liveTail(async (request) => {
		input = request.input();
		async function* events() {
			yield json("initial-response", {});
			yield json("sessionStart", { sessionId: "s" });
			yield json("sessionUpdate", { sessionResults: [{ message: "é" }] });
		}
		return { status: 200, headers: {}, events: events() };
	});
	assert.deepEqual(await live.read(), [
		{ sessionStart: { sessionId: "s" } },
		{ sessionUpdate: { sessionResults: [{ message: "é" }] } },
	]);
	assert.deepEqual(input, { logGroupIdentifiers: [group] });
});

test("A refusal ahead of the stream has its own status", async () => {
	await using live = await liveTail(async () => {
		throw new SlipwayError("NOT_FOUND", "No such group");
	});
	await assert.rejects(live.read(), { name: "ResourceNotFoundException", message: "No such group" });
	await using strict = await liveTail(answering(async function* () {}));
	const { statusCode } = await begin(strict.front, "POST", "/", {
		signed: true,
		service: "logs",
		headers: target,
		body: "{}",
	});
	assert.equal(statusCode, 400, "a required member is missing");
});

test("An error in the middle is an exception event; only one that nobody foresaw is logged", async () => {
	await using live = await liveTail(
		answering(async function* () {
			yield json("sessionStart", { sessionId: "s" });
			throw new SlipwayError("UNAVAILABLE", "The log is gone");
		}),
	);
	await assert.rejects(live.read(), /The log is gone|ServiceException/);
	assert.deepEqual(live.failures, []);
	await using broken = await liveTail(
		answering(async function* () {
			yield json("sessionStart", { sessionId: "s" });
			throw new Error("secret");
		}),
	);
	await assert.rejects(broken.read(), (error: Error) => !error.message.includes("secret"));
	assert.deepEqual(broken.failures, ["AWS request failed"]);
});

test("The head goes out ahead of the first event; a client that goes away aborts the signal and ends the iterator", async () => {
	const gone = Promise.withResolvers<void>();
	const returned = Promise.withResolvers<void>();
	await using live = await liveTail(async (_request, _call, signal) => {
		signal.addEventListener("abort", () => gone.resolve());
		async function* events() {
			try {
				await gone.promise;
				yield json("sessionStart", {});
			} finally {
				returned.resolve();
			}
		}
		return { status: 200, headers: { "x-extra": "1" }, events: events() };
	});
	const body = JSON.stringify({ logGroupIdentifiers: [group] });
	const incoming = await begin(live.front, "POST", "/", { signed: true, service: "logs", headers: target, body });
	assert.deepEqual(
		[incoming.statusCode, incoming.headers["content-type"], incoming.headers["x-extra"]],
		[200, "application/vnd.amazon.eventstream", "1"],
	);
	incoming.destroy();
	await returned.promise;
});

test("The signal stays quiet when the answer is whole", async () => {
	let aborted = false;
	await using live = await liveTail(async (_request, _call, signal) => {
		signal.addEventListener("abort", () => {
			aborted = true;
		});
		async function* events() {
			yield json("sessionStart", {});
		}
		return { status: 200, headers: {}, events: events() };
	});
	assert.deepEqual(await live.read(), [{ sessionStart: {} }]);
	await new Promise(setImmediate);
	assert.equal(aborted, false);
});
