import type { Socket } from "node:net";
import type { ServiceRevision } from "./service-revision.ts";

/** Room in an instance for one request: what the gateway asks the engine for, for each request. */
export interface RequestAdmission {
	/**
	 * An instance with room, at once when there is one; else the request waits, in order, while instances start.
	 * THROTTLED (reason "QueueFull") past the bound of waiting requests; DEADLINE when none came in time; UNAVAILABLE (reason
	 * "RevisionFailed") when the revision's instances do not start, with what its container said, or (reason "ServiceDisabled") when it
	 * may have none; NOT_FOUND for a revision that is gone. An abort of `signal` takes the request out of the queue.
	 */
	admit(revision: RevisionId, options: AdmitOptions): Promise<AdmittedRequest>;
}

export interface RevisionId {
	namespace: string;
	name: string;
}

export interface AdmitOptions {
	/** The client went away. */
	signal: AbortSignal;
	/** Id of an instance that is to be preferred as long as it has room. */
	preferred?: string | undefined;
}

export interface AdmittedRequest {
	readonly revision: ServiceRevision;
	readonly instance: AdmittingInstance;
	/** Whether an instance had to be started for it; milliseconds that it waited. */
	readonly cold: boolean;
	readonly waitedMs: number;
	/** Exactly once, when the last byte of the answer has gone, a WebSocket has closed or the request has failed. */
	release(outcome: RequestOutcome): void;
}

export interface AdmittingInstance {
	readonly id: string;
	/** A new connection to the ingress container's port. Rejects with the system's error. */
	connect(): Promise<Socket>;
	/** Aborted when the instance stops: connections that are kept for it are of no use any more. */
	readonly gone: AbortSignal;
}

export interface RequestOutcome {
	/** What the client got; undefined when it went away before its answer began. */
	status: number | undefined;
	/** Milliseconds in the container, from its getting the request to the last byte. */
	durationMs: number;
	/** The container itself failed it: no connection, closed early, garbage, no answer in time. */
	failure: "connect" | "closed" | "malformed" | "timeout" | undefined;
	/**
	 * Nobody has heard the request, nothing of its body has been read and the client has no answer: it goes elsewhere, and what
	 * becomes of it is told there.
	 */
	unanswered?: boolean;
}
