/** Of all mappings, since the daemon began. */
export interface MappingCounters {
	/** Batches that went to their target. */
	batches: number;
	/** Messages in these. */
	messages: number;
	/** Messages deleted after success. */
	deleted: number;
	/** Messages deleted because no filter let them through. */
	filtered: number;
	/** Batches that failed as a whole. */
	failedBatches: number;
	/** Messages that a target reported as failed, one by one. */
	failedItems: number;
	/** Batches that their target had no room for. */
	throttled: number;
	/** Messages that were stopped because of a loop: moved to a dead-letter queue, or dropped where there is none. */
	loops: number;
	/** Batches that had ended and whose messages could not be deleted: they come again. */
	undeleted: number;
}

export function newMappingCounters(): MappingCounters {
	return {
		batches: 0,
		messages: 0,
		deleted: 0,
		filtered: 0,
		failedBatches: 0,
		failedItems: 0,
		throttled: 0,
		loops: 0,
		undeleted: 0,
	};
}
