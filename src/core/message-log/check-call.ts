/** What every message log refuses before it looks at its state. */
import { SlipwayError } from "../../base/error.ts";
import type { Append, LaneSettings, LeaseOptions, LogChange, MoveOptions, ScanOptions } from "./message-log.ts";
import { maxBodyBytes, maxHeadersLength, maxNoteLength } from "./message-log.ts";

/** Characters of a lane's name: the longest of ours are a rule's targets, three names of 64 to 256 characters. */
export const maxLaneLength = 1024;
/** Characters of ids, groups and deduplication keys: SQS's are 128, and a broker's message id may be longer. */
export const maxKeyLength = 512;
/** Changes in one commit: SQS's batch of 10, a batch window's 10,000 settles. */
export const maxChanges = 10_000;
/** Messages leased at once: a batch of Lambda's is 10,000 at most. */
export const maxLeaseMessages = 10_000;
/** Milliseconds: what a wait or a lease may last at most, a year. */
const maxWaitMs = 366 * 86_400_000;

export function checkChanges(changes: readonly LogChange[]): void {
	if (changes.length > maxChanges) throw invalid(`One commit has at most ${maxChanges} changes, not ${changes.length}`);
	for (const change of changes) {
		if (change.change === "append") checkAppend(change);
		else if (change.change === "extend") checkWait("visibilityMs", change.visibilityMs ?? 0);
		else if (change.outcome === "move") checkLane(change.lane);
		else if (change.outcome === "retry") {
			checkWait("delayMs", change.delayMs);
			if ((change.note?.length ?? 0) > maxNoteLength) throw tooLarge("A note", maxNoteLength, "characters");
		}
	}
}

function checkAppend(change: Append): void {
	checkLane(change.lane);
	checkKey("id", change.id);
	if (change.correlation !== undefined) checkKey("correlation", change.correlation);
	if (change.group !== undefined) checkKey("group", change.group);
	if (change.deduplication) {
		checkKey("deduplication key", change.deduplication.key);
		checkWait("windowMs", change.deduplication.windowMs);
	}
	checkWait("delayMs", change.delayMs ?? 0);
	if (change.sentMs !== undefined && !Number.isSafeInteger(change.sentMs))
		throw invalid("sentMs has to be whole milliseconds");
	if (change.body.length > maxBodyBytes) throw tooLarge("A message's body", maxBodyBytes, "bytes");
	if (change.headers && JSON.stringify(change.headers).length > maxHeadersLength)
		throw tooLarge("A message's headers", maxHeadersLength, "characters of JSON");
}

export function checkLane(lane: string): void {
	if (lane === "" || lane.length > maxLaneLength)
		throw invalid(`A lane's name has 1 to ${maxLaneLength} characters, not ${lane.length}`);
}

export function checkSettings(lane: string, settings: LaneSettings): void {
	checkLane(lane);
	const { retentionMs, maxMessages, maxInFlight, redrive } = settings;
	for (const [name, value] of Object.entries({ retentionMs, maxMessages, maxInFlight }))
		if (!Number.isSafeInteger(value) || value < 0) throw invalid(`${name} of '${lane}' has to be a whole number`);
	if (!redrive) return;
	checkLane(redrive.lane);
	if (!Number.isSafeInteger(redrive.maxLeases) || redrive.maxLeases < 1) throw invalid("maxLeases is at least 1");
	if (redrive.lane === lane) throw invalid(`'${lane}' can't be its own dead-letter lane`);
}

export function checkLease(options: LeaseOptions): void {
	if (!Number.isSafeInteger(options.max) || options.max < 0 || options.max > maxLeaseMessages)
		throw invalid(`A lease takes 0 to ${maxLeaseMessages} messages, not ${options.max}`);
	if (options.visibility !== "process") checkWait("visibility", options.visibility);
}

export function checkScan(options: ScanOptions): void {
	if (!Number.isSafeInteger(options.limit) || options.limit < 1 || options.limit > 1000)
		throw invalid(`A scan gives 1 to 1000 messages, not ${options.limit}`);
}

export function checkMove(from: string, options: MoveOptions): void {
	checkLane(from);
	if (!Number.isSafeInteger(options.max) || options.max < 0 || options.max > 10_000)
		throw invalid(`A move takes 0 to 10000 messages, not ${options.max}`);
	if ((options.ids?.length ?? 0) > 10_000) throw invalid("A move names at most 10000 ids");
	if (options.to !== "origin") checkLane(options.to.lane);
}

function checkKey(name: string, value: string): void {
	if (value === "" || value.length > maxKeyLength)
		throw invalid(`A message's ${name} has 1 to ${maxKeyLength} characters, not ${value.length}`);
}

function checkWait(name: string, ms: number): void {
	if (!Number.isSafeInteger(ms) || ms < 0 || ms > maxWaitMs)
		throw invalid(`${name} has to be whole milliseconds from 0 to ${maxWaitMs}, not ${ms}`);
}

function invalid(message: string): SlipwayError {
	return new SlipwayError("INVALID", message);
}

function tooLarge(what: string, bound: number, unit: string): SlipwayError {
	return new SlipwayError("TOO_LARGE", `${what} has at most ${bound} ${unit}`);
}
