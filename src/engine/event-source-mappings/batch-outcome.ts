import type { Batch } from "./batch.ts";
import type { MappingTarget } from "./mapping.ts";
import type { SourceMessage, SourceQueue } from "./ports.ts";

/** What became of a batch. */
export type BatchOutcome =
	/** All but the failed ones are deleted; these come back after their visibility timeout, and so count. */
	| { kind: "done"; failed: ReadonlySet<string>; detail?: FailureDetail | undefined }
	/** Nothing is deleted; all come back after their visibility timeout. */
	| { kind: "failed"; why: string; detail: FailureDetail }
	/** The target has not seen them: back after a while without counting, and the poller waits too. */
	| { kind: "later"; why: string; throttled: boolean; retryAfterMs: number | undefined };

/** What the trail of a failed message has of it. */
export interface FailureDetail extends Record<string, unknown> {
	error: string;
	/** Of the function's invocation, as its log has it. */
	requestId?: string | undefined;
}

export interface BatchRequest {
	batch: Batch;
	queue: SourceQueue;
	target: MappingTarget;
	reportsItemFailures: boolean;
	/** Messages that go no further because of a loop; the poller moves them to the dead letters. */
	onLoop: (messages: SourceMessage[], why: string) => Promise<void>;
}

/** Brings batches to one kind of target. Never rejects. */
export interface BatchDelivery {
	deliver(request: BatchRequest, signal: AbortSignal): Promise<BatchOutcome>;
}
