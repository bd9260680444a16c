/** Takes a batch out of a queue: as many messages as it may have, 6 MB of event at most, and none that the filters leave out. */
import type { SourceMessage, SourceQueues } from "./ports.ts";

/** Bytes of the event as JSON: what a synchronous invocation may have (lambda-contract 6.1, 4.2). */
export const maxBatchBytes = 6 * 1024 * 1024;
/**
 * Leases for one batch: a filter that lets next to nothing through must not keep the other mappings waiting for memory, nor its
 * own end, behind a long backlog.
 */
const maxLeases = 10;
/** `{"Records":[` and `]}`. */
const frameBytes = 14;

export interface BatchItem {
	message: SourceMessage;
	/** Its record. */
	json: string;
}

export interface Batch {
	items: BatchItem[];
	bytes: number;
	/** Messages that no filter let through; they are deleted. */
	filtered: number;
	/** It is not full, and there may be messages for it: what there was had to be deleted. */
	more: boolean;
}

export interface GatherOptions {
	queueName: string;
	batchSize: number;
	/** Seconds for which the batch is to be nobody else's. */
	atLeastS: number;
	/** Undefined: everything matches. */
	matches: ((record: Record<string, unknown>) => boolean) | undefined;
}

/** No items and no `more`: there are no more messages. What can't be written rejects; what was leased by then comes back by itself. */
export async function gatherBatch(queues: SourceQueues, options: GatherOptions): Promise<Batch> {
	const batch: Batch = { items: [], bytes: frameBytes, filtered: 0, more: false };
	for (let leases = 1; ; leases++) {
		const max = options.batchSize - batch.items.length;
		const maxBytes = maxBatchBytes - batch.bytes;
		const leased = await queues.lease(options.queueName, { max, maxBytes, atLeastS: options.atLeastS });
		const { dropped, rest } = fill(batch, leased, queues, options);
		if (dropped.length > 0) await queues.settleDone(dropped);
		// Behind one that did not fit everything goes back, or a group's order would be lost.
		if (rest.length > 0) await queues.release(rest, 0, { counts: false });
		batch.filtered += dropped.length;
		const isWhole = dropped.length === 0 || rest.length > 0 || batch.items.length >= options.batchSize;
		if (isWhole) return batch;
		if (leases >= maxLeases) return { ...batch, more: true };
	}
}

function fill(
	batch: Batch,
	leased: readonly SourceMessage[],
	queues: SourceQueues,
	{ matches }: GatherOptions,
): { dropped: SourceMessage[]; rest: SourceMessage[] } {
	const dropped: SourceMessage[] = [];
	for (const [at, message] of leased.entries()) {
		const record = queues.lambdaRecord(message);
		if (matches && !matches(filterView(record))) {
			dropped.push(message);
			continue;
		}
		const json = JSON.stringify(record);
		const bytes = Buffer.byteLength(json) + 1;
		if (batch.items.length > 0 && batch.bytes + bytes > maxBatchBytes) return { dropped, rest: leased.slice(at) };
		batch.items.push({ message, json });
		batch.bytes += bytes;
	}
	return { dropped, rest: [] };
}

export function eventOf(items: readonly BatchItem[]): Uint8Array {
	return Buffer.from(`{"Records":[${items.map(({ json }) => json).join(",")}]}`);
}

/**
 * What a filter looks at: a body that is a JSON object as that, any other as the plain text that it is
 * (https://docs.aws.amazon.com/lambda/latest/dg/with-sqs-filtering.html).
 */
function filterView(record: Record<string, unknown>): Record<string, unknown> {
	const { body } = record;
	if (typeof body !== "string") return record;
	try {
		const value: unknown = JSON.parse(body);
		return typeof value === "object" && value !== null ? { ...record, body: value } : record;
	} catch {
		return record;
	}
}
