import type * as sdk from "@aws-sdk/client-cloudwatch-logs";
import type { LogStream } from "../../../../core/log/log-store.ts";
import type { Call } from "../../service.ts";
import type { LogsDeps, LogsHandlers } from "./ports.ts";
import { groupArn, groupOf, inAwsWords, invalidParameter, readToken, writeToken } from "./wire.ts";

/** DescribeLogStreams, limit. */
const maxStreams = 50;

export function streamHandlers({ logs }: LogsDeps): LogsHandlers {
	return {
		CreateLogStream: async (input) => {
			await inAwsWords("log stream", logs.createStream(input.logGroupName, input.logStreamName));
			return {};
		},
		DeleteLogStream: async (input) => {
			await inAwsWords("log stream", logs.deleteStream(input.logGroupName, input.logStreamName));
			return {};
		},
		DescribeLogStreams: async (input, call) => {
			const { logStreamNamePrefix: prefix = "", orderBy = "LogStreamName", descending = false } = input;
			if (orderBy === "LastEventTime" && prefix !== "")
				throw invalidParameter("Cannot order by LastEventTime with a logStreamNamePrefix.");
			const group = groupOf(input, call);
			const all = await inAwsWords("log group", logs.describeStreams(group));
			const byTime = orderBy === "LastEventTime";
			const placeOf = (stream: LogStream): Place => [byTime ? (stream.events?.lastMs ?? 0) : 0, stream.stream];
			const compare = (a: Place, b: Place) => (descending ? comparePlaces(b, a) : comparePlaces(a, b));
			const after =
				input.nextToken === undefined ? undefined : (readToken(input.nextToken, ["number", "string"]) as Place);
			const rest = all
				.filter((stream) => stream.stream.startsWith(prefix) && (!after || compare(placeOf(stream), after) > 0))
				.sort((a, b) => compare(placeOf(a), placeOf(b)));
			const page = rest.slice(0, input.limit ?? maxStreams);
			return {
				logStreams: page.map((stream) => wireStream(stream, group, call)),
				...(rest.length > page.length && { nextToken: writeToken(placeOf(page.at(-1)!)) }),
			};
		},
	};
}

type Place = [timeMs: number, stream: string];

function comparePlaces(a: Place, b: Place): number {
	return a[0] - b[0] || (a[1] < b[1] ? -1 : a[1] > b[1] ? 1 : 0);
}

function wireStream({ stream, createdMs, events }: LogStream, group: string, call: Call): sdk.LogStream {
	return {
		logStreamName: stream,
		creationTime: Math.floor(createdMs),
		...(events && {
			firstEventTimestamp: events.firstMs,
			lastEventTimestamp: events.lastMs,
			lastIngestionTime: events.lastIngestedMs,
		}),
		arn: `${groupArn(group, call)}:log-stream:${stream}`,
		// "As of June 17, 2019, this parameter is no longer supported for log streams, and is always reported as zero."
		storedBytes: 0,
	};
}
