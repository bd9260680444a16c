/** Functions that do what an event says, with SDKs as their authors publish them. What they saw goes to the queue REPORT. */
import { setTimeout as sleep } from "node:timers/promises";
import {
	BatchProcessor,
	EventType,
	processPartialResponse,
	SqsFifoPartialProcessorAsync,
} from "@aws-lambda-powertools/batch";
import { EventBridgeClient, PutEventsCommand } from "@aws-sdk/client-eventbridge";
import { CreateFunctionCommand, InvokeCommand, LambdaClient } from "@aws-sdk/client-lambda";
import { GetQueueUrlCommand, SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";

// No endpoint and no keys: the SDKs find both in the environment.
const sqs = new SQSClient();
const eventBridge = new EventBridgeClient();
const lambda = new LambdaClient();

async function send(name, value) {
	const { QueueUrl } = await sqs.send(new GetQueueUrlCommand({ QueueName: name }));
	return (await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: JSON.stringify(value) }))).MessageId;
}

const report = async (value) => process.env.REPORT && (await send(process.env.REPORT, value));

const actions = {
	echo: ({ value }) => value,
	fail: ({ message = "told to fail" }) => {
		throw new RangeError(message);
	},
	crash: () => process.exit(3),
	send: ({ queue, value }) => send(queue, value),
	put: async ({ bus, source, type, detail }) =>
		(
			await eventBridge.send(
				new PutEventsCommand({
					Entries: [{ EventBusName: bus, Source: source, DetailType: type, Detail: JSON.stringify(detail) }],
				}),
			)
		).Entries[0].EventId,
	invoke: async ({ name, event }) => {
		const Payload = JSON.stringify(event);
		const answer = await lambda.send(new InvokeCommand({ FunctionName: name, InvocationType: "Event", Payload }));
		return { status: answer.StatusCode, id: answer.$metadata.requestId };
	},
	create: async ({ role, image }) => {
		const input = { FunctionName: "made-inside", Role: role, PackageType: "Image", Code: { ImageUri: image } };
		return lambda.send(new CreateFunctionCommand(input)).then(
			() => "created",
			({ name, message, $metadata }) => ({ name, message, status: $metadata.httpStatusCode }),
		);
	},
};

export async function handler(event, context) {
	await report({ event, requestId: context.awsRequestId, version: process.env.VERSION });
	// FIXED: the code that its author mended.
	if (event?.do === undefined || process.env.FIXED) return event ?? null;
	return (await actions[event.do](event)) ?? null;
}

/** Powertools' own processors: a record whose body says so fails. */
async function record({ body, messageId, attributes }) {
	const value = JSON.parse(body);
	const receives = Number(attributes.ApproximateReceiveCount);
	const failed = receives <= (value.fail ?? 0);
	await report({ ...value, messageId, receives, failed, group: attributes.MessageGroupId, at: Date.now() });
	if (failed) throw new Error("told to fail");
}

const standardProcessor = new BatchProcessor(EventType.SQS);
export const standard = (event, context) => processPartialResponse(event, record, standardProcessor, { context });

const fifoProcessor = new SqsFifoPartialProcessorAsync();
export const fifo = (event, context) => processPartialResponse(event, record, fifoProcessor, { context });

/** Sends what it gets to the queue NEXT: a loop when that leads back here. */
export async function feed({ Records }) {
	for (const { body } of Records) await send(process.env.NEXT, { hop: JSON.parse(body).hop + 1 });
}

/** Takes its time, and reports from when to when. */
export async function slow() {
	const from = Date.now();
	await sleep(300);
	await report({ from, to: Date.now() });
}

/** Invokes itself. */
export async function again({ hop }, { functionName }) {
	const Payload = JSON.stringify({ hop: hop + 1 });
	await lambda.send(new InvokeCommand({ FunctionName: functionName, InvocationType: "Event", Payload }));
}
