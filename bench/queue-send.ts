/** How many messages a queue takes a second, each on the disk before it is answered, beside brokers that promise the same. */
import type { LocalDaemon } from "../tools/local-daemon.ts";
import { accepted, operationRequest } from "./aws-request.ts";
import { HttpConnection } from "./http-connection.ts";
import { closedLoop } from "./load.ts";
import { openRabbitMqSender, openRedisSender, type Sender } from "./real-brokers.ts";
import { type Figure, figure, type Series } from "./result.ts";
import type { RunOptions } from "./run-options.ts";

const clients = 64;
const batchEntries = 10;
const payload = "x".repeat(1024);
const rounds = 3;
const seconds = 4;
const rabbit = "RabbitMQ, persistent, with confirms";
const redis = "Redis streams, appendfsync always";

const send = { service: "sqs", target: "AmazonSQS.SendMessage" };
const sendBatch = { service: "sqs", target: "AmazonSQS.SendMessageBatch" };

export async function createQueue(daemon: LocalDaemon, name: string): Promise<string> {
	const connection = await HttpConnection.open(daemon.url);
	const request = operationRequest(daemon, { service: "sqs", target: "AmazonSQS.CreateQueue" }, { QueueName: name });
	const { QueueUrl } = accepted(await connection.send(request)) as { QueueUrl: string };
	connection.close();
	return QueueUrl;
}

/** 64 connections that send this request again and again. */
function slipwaySender(daemon: LocalDaemon, request: Buffer): Sender {
	let connections: HttpConnection[] = [];
	const close = () => {
		for (const connection of connections) connection.close();
	};
	return {
		// Anew for each round: the daemon closes connections that rest for some seconds.
		async open() {
			close();
			connections = await Promise.all(Array.from({ length: clients }, () => HttpConnection.open(daemon.url)));
			return connections.map((connection) => async () => {
				const { status, body } = await connection.send(request);
				if (status !== 200) throw new Error(`A message was answered ${status}: ${body}`);
			});
		},
		async [Symbol.asyncDispose]() {
			close();
		},
	};
}

/** In turns: what the machine does meanwhile is the same for all. */
async function rates(
	contenders: Record<string, Sender | string>,
	quick: boolean,
): Promise<Record<string, number[] | string>> {
	const found: Record<string, number[] | string> = {};
	for (const [name, sender] of Object.entries(contenders)) found[name] = typeof sender === "string" ? sender : [];
	for (let round = 0; round <= rounds; round++)
		for (const [name, sender] of Object.entries(contenders)) {
			if (typeof sender === "string") continue;
			const senders = await sender.open();
			const rate = await closedLoop(senders, quick || round === 0 ? 1 : seconds, (one) => one());
			// Compilers warm up.
			if (round > 0) (found[name] as number[]).push(rate);
		}
	return found;
}

export async function queueSend(daemon: LocalDaemon, { quick }: RunOptions): Promise<Record<string, Figure>> {
	const QueueUrl = await createQueue(daemon, "bench-send");
	const one = { QueueUrl, MessageBody: payload };
	const Entries = Array.from({ length: batchEntries }, (_, i) => ({ Id: String(i), MessageBody: payload }));
	await using token = slipwaySender(daemon, operationRequest(daemon, send, one, "token"));
	await using signed = slipwaySender(daemon, operationRequest(daemon, send, one));
	await using batches = slipwaySender(daemon, operationRequest(daemon, sendBatch, { QueueUrl, Entries }));
	await using rabbitmq = await openRabbitMqSender(clients, payload);
	await using streams = await openRedisSender(clients, payload);
	const found = await rates({ token, signed, batches, [rabbit]: rabbitmq.sender, [redis]: streams.sender }, quick);
	const of = (name: string) => found[name] as number[];
	const brokers: Series = { [rabbit]: found[rabbit] ?? "", [redis]: found[redis] ?? "" };
	const how = `${clients} clients, each one message of 1 KiB after the other, in rounds of ${seconds} s in turns; each is on the disk when it is answered; the clients, which are one Node process, share the machine with the servers`;
	return {
		"queue.send": figure({
			name: `messages sent to a queue, ${clients} clients`,
			unit: "messages/s",
			values: of("signed"),
			baselines: { ...brokers, "with a bearer token instead of a signature": of("token") },
			how: `SendMessage, signed (Signature Version 4); ${how}`,
			promises: { "at least 5,000 a second": ({ p50 }) => p50 >= 5000 },
		}),
		"queue.send.batch": figure({
			name: `messages sent in batches of ${batchEntries}, ${clients} clients`,
			unit: "messages/s",
			values: of("batches").map((rate) => rate * batchEntries),
			baselines: brokers,
			how: `SendMessageBatch, signed; the brokers get each message by itself; ${how}`,
		}),
	};
}
