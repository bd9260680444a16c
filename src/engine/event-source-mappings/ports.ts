/** What event source mappings need of others. */
import type { InvocationRequest, InvocationResult } from "../../core/invocation/invocation.ts";
import type { MessageLog } from "../../core/message-log/message-log.ts";

/** A queue as far as a mapping has to know it. */
export interface SourceQueue {
	name: string;
	arn: string;
	fifo: boolean;
	settings: {
		/** Seconds. */
		visibilityTimeoutS: number;
		redrivePolicy?: { deadLetterTargetArn: string } | undefined;
	};
}

/** A message in hand, leased for the queue's visibility timeout. */
export interface SourceMessage {
	/** The message id that senders and functions see. */
	id: string;
	body: string;
	groupId?: string | undefined;
	/** AWSTraceHeader. */
	traceHeader?: string | undefined;
	sentMs: number;
	/** This time included. */
	receiveCount: number;
	/** Of its lease in the message log. */
	token: string;
}

/** Queues as sources; engine/queues/queues.ts fits. Names are the queues' own. */
export interface SourceQueues {
	/** Asked often; reads no store. */
	find(name: string): SourceQueue | undefined;
	/**
	 * The oldest that may be had, in their order, each for the queue's visibility timeout, or `atLeastS` seconds if that is shorter.
	 * NOT_FOUND for a queue that is gone.
	 */
	lease(name: string, options: { max: number; maxBytes: number; atLeastS: number }): Promise<SourceMessage[]>;
	/** Deletes them in one commit; those whose lease has ended are left alone: somebody else has them. */
	settleDone(messages: readonly SourceMessage[]): Promise<void>;
	/** To be had again after the delay; with `counts: false` as if they had not been received. Ended leases are left alone. */
	release(messages: readonly SourceMessage[], delayMs: number, options: { counts: boolean }): Promise<void>;
	/** One of the event's `Records` (lambda-contract 6.1). */
	lambdaRecord(message: SourceMessage): Record<string, unknown>;
}

/** The lanes of queues: to hear of messages, to count them, and to move those that no function may have. */
export type QueueLog = Pick<MessageLog, "watch" | "counts" | "commit">;

/** Lanes of queues are named so. */
export const queueLanes = "sqs/";

export interface MappedFunction {
	name: string;
	/** Unqualified. */
	arn: string;
	timeoutS: number;
	/** Undefined: shares what is unreserved. */
	reservedConcurrency: number | undefined;
	recursiveLoop: "Terminate" | "Allow";
}

/** Functions as targets. */
export interface MappedFunctions {
	/** Undefined when the function, or its version or alias, is not there. Asked for each batch: reads no store. */
	find(name: string, qualifier: string | undefined): MappedFunction | undefined;
	/** As Dispatcher.invoke: NOT_FOUND, CONFLICT, THROTTLED, … */
	invoke(name: string, request: InvocationRequest): Promise<InvocationResult>;
}
