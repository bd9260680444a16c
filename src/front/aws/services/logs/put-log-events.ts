/** PutLogEvents: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html */
import type * as sdk from "@aws-sdk/client-cloudwatch-logs";
import type { LogEvent } from "../../../../core/log/log-store.ts";
import type { LogsDeps } from "./ports.ts";
import { eventId, inAwsWords, invalidParameter, notFound } from "./wire.ts";

const hourMs = 60 * 60 * 1000;
const dayMs = 24 * hourMs;
/** "Events more than 2 hours in the future are rejected." */
const maxAheadMs = 2 * hourMs;
/** "Events older than 14 days or preceding the log group's retention period are rejected." */
const maxAgeMs = 14 * dayMs;
/** "The time span in a single batch cannot exceed 24 hours." */
const maxSpanMs = dayMs;
/** "The maximum batch size is 1,048,576 bytes … all event messages in UTF-8, plus 26 bytes for each log event." */
const maxBatchBytes = 1024 * 1024;
const eventBytes = 26;

interface Input {
	logGroupName: string;
	logStreamName: string;
	logEvents: readonly sdk.InputLogEvent[];
}

export async function putLogEvents({ logs, clock }: LogsDeps, input: Input): Promise<sdk.PutLogEventsResponse> {
	const { logGroupName: group, logStreamName: stream } = input;
	const events = readEvents(input.logEvents);
	const { retentionDays } = await inAwsWords("log group", logs.describeGroup(group));
	const streams = await inAwsWords("log group", logs.describeStreams(group));
	if (!streams.some((known) => known.stream === stream)) throw notFound("log stream");
	const now = clock.now();
	const expiredMs = retentionDays === undefined ? Number.NEGATIVE_INFINITY : now - retentionDays * dayMs;
	const { accepted, rejected } = split(events, now, expiredMs);
	if (accepted.length > 0 && accepted.at(-1)!.timestamp - accepted[0]!.timestamp > maxSpanMs)
		throw invalidParameter("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.");
	logs.append(group, stream, accepted);
	// What is answered is on the disk, unless its group has been deleted meanwhile.
	await inAwsWords("log group", logs.flush(group));
	return {
		nextSequenceToken: eventId({ timestamp: now, sequence: 0 }),
		...(rejected && { rejectedLogEventsInfo: rejected }),
	};
}

function readEvents(events: readonly sdk.InputLogEvent[]): LogEvent[] {
	let bytes = 0;
	let last = Number.NEGATIVE_INFINITY;
	return events.map(({ timestamp, message }, i) => {
		const where = `logEvents.${i + 1}.member`;
		if (timestamp === undefined || !Number.isSafeInteger(timestamp) || timestamp < 0)
			throw invalidParameter(
				`1 validation error detected: Value '${timestamp}' at '${where}.timestamp' failed to satisfy constraint: Member must have value greater than or equal to 0`,
			);
		if (message === undefined || message === "")
			throw invalidParameter(
				`1 validation error detected: Value '' at '${where}.message' failed to satisfy constraint: Member must have length greater than or equal to 1`,
			);
		if (timestamp < last)
			throw invalidParameter("Log events in a single PutLogEvents request must be in chronological order.");
		last = timestamp;
		bytes += Buffer.byteLength(message) + eventBytes;
		if (bytes > maxBatchBytes)
			throw invalidParameter(`Upload too large: ${bytes} bytes exceeds limit of ${maxBatchBytes}`);
		return { timestamp, message };
	});
}

/** Events are in order, so that those to be rejected are the first and the last ones. */
function split(events: readonly LogEvent[], now: number, expiredMs: number) {
	const countBefore = (ms: number) => {
		const index = events.findIndex(({ timestamp }) => timestamp >= ms);
		return index === -1 ? events.length : index;
	};
	const tooOld = countBefore(now - maxAgeMs);
	const expired = countBefore(expiredMs);
	const tooNew = countBefore(now + maxAheadMs + 1);
	const rejected: sdk.RejectedLogEventsInfo = {
		...(tooNew < events.length && { tooNewLogEventStartIndex: tooNew }),
		...(tooOld > 0 && { tooOldLogEventEndIndex: tooOld }),
		...(expired > 0 && { expiredLogEventEndIndex: expired }),
	};
	const accepted = events.slice(Math.max(tooOld, expired), tooNew);
	return { accepted, rejected: Object.keys(rejected).length > 0 ? rejected : undefined };
}
