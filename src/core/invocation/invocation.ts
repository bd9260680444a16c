/** One request to a function, and how it ended. */
export interface InvocationRequest {
	/** The request id that the client, the logs and the function's context all see. */
	requestId: string;
	/** JSON text, at most 6 MiB (the front checks). */
	payload: Uint8Array;
	/** The ARN exactly as the caller addressed it. */
	invokedArn: string;
	/** Base64-decoded JSON. */
	clientContext?: string;
	traceId?: string;
	/** Collect the last 4 KB of the log. */
	tail?: boolean;
}

export interface InvocationResult {
	payload: Uint8Array;
	/** Set when the function failed: "Unhandled" (lambda-contract 3.6). */
	functionError: "Unhandled" | undefined;
	executedVersion: string;
	/** The last 4 KB of START to REPORT, when asked for. */
	logTail: Uint8Array | undefined;
	/** Undefined on a warm invocation. */
	coldStart: ColdStart | undefined;
}

/** Milliseconds of each stage of a cold start. */
export interface ColdStart {
	sandboxMs: number;
	initMs: number;
}
