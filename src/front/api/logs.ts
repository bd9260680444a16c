import { z } from "zod";
import { isSlipwayError } from "../../base/error.ts";
import { functionNameSchema } from "../../client/schema.ts";
import type { StoredLogEvent } from "../../core/log/log-store.ts";
import { NdjsonWriter } from "./ndjson.ts";
import type { ApiDeps } from "./ports.ts";
import { type Call, type Route, route } from "./route.ts";

const time = z.coerce.number().int().nonnegative().optional();
export const logQuery = z.strictObject({
	startMs: time.describe("Inclusive, milliseconds since the epoch"),
	endMs: time.describe("Exclusive"),
	limit: z.coerce.number().int().min(0).max(10_000).default(1000).describe("Lines, from the end of the range"),
	stream: z.string().max(512).optional(),
	follow: z.stringbool().default(false).describe("Go on with lines as they come, until the client leaves"),
});
export type LogQuery = z.output<typeof logQuery>;

export function logRoutes(deps: ApiDeps): Route[] {
	return [
		route({
			id: "readLogs",
			method: "GET",
			path: "/functions/{name}/logs",
			summary: "A function's log lines in time order",
			params: { name: functionNameSchema },
			query: logQuery,
			answer: { kind: "stream", component: "LogStreamLine" },
			handle: (call) => sendLogs(deps, deps.functions.get(call.params.name!).configuration.logGroup, call),
		}),
		route({
			id: "readLogGroup",
			method: "GET",
			path: "/logs",
			summary: "Any group's log lines in time order, such as the gateway's access log /slipway/gateway/access",
			query: logQuery.extend({
				group: z
					.string()
					.min(1)
					.max(512)
					.regex(/^[\w./#-]+$/)
					.describe("Log group"),
			}),
			answer: { kind: "stream", component: "LogStreamLine" },
			handle: (call) => sendLogs(deps, call.query.group, call),
		}),
	];
}

/** Of any group; one that nothing has been written to yet has no lines. */
export function sendLogs(deps: ApiDeps, group: string, call: Call<LogQuery, unknown>): Promise<void> {
	return call.query.follow ? follow(deps, group, call) : read(deps, group, call);
}

async function read(deps: ApiDeps, group: string, { query, response, gone }: Call<LogQuery, unknown>): Promise<void> {
	const events = await stored(deps, group, query);
	const writer = new NdjsonWriter(response, gone);
	for (const event of events) await writer.write({ type: "log", ...event });
	writer.end();
}

/** The backlog is read after the live stream has begun, so that no line falls between; one that is in both is sent once. */
async function follow(deps: ApiDeps, group: string, { query, response, gone }: Call<LogQuery, unknown>): Promise<void> {
	const ended = new AbortController();
	const signal = AbortSignal.any([gone, deps.closing, ended.signal]);
	const live = deps.logs.follow(group, { stream: query.stream, signal })[Symbol.asyncIterator]();
	try {
		let next = live.next();
		next.catch(() => undefined); // Awaited below; a failure while the backlog is read must not count as unhandled.
		const backlog = await stored(deps, group, query);
		const seen = new Map<string, number>();
		for (const event of backlog) seen.set(keyOf(event), (seen.get(keyOf(event)) ?? 0) + 1);
		const writer = new NdjsonWriter(response, gone);
		for (const event of backlog) await writer.write({ type: "log", ...event });
		for (let result = await next; !result.done; result = await next) {
			next = live.next();
			const times = seen.get(keyOf(result.value)) ?? 0;
			if (times > 0) seen.set(keyOf(result.value), times - 1);
			else await writer.write({ type: "log", ...result.value });
		}
		writer.end();
	} catch (error) {
		if (!signal.aborted) throw error;
		response.end();
	} finally {
		ended.abort();
	}
}

function keyOf({ timestamp, stream, message }: StoredLogEvent): string {
	return `${timestamp} ${stream} ${message}`;
}

/** What has not written yet has no group; that is no error here. */
async function stored(deps: ApiDeps, group: string, query: LogQuery): Promise<StoredLogEvent[]> {
	if (query.limit === 0) return [];
	const { startMs, endMs, limit, stream } = query;
	try {
		return await deps.logs.read(group, { startMs, endMs, limit, stream });
	} catch (error) {
		if (isSlipwayError(error, "NOT_FOUND")) return [];
		throw error;
	}
}
