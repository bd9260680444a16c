import type * as sdk from "@aws-sdk/client-cloudwatch-logs";
import { parseFilterPattern } from "../../../../core/log/filter-pattern/filter-pattern.ts";
import type { IngestedLogEvent, LogCursor, LogPageQuery } from "../../../../core/log/log-store.ts";
import type { Call } from "../../service.ts";
import type { LogsDeps, LogsHandlers } from "./ports.ts";
import {
	cursorOf,
	eventId,
	groupOf,
	inAwsWords,
	invalidParameter,
	invalidToken,
	notFound,
	readToken,
	writeToken,
} from "./wire.ts";

export function eventHandlers(deps: LogsDeps): LogsHandlers {
	return {
		GetLogEvents: (input, call) => getLogEvents(deps, input, call),
		FilterLogEvents: (input, call) => filterLogEvents(deps, input, call),
		TestMetricFilter: (input) => {
			const pattern = parseFilterPattern(input.filterPattern);
			const matches = input.logEventMessages.flatMap((eventMessage, i) =>
				pattern.matches(eventMessage)
					? [{ eventNumber: i + 1, eventMessage, extractedValues: pattern.extract(eventMessage) }]
					: [],
			);
			return { matches };
		},
	};
}

/** "f/ID/s": behind the event of that id. "b/ID/s": before it. */
function directionToken(direction: "f" | "b", place: LogCursor): string {
	return `${direction}/${eventId(place)}/s`;
}

async function getLogEvents(
	{ logs }: LogsDeps,
	input: sdk.GetLogEventsRequest,
	call: Call,
): Promise<sdk.GetLogEventsResponse> {
	const group = groupOf(input, call);
	const stream = input.logStreamName!;
	const [, direction, id] = /^([fb])\/(\d+)\/s$/.exec(input.nextToken ?? "") ?? [];
	const place = cursorOf(id ?? "");
	if (input.nextToken !== undefined && !place) throw invalidToken();
	const fromStart = direction === undefined ? (input.startFromHead ?? false) : direction === "f";
	const query: LogPageQuery = { streams: [stream], fromStart, ...timeRange(input.startTime, input.endTime) };
	if (input.limit !== undefined) query.limit = input.limit;
	if (place) query[fromStart ? "after" : "before"] = place;
	const { events, next } = await inAwsWords("log group", logs.page(group, query));
	if (events.length === 0 && !(await hasStream({ logs }, group, stream))) throw notFound("log stream");
	const first = events[0];
	const last = events.at(-1);
	// Without events both tokens stay where the search ended, so that a poller that repeats one sees what comes later.
	const here = next ?? place ?? { timestamp: input.startTime ?? 0, sequence: 0 };
	return {
		events: events.map(({ timestamp, message, ingestedMs }) => ({ timestamp, message, ingestionTime: ingestedMs })),
		nextForwardToken: directionToken("f", last ? (fromStart && next ? later(next, last) : last) : here),
		nextBackwardToken: directionToken("b", first ? (!fromStart && next ? earlier(next, first) : first) : here),
	};
}

function later(a: LogCursor, b: LogCursor): LogCursor {
	return eventId(a) > eventId(b) ? a : b;
}

function earlier(a: LogCursor, b: LogCursor): LogCursor {
	return eventId(a) < eventId(b) ? a : b;
}

async function hasStream({ logs }: Pick<LogsDeps, "logs">, group: string, stream: string): Promise<boolean> {
	const streams = await inAwsWords("log group", logs.describeStreams(group));
	return streams.some((known) => known.stream === stream);
}

async function filterLogEvents(
	deps: LogsDeps,
	input: sdk.FilterLogEventsRequest,
	call: Call,
): Promise<sdk.FilterLogEventsResponse> {
	const group = groupOf(input, call);
	const { logStreamNames: streams, logStreamNamePrefix: streamPrefix, filterPattern = "", endTime } = input;
	if (streams && streamPrefix !== undefined)
		throw invalidParameter("Cannot specify both logStreamNames and logStreamNamePrefix.");
	// Its end is inclusive, unlike GetLogEvents'.
	const end = endTime === undefined ? undefined : endTime + 1;
	const query: LogPageQuery = { fromStart: true, ...timeRange(input.startTime, end) };
	if (streams) query.streams = streams;
	if (streamPrefix !== undefined) query.streamPrefix = streamPrefix;
	if (input.limit !== undefined) query.limit = input.limit;
	const pattern = parseFilterPattern(filterPattern);
	if (filterPattern.trim() !== "") query.matches = (message) => pattern.matches(message);
	if (input.nextToken !== undefined) {
		const [timestamp, sequence] = readToken(input.nextToken, ["number", "number"]) as [number, number];
		query.after = { timestamp, sequence };
	}
	const { events, next } = await inAwsWords("log group", deps.logs.page(group, query));
	if (streams && events.length === 0 && input.nextToken === undefined) await requireStreams(deps, group, streams);
	return {
		events: events.map(wireEvent),
		searchedLogStreams: [],
		...(next && { nextToken: writeToken([next.timestamp, next.sequence]) }),
	};
}

async function requireStreams({ logs }: LogsDeps, group: string, streams: readonly string[]): Promise<void> {
	const known = new Set((await inAwsWords("log group", logs.describeStreams(group))).map(({ stream }) => stream));
	if (!streams.every((stream) => known.has(stream))) throw notFound("log stream");
}

function wireEvent(event: IngestedLogEvent): sdk.FilteredLogEvent {
	const { stream, timestamp, message, ingestedMs } = event;
	return { logStreamName: stream, timestamp, message, ingestionTime: ingestedMs, eventId: eventId(event) };
}

function timeRange(startMs: number | undefined, endMs: number | undefined): Pick<LogPageQuery, "startMs" | "endMs"> {
	return { ...(startMs !== undefined && { startMs }), ...(endMs !== undefined && { endMs }) };
}
