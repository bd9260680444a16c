import { z } from "zod";
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import { queueNameSchema, queueTriggerSchema, type TriggerView } from "../../client/event-schema.ts";
import { manifestSchema } from "../../client/service-schema.ts";
import type { ApiConnections, ApiDelivery } from "./delivery-ports.ts";
import { withOwnWords } from "./queues.ts";
import { type Route, route } from "./route.ts";
import { brokerView, mappingView, newMapping } from "./trigger-views.ts";

const params = { name: z.string().min(1).max(128).describe("Trigger's name; of a queue's, its UUID") };
const connectionParams = { name: z.string().min(1).max(128).describe("Connection's name") };
const uuid = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/i;

export function triggerRoutes(delivery: ApiDelivery): Route[] {
	return [
		...definitionRoutes(delivery),
		...switchRoutes(delivery),
		withOwnWords(
			route({
				id: "createQueueTrigger",
				method: "POST",
				path: "/queues/{name}/triggers",
				summary: "Let a queue's messages go to a function or a service",
				params: { name: queueNameSchema },
				body: { kind: "json", component: "QueueTrigger" },
				input: queueTriggerSchema,
				answer: { kind: "json", status: 201, component: "Trigger" },
				handle: async ({ params, input }) => {
					const { arn } = delivery.queues.get(params.name!);
					return mappingView(delivery, await delivery.mappings.create(newMapping(arn, input, delivery)));
				},
			}),
		),
		...connectionRoutes(delivery.connections),
	];
}

function definitionRoutes(delivery: ApiDelivery): Route[] {
	const { triggers, mappings } = delivery;
	return [
		route({
			id: "listTriggers",
			method: "GET",
			path: "/triggers",
			summary: "What takes events from queues and brokers, and how it goes",
			answer: { kind: "json", status: 200, component: "TriggerList" },
			handle: async () => ({
				triggers: [
					...mappings.list().map((mapping) => mappingView(delivery, mapping)),
					...triggers.list().map((trigger) => brokerView(delivery, trigger)),
				],
			}),
		}),
		route({
			id: "applyTrigger",
			method: "POST",
			path: "/triggers",
			summary: "Create or replace a broker's trigger",
			body: { kind: "json", component: "Manifest" },
			input: manifestSchema,
			answer: { kind: "json", status: 200, component: "Trigger" },
			handle: async ({ input }) => brokerView(delivery, await triggers.apply(input)),
		}),
		route({
			id: "getTrigger",
			method: "GET",
			path: "/triggers/{name}",
			summary: "One trigger",
			params,
			answer: { kind: "json", status: 200, component: "Trigger" },
			handle: async ({ params }) => find(delivery, params.name!),
		}),
		route({
			id: "deleteTrigger",
			method: "DELETE",
			path: "/triggers/{name}",
			summary: "Delete a trigger; what a broker's has taken and not delivered goes with it",
			params,
			answer: { kind: "none", status: 204 },
			handle: async ({ params }) => {
				if (isQueues(find(delivery, params.name!))) await mappings.delete(params.name!);
				else await triggers.remove(params.name!);
			},
		}),
	];
}

function switchRoutes(delivery: ApiDelivery): Route[] {
	const change = async (name: string, enabled: boolean): Promise<TriggerView> => {
		const { triggers, mappings } = delivery;
		if (isQueues(find(delivery, name))) return mappingView(delivery, await mappings.update(name, { enabled }));
		return brokerView(delivery, await (enabled ? triggers.resume(name) : triggers.pause(name)));
	};
	return [
		route({
			id: "pauseTrigger",
			method: "POST",
			path: "/triggers/{name}/pause",
			summary: "Take no more events; what is in hand is delivered",
			params,
			answer: { kind: "json", status: 200, component: "Trigger" },
			handle: ({ params }) => change(params.name!, false),
		}),
		route({
			id: "resumeTrigger",
			method: "POST",
			path: "/triggers/{name}/resume",
			summary: "Take events again",
			params,
			answer: { kind: "json", status: 200, component: "Trigger" },
			handle: ({ params }) => change(params.name!, true),
		}),
	];
}

function connectionRoutes(connections: ApiConnections): Route[] {
	return [
		route({
			id: "listConnections",
			method: "GET",
			path: "/connections",
			summary: "Brokers that triggers and targets name",
			answer: { kind: "json", status: 200, component: "ConnectionList" },
			handle: async () => ({ connections: connections.list() }),
		}),
		route({
			id: "applyConnection",
			method: "POST",
			path: "/connections",
			summary: "Create or replace a connection to a broker",
			body: { kind: "json", component: "Manifest" },
			input: manifestSchema,
			answer: { kind: "json", status: 200, component: "Connection" },
			handle: ({ input }) => connections.apply(input),
		}),
		route({
			id: "getConnection",
			method: "GET",
			path: "/connections/{name}",
			summary: "One connection, without its password",
			params: connectionParams,
			answer: { kind: "json", status: 200, component: "Connection" },
			handle: async ({ params }) => connections.get(params.name!),
		}),
		route({
			id: "deleteConnection",
			method: "DELETE",
			path: "/connections/{name}",
			summary: "Delete a connection that no trigger names",
			params: connectionParams,
			answer: { kind: "none", status: 204 },
			handle: ({ params }) => connections.remove(params.name!),
		}),
	];
}

function isQueues({ kind }: TriggerView): boolean {
	return kind === "queue";
}

/** Names of brokers' triggers are their owner's choice; UUIDs are queues'. */
function find(delivery: ApiDelivery, name: string): TriggerView {
	try {
		if (uuid.test(name)) return mappingView(delivery, delivery.mappings.get(name));
		return brokerView(delivery, delivery.triggers.get(name));
	} catch (error) {
		if (!isSlipwayError(error, "NOT_FOUND")) throw error;
		throw new SlipwayError("NOT_FOUND", `There is no trigger '${name}'`, {
			hint: "`slipway trigger ls` shows those there are",
			cause: error,
		});
	}
}
