import type { LogChange } from "../message-log/message-log.ts";

/** What hands an event on: a destination of a function, a rule, a schedule, a trigger. */
export interface Delivery {
	/** Of the new message; the request id that the function sees. */
	id: string;
	/** Id of the event that it came of. */
	correlation: string;
	/** As the target gets it: JSON text, unless the source says another thing. */
	body: Uint8Array;
	/** ARN of the rule, schedule, function, … that sends. */
	sourceArn: string;
	/** X-Ray's header with its Lineage (core/invocation/lineage.ts): hops are counted in it. */
	traceId?: string | undefined;
	/** For a FIFO queue. */
	messageGroupId?: string | undefined;
	/** SQS message attributes, where the target is a queue: DLQs tell the error so. */
	attributes?: Readonly<Record<string, { dataType: "String" | "Number"; value: string }>> | undefined;
	/** For a call over HTTP: path and headers of its own (CloudEvents in binary mode); POST / application/json without them. */
	http?: { path?: string; headers: Readonly<Record<string, string>> } | undefined;
	/** For a bus: what its own record of the event says; `cloudEvent` is what buses keep of one. The body is the detail. */
	event?:
		| {
				source: string;
				detailType: string;
				resources: readonly string[];
				time?: number;
				cloudEvent?: Record<string, unknown>;
				/** Names of the buses that it has been on, the one that sends it last. */
				buses?: readonly string[];
		  }
		| undefined;
}

/** Gives a payload over to a durable target, as part of the commit that settles it at its source; or calls one that is not. */
export type Handover =
	| { kind: "append"; changes: LogChange[] }
	/** The caller's lease stays until it has resolved. Never rejects. */
	| { kind: "call"; run(signal: AbortSignal): Promise<CallOutcome> };

export type CallOutcome =
	| { ok: true; status: number; headers: Readonly<Record<string, string>>; body: Uint8Array }
	/** `permanent`: trying again is of no use (the target is gone, or has refused the event for good). */
	| { ok: false; permanent: boolean; code: string; message: string; retryAfterMs?: number };

/** One kind of thing that can be a target: queues, functions, buses, services. Asked for each event: reads no store. */
export interface TargetKind {
	/** Whether ARNs of this form are its own, there or not. */
	owns(arn: string): boolean;
	/** Throws INVALID or NOT_FOUND, in words for whoever configures it, for what could not be a target now. */
	check(arn: string): void;
	/** NOT_FOUND when it is not there any more. */
	handOver(arn: string, delivery: Delivery): Handover;
}

/** All kinds together; engine/delivery/targets.ts. INVALID for an ARN that is nobody's. */
export interface Targets {
	check(arn: string): void;
	handOver(arn: string, delivery: Delivery): Handover;
}
