/** One batch, from its queue to its target, and what becomes of its messages then. */
import type { Clock } from "../../base/clock.ts";
import { isSlipwayError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import type { Batch } from "./batch.ts";
import type { BatchDelivery, BatchOutcome, FailureDetail } from "./batch-outcome.ts";
import type { MappingCounters } from "./counters.ts";
import type { EventSourceMapping } from "./mapping.ts";
import { type QueueLog, queueLanes, type SourceMessage, type SourceQueue, type SourceQueues } from "./ports.ts";

export interface BatchWorkDeps {
	queues: SourceQueues;
	log: QueueLog;
	delivery: BatchDelivery;
	counters: MappingCounters;
	clock: Clock;
	logger: Log;
}

export interface BatchWork {
	queueName: string;
	/** As it was when the batch was taken. */
	mapping: EventSourceMapping;
	batch: Batch;
	signal: AbortSignal;
	/** Milliseconds after which messages that the target has not seen are to be had again. */
	delayMs: (outcome: Extract<BatchOutcome, { kind: "later" }>) => number;
}

/** Characters of an error in the trail: each message of a batch has it. */
const maxErrorLength = 300;
/** Tries of a commit that the disk refuses, and milliseconds before each: after the last the messages come again. */
const commitPausesMs = [0, 100, 500, 2000];

/** Never loses a message: one that is not deleted in the end comes back when its visibility timeout ends. */
export async function workBatch(deps: BatchWorkDeps, work: BatchWork): Promise<BatchOutcome> {
	const { queueName, mapping, batch, signal } = work;
	const queue = deps.queues.find(queueName);
	const why = "The queue was deleted";
	if (!queue) return { kind: "failed", why, detail: { error: why } };
	const stopped = new Set<SourceMessage>();
	const outcome = await deps.delivery.deliver(
		{
			batch,
			queue,
			target: mapping.target,
			reportsItemFailures: mapping.reportsItemFailures,
			onLoop: async (messages, why) => {
				await endLoop(deps, queue, messages, why);
				for (const message of messages) stopped.add(message);
			},
		},
		signal,
	);
	const messages = batch.items.flatMap(({ message }) => (stopped.has(message) ? [] : [message]));
	await settle(deps, { ...work, ordered: queue.fifo }, messages, outcome);
	return outcome;
}

async function settle(
	deps: BatchWorkDeps,
	{ delayMs, ordered }: BatchWork & { ordered: boolean },
	messages: SourceMessage[],
	outcome: BatchOutcome,
): Promise<void> {
	const { queues, counters, clock } = deps;
	if (outcome.kind === "failed") {
		counters.failedBatches++;
		return tellFailed(deps, messages, outcome.detail);
	}
	if (outcome.kind === "later") {
		if (outcome.throttled) counters.throttled++;
		const delay = delayMs(outcome);
		await insist(clock, () => queues.release(messages, delay, { counts: false }));
		return;
	}
	const { done, behind, failed } = sort(messages, outcome.failed, ordered);
	counters.failedItems += failed.length;
	if (outcome.detail) await tellFailed(deps, failed, outcome.detail);
	try {
		if (done.length > 0) await insist(clock, () => queues.settleDone(done));
		counters.deleted += done.length;
		if (behind.length > 0) await insist(clock, () => queues.release(behind, 0, { counts: false }));
	} catch (error) {
		counters.undeleted++;
		throw error;
	}
}

/**
 * Of a FIFO queue, whatever the target says of them, messages behind a failed one of their group are not deleted: they come again after it. A
 * target should stop at the first failure and report the rest too (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html);
 * one that goes on gets them twice, which at-least-once allows, rather than the failed one after them, which its order does not. They
 * were not to be worked on, so that this receive does not count, and a poison message takes no other with it to the dead letters.
 */
function sort(
	messages: readonly SourceMessage[],
	failed: ReadonlySet<string>,
	ordered: boolean,
): { done: SourceMessage[]; behind: SourceMessage[]; failed: SourceMessage[] } {
	const done: SourceMessage[] = [];
	const failures: SourceMessage[] = [];
	const behind: SourceMessage[] = [];
	const stopped = new Set<string | undefined>();
	for (const message of messages)
		if (ordered && stopped.has(message.groupId)) behind.push(message);
		else if (failed.has(message.id)) {
			stopped.add(message.groupId);
			failures.push(message);
		} else done.push(message);
	return { done, behind, failed: failures };
}

/**
 * For the trail: the messages stay hidden for what is left of their visibility timeout, as with SQS. One commit; where a message was deleted,
 * or its lease has ended, by halves, so that those others are told of. Nothing depends on it, so that a failure is only logged.
 */
async function tellFailed(
	deps: BatchWorkDeps,
	messages: readonly SourceMessage[],
	detail: FailureDetail,
): Promise<void> {
	if (messages.length === 0) return;
	const shown = { ...detail, error: detail.error.slice(0, maxErrorLength) };
	try {
		await deps.log.commit(messages.map(({ token }) => ({ change: "extend", token, detail: shown })));
	} catch (error) {
		if (!isSlipwayError(error, "PRECONDITION")) {
			deps.logger.warn("The trail of failed messages could not be written", { messages: messages.length, error });
			return;
		}
		const half = Math.ceil(messages.length / 2);
		if (messages.length === 1) return;
		await tellFailed(deps, messages.slice(0, half), detail);
		await tellFailed(deps, messages.slice(half), detail);
	}
}

async function insist(clock: Clock, write: () => Promise<void>): Promise<void> {
	for (const [attempt, pauseMs] of commitPausesMs.entries())
		try {
			if (pauseMs > 0) await clock.sleep(pauseMs);
			await write();
			return;
		} catch (error) {
			// A queue that was deleted has taken its messages with it; a lease that has ended is somebody else's.
			if (isSlipwayError(error, "NOT_FOUND") || isSlipwayError(error, "PRECONDITION")) return;
			if (attempt === commitPausesMs.length - 1) throw error;
		}
}

/** To the queue's dead letters, as Lambda does with a loop; dropped where it has none, or they were deleted. */
async function endLoop(
	{ queues, log, counters, logger, clock }: BatchWorkDeps,
	queue: SourceQueue,
	messages: readonly SourceMessage[],
	why: string,
): Promise<void> {
	const deadLetterArn = queue.settings.redrivePolicy?.deadLetterTargetArn;
	const deadLetters = deadLetterArn === undefined ? undefined : queues.find(queueNameOf(deadLetterArn));
	const lane = deadLetters && queueLanes + deadLetters.name;
	for (const { id, token } of messages) {
		const detail = { error: why };
		await insist(clock, async () => {
			await log.commit([
				lane === undefined
					? { change: "settle", token, outcome: "done", result: "dropped", detail }
					: { change: "settle", token, outcome: "move", lane, detail },
			]);
		});
		counters.loops++;
		logger.warn(why, {
			queue: queue.name,
			messageId: id,
			wentTo: deadLetters?.arn ?? "nowhere: the queue has no dead-letter queue",
		});
	}
}

export function queueNameOf(arn: string): string {
	return arn.slice(arn.lastIndexOf(":") + 1);
}
