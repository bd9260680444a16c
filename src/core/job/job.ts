/** Objects of run.googleapis.com/v1 as they are on the wire, reduced to what is accepted here (http-contracts 1.7, 1.12). */
import type { Condition, Container, ObjectMeta, Volume } from "../service/knative.ts";

interface RunObject<Kind extends string, Spec, Status> {
	apiVersion: "run.googleapis.com/v1";
	kind: Kind;
	metadata: ObjectMeta;
	spec: Spec;
	status: Status;
}

export type Job = RunObject<"Job", JobSpec, JobStatus>;
export type Execution = RunObject<"Execution", ExecutionSpec, ExecutionStatus>;
export type Task = RunObject<"Task", TaskSpec, TaskStatus>;
export type WorkerPool = RunObject<"WorkerPool", WorkerPoolSpec, WorkerPoolStatus>;

export interface JobSpec {
	template: { metadata: TemplateMeta; spec: ExecutionSpec };
}

export interface TemplateMeta {
	labels: Record<string, string>;
	annotations: Record<string, string>;
}

export interface ExecutionSpec {
	/** Tasks at a time; 0: as many as the machine takes (`maxParallelTasks`). */
	parallelism: number;
	/** 1 to 10,000. */
	taskCount: number;
	template: { spec: TaskSpec };
}

export interface TaskSpec {
	containers: Container[];
	volumes?: Volume[];
	/** 0 to 10. */
	maxRetries: number;
	/** Of one attempt: 1 to 86,400. */
	timeoutSeconds: number;
	serviceAccountName?: string;
}

export interface JobStatus {
	observedGeneration: number;
	conditions: Condition[];
	/** Executions that have begun, deleted ones too. */
	executionCount: number;
	latestCreatedExecution?: { name: string; creationTimestamp: string; completionTimestamp?: string };
	imageDigests: Record<string, string>;
}

/** An image that is made ready before anything of it can start; Cloud Run's objects have no such field. */
export interface ImageProgress {
	stage: "pull" | "unpack";
	image: string;
	/** Bytes. */
	done: number;
	total: number;
}

export interface ExecutionStatus {
	observedGeneration: number;
	conditions: Condition[];
	progress?: ImageProgress;
	startTime?: string;
	completionTime?: string;
	runningCount: number;
	succeededCount: number;
	failedCount: number;
	cancelledCount: number;
	retriedCount: number;
	imageDigests: Record<string, string>;
}

export interface TaskStatus {
	index: number;
	phase: "waiting" | "running" | "succeeded" | "failed" | "cancelled";
	startTime?: string;
	completionTime?: string;
	/** Attempts after the first. */
	retried: number;
	lastAttemptResult?: { exitCode?: number; reason: string; message: string };
	/** Of its newest attempt. */
	logStream?: string;
}

export interface WorkerPoolSpec {
	template: {
		metadata: TemplateMeta;
		spec: { containers: Container[]; volumes?: WorkerVolume[]; terminationGracePeriodSeconds: number };
	};
}

/** `persistentVolumeClaim` as Kubernetes has it: a folder of the daemon's that outlives the worker's instances. */
export type WorkerVolume = Volume & { persistentVolumeClaim?: { claimName: string } };

export interface WorkerPoolStatus {
	observedGeneration: number;
	conditions: Condition[];
	progress?: ImageProgress;
	latestCreatedRevisionName: string;
	latestReadyRevisionName?: string;
	/** Asked for (run.googleapis.com/manualInstanceCount). */
	desiredInstances: number;
	readyInstances: number;
	imageDigests: Record<string, string>;
	instances: WorkerInstanceStatus[];
}

export interface WorkerInstanceStatus {
	id: string;
	revision: string;
	state: "starting" | "ready" | "unready" | "stopping" | "ended";
	startTime: string;
	logStream: string;
}

/** http-contracts 1.7. */
export const maxTasks = 10_000;
export const maxTaskRetries = 10;
export const maxTaskTimeoutSeconds = 86_400;
export const defaultTaskTimeoutSeconds = 600;
export const defaultTaskRetries = 3;
/** "serviceId < 50 chars" (http-contracts 1.7); an execution's name is a job's and six more. */
export const maxNameLength = 49;
/** Cloud Run's own limit for services; more processes than this on one machine are a mistake. */
export const maxWorkerInstances = 100;
/** Annotation of a WorkerPool with the number of its instances, default 1 (http-contracts 1.11, 1.12). */
export const instanceCountAnnotation = "run.googleapis.com/manualInstanceCount";

export interface RunOverrides {
	containerOverrides?: {
		name?: string;
		args?: string[];
		clearArgs?: boolean;
		env?: { name: string; value?: string }[];
	}[];
	taskCount?: number;
	timeoutSeconds?: number;
}

export function jobLogGroup({ namespace, name }: { namespace: string; name: string }): string {
	return `/slipway/jobs/${namespace}/${name}`;
}

/** `EXECUTION/TASK/ATTEMPT[/CONTAINER]` */
export function taskLogStream(execution: string, index: number, attempt: number, container?: string): string {
	return `${execution}/${index}/${attempt}${container === undefined ? "" : `/${container}`}`;
}

export function workerLogGroup({ namespace, name }: { namespace: string; name: string }): string {
	return `/slipway/workers/${namespace}/${name}`;
}

/** What the runtime contract adds to a task's environment (http-contracts 1.2). */
export function taskEnvironment(task: {
	job: string;
	execution: string;
	index: number;
	attempt: number;
	count: number;
}): Record<string, string> {
	return {
		CLOUD_RUN_JOB: task.job,
		CLOUD_RUN_EXECUTION: task.execution,
		CLOUD_RUN_TASK_INDEX: String(task.index),
		CLOUD_RUN_TASK_ATTEMPT: String(task.attempt),
		CLOUD_RUN_TASK_COUNT: String(task.count),
	};
}
