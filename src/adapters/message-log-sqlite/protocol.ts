/** What the main thread and the log's thread say to each other. */
import type { WireError } from "../../base/wire-error.ts";
import type { Append, Extend, LogFault, Settle } from "../../core/message-log/message-log.ts";

/** Headers as JSON and body are bytes `from` to `to` of the batch's contents. */
export type WireAppend = Omit<Append, "body" | "headers"> & { from: number; to: number; headersBytes: number };
export type WireChange = WireAppend | Settle | Extend;

export interface Call {
	method: string;
	parameters: unknown[];
}

/** Calls that came at the same time. */
export interface Batch {
	nowMs: number;
	calls: Call[];
	contents: Uint8Array<ArrayBuffer>;
}

export type Outcome = { value: unknown } | { error: WireError };

/** Of one or several batches that shared a commit. */
export interface BatchResult {
	/** Of each call, in the order in which they were sent. */
	outcomes: Outcome[];
	/** Lanes where messages may have become ready. */
	readied: string[];
	/** When the clock has something to do; undefined for never. Milliseconds since the epoch. */
	nextDueMs: number | undefined;
	faults: LogFault[];
	/** Milliseconds that COMMIT took, or undefined when nothing was written. */
	commitMs: number | undefined;
	/** The disk failed, and the file was opened anew. */
	recovered: boolean;
}

export type Message = { ready: BatchResult } | { failed: WireError } | { result: BatchResult };
