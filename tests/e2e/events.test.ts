/** The README's five minutes with events, as a user types them: a function crashes, its message is found, sent back, and done. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import {
	PutFunctionEventInvokeConfigCommand,
	UpdateFunctionConfigurationCommand,
	waitUntilFunctionUpdatedV2,
} from "@aws-sdk/client-lambda";
import { type LocalDaemon, startDaemon } from "../../tools/local-daemon.ts";
import { FunctionClient } from "./function-client.ts";
import { missingForFunctionImages, pushShellRuntime } from "./function-image.ts";
import { type Result, slipway } from "./slipway.ts";

const skip = missingForFunctionImages() ?? false;
const timeout = 120_000;
const waiting = { maxWaitTime: 60, minDelay: 0.05, maxDelay: 0.2 };

describe("events, with the command line", { skip }, () => {
	let daemon: LocalDaemon;
	let functions: FunctionClient;
	let image: string;

	/** What a user types; returns what is printed. */
	async function type(...words: string[]): Promise<string> {
		const { out } = await typed(0, ...words);
		return out;
	}

	async function typed(code: number, ...words: string[]): Promise<Result> {
		const result = await slipway(daemon.home, words);
		assert.equal(result.code, code, `slipway ${words.join(" ")}\n${result.out}${result.err}`);
		return result;
	}

	before(
		async () => {
			// Without a way out: the function needs none. And without the minute before a retry.
			daemon = await startDaemon({ env: { SLIPWAY_EGRESS: "0", SLIPWAY_ASYNC_RETRY_DELAY: "1" } });
			functions = new FunctionClient(daemon);
			image = await pushShellRuntime(daemon, "orders");
		},
		{ timeout },
	);
	after(async () => {
		functions?.[Symbol.dispose]();
		await daemon?.[Symbol.asyncDispose]();
	});

	it("a message whose function crashes is retried, found in the dead letters, redriven and done", {
		timeout,
	}, async () => {
		await type("function", "create", "orders", "--image", image, "--timeout", "1", "--env", "INIT=exit");
		await type(
			"queue",
			"create",
			"orders",
			"--dead-letters",
			"orders-dlq",
			"--max-receives",
			"2",
			"--visibility",
			"1s",
		);
		await type("queue", "trigger", "orders", "--function", "orders");
		const id = (await type("queue", "send", "orders", '{"order":7}')).trim();
		assert.match(id, /^[0-9a-f-]{36}$/);

		const story = await typed(1, "events", "follow", id, "--timeout", "60s");
		assert.match(story.out, /attempt 1/);
		assert.match(story.out, /attempt 2/);
		assert.match(story.out, /orders-dlq/);
		assert.match(await type("queue", "peek", "orders-dlq"), /"order":7/);
		assert.match(await type("events", "ls"), /orders-dlq/);

		// As `aws lambda update-function-configuration` does.
		const FunctionName = "orders";
		await functions.lambda.send(
			new UpdateFunctionConfigurationCommand({ FunctionName, Environment: { Variables: {} } }),
		);
		await waitUntilFunctionUpdatedV2({ client: functions.lambda, ...waiting }, { FunctionName });
		assert.match(await type("queue", "redrive", "orders-dlq"), /1/);
		await type("events", "follow", id, "--timeout", "60s");
		const { state, steps } = JSON.parse(await type("events", "show", id, "--json"));
		assert.equal(state, "delivered");
		assert.ok(
			steps.some((step: { step: string; to?: string }) => step.step === "dead" && step.to === "queue orders-dlq"),
		);
	});

	it("an asynchronous invocation is tried again, and says where it went in the end", { timeout }, async () => {
		await type("function", "create", "later", "--image", image);
		await type("queue", "create", "later-failed");
		const Destination = `arn:aws:sqs:${daemon.region}:${daemon.credentials.accountId}:later-failed`;
		const config = { MaximumRetryAttempts: 1, DestinationConfig: { OnFailure: { Destination } } };
		await functions.lambda.send(new PutFunctionEventInvokeConfigCommand({ FunctionName: "later", ...config }));
		const good = (await type("invoke", "later", "--async", "-d", '{"do":"count"}')).trim();
		await type("events", "follow", good, "--timeout", "60s");
		const bad = (await type("invoke", "later", "--async", "-d", '{"do":"error"}')).trim();
		const { out } = await typed(1, "events", "follow", bad, "--timeout", "60s");
		assert.match(out, /attempt 1 failed.*told to fail.*attempt 2/s);
		assert.match(out, /later-failed/);
		const record = JSON.parse(await type("queue", "receive", "later-failed", "--wait", "20s"));
		assert.equal(record.requestContext.requestId, bad);
	});

	it("an event on the bus and a schedule's tick come to the queue that asks for them", { timeout }, async () => {
		await type("queue", "create", "inbox");
		const at = new Date(Date.now() + 1_500).toISOString().slice(0, 19);
		await type("schedule", "create", "soon", `at(${at})`, "--queue", "inbox", "-d", '{"tick":true}');
		assert.match(await type("schedule", "ls"), /soon/);
		assert.deepEqual(JSON.parse(await type("queue", "receive", "inbox", "--wait", "20s")), { tick: true });
		const id = (await type("bus", "put", '{"order":101}', "--type", "OrderPlaced", "--source", "shop")).trim();
		assert.match(id, /^[0-9a-f-]{36}$/);
		assert.match(await type("bus", "ls"), /default/);
	});
});
