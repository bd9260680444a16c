/**
 * What a message log is, as a state machine without time or disk of its own: everything it knows, and what each operation makes of it.
 * The fake runs on it, the exhaustive exploration walks it, and the SQLite adapter is held to it by a differential test.
 *
 * A message is *ready*, *delayed* (until `dueMs`), *leased* (until `dueMs`, or as long as the process lives), or, in an ordered
 * lane, *blocked*: behind its group's oldest, or while any of its group is leased. A lease takes a group's oldest and those right
 * behind it, and nobody gets more of the group until all of them are settled or have lapsed. So one that is given back while later
 * ones are still held waits for these, and then comes before whatever is left of them. A message's lease number rises with every lease and with every retry, so that a token, which
 * is its sequence and that number, names one lease and is of no use after it was settled or given to another.
 */
import { SlipwayError } from "../../base/error.ts";
import type { LaneSettings, LogFault, StoredMessage, TrailEntry } from "./message-log.ts";
import { defaultLaneSettings, trailEntries } from "./message-log.ts";

/** Immutable: a change is another object in its lane's map. */
export interface MessageState extends Readonly<StoredMessage> {
	/** The newest lease's number. */
	readonly lease: number;
	/** The trail has how that lease failed. */
	readonly told: boolean;
}

export interface LaneState {
	readonly name: string;
	settings: LaneSettings;
	/** By sequence, which is the order of the entries too. */
	messages: Map<number, MessageState>;
	deduplication: Map<string, { untilMs: number; id: string; sequence: number }>;
}

export interface LogState {
	lanes: Map<string, LaneState>;
	lastSequence: number;
	trail: TrailEntry[];
	faults: LogFault[];
	/** No message is due before; may be early. */
	nextDueMs: number;
	/** Lanes where messages may have become ready since somebody last looked. */
	readied: Set<string>;
}

export function emptyLog(): LogState {
	return { lanes: new Map(), lastSequence: 0, trail: [], faults: [], nextDueMs: Infinity, readied: new Set() };
}

export function copyLog(log: LogState): LogState {
	const lanes = [...log.lanes].map(([name, lane]): [string, LaneState] => [
		name,
		{ ...lane, messages: new Map(lane.messages), deduplication: new Map(lane.deduplication) },
	]);
	return {
		...log,
		lanes: new Map(lanes),
		trail: [...log.trail],
		faults: [...log.faults],
		readied: new Set(log.readied),
	};
}

export function laneOf(log: LogState, name: string): LaneState {
	let lane = log.lanes.get(name);
	if (!lane) {
		lane = { name, settings: defaultLaneSettings, messages: new Map(), deduplication: new Map() };
		log.lanes.set(name, lane);
	}
	return lane;
}

/** Puts a changed message in its place. */
export function replace(log: LogState, lane: LaneState, message: MessageState): void {
	const heldBefore = lane.messages.get(message.sequence)?.state === "leased";
	lane.messages.set(message.sequence, message);
	// Where the lane may have no more in flight, this made room for another.
	if (heldBefore && message.state !== "leased") log.readied.add(lane.name);
	if (message.dueMs !== undefined) log.nextDueMs = Math.min(log.nextDueMs, message.dueMs);
	if (message.state === "ready") log.readied.add(lane.name);
}

/** A new message at the lane's end; one that is due later is delayed, and whatever is in its group blocks it. */
export function addLast(
	log: LogState,
	lane: LaneState,
	message: Omit<MessageState, "sequence" | "lane" | "state">,
): number {
	const sequence = ++log.lastSequence;
	const group = lane.settings.ordered ? (message.group ?? message.id) : message.group;
	const blocked = lane.settings.ordered && isInGroup(lane, group);
	const state = message.dueMs !== undefined ? "delayed" : blocked ? "blocked" : "ready";
	replace(log, lane, { ...message, group, lane: lane.name, sequence, state });
	return sequence;
}

function isInGroup(lane: LaneState, group: string | undefined): boolean {
	for (const message of lane.messages.values()) if (message.group === group) return true;
	return false;
}

/** A group's oldest can be had once none of the group is leased. */
export function wakeGroup(log: LogState, lane: LaneState, group: string | undefined): void {
	if (!lane.settings.ordered) return;
	let head: MessageState | undefined;
	for (const message of lane.messages.values()) {
		if (message.group !== group) continue;
		if (message.state === "leased") return;
		head ??= message;
	}
	if (head?.state === "blocked") replace(log, lane, { ...head, state: "ready" });
}

