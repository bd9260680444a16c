/** Executions and tasks as they are stored, and as they are on the wire. */
import type { JobImage } from "../../core/job/container-workload.ts";
import type { ExecutionPhase, ExecutionState, TaskState } from "../../core/job/execution-state.ts";
import {
	type Execution,
	type ExecutionSpec,
	type ImageProgress,
	type Task,
	taskLogStream,
} from "../../core/job/job.ts";
import type { ResourceChange } from "../../core/resource/resource-store.ts";
import type { Condition } from "../../core/service/knative.ts";
import { imageDigests } from "./resolve-images.ts";

export const executionKind = "execution";
export const taskKind = "task";

export interface ExecutionRecord {
	namespace: string;
	name: string;
	job: string;
	uid: string;
	labels: Record<string, string>;
	annotations: Record<string, string>;
	spec: ExecutionSpec;
	images: Record<string, JobImage>;
	createdMs: number;
	startedMs: number | undefined;
	endedMs: number | undefined;
	phase: ExecutionPhase;
	/** Why it failed before any task ran. */
	message: string | undefined;
}

export interface TaskRecord {
	namespace: string;
	execution: string;
	index: number;
	state: TaskState;
	startedMs: number | undefined;
	endedMs: number | undefined;
}

export function putExecution(record: ExecutionRecord): ResourceChange {
	return { change: "put", kind: executionKind, namespace: record.namespace, name: record.name, document: record };
}

function taskName(execution: string, index: number): string {
	return `${execution}-task${index}`;
}

export function putTask(record: TaskRecord): ResourceChange {
	const { namespace, execution, index } = record;
	return { change: "put", kind: taskKind, namespace, name: taskName(execution, index), document: record };
}

export function executionDeletion(record: ExecutionRecord, tasks: Iterable<TaskRecord>): ResourceChange[] {
	const { namespace, name } = record;
	return [
		{ change: "delete", kind: executionKind, namespace, name },
		...Array.from(
			tasks,
			({ index }): ResourceChange => ({
				change: "delete",
				kind: taskKind,
				namespace,
				name: taskName(name, index),
			}),
		),
	];
}

export function executionView(
	record: ExecutionRecord,
	{ counts, retried }: Pick<ExecutionState, "counts" | "retried">,
	progress?: ImageProgress,
): Execution {
	const { namespace, name, uid, labels, annotations, startedMs, endedMs, createdMs } = record;
	return {
		apiVersion: "run.googleapis.com/v1",
		kind: "Execution",
		metadata: {
			name,
			namespace,
			uid,
			resourceVersion: String(counts.succeeded + counts.failed + counts.cancelled + retried),
			generation: 1,
			creationTimestamp: time(createdMs),
			labels: { ...labels, "run.googleapis.com/job": record.job },
			annotations,
		},
		spec: record.spec,
		status: {
			observedGeneration: 1,
			conditions: conditions(record, counts),
			...(progress && { progress }),
			...(startedMs !== undefined && { startTime: time(startedMs) }),
			...(endedMs !== undefined && { completionTime: time(endedMs) }),
			runningCount: counts.running,
			succeededCount: counts.succeeded,
			failedCount: counts.failed,
			cancelledCount: counts.cancelled,
			retriedCount: retried,
			imageDigests: imageDigests(record.images),
		},
	};
}

function conditions(record: ExecutionRecord, counts: ExecutionState["counts"]): Condition[] {
	const { phase, createdMs, startedMs, endedMs, message, spec } = record;
	const started: Condition =
		startedMs === undefined
			? { type: "Started", status: "Unknown", reason: "DelayedStartPending", lastTransitionTime: time(createdMs) }
			: { type: "Started", status: "True", lastTransitionTime: time(startedMs) };
	const lastTransitionTime = time(endedMs ?? startedMs ?? createdMs);
	const completed = (rest: Pick<Condition, "status" | "reason" | "message">): Condition[] => [
		{ type: "Completed", ...rest, lastTransitionTime },
		started,
	];
	if (phase === "succeeded")
		return completed({
			status: "True",
			message: spec.taskCount === 1 ? "Its task has succeeded" : `All ${spec.taskCount} tasks have succeeded`,
		});
	if (phase === "cancelled")
		return completed({
			status: "False",
			reason: "Cancelled",
			message: `${counts.cancelled} of ${spec.taskCount} tasks were cancelled`,
		});
	if (phase === "cancelling") return completed({ status: "Unknown", reason: "Cancelling" });
	if (phase === "running") return completed({ status: "Unknown" });
	if (message !== undefined) return completed({ status: "False", reason: "ContainerMissing", message });
	return completed({
		status: "False",
		reason: "NonZeroExitCode",
		message: `${counts.failed} of ${spec.taskCount} tasks have failed`,
	});
}

export function taskView(
	{ namespace, execution, index, state, startedMs, endedMs }: TaskRecord,
	of: ExecutionRecord,
): Task {
	const { attempts, outcome, phase } = state;
	return {
		apiVersion: "run.googleapis.com/v1",
		kind: "Task",
		metadata: {
			name: taskName(execution, index),
			namespace,
			uid: `${of.uid}-${index}`,
			resourceVersion: String(attempts),
			generation: 1,
			creationTimestamp: time(startedMs ?? of.createdMs),
			labels: { "run.googleapis.com/job": of.job, "run.googleapis.com/execution": execution },
			annotations: {},
		},
		spec: of.spec.template.spec,
		status: {
			index,
			phase,
			...(startedMs !== undefined && { startTime: time(startedMs) }),
			...(endedMs !== undefined && { completionTime: time(endedMs) }),
			retried: Math.max(0, attempts - 1),
			...(outcome && {
				lastAttemptResult: {
					...(outcome.exitCode !== undefined && { exitCode: outcome.exitCode }),
					reason: outcome.kind,
					message: outcome.message,
				},
			}),
			...(attempts > 0 && { logStream: taskLogStream(execution, index, attempts - 1) }),
		},
	};
}

export function time(ms: number): string {
	return new Date(ms).toISOString();
}
