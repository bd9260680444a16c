/** From a message's being sent to an idle queue until the function that the queue is an event source of has it. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Authorization, accepted, awsRequest, operationRequest } from "./aws-request.ts";
import { HttpConnection } from "./http-connection.ts";
import { createQueue } from "./queue-send.ts";
import { type Figure, figure } from "./result.ts";
import { type RunOptions, samples } from "./run-options.ts";
import { TellingFunction } from "./telling-function.ts";

const invocation = "synchronous invocation, until the function has it";
const toldTimeoutMs = 30_000;
/** Nothing is under way any more: the queue and the function are idle. */
const pauseMs = 20;
const warmUp = 30;

export async function queueDeliver(options: RunOptions): Promise<Record<string, Figure>> {
	await using telling = await TellingFunction.open();
	const { daemon } = telling;
	const QueueUrl = await createQueue(daemon, "bench-deliver");
	const EventSourceArn = `arn:aws:sqs:${daemon.region}:${daemon.credentials.accountId}:bench-deliver`;
	const mapping = { EventSourceArn, FunctionName: "tell" };
	await telling.call("lambda", "POST", "/2015-03-31/event-source-mappings", mapping);
	const message = { QueueUrl, MessageBody: "x".repeat(256) };
	const operation = { service: "sqs", target: "AmazonSQS.SendMessage" };
	const sent = (authorization: Authorization) => operationRequest(daemon, operation, message, authorization);
	const path = "/2015-03-31/functions/tell/invocations";
	const invoke = awsRequest(daemon, { service: "lambda", method: "POST", path, body: JSON.stringify(message) });
	const send = sent("signed");
	const connection = await HttpConnection.open(daemon.url);
	/** Until the function has told, and after it the answer is there. */
	const timed = async (request: Buffer): Promise<number> => {
		const told = Promise.withResolvers<number>();
		telling.onTold = (_, { monotonic }) => told.resolve(monotonic);
		const started = performance.now();
		const timer = setTimeout(() => told.reject(new Error("The function was not told of a message")), toldTimeoutMs);
		accepted(await connection.send(request));
		const ms = (await told.promise) - started;
		clearTimeout(timer);
		await sleep(pauseMs);
		return ms;
	};
	const [ours, theirs]: [number[], number[]] = [[], []];
	for (let round = -warmUp; round < samples(options, 400); round++) {
		const first = await timed(send);
		const second = await timed(invoke);
		if (round < 0) continue;
		ours.push(first);
		theirs.push(second);
	}
	connection.close();
	return {
		"queue.deliver": figure({
			name: "message to an idle queue, until the function has it",
			unit: "ms",
			values: ours,
			baselines: { [invocation]: theirs },
			how: `from SendMessage's first byte (signed) until the function, which is warm, tells this process; ${pauseMs} ms of rest before each, in turns`,
			promises: { "at most 5 ms at the median": ({ p50 }) => p50 <= 5 },
		}),
	};
}
