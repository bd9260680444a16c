import type { Socket } from "node:net";
import type { Probe } from "./workload.ts";

/** Asks a container how it is, in the way of a check: what the contracts know of HTTP and gRPC, and programs. */
export interface ProbeRunner {
	/**
	 * Once. Undefined when it is well, else why not. Never rejects; has ended after `timeoutMs` or with an abort of
	 * `signal`, and leaves neither a connection nor a program behind.
	 */
	run(check: Probe["check"], target: ProbeTarget): Promise<ProbeFailure | undefined>;
}

export interface ProbeTarget {
	/** A new connection to a port of the container. Rejects with the system's error. */
	connect(port: number): Promise<Socket>;
	/** Exit code of a program that is run in the container; undefined when a signal ended it. An abort kills it. */
	exec(command: readonly string[], signal: AbortSignal): Promise<number | undefined>;
	timeoutMs: number;
	signal: AbortSignal;
}

export interface ProbeFailure {
	/** "refused": nobody listens on the port yet. */
	kind: "refused" | "unwell" | "timeout";
	/** For people: "HTTP GET /healthz on port 8080 answered 503". */
	message: string;
}
