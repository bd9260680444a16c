import type { Socket } from "node:net";
import type { Workload } from "./workload.ts";

/** Starts workloads: one instance is one set of a workload's containers. engine/instances makes it of sandboxes. */
export interface InstanceHost {
	/** At once; what goes wrong is in `ready` and `ended`. */
	start(options: InstanceOptions): Instance;
}

export interface InstanceOptions {
	/** Unique on the machine, `[a-z0-9-]{1,40}`. */
	id: string;
	workload: Workload;
	/** What the contract adds to a container's environment (PORT is added for the ingress container by the host itself). */
	environment: (container: string) => Readonly<Record<string, string>>;
	/** Where its output goes: one stream for each container. */
	log: { group: string; stream: (container: string) => string };
	/**
	 * What happens to a container that ends or fails its liveness probe: it is started again with a back-off (10 s doubled up
	 * to 5 minutes, as Kubernetes has it; the first time at once), or the instance has ended. The main container is the ingress
	 * container or else the first; the network is its own, so that its restart is one of all. "others": its end is the
	 * instance's, the others are restarted in place. "never": so is the end of another that fails; one that ends with 0 is done.
	 */
	restart: "always" | "others" | "never";
	/** Served to its containers at metadata.google.internal (169.254.169.254:80); absent: nobody answers there. */
	onMetadata?: (socket: Socket) => void;
}

export interface Instance {
	readonly id: string;
	/** `starting` until every startup probe has succeeded; `unready` while a readiness probe fails. */
	readonly state: "starting" | "ready" | "unready" | "stopping" | "ended";
	/** Resolves when it is ready for the first time; rejects with INVALID_IMAGE, EXHAUSTED, SANDBOX_FAILED or UNAVAILABLE (reason "ContainerExited" or "ProbeFailed"; the message has the exit code and the last lines). */
	readonly ready: Promise<void>;
	/** Resolves once, when nothing of it is left, and after `ready` has settled. Never rejects. */
	readonly ended: Promise<InstanceEnd>;
	/** Times at which it went from one state to another, for metrics. */
	onState(listener: (state: Instance["state"]) => void): void;
	/** A new connection to the ingress container's port. */
	connect(): Promise<Socket>;
	/** Aborted when it begins to stop or has ended. */
	readonly gone: AbortSignal;
	/** CPU withheld; probes thaw it for as long as they take. Idempotent. */
	freeze(): Promise<void>;
	thaw(): Promise<void>;
	/** SIGTERM, `graceMs` (the workload's by default), SIGKILL. Resolves with `ended`. Idempotent; a second call with less time hurries it. */
	stop(graceMs?: number): Promise<InstanceEnd>;
	/** Of all containers. */
	stats(): Promise<{ memoryBytes: number; cpuUs: number }>;
}

export interface InstanceEnd {
	/** Of the container whose end was that of the instance, or of the main container. */
	container: string;
	code: number | undefined;
	signal: string | undefined;
	oomKilled: boolean;
	/** It was asked to. */
	stopped: boolean;
	restarts: number;
}
