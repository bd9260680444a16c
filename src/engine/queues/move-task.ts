/** Redrives of dead letters, as they are stored (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html). */
import { queueError } from "../../core/queue/queue-error.ts";
import type { ResourceChange } from "../../core/resource/resource-store.ts";

export const moveTaskKind = "sqs-move-task";

export interface MoveTask {
	id: string;
	/** ARN of the dead-letter queue. */
	sourceArn: string;
	/** ARN; undefined: each message to the queue that it came from. */
	destinationArn: string | undefined;
	maxPerSecond: number | undefined;
	status: "RUNNING" | "COMPLETED" | "CANCELLING" | "CANCELLED" | "FAILED";
	moved: number;
	/** Messages in the source when it began. */
	toMove: number;
	failureReason: string | undefined;
	/** Epoch milliseconds. */
	startedMs: number;
}

export function putMoveTask(task: MoveTask): ResourceChange {
	return { change: "put", kind: moveTaskKind, namespace: "", name: task.id, document: task };
}

export function moveTaskDeletion({ id }: MoveTask): ResourceChange {
	return { change: "delete", kind: moveTaskKind, namespace: "", name: id };
}

export function isActive({ status }: MoveTask): boolean {
	return status === "RUNNING" || status === "CANCELLING";
}

/** Opaque, as AWS's are: base64 of JSON. */
export function taskHandle({ id, sourceArn }: MoveTask): string {
	return Buffer.from(JSON.stringify({ taskId: id, sourceArn })).toString("base64");
}

const maxHandleLength = 2048;

/** Throws ResourceNotFoundException or InvalidParameterValue. */
export function taskIdOf(handle: string): string {
	try {
		if (handle.length <= maxHandleLength) {
			const value = JSON.parse(Buffer.from(handle, "base64").toString()) as { taskId?: unknown } | null;
			if (typeof value?.taskId === "string") return value.taskId;
		}
	} catch {
		// Not one of ours: the same answer.
	}
	throw queueError("InvalidParameterValue", "Value for parameter TaskHandle is invalid.");
}
