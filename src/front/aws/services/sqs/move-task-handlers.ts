import { invalidValue } from "../../../../core/queue/queue-error.ts";
import { type MoveTask, taskHandle } from "../../../../engine/queues/move-task.ts";
import type { SqsDeps, SqsHandlers } from "./ports.ts";

const maxResults = 10;

export function moveTaskHandlers({ queues }: SqsDeps): SqsHandlers {
	return {
		async StartMessageMoveTask(input) {
			const task = await queues.startMoveTask({
				sourceArn: input.SourceArn,
				destinationArn: input.DestinationArn,
				maxPerSecond: input.MaxNumberOfMessagesPerSecond,
			});
			return { TaskHandle: taskHandle(task) };
		},
		ListMessageMoveTasks(input) {
			const { MaxResults: max = 1 } = input;
			if (!Number.isSafeInteger(max) || max < 1 || max > maxResults)
				throw invalidValue(max, "MaxResults", `Must be between 1 and ${maxResults}, if provided.`);
			return { Results: queues.moveTasks(input.SourceArn).slice(0, max).map(wireTask) };
		},
		async CancelMessageMoveTask(input) {
			const { moved } = await queues.cancelMoveTask(input.TaskHandle);
			return { ApproximateNumberOfMessagesMoved: moved };
		},
	};
}

/** "This value is only populated if the task status is RUNNING." */
function wireTask(task: MoveTask) {
	return {
		TaskHandle: task.status === "RUNNING" ? taskHandle(task) : undefined,
		Status: task.status,
		SourceArn: task.sourceArn,
		DestinationArn: task.destinationArn,
		MaxNumberOfMessagesPerSecond: task.maxPerSecond,
		ApproximateNumberOfMessagesMoved: task.moved,
		ApproximateNumberOfMessagesToMove: task.toMove,
		FailureReason: task.failureReason,
		StartedTimestamp: task.startedMs,
	};
}
