/**
 * The `Lineage=` part of X-Ray's header: how often each function has run in this chain of events, so that a function that
 * feeds itself is found (https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html). SDKs inside of functions send the
 * header on; queues keep it as AWSTraceHeader. Format: `Lineage=HASH:COUNT|HASH:COUNT`, HASH 8 hexadecimal digits; AWS's
 * newer `Lineage=N:HASH:COUNT` is read too, and written back as the first.
 */
import { hash } from "node:crypto";

/** Runs of one function in one chain: the next is stopped. AWS's "approximately 16 times". */
export const maxHops = 16;

/** As many as AWS keeps: the header goes through everything that an event does. */
const maxEntries = 3;
/** No chain gets there; digits beyond it are no count of ours. */
const maxCount = 99_999;

export interface LineageEntry {
	/** 8 hexadecimal digits that stand for a function. */
	hash: string;
	/** Its runs so far. */
	count: number;
}

/** At most three. What is not in the format is left out: anybody may send a header. */
export function readLineage(traceHeader: string | undefined): LineageEntry[] {
	const part = traceHeader?.split(";").find(isLineage);
	if (part === undefined) return [];
	const entries: LineageEntry[] = [];
	for (const text of part.slice(part.indexOf("=") + 1).split("|", maxEntries + 1)) {
		const [, id, count] = /^\s*(?:\d{1,5}:)?([0-9a-f]{8}):(\d{1,5})\s*$/.exec(text) ?? [];
		if (id !== undefined && !entries.some((entry) => entry.hash === id))
			entries.push({ hash: id, count: Math.min(Number(count), maxCount) });
	}
	return entries.slice(0, maxEntries);
}

/**
 * The header with one more run of the function, and how many there are now. Past three functions the one with the fewest runs
 * makes room and leaves its count to the new one ("space-saving"): so a loop of any length gets to the limit, and a chain
 * without a loop only when it is longer than three times that.
 */
export function addHop(traceHeader: string, functionArn: string): { traceHeader: string; hops: number } {
	const entries = readLineage(traceHeader);
	const id = hash("sha256", functionArn).slice(0, 8);
	let entry = entries.find((one) => one.hash === id);
	if (!entry && entries.length < maxEntries) {
		entry = { hash: id, count: 0 };
		entries.push(entry);
	}
	entry ??= entries.reduce((least, one) => (one.count < least.count ? one : least));
	entry.hash = id;
	entry.count = Math.min(entry.count + 1, maxCount);
	const lineage = entries.map(({ hash, count }) => `${hash}:${count}`).join("|");
	const others = traceHeader.split(";").filter((part) => part !== "" && !isLineage(part));
	return { traceHeader: [...others, `Lineage=${lineage}`].join(";"), hops: entry.count };
}

function isLineage(part: string): boolean {
	return /^\s*lineage=/i.test(part);
}
