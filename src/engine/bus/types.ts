/** What the bus keeps: documents of the resource store, held in memory. Shapes follow the EventBridge API. */
import type { TargetInput } from "../../core/input-transformer/input-transformer.ts";

export const defaultBus = "default";

export interface EventBusRecord {
	name: string;
	description?: string | undefined;
	kmsKeyIdentifier?: string | undefined;
	/** ARN of a queue; kept, as PutEvents never fails after its answer here. */
	deadLetterArn?: string | undefined;
	/** Policy statements by their Sid: kept and returned, not evaluated. */
	policy: Record<string, Record<string, unknown>>;
	tags: Record<string, string>;
	createdMs: number;
	modifiedMs: number;
}

export interface RuleRecord {
	bus: string;
	name: string;
	/** JSON text, as it was given. */
	eventPattern?: string | undefined;
	/** `rate(…)` or `cron(…)`, on the default bus only. */
	scheduleExpression?: string | undefined;
	enabled: boolean;
	description?: string | undefined;
	roleArn?: string | undefined;
	tags: Record<string, string>;
	targets: TargetRecord[];
	createdMs: number;
	/** When its schedule or state was last changed: a rate counts from here. */
	scheduledSinceMs: number;
}

export interface TargetRecord extends TargetInput {
	id: string;
	arn: string;
	roleArn?: string | undefined;
	/** For a FIFO queue. */
	messageGroupId?: string | undefined;
	http?: HttpParameters | undefined;
	retry?: RetryPolicy | undefined;
	deadLetterArn?: string | undefined;
}

export interface HttpParameters {
	/** Fill the asterisks of the target's path, in order. */
	pathValues?: readonly string[] | undefined;
	headers?: Readonly<Record<string, string>> | undefined;
	query?: Readonly<Record<string, string>> | undefined;
}

export interface RetryPolicy {
	/** 0 to 185; 185 where it is left out. */
	maxAttempts?: number | undefined;
	/** Seconds, 60 to 86,400; 86,400 where it is left out. */
	maxAgeS?: number | undefined;
}

export interface ArchiveRecord {
	name: string;
	/** The bus whose events it keeps. */
	bus: string;
	description?: string | undefined;
	/** JSON text; all events without one. */
	eventPattern?: string | undefined;
	/** 0: for good. */
	retentionDays: number;
	createdMs: number;
}

export type ReplayState = "STARTING" | "RUNNING" | "CANCELLING" | "COMPLETED" | "CANCELLED" | "FAILED";

export interface ReplayRecord {
	name: string;
	description?: string | undefined;
	archive: string;
	bus: string;
	/** Names of the rules that get the events; all where it is left out. */
	rules?: readonly string[] | undefined;
	/** Epoch milliseconds, when the archive took the events: from and to included. */
	fromMs: number;
	toMs: number;
	state: ReplayState;
	stateReason?: string | undefined;
	/** Sequence in the archive of the last event that was replayed. */
	after: number;
	replayed: number;
	lastEventMs?: number | undefined;
	startedMs: number;
	endedMs?: number | undefined;
}

/** An event for a bus. */
export interface BusEvent {
	/** Kept; a new one where it is left out. */
	id?: string | undefined;
	source: string;
	detailType: string;
	/** JSON text of an object. */
	detail: string;
	/** Epoch milliseconds; now where it is left out. */
	time?: number | undefined;
	resources?: readonly string[] | undefined;
	/** X-Ray's header. */
	traceId?: string | undefined;
	/** Attributes of the CloudEvent that it came as (cloud-event-mapping.ts): services get them back. */
	cloudEvent?: Record<string, unknown> | undefined;
	/** Names of the buses that it has been on before. */
	buses?: readonly string[] | undefined;
}

/** Codes and words are those of PutEvents' result entries. */
export type PublishResult = { id: string } | { error: { code: string; message: string } };

/** The event as rules match it and targets get it. */
export interface Envelope {
	id: string;
	/** JSON text, and the same parsed. */
	text: string;
	value: Record<string, unknown>;
	source: string;
	detailType: string;
}

/** What a message of a target's lane carries beside the envelope. */
export interface EventHeaders {
	/** Epoch milliseconds when the bus took it. */
	ingestedMs: number;
	traceId?: string | undefined;
	cloudEvent?: Record<string, unknown> | undefined;
	buses?: readonly string[] | undefined;
}

/** Counts since the start. */
export interface BusStatistics {
	/** Events that were published, replayed or fired. */
	accepted: number;
	/** Accepted ones that no rule and no archive took. */
	unmatched: number;
	delivered: number;
	retried: number;
	/** Given to a dead-letter queue. */
	deadLettered: number;
	/** Given up without one. */
	dropped: number;
}
