import type { Writable } from "node:stream";
import type { ColdStart } from "./cold-start.ts";

/** One request to a function, and how it ended. */
export interface InvocationRequest {
	/** The request id that the client, the logs and the function's context all see. */
	requestId: string;
	/** JSON text, at most 6 MiB (the front checks). */
	payload: Uint8Array;
	/** The ARN exactly as the caller addressed it. */
	invokedArn: string;
	/** A version or an alias; $LATEST when there is none. */
	qualifier?: string;
	/** Of the payload; application/json when there is none. */
	contentType?: string;
	/** JSON text. */
	clientContext?: string;
	/** JSON text: `{"cognitoIdentityId":…,"cognitoIdentityPoolId":…}`. */
	cognitoIdentity?: string;
	/** X-Ray's header: `Root=…;Parent=…;Sampled=…`. */
	traceId?: string;
	/** What kind of thing asked, in OpenTelemetry's words; "other" where it is left out: a call of the API. */
	trigger?: "http";
	/** Collect the last 4 KB of the log. */
	tail?: boolean;
	/**
	 * The caller takes the answer while it is made. Called at most once, when the runtime begins to stream: what it
	 * returns gets the bytes, with back-pressure, and `end()` when the runtime ended the answer, also when it said at the
	 * end that it failed. An answer that is cut (too large, broken off, past its deadline) has its Writable destroyed,
	 * without an error. A caller that goes away (`close`) does not stop the function. An answer that is not streamed comes
	 * as `InvocationResult.payload` as always.
	 */
	stream?: (head: StreamHead) => Writable;
}

export interface StreamHead {
	/** Of the runtime's answer; application/octet-stream when it named none. */
	contentType: string;
	/** The version that answers. */
	executedVersion: string;
	/** As `InvocationResult.coldStart`. */
	coldStart?: ColdStart | undefined;
}

export interface InvocationResult {
	/** Empty when the answer was streamed and did not fail. */
	payload: Uint8Array;
	/** Set when the function failed: "Unhandled" (lambda-contract 3.6). */
	functionError: "Unhandled" | undefined;
	/** Such as "Runtime.ExitError", "Sandbox.Timedout" or the runtime's own; set with `functionError`. */
	errorType?: string;
	executedVersion: string;
	/** The last 4 KB of START to REPORT, when asked for. */
	logTail: Uint8Array | undefined;
	/** Undefined for an event that found a sandbox of its function initialised. */
	coldStart: ColdStart | undefined;
}
