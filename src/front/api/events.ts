import { z } from "zod";
import { eventStateSchema, placeSchema, purgeSchema, replaySchema } from "../../client/event-schema.ts";
import { functionNameSchema } from "../../client/schema.ts";
import { readBody } from "./body.ts";
import type { ApiDelivery } from "./delivery-ports.ts";
import { type Route, route } from "./route.ts";

/** 1 MB: Lambda's quota of an asynchronous event (lambda-contract 5). */
const maxPayloadBytes = 1024 * 1024;
const number = z.coerce.number<string>();
/** Bytes of each body that a list shows, at most: a thousand of them are 64 MB. */
const maxBodyBytes = 65_536;
const listQuery = z.strictObject({
	place: placeSchema,
	state: eventStateSchema.optional(),
	limit: number.pipe(z.int().min(1).max(1000)).default(100),
	after: number.pipe(z.int().nonnegative()).optional().describe("`next` of the page before"),
	fromMs: number.optional().describe("Sent since then"),
	toMs: number.optional().describe("Sent until then"),
	bodyBytes: number
		.pipe(z.int().min(0).max(maxBodyBytes))
		.optional()
		.describe("Bytes of each body that are shown; none without"),
});
const params = { id: z.string().min(1).max(200).describe("Of an invocation, a message or an event") };

export function eventRoutes({ events, invokeLater }: ApiDelivery): Route[] {
	return [...viewRoutes(events), ...actionRoutes(events), invocationRoute(invokeLater)];
}

function viewRoutes(events: ApiDelivery["events"]): Route[] {
	return [
		route({
			id: "getEventsOverview",
			method: "GET",
			path: "/events",
			summary: "What waits, is in flight, retried and dead, by place",
			query: z.strictObject({ all: z.stringbool().default(false).describe("Empty places too") }),
			answer: { kind: "json", status: 200, component: "EventsOverview" },
			handle: ({ query }) => events.overview({ empty: query.all }),
		}),
		route({
			id: "listEvents",
			method: "GET",
			path: "/events/messages",
			summary: "Events of one place, oldest first",
			query: listQuery,
			answer: { kind: "json", status: 200, component: "EventList" },
			handle: ({ query: { place, ...query } }) => events.list({ ...query, lane: place }),
		}),
		route({
			id: "getEvent",
			method: "GET",
			path: "/events/{id}",
			summary: "What became of one event, and of all that came of it",
			params,
			query: z.strictObject({ body: z.stringbool().default(false) }),
			answer: { kind: "json", status: 200, component: "EventStory" },
			handle: ({ params, query }) => events.story(params.id!, query),
		}),
		route({
			id: "listEventFaults",
			method: "GET",
			path: "/events/faults",
			summary: "Messages whose bytes are damaged: set aside, never delivered",
			answer: { kind: "json", status: 200, component: "LogFaultList" },
			handle: async () => ({ faults: await events.faults() }),
		}),
	];
}

function actionRoutes(events: ApiDelivery["events"]): Route[] {
	return [
		route({
			id: "replayEvents",
			method: "POST",
			path: "/events/replay",
			summary: "Dead letters back to where they came from or to a target; an archive's events to its bus",
			body: { kind: "json", component: "ReplayEvents" },
			input: replaySchema,
			answer: { kind: "json", status: 200, component: "ReplayResult" },
			handle: ({ input: { place, ...input } }) => events.replay({ ...input, lane: place }),
		}),
		route({
			id: "purgeEvents",
			method: "POST",
			path: "/events/purge",
			summary: "Delete everything that waits at a place",
			body: { kind: "json", component: "Purge" },
			input: purgeSchema,
			answer: { kind: "json", status: 200, component: "Purged" },
			handle: async ({ input }) => ({ purged: await events.purge(input.place) }),
		}),
	];
}

function invocationRoute(invokeLater: ApiDelivery["invokeLater"]): Route {
	return route({
		id: "invokeLater",
		method: "POST",
		path: "/functions/{name}/events",
		summary: "Invoke a function asynchronously: the event is on the disk when this answers",
		params: { name: functionNameSchema },
		query: z.strictObject({ qualifier: z.string().max(128).optional() }),
		body: { kind: "raw", mediaType: "application/json" },
		answer: { kind: "json", status: 202, component: "Accepted" },
		handle: async ({ params, query, request }) => {
			const payload = await readBody(request, maxPayloadBytes);
			return { requestId: await invokeLater(params.name!, { payload, qualifier: query.qualifier }) };
		},
	});
}
