/** Queues as they are stored, and the lanes they are in the log. */
import { defaultLaneSettings, type LaneSettings } from "../../core/message-log/message-log.ts";
import type { QueueSettings } from "../../core/queue/queue-attributes.ts";
import { isFifoName, laneOf, nameOfArn, type QueuePlace, queueArn } from "../../core/queue/queue-name.ts";
import type { ResourceChange } from "../../core/resource/resource-store.ts";
import type { Queue } from "./types.ts";

export const queueKind = "sqs-queue";

export interface QueueRecord {
	name: string;
	settings: QueueSettings;
	tags: Record<string, string>;
	createdMs: number;
	modifiedMs: number;
}

export function putQueue(record: QueueRecord): ResourceChange {
	return { change: "put", kind: queueKind, namespace: "", name: record.name, document: record };
}

export function queueDeletion(name: string): ResourceChange {
	return { change: "delete", kind: queueKind, namespace: "", name };
}

export function queueOf(record: QueueRecord, place: QueuePlace): Queue {
	return { ...record, arn: queueArn(record.name, place), fifo: isFifoName(record.name) };
}

/** Messages received and not deleted, of one queue (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html; FIFO as well since November 2024). */
export const maxInFlight = 120_000;

/** Without its dead-letter queue while that is not there: a lane that nobody reads would swallow the messages. */
export function laneSettings({ settings, fifo }: Queue, deadLetterQueue: string | undefined): LaneSettings {
	const { redrivePolicy, retentionS } = settings;
	return {
		...defaultLaneSettings,
		ordered: fifo,
		retentionMs: retentionS * 1000,
		maxInFlight,
		...(redrivePolicy &&
			deadLetterQueue !== undefined && {
				redrive: { maxLeases: redrivePolicy.maxReceiveCount, lane: laneOf(deadLetterQueue) },
			}),
	};
}

/** Name of the queue that a redrive policy names, there or not. */
export function deadLetterQueueOf({ settings }: Pick<QueueRecord, "settings">, place: QueuePlace): string | undefined {
	return settings.redrivePolicy && nameOfArn(settings.redrivePolicy.deadLetterTargetArn, place);
}
