import { z } from "zod";
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import {
	createQueueSchema,
	deleteMessageSchema,
	queueNameSchema,
	receiveSchema,
	redriveSchema,
	type SendMessage,
	sendMessageSchema,
} from "../../client/event-schema.ts";
import type { ApiDelivery, ApiQueues } from "./delivery-ports.ts";
import { messageView, moveTaskView, queueView } from "./queue-views.ts";
import { type Route, route } from "./route.ts";

const params = { name: queueNameSchema };
const number = z.coerce.number<string>();
const peekQuery = z.strictObject({
	limit: number.pipe(z.int().min(1).max(1000)).default(10),
	state: z.enum(["ready", "delayed", "leased", "blocked"]).optional(),
	after: number.pipe(z.int().nonnegative()).optional().describe("`next` of the page before"),
});
/** Copies that are sent at once: they share commits. */
const copiesAtOnce = 100;

export function queueRoutes(delivery: ApiDelivery): Route[] {
	const { queues } = delivery;
	return [...queueDefinitionRoutes(queues), ...messageRoutes(queues), ...redriveRoutes(delivery)].map(withOwnWords);
}

/** SQS's sentence names no queue, since its clients know which they asked for. */
export function withOwnWords(route: Route): Route {
	return {
		...route,
		handle: async (call) => {
			try {
				return await route.handle(call);
			} catch (error) {
				const { name } = call.params;
				if (name === undefined || !isSlipwayError(error) || error.reason !== "QueueDoesNotExist") throw error;
				const { reason } = error;
				const hint = `\`slipway queue create ${name}\` makes it, \`slipway queue ls\` shows those there are`;
				throw new SlipwayError("NOT_FOUND", `There is no queue '${name}'`, { reason, hint, cause: error });
			}
		},
	};
}

function queueDefinitionRoutes(queues: ApiQueues): Route[] {
	return [
		route({
			id: "listQueues",
			method: "GET",
			path: "/queues",
			summary: "Queues by name, with what waits in them",
			query: z.strictObject({ prefix: z.string().max(80).optional() }),
			answer: { kind: "json", status: 200, component: "QueueList" },
			handle: async ({ query, request }) => {
				const found = queues.list(query.prefix);
				return { queues: await Promise.all(found.map((queue) => queueView(queues, queue, request.headers.host))) };
			},
		}),
		route({
			id: "createQueue",
			method: "POST",
			path: "/queues",
			summary: "Create a queue, or find it there with the same attributes",
			body: { kind: "json", component: "CreateQueue" },
			input: createQueueSchema,
			answer: { kind: "json", status: 201, component: "Queue" },
			handle: async ({ input: { name, attributes = {}, tags }, request }) => {
				const all = name.endsWith(".fifo") ? { FifoQueue: "true", ...attributes } : attributes;
				const queue = await queues.create(name, all, tags);
				return queueView(queues, queue, request.headers.host);
			},
		}),
		route({
			id: "getQueue",
			method: "GET",
			path: "/queues/{name}",
			summary: "One queue",
			params,
			answer: { kind: "json", status: 200, component: "Queue" },
			handle: async ({ params, request }) => queueView(queues, queues.get(params.name!), request.headers.host),
		}),
		route({
			id: "deleteQueue",
			method: "DELETE",
			path: "/queues/{name}",
			summary: "Delete a queue with its messages",
			params,
			answer: { kind: "none", status: 204 },
			handle: ({ params }) => queues.delete(params.name!),
		}),
		route({
			id: "purgeQueue",
			method: "POST",
			path: "/queues/{name}/purge",
			summary: "Delete a queue's messages",
			params,
			answer: { kind: "json", status: 200, component: "Purged" },
			handle: async ({ params }) => ({ purged: await queues.purge(params.name!, { force: true }) }),
		}),
	];
}

