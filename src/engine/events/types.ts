/** What people are shown of the message log: the native API's and the command line's words. */
import type { LaneKind } from "../../core/delivery/lane-name.ts";
import type { LogFault } from "../../core/message-log/message-log.ts";

export interface LaneView {
	lane: string;
	kind: LaneKind;
	/** `function orders`, `queue orders`, `rule default/r1 -> t`. */
	name: string;
	/** Waiting, and could be delivered now. */
	ready: number;
	/** Waiting for their time; of what is delivered by the platform itself these are the ones that are tried again (`retrying`). */
	delayed: number;
	retrying: number;
	inFlight: number;
	/** All of a lane that dead letters go to; 0 for any other. */
	dead: number;
	/** Of bodies. */
	bytes: number;
	/** Epoch milliseconds. */
	oldestSentMs?: number;
}

export interface EventsOverview {
	lanes: LaneView[];
	total: Pick<LaneView, "ready" | "delayed" | "retrying" | "inFlight" | "dead" | "bytes">;
	/** Messages whose bytes are damaged, which are never delivered. */
	faults: number;
}

export type EventState = "ready" | "delayed" | "retrying" | "in-flight" | "blocked" | "dead";

export interface EventView {
	id: string;
	/** Of the event that this one came of. */
	correlation?: string;
	lane: string;
	name: string;
	sequence: number;
	state: EventState;
	sentMs: number;
	/** When a delayed one is ready, or its lease ends. */
	dueMs?: number;
	attempts: number;
	/** Bytes of the body. */
	size: number;
	group?: string;
	/** What its owner remembers of its failures. */
	note?: unknown;
	/** The lane that it was moved here from. */
	origin?: string;
	/** Where it was asked for: text, or base64 where it is none. */
	body?: string;
	bodyEncoding?: "utf8" | "base64";
	/** The body is longer than what is shown of it. */
	truncated?: boolean;
}

export type StepKind = "sent" | "delivered" | "retry" | "moved" | "dead" | "expired" | "dropped" | "lapsed";

export interface EventStep {
	atMs: number;
	id: string;
	lane: string;
	name: string;
	step: StepKind;
	/** From 1; of what was an attempt. */
	attempt?: number;
	/** Where it went, of "moved". */
	to?: string;
	/** It has been there before: a dead letter that was sent back. */
	back?: boolean;
	/** Request id, error, … */
	detail?: Record<string, unknown>;
}

export interface EventStory {
	id: string;
	/** Of all that came of it: "delivered" when nothing of it is left to do. */
	state: EventState | "delivered" | "expired" | "dropped";
	/** Everything that happened, in the order of time. */
	steps: EventStep[];
	/** What is still in the log. */
	present: EventView[];
	/** There is more than is shown. */
	truncated: boolean;
}

export interface ListRequest {
	lane: string;
	limit: number;
	state?: EventState | undefined;
	/** Sequences above it. */
	after?: number | undefined;
	fromMs?: number | undefined;
	toMs?: number | undefined;
	/** Bytes of each body that are shown; none where it is left out. */
	bodyBytes?: number | undefined;
}

export interface ReplayRequest {
	lane: string;
	/** Only these. */
	ids?: readonly string[] | undefined;
	/** Only what was sent in this time. */
	fromMs?: number | undefined;
	toMs?: number | undefined;
	/** ARN: not to where they came from, but there. */
	target?: string | undefined;
	max?: number | undefined;
}

export interface ReplayResult {
	replayed: number;
	/** How many stay where they are, and why, the first of them. */
	kept: number;
	problems: { id: string; problem: string }[];
	/** Of an archive: the replay that has begun. */
	replay?: string;
}

export type { LogFault };
