/**
 * What a function that reports item failures says of its batch, to the letter of
 * https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting
 * and what was recorded of the cloud (lambda-contract 6.1).
 */
export type ItemFailures =
	| { kind: "some"; failed: ReadonlySet<string> }
	/** The answer can't be understood, or names what was not in the batch: all of it failed. */
	| { kind: "all"; why: string };

const none: ItemFailures = { kind: "some", failed: new Set() };

/** `messageIds`: of the batch. */
export function readItemFailures(answer: Uint8Array, messageIds: ReadonlySet<string>): ItemFailures {
	if (answer.length === 0) return none;
	let parsed: unknown;
	try {
		parsed = JSON.parse(new TextDecoder().decode(answer));
	} catch {
		return { kind: "all", why: "the answer is not JSON" };
	}
	// Recorded as successes: null, "", [] and {}. Another text, number or list says nothing that is known: redelivering loses nothing.
	if (parsed === null || parsed === "" || (Array.isArray(parsed) && parsed.length === 0)) return none;
	if (typeof parsed !== "object" || Array.isArray(parsed)) return { kind: "all", why: "the answer is not an object" };
	if (!("batchItemFailures" in parsed)) return none;
	const list = parsed.batchItemFailures;
	if (list === null) return none;
	if (!Array.isArray(list)) return { kind: "all", why: "batchItemFailures is not a list" };
	return readList(list, messageIds);
}

function readList(list: readonly unknown[], messageIds: ReadonlySet<string>): ItemFailures {
	const failed = new Set<string>();
	for (const item of list) {
		const id = typeof item === "object" && item !== null && "itemIdentifier" in item ? item.itemIdentifier : undefined;
		if (typeof id !== "string" || id === "") return { kind: "all", why: "an itemIdentifier is missing or empty" };
		if (!messageIds.has(id)) return { kind: "all", why: `itemIdentifier '${id.slice(0, 100)}' is not of this batch` };
		failed.add(id);
	}
	return { kind: "some", failed };
}
