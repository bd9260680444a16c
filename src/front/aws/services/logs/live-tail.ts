/** StartLiveTail: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartLiveTail.html */
import type * as sdk from "@aws-sdk/client-cloudwatch-logs";
import { parseFilterPattern } from "../../../../core/log/filter-pattern/filter-pattern.ts";
import type { StoredLogEvent } from "../../../../core/log/log-store.ts";
import { AwsError } from "../../errors.ts";
import type { Call, StreamEvent, StreamRequest, StreamResponse } from "../../service.ts";
import type { LogsDeps } from "./ports.ts";
import { groupArn, groupOfIdentifier, inAwsWords, invalidParameter } from "./wire.ts";

/** "Every second, a LiveTailSessionUpdate object is sent." */
const updateMs = 1000;
/** "If the number of log events matching the request exceeds 500 per second, the log events are sampled down to 500." */
const maxUpdateEvents = 500;
/** Events kept between two updates, to take the sample from. */
const maxWaitingEvents = 5000;
/** Characters of their messages, which may have 256 KB each; an update is one message in memory. */
const maxWaitingSize = 4 * 1024 * 1024;
/** "It has been kept open for three hours." */
const maxSessionMs = 3 * 60 * 60 * 1000;
/** StartLiveTail, logGroupIdentifiers. */
const maxTailedGroups = 10;

interface Session {
	groups: string[];
	wants(event: StoredLogEvent): boolean;
	start: Record<string, unknown>;
}

export async function startLiveTail(
	deps: LogsDeps,
	request: StreamRequest,
	call: Call,
	signal: AbortSignal,
): Promise<StreamResponse> {
	const session = readSession(request.input() as unknown as sdk.StartLiveTailRequest, call, deps.ids.uuid());
	for (const group of session.groups) await inAwsWords("log group", deps.logs.describeGroup(group));
	const tail = new LiveTail(deps, session, call, signal);
	return { status: 200, headers: {}, events: tail.events() };
}

function readSession(input: sdk.StartLiveTailRequest, call: Call, sessionId: string): Session {
	const { logStreamNames: names, logStreamNamePrefixes: prefixes, logEventFilterPattern = "" } = input;
	const identifiers = input.logGroupIdentifiers ?? [];
	if (identifiers.length > maxTailedGroups)
		throw invalidParameter(`At most ${maxTailedGroups} log group identifiers can be specified.`);
	if (identifiers.some((identifier) => identifier.endsWith("*")))
		throw invalidParameter("A log group identifier must not end with an asterisk (*).");
	if (names && prefixes) throw invalidParameter("Cannot specify both logStreamNames and logStreamNamePrefixes.");
	if ((names || prefixes) && identifiers.length > 1)
		throw invalidParameter("Log streams can be specified with a single log group identifier only.");
	const pattern = parseFilterPattern(logEventFilterPattern);
	const groups = [...new Set(identifiers.map((identifier) => groupOfIdentifier(identifier, call)))];
	return {
		groups,
		wants: ({ stream, message }) =>
			(!names || names.includes(stream)) &&
			(!prefixes || prefixes.some((prefix) => stream.startsWith(prefix))) &&
			pattern.matches(message),
		start: {
			requestId: call.requestId,
			sessionId,
			logGroupIdentifiers: groups.map((group) => groupArn(group, call)),
			logStreamNames: names ?? [],
			logStreamNamePrefixes: prefixes ?? [],
			logEventFilterPattern,
		},
	};
}

class LiveTail {
	readonly #deps: LogsDeps;
	readonly #session: Session;
	readonly #call: Call;
	readonly #ended = new AbortController();
	readonly #signal: AbortSignal;
	#waiting: sdk.LiveTailSessionLogEvent[] = [];
	#waitingSize = 0;
	#isSampled = false;

	constructor(deps: LogsDeps, session: Session, call: Call, signal: AbortSignal) {
		this.#deps = deps;
		this.#session = session;
		this.#call = call;
		this.#signal = AbortSignal.any([signal, this.#ended.signal]);
	}

	async *events(): AsyncIterable<StreamEvent> {
		const { clock } = this.#deps;
		const endMs = clock.monotonic() + maxSessionMs;
		const following = this.#session.groups.map((group) => this.#follow(group));
		try {
			// Clients of a protocol without HTTP bindings wait for it (Smithy, "Initial response messages").
			yield jsonEvent("initial-response", {});
			yield jsonEvent("sessionStart", this.#session.start);
			while (!this.#signal.aborted) {
				await clock.sleep(updateMs, this.#signal);
				if (clock.monotonic() >= endMs) throw timedOut();
				yield jsonEvent("sessionUpdate", this.#update());
			}
		} catch (error) {
			if (!this.#signal.aborted) throw error;
		} finally {
			this.#ended.abort();
			await Promise.all(following);
		}
	}

	async #follow(group: string): Promise<void> {
		const logGroupIdentifier = `${this.#call.accountId}:${group}`;
		for await (const event of this.#deps.logs.follow(group, { signal: this.#signal })) {
			if (!this.#session.wants(event)) continue;
			if (this.#waiting.length >= maxWaitingEvents || this.#waitingSize >= maxWaitingSize) {
				this.#isSampled = true;
				continue;
			}
			const { stream: logStreamName, message, timestamp } = event;
			const ingestionTime = this.#deps.clock.now();
			this.#waitingSize += message.length;
			this.#waiting.push({ logStreamName, logGroupIdentifier, message, timestamp, ingestionTime });
		}
	}

	/** Every so many-th event, when there are more than an update may have. */
	#update(): Record<string, unknown> {
		const waiting = this.#waiting;
		const step = Math.max(1, waiting.length / maxUpdateEvents);
		const sampled = this.#isSampled || step > 1;
		this.#waiting = [];
		this.#waitingSize = 0;
		this.#isSampled = false;
		const count = Math.min(waiting.length, maxUpdateEvents);
		const sessionResults = Array.from({ length: count }, (_, i) => waiting[Math.floor(i * step)]!);
		return { sessionMetadata: { sampled }, sessionResults };
	}
}

function timedOut(): AwsError {
	return new AwsError("SessionTimeoutException", 400, "The Live Tail session has been open for three hours.");
}

function jsonEvent(type: string, body: unknown): StreamEvent {
	return { type, contentType: "application/json", body: Buffer.from(JSON.stringify(body)) };
}