function messageRoutes(queues: ApiQueues): Route[] {
	return [
		route({
			id: "sendMessage",
			method: "POST",
			path: "/queues/{name}/messages",
			summary: "Send a message, or copies of it: on the disk when this answers",
			params,
			body: { kind: "json", component: "SendMessage" },
			input: sendMessageSchema,
			answer: { kind: "json", status: 201, component: "SentMessages" },
			handle: ({ params, input }) => send(queues, params.name!, input),
		}),
		route({
			id: "peekMessages",
			method: "GET",
			path: "/queues/{name}/messages",
			summary: "Look at a queue's messages without taking them, oldest first",
			params,
			query: peekQuery,
			answer: { kind: "json", status: 200, component: "MessageList" },
			handle: async ({ params, query }) => {
				const messages = await queues.peek(params.name!, query);
				const last = messages.length === query.limit ? messages.at(-1) : undefined;
				return { messages: messages.map(messageView), ...(last && { next: last.sequence }) };
			},
		}),
		route({
			id: "receiveMessages",
			method: "POST",
			path: "/queues/{name}/receive",
			summary: "Take messages: they are visible again after the visibility timeout, unless they are deleted",
			params,
			body: { kind: "json", component: "ReceiveMessages" },
			input: receiveSchema,
			answer: { kind: "json", status: 200, component: "MessageList" },
			handle: async ({ params, input, gone }) => {
				const { max, waitS, visibilityS } = input;
				const options = { max, waitSeconds: waitS, visibilityTimeout: visibilityS, signal: gone };
				return { messages: (await queues.receive(params.name!, options)).map(messageView) };
			},
		}),
		route({
			id: "deleteMessage",
			method: "POST",
			path: "/queues/{name}/delete",
			summary: "Delete a message that was received",
			params,
			body: { kind: "json", component: "DeleteMessage" },
			input: deleteMessageSchema,
			answer: { kind: "none", status: 204 },
			handle: ({ params, input }) => queues.deleteMessage(params.name!, input.receiptHandle),
		}),
	];
}

function redriveRoutes({ queues, region, accountId }: ApiDelivery): Route[] {
	return [
		route({
			id: "redriveQueue",
			method: "POST",
			path: "/queues/{name}/redrive",
			summary: "Begin to move a dead-letter queue's messages to where they came from, or to another queue",
			params,
			body: { kind: "json", component: "RedriveQueue" },
			input: redriveSchema,
			answer: { kind: "json", status: 201, component: "MoveTask" },
			handle: async ({ params, input: { destination, maxPerSecond } }) => {
				const destinationArn = destination && `arn:aws:sqs:${region}:${accountId}:${destination}`;
				const sourceArn = queues.get(params.name!).arn;
				return moveTaskView(await queues.startMoveTask({ sourceArn, destinationArn, maxPerSecond }));
			},
		}),
		route({
			id: "listRedrives",
			method: "GET",
			path: "/queues/{name}/redrive",
			summary: "Redrives of a dead-letter queue, newest first",
			params,
			answer: { kind: "json", status: 200, component: "MoveTaskList" },
			handle: async ({ params }) => ({
				tasks: queues.moveTasks(queues.get(params.name!).arn).map(moveTaskView),
			}),
		}),
	];
}

async function send(queues: ApiQueues, name: string, input: SendMessage): Promise<{ ids: string[] }> {
	const { body, delayS, group, deduplicationId, count = 1 } = input;
	const attributes = Object.entries(input.attributes ?? {}).map(([key, stringValue]) => [
		key,
		{ dataType: "String", stringValue },
	]);
	const ids: string[] = [];
	while (ids.length < count) {
		const copies = Array.from({ length: Math.min(copiesAtOnce, count - ids.length) }, (_, index) =>
			queues.send(name, {
				body,
				delaySeconds: delayS,
				attributes: Object.fromEntries(attributes),
				groupId: group,
				// Copies are messages of their own, though their bodies are the same.
				deduplicationId: deduplicationId && count > 1 ? `${deduplicationId}-${ids.length + index}` : deduplicationId,
			}),
		);
		ids.push(...(await Promise.all(copies)).map(({ messageId }) => messageId));
	}
	return { ids };
}
