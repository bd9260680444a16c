import type { MessageView, MoveTaskView, QueueView } from "../../client/event-schema.ts";
import type { MoveTask } from "../../engine/queues/move-task.ts";
import type { Queue, QueueMessage } from "../../engine/queues/types.ts";
import type { ApiQueues } from "./delivery-ports.ts";

export async function queueView(queues: ApiQueues, queue: Queue, host: string | undefined): Promise<QueueView> {
	const { name, arn, fifo, settings, tags, createdMs } = queue;
	const { visible, delayed, inFlight, oldestSentMs } = await queues.counts(name);
	const { redrivePolicy } = settings;
	return {
		name,
		arn,
		url: queues.url(name, host),
		fifo,
		visible,
		delayed,
		inFlight,
		...(oldestSentMs !== undefined && { oldestSentMs }),
		visibilityTimeoutS: settings.visibilityTimeoutS,
		retentionS: settings.retentionS,
		...(redrivePolicy && {
			deadLetterQueue: queues.nameOf(redrivePolicy.deadLetterTargetArn),
			maxReceiveCount: redrivePolicy.maxReceiveCount,
		}),
		deadLettersOf: queues.deadLetterSources(name).map((source) => source.name),
		tags: { ...tags },
		createdMs,
	};
}

export function messageView(message: QueueMessage): MessageView {
	const { id, body, sentMs, receiveCount, groupId, state, dueMs, sourceArn, sequence, receiptHandle } = message;
	const attributes = Object.entries(message.attributes).map(([name, { stringValue, binaryValue }]) => [
		name,
		binaryValue ? Buffer.from(binaryValue).toString("base64") : (stringValue ?? ""),
	]);
	return {
		id,
		body,
		attributes: Object.fromEntries(attributes),
		sentMs,
		receiveCount,
		...(groupId !== undefined && { group: groupId }),
		state,
		...(dueMs !== undefined && { dueMs }),
		...(sourceArn !== undefined && { deadLetterOf: sourceArn }),
		sequence,
		...(receiptHandle !== "" && { receiptHandle }),
	};
}

export function moveTaskView({ id, status, moved, toMove, failureReason, startedMs }: MoveTask): MoveTaskView {
	return { id, status, moved, toMove, ...(failureReason !== undefined && { failureReason }), startedMs };
}
