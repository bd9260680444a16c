/** What the native API asks of the parts that keep and deliver events. */
import type { BusEvent, PublishResult } from "../../engine/bus/types.ts";
import type { CreateMapping, MappingView } from "../../engine/event-source-mappings/mapping.ts";
import type { Events } from "../../engine/events/events.ts";
import type { MoveTask } from "../../engine/queues/move-task.ts";
import type { NewMessage, Queue, QueueMessage, ReceiveOptions, SentMessage } from "../../engine/queues/types.ts";
import type { ScheduleRecord, ScheduleSpec } from "../../engine/schedules/schedule-record.ts";

/** engine/queues' `Queues` fits. */
export interface ApiQueues {
	/** NOT_FOUND. */
	get(name: string): Queue;
	list(prefix?: string): Queue[];
	/** INVALID for an ARN that is no queue's of this installation. */
	nameOf(arn: string): string;
	/** Those whose dead letters come to it. */
	deadLetterSources(name: string): Queue[];
	url(name: string, host?: string): string;
	/** With SQS's attribute names. INVALID, ALREADY_EXISTS. */
	create(name: string, attributes: Record<string, string>, tags?: Record<string, string>): Promise<Queue>;
	delete(name: string): Promise<void>;
	counts(
		name: string,
	): Promise<{ visible: number; delayed: number; inFlight: number; oldestSentMs?: number | undefined }>;
	send(name: string, message: NewMessage): Promise<SentMessage>;
	receive(name: string, options?: ReceiveOptions): Promise<QueueMessage[]>;
	deleteMessage(name: string, receiptHandle: string): Promise<void>;
	/** Without taking them. */
	peek(
		name: string,
		options: { limit: number; state?: QueueMessage["state"] | undefined; after?: number | undefined },
	): Promise<QueueMessage[]>;
	/** How many. */
	purge(name: string, options?: { force?: boolean }): Promise<number>;
	startMoveTask(options: {
		sourceArn: string;
		destinationArn?: string | undefined;
		maxPerSecond?: number | undefined;
	}): Promise<MoveTask>;
	moveTasks(sourceArn: string): MoveTask[];
}

/** Of queues to functions and services: engine/event-source-mappings' `EventSourceMappings` fits. */
export interface ApiMappings {
	create(input: CreateMapping): Promise<MappingView>;
	/** NOT_FOUND. */
	get(uuid: string): MappingView;
	list(filter?: { source?: string | undefined }): MappingView[];
	update(uuid: string, changes: { enabled: boolean }): Promise<MappingView>;
	delete(uuid: string): Promise<MappingView>;
}

export interface BrokerTrigger {
	name: string;
	source: Readonly<Record<string, string>> & { connection: string };
	target: string;
	enabled: boolean;
}

export interface BrokerTriggerStatus {
	name: string;
	state: string;
	message?: string | undefined;
	sinceMs: number;
	nextAttemptMs?: number | undefined;
	inHand: number;
	counters: object;
}

/** Of brokers: engine/triggers' `Triggers` fits. */
export interface ApiTriggers {
	apply(document: unknown): Promise<BrokerTrigger>;
	/** NOT_FOUND. */
	get(name: string): BrokerTrigger;
	list(): BrokerTrigger[];
	remove(name: string): Promise<void>;
	pause(name: string): Promise<BrokerTrigger>;
	resume(name: string): Promise<BrokerTrigger>;
	status(name: string): BrokerTriggerStatus;
}

export interface BrokerConnection {
	name: string;
	kind: string;
	url: string;
}

/** Of brokers: engine/triggers' `Connections` fits. */
export interface ApiConnections {
	apply(document: unknown): Promise<BrokerConnection>;
	get(name: string): BrokerConnection;
	list(): BrokerConnection[];
	remove(name: string): Promise<void>;
}

/** engine/schedules' `Schedules` fits. */
export interface ApiSchedules {
	create(group: string, name: string, spec: ScheduleSpec, clientToken: string): Promise<ScheduleRecord>;
	list(): ScheduleRecord[];
	delete(group: string, name: string): Promise<void>;
	nextTick(group: string, name: string): number | undefined;
}

/** engine/bus' `Bus` fits. */
export interface ApiBus {
	listBuses(): { name: string; createdMs: number }[];
	listRules(bus: string): unknown[];
	publish(bus: string, events: readonly BusEvent[]): Promise<PublishResult[]>;
}

/** Of the message log, since the start. */
export interface LogStats {
	commits: number;
	/** Calls that shared them. */
	calls: number;
	commitSeconds: { sum: number; count: number };
	faults: number;
	fileBytes: number;
	walBytes: number;
	/** Calls that wait. */
	pending: number;
}

export interface ApiDelivery {
	events: Pick<Events, "overview" | "lane" | "list" | "story" | "replay" | "purge" | "faults">;
	/** An event for a function, on the disk when it resolves: its request id. NOT_FOUND, TOO_LARGE. */
	invokeLater(name: string, event: { payload: Uint8Array; qualifier: string | undefined }): Promise<string>;
	queues: ApiQueues;
	mappings: ApiMappings;
	triggers: ApiTriggers;
	connections: ApiConnections;
	schedules: ApiSchedules;
	bus: ApiBus;
	/** Of the message log's commits. */
	logStats(): LogStats;
	/** Of asynchronous invocations, by function. */
	asyncCounts(): ({ function: string } & Partial<Record<AsyncOutcome, number>>)[];
	region: string;
	accountId: string;
}

export const asyncOutcomes = [
	"accepted",
	"succeeded",
	"failed",
	"retried",
	"expired",
	"throttled",
	"deadLettered",
	"dropped",
] as const;
export type AsyncOutcome = (typeof asyncOutcomes)[number];
