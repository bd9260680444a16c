import type { BrokerKind } from "../event-source/event-source.ts";

/** How to reach an outside broker, as its owner wrote it. */
export interface Connection {
	name: string;
	kind: BrokerKind;
	/** Without a password. */
	url: string;
	password?: SecretValue;
	tls?: {
		/** PEM text of the authorities that the broker's certificate may come of. */
		ca?: string;
	};
}

/** By value; a variable of the daemon's environment, its name beginning `SLIPWAY_SECRET_`; a file's name in the home's folder secrets. */
export type SecretValue = { value: string } | SecretReference;
export type SecretReference = { env: string } | { secret: string };

/** What takes messages of a broker and hands them to a target. */
export interface Trigger {
	name: string;
	/** Of connection's kind. */
	source: { connection: string } & Readonly<Record<string, string>>;
	/** ARN. */
	target: string;
	/**
	 * "durable": acknowledged at the broker when it is in our log, delivered from there. "direct": acknowledged when the target has
	 * done it.
	 */
	delivery: "durable" | "direct";
	/** In the broker's order, one at a time; one that fails holds up those behind it. */
	ordered: boolean;
	enabled: boolean;
	/** An event pattern over {data, headers, subject}: what does not match is acknowledged and dropped. */
	filter?: Readonly<Record<string, unknown>>;
	/**
	 * Messages taken together; with "direct" a function gets them in one event. `windowMs`: how long to wait for more.
	 * `itemFailures`: its answer names those that failed (ReportBatchItemFailures).
	 */
	batch: { size: number; windowMs: number; itemFailures?: true };
	/** Messages of the broker in hand at once. */
	prefetch: number;
	/** Deliveries at once. */
	concurrency: number;
	retry: { maxAttempts: number; maxAgeMs: number };
	/** A queue's ARN, or "broker": the broker's own way. Without it: the lane `deadLetterLane(name)`. */
	deadLetter?: string;
}

export const connectionKind = "broker-connection";
export const triggerKind = "trigger";
export const triggerLanes = "triggers/";

export function triggerLane(name: string): string {
	return `${triggerLanes}${name}`;
}

export function deadLetterLane(name: string): string {
	return `dead-letters/triggers/${name}`;
}

export interface TriggerCounters {
	/** Given by the broker, again or not. */
	received: number;
	/** Not matched by the filter. */
	filtered: number;
	/** Of ids that the lane has had. */
	duplicates: number;
	/** Committed to the log. */
	accepted: number;
	delivered: number;
	/** Tries that failed. */
	failed: number;
	deadLettered: number;
	/** Given back to the broker. */
	released: number;
	/** Connections that were lost or could not be made. */
	reconnects: number;
}

export interface TriggerStatus {
	name: string;
	state: "disabled" | "connecting" | "connected" | "error";
	/** Of "error": what the broker or the network said. */
	message: string | undefined;
	/** Epoch milliseconds. */
	sinceMs: number;
	/** Of "error": when it is tried again. */
	nextAttemptMs: number | undefined;
	/** Messages of the broker that have no answer yet. */
	inHand: number;
	counters: TriggerCounters;
}