/** Takes a message out; another of its group may then be the one to be had. */
export function takeOut(log: LogState, lane: LaneState, message: MessageState): void {
	lane.messages.delete(message.sequence);
	if (message.state === "leased" && lane.messages.size > 0) log.readied.add(lane.name);
	wakeGroup(log, lane, message.group);
}

/** No longer delayed or leased: ready, or blocked when it is not its group's turn or not the first of it. */
export function makeReady(log: LogState, lane: LaneState, message: MessageState): void {
	replace(log, lane, { ...message, state: lane.settings.ordered ? "blocked" : "ready", dueMs: undefined });
	wakeGroup(log, lane, message.group);
}

/** To another lane's end, its attempts anew. */
export function moveOver(log: LogState, from: LaneState, message: MessageState, to: string, headers?: object): void {
	takeOut(log, from, message);
	addLast(log, laneOf(log, to), {
		...message,
		headers: { ...message.headers, ...headers },
		dueMs: undefined,
		firstLeasedMs: undefined,
		attempts: 0,
		lease: 0,
		told: false,
		note: undefined,
		origin: from.name,
	});
}

/** What the clock brings about: delayed messages and those whose lease has ended become ready. */
export function promoteDue(log: LogState, nowMs: number): void {
	if (log.nextDueMs > nowMs) return;
	log.nextDueMs = Infinity;
	for (const lane of log.lanes.values())
		for (const message of lane.messages.values()) {
			if (message.dueMs === undefined) continue;
			if (message.dueMs > nowMs) log.nextDueMs = Math.min(log.nextDueMs, message.dueMs);
			else lapse(log, lane, message, nowMs);
		}
}

function lapse(log: LogState, lane: LaneState, message: MessageState, nowMs: number): void {
	if (message.state === "leased" && !message.told) record(log, message, { result: "lapsed" }, nowMs);
	makeReady(log, lane, message);
}

/** Another process took over: it holds none of the leases that were to last as long as the first. */
export function restart(log: LogState, nowMs: number): void {
	for (const lane of log.lanes.values())
		for (const message of lane.messages.values())
			if (message.state === "leased" && message.dueMs === undefined) lapse(log, lane, message, nowMs);
}

export function isExpired(lane: LaneState, message: MessageState, nowMs: number): boolean {
	return message.sentMs + lane.settings.retentionMs <= nowMs;
}

export function expire(log: LogState, lane: LaneState, message: MessageState, nowMs: number): void {
	record(log, message, { result: "expired" }, nowMs);
	takeOut(log, lane, message);
}

/** Every lane's oldest messages whose time is over; those behind one that stays wait for it, or until they would be leased. */
export function sweep(log: LogState, nowMs: number): void {
	for (const lane of log.lanes.values()) {
		for (const message of lane.messages.values()) {
			if (message.state === "leased" || !isExpired(lane, message, nowMs)) break;
			expire(log, lane, message, nowMs);
		}
		for (const [key, { untilMs }] of lane.deduplication) if (untilMs <= nowMs) lane.deduplication.delete(key);
	}
}

export function record(
	log: LogState,
	message: MessageState,
	ended: { result: TrailEntry["result"]; to?: string; detail?: Record<string, unknown> | undefined },
	atMs: number,
): void {
	const { id, correlation, lane, attempts: attempt, sentMs } = message;
	log.trail.push({ id, correlation, lane, attempt, atMs, sentMs, to: undefined, detail: undefined, ...ended });
	if (log.trail.length > trailEntries) log.trail.shift();
}

export function tokenOf(message: { sequence: number; lease: number }): string {
	return `${message.sequence.toString(36)}.${message.lease.toString(36)}`;
}

/** Undefined for what is no token of ours. */
export function parseToken(token: string): { sequence: number; lease: number } | undefined {
	const parts = /^([0-9a-z]{1,11})\.([0-9a-z]{1,11})$/.exec(token);
	if (!parts) return undefined;
	return { sequence: Number.parseInt(parts[1] ?? "", 36), lease: Number.parseInt(parts[2] ?? "", 36) };
}

export function staleLease(token: string): SlipwayError {
	return new SlipwayError(
		"PRECONDITION",
		`Lease '${token}' was settled, taken over by a later one, or its message is gone`,
		{
			reason: "StaleLease",
		},
	);
}

export function leaseEnded(token: string): SlipwayError {
	return new SlipwayError("PRECONDITION", `The time of lease '${token}' is over`, { reason: "LeaseEnded" });
}

export function laneFull(lane: string, maxMessages: number): SlipwayError {
	return new SlipwayError("EXHAUSTED", `'${lane}' holds ${maxMessages} messages, which is its bound`, {
		reason: "LaneFull",
		hint: "Deliver, purge or move some of them, or raise its bound",
	});
}
