/** What the profiler keeps the daemon busy with: one function for each client, which sends a request and resolves with its answer. */
import type { LocalDaemon } from "../tools/local-daemon.ts";
import { type Authorization, awsRequest, operationRequest } from "./aws-request.ts";
import { HttpConnection } from "./http-connection.ts";
import { createQueue } from "./queue-send.ts";
import { mustBeGood, pushStaticImage, SlipwayClient } from "./slipway-client.ts";

export interface Load {
	clients: number;
	title: string;
	open: (daemon: LocalDaemon) => Promise<(() => Promise<unknown>)[]>;
}

const functionName = "bench-flame";

/** The same request again and again: a signature is good for minutes. */
async function senders(daemon: LocalDaemon, clients: number, request: Buffer, isGood: (status: number) => boolean) {
	const connections = await Promise.all(Array.from({ length: clients }, () => HttpConnection.open(daemon.url)));
	return connections.map((connection) => async () => {
		const answer = await connection.send(request);
		if (!isGood(answer.status)) throw new Error(`A request was answered ${answer.status}: ${answer.body}`);
		return mustBeGood({ ...answer, status: 200 });
	});
}

async function createFunction(daemon: LocalDaemon): Promise<void> {
	const client = await SlipwayClient.open(daemon);
	await client.createFunction(functionName, await pushStaticImage(daemon));
	client.close();
}

function invoke(clients: number, title: string, headers: Record<string, string>, status: number): Load {
	return {
		clients,
		title,
		async open(daemon) {
			await createFunction(daemon);
			const path = `/2015-03-31/functions/${functionName}/invocations`;
			const request = awsRequest(daemon, { service: "lambda", method: "POST", path, headers, body: "{}" });
			return senders(daemon, clients, request, (found) => found === status);
		},
	};
}

function sendMessage(authorization: Authorization): Load {
	return {
		clients: 64,
		title: `Messages sent, ${authorization}`,
		async open(daemon) {
			const input = { QueueUrl: await createQueue(daemon, "bench-flame"), MessageBody: "x".repeat(1024) };
			const operation = { service: "sqs", target: "AmazonSQS.SendMessage" };
			const request = operationRequest(daemon, operation, input, authorization);
			return senders(daemon, 64, request, (found) => found === 200);
		},
	};
}

export const loads: Record<string, Load> = {
	warm: invoke(8, "Warm invocations", {}, 200),
	"async.accept": invoke(64, "Asynchronous invocations", { "x-amz-invocation-type": "Event" }, 202),
	"queue.send": sendMessage("signed"),
	"queue.send.token": sendMessage("token"),
};
