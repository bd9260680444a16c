/** Batches: up to ten entries, each with a result of its own (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-batch-api-actions.html). */
import { missingParameter, queueError } from "../../../../core/queue/queue-error.ts";
import { failedEntry } from "./wire.ts";

const maxEntries = 10;
const idForm = /^[A-Za-z0-9_-]{1,80}$/;

/** Throws for the whole batch. `name`: of one entry in the older protocol, such as "SendMessageBatchRequestEntry". */
export function checkEntries(entries: readonly { Id?: string | undefined }[], name: string): void {
	if (entries.length === 0)
		throw queueError("EmptyBatchRequest", `There should be at least one ${name} in the request.`);
	if (entries.length > maxEntries)
		throw queueError(
			"TooManyEntriesInBatchRequest",
			`Maximum number of entries per request are ${maxEntries}. You have sent ${entries.length}.`,
		);
	const ids = new Set<string>();
	for (const [i, { Id: id }] of entries.entries()) {
		if (id === undefined) throw missingParameter(`${name}.${i + 1}.Id`);
		if (!idForm.test(id))
			throw queueError(
				"InvalidBatchEntryId",
				"A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.",
			);
		if (ids.has(id)) throw queueError("BatchEntryIdsNotDistinct", `Id ${id} repeated.`);
		ids.add(id);
	}
}

/** Each entry alone; what is the daemon's fault fails the batch. */
export async function eachEntry<Entry extends { Id?: string | undefined }>(
	entries: readonly Entry[],
	run: (entry: Entry) => Promise<void>,
) {
	const failures = await Promise.all(
		entries.map(async (entry) => {
			try {
				await run(entry);
				return undefined;
			} catch (error) {
				return failedEntry(entry.Id!, error);
			}
		}),
	);
	const failed = failures.filter((failure) => failure !== undefined);
	return {
		Successful: entries.filter((_, i) => failures[i] === undefined).map(({ Id }) => ({ Id })),
		Failed: failed.length > 0 ? failed : undefined,
	};
}
