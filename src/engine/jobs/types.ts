import type { Socket } from "node:net";
import type { Clock } from "../../base/clock.ts";
import type { Ids } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import type { Digest } from "../../core/image/digest.ts";
import type { Execution, Job, RunOverrides, Task, WorkerPool } from "../../core/job/job.ts";
import type { ResourceStore } from "../../core/resource/resource-store.ts";
import type { Instance, InstanceHost } from "../../core/workload/instance.ts";
import type { FunctionImages } from "../functions/function-images.ts";
import type { InstanceSlots } from "../serving/instance-slots.ts";

export interface JobsDeps {
	store: ResourceStore;
	images: Pick<FunctionImages, "resolve" | "prepare">;
	instances: InstanceHost;
	/** Shared with services: a task waits for one, an instance of a worker is tried again. */
	slots: InstanceSlots;
	/** What answers the containers at the addresses that the runtime contract names; what is left out answers nobody. */
	contract?: {
		onMetadata?: (instanceId: string) => (socket: Socket) => void;
	};
	/** Of this machine. */
	architecture: "x86_64" | "arm64";
	clock: Clock;
	ids: Ids;
	log: Log;
}

/** One instance, for `slipway ps`. */
export interface InstanceOfWorkload {
	id: string;
	namespace: string;
	/** Of the job or the worker pool. */
	name: string;
	/** The worker pool's revision, or EXECUTION/TASK. */
	part: string;
	state: Instance["state"];
	/** Milliseconds since the epoch. */
	startedMs: number;
	memoryBytes: number;
	cpuUs: number;
}

/** An image that may not be collected. */
export interface ImageInUse {
	manifestDigest: Digest;
	diffIds: readonly Digest[];
	/** "job default/report" */
	user: string;
}

/**
 * The use cases of jobs. Errors: INVALID (reason "Invalid"; the message names field, value and what is allowed), NOT_FOUND,
 * INVALID_IMAGE, THROTTLED, CONFLICT, EXHAUSTED. What changes something is on the disk before it resolves.
 */
export interface JobUseCases {
	/** Create or replace; nothing of `manifest` has been checked. Its images are resolved: executions run these digests. */
	apply(namespace: string, manifest: unknown, options: { user: string }): Promise<Job>;
	job(namespace: string, name: string): Job;
	jobs(namespace?: string): Job[];
	/** With its executions; those that run are ended. */
	delete(namespace: string, name: string): Promise<void>;
	/** Begins an execution and does not wait for it. `overrides` as `readOverrides` makes them. */
	run(namespace: string, name: string, overrides?: RunOverrides): Promise<Execution>;
	execution(namespace: string, name: string): Execution;
	/** The newest first. */
	executions(namespace: string, job: string): Execution[];
	/** Those that have begun, by index. */
	tasks(namespace: string, execution: string): Task[];
	/** Its running tasks are stopped; CONFLICT when it is over. Resolves before they have ended. */
	cancel(namespace: string, execution: string): Promise<Execution>;
	/** CONFLICT while it runs. */
	deleteExecution(namespace: string, execution: string): Promise<void>;
	/** The execution now and after each change, until it is over, deleted, or the signal aborts. */
	watch(namespace: string, execution: string, signal: AbortSignal): AsyncIterable<Execution>;
	/** Tasks that run now. */
	instances(): Promise<InstanceOfWorkload[]>;
}

export interface WorkerUseCases {
	/** Create or replace. Instances of the new revision take the place of the old ones one by one. */
	apply(namespace: string, manifest: unknown, options: { user: string }): Promise<WorkerPool>;
	worker(namespace: string, name: string): WorkerPool;
	workers(namespace?: string): WorkerPool[];
	/** INVALID beyond 0 to 100. */
	scale(namespace: string, name: string, instances: number): Promise<WorkerPool>;
	delete(namespace: string, name: string): Promise<void>;
	/** The pool now and after each change, until it is deleted or the signal aborts. */
	watch(namespace: string, name: string, signal: AbortSignal): AsyncIterable<WorkerPool>;
	instances(): Promise<InstanceOfWorkload[]>;
}
