import { SlipwayError } from "../../base/error.ts";
import type { Delivery, Handover, TargetKind } from "../../core/delivery/target.ts";
import { isQueueArn } from "../../core/queue/queue-name.ts";
import type { Queues } from "./queues.ts";
import type { Queue } from "./types.ts";

/** Queues as destinations and dead-letter queues: the message is appended by the commit that settles its event. */
export class QueueTarget implements TargetKind {
	readonly #queues: Queues;

	constructor(queues: Queues) {
		this.#queues = queues;
	}

	owns(arn: string): boolean {
		return isQueueArn(arn);
	}

	check(arn: string): void {
		this.#queue(arn);
	}

	/** INVALID for a FIFO queue without a group, and for a body that SQS would not take. */
	handOver(arn: string, delivery: Delivery): Handover {
		const queue = this.#queue(arn);
		const { body, attributes = {}, traceId, messageGroupId, id, correlation } = delivery;
		if (queue.fifo && messageGroupId === undefined)
			throw new SlipwayError("INVALID", `'${arn}' is a FIFO queue: its target needs a MessageGroupId`);
		const values = Object.entries(attributes).map(
			([name, { dataType, value }]) => [name, { dataType, stringValue: value }] as const,
		);
		const { append } = this.#queues.prepare(queue.name, {
			body: Buffer.from(body.buffer, body.byteOffset, body.length).toString(),
			attributes: Object.fromEntries(values),
			groupId: messageGroupId,
			...(traceId !== undefined && { traceHeader: { value: traceId, isAttribute: false } }),
			// Whoever delivers has an id that stays the same when it tries again.
			...(queue.fifo && !queue.settings.contentBasedDeduplication && { deduplicationId: id }),
		});
		return { kind: "append", changes: [{ ...append, id, correlation }] };
	}

	#queue(arn: string): Queue {
		const name = this.#queues.nameOf(arn);
		const queue = this.#queues.find(name);
		if (!queue) throw new SlipwayError("NOT_FOUND", `There is no queue '${name}' (${arn})`);
		return queue;
	}
}
