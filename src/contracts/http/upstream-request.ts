/** What the two protocols to a container have in common. */
import type { RequestOutcome } from "../../core/service/request-admission.ts";
import type { BodySink } from "./proxy-body.ts";

export interface UpstreamHead {
	method: string;
	/** With its query. */
	path: string;
	/** End-to-end headers as Node has raw ones, Host first. */
	headers: string[];
	/** Bytes of the body; "chunked": it ends when it ends; undefined: there is none. */
	body: number | "chunked" | undefined;
	/** The client said that it takes trailers, which gRPC servers insist on. */
	takesTrailers: boolean;
}

export type UpstreamFailure = Extract<RequestOutcome["failure"], "connect" | "closed" | "malformed">;

/** What comes back, in this order. Nothing more after `end`, `refused` or `failed`. */
export interface UpstreamEvents {
	/** The container is there and has the head: its body may come. Not for a request without one. */
	ready(): void;
	informational(status: number, raw: readonly string[]): void;
	/** `length`: of the body, where it was announced, or 0 where the head was all (gRPC's "Trailers-Only"). */
	head(status: number, reason: string, raw: readonly string[], length: number | undefined): void;
	/** False: wait for `onceDrained`. */
	data(chunk: Buffer): boolean;
	onceDrained(callback: () => void): void;
	end(trailers: readonly string[]): void;
	/** The protocol has no way to say this request; the container has heard nothing. */
	refused(message: string): void;
	/** `code`: HTTP/2's, for a client that speaks it too. */
	failed(failure: UpstreamFailure, message: string, code?: number): void;
}

/** A body is taken from `ready` on. */
export interface UpstreamRequest extends BodySink {
	/** Once. */
	start(): void;
	/** Nobody waits for the answer any more. Idempotent; no event follows. `code`: HTTP/2's, CANCEL by default. */
	cancel(code?: number): void;
}
