/** The operations of a message log on its state. Each either does all of its work or throws having changed nothing, but `commit`: copy first. */
import { SlipwayError } from "../../base/error.ts";
import {
	addLast,
	expire,
	isExpired,
	type LaneState,
	type LogState,
	laneFull,
	laneOf,
	leaseEnded,
	type MessageState,
	makeReady,
	moveOver,
	parseToken,
	record,
	replace,
	staleLease,
	takeOut,
	tokenOf,
	wakeGroup,
} from "./lane-state.ts";
import type {
	Append,
	ChangeResult,
	Extend,
	LaneSettings,
	LeasedMessage,
	LeaseOptions,
	LogChange,
	MoveOptions,
	Settle,
} from "./message-log.ts";
import { maxPassedOver } from "./message-log.ts";

const nothing: ChangeResult = { id: "", sequence: 0, duplicate: false };

export function define(log: LogState, name: string, settings: LaneSettings): void {
	const lane = laneOf(log, name);
	if (settings.ordered !== lane.settings.ordered && lane.messages.size > 0)
		throw new SlipwayError("CONFLICT", `'${name}' has messages: whether it is ordered can't change now`);
	lane.settings = settings;
	if (lane.messages.size > 0) log.readied.add(name);
}

/** Throws in the midst of its work: the caller has a copy. */
export function commit(log: LogState, changes: readonly LogChange[], nowMs: number): ChangeResult[] {
	return changes.map((change) => {
		if (change.change === "append") return append(log, change, nowMs);
		if (change.change === "settle") settle(log, change, nowMs);
		else extend(log, change, nowMs);
		return nothing;
	});
}

export function append(log: LogState, change: Append, nowMs: number): ChangeResult {
	const ordered = log.lanes.get(change.lane)?.settings.ordered ?? false;
	if (ordered && change.group === undefined)
		throw new SlipwayError("INVALID", `'${change.lane}' is ordered: a message needs a group`);
	const lane = laneOf(log, change.lane);
	const key = change.deduplication?.key;
	const first = key === undefined ? undefined : lane.deduplication.get(key);
	if (first && first.untilMs > nowMs) return { id: first.id, sequence: first.sequence, duplicate: true };
	requireRoom(lane, 1);
	const { id } = change;
	const sequence = addLast(log, lane, {
		id,
		correlation: change.correlation === id ? undefined : change.correlation,
		body: Uint8Array.from(change.body),
		headers: JSON.parse(JSON.stringify(change.headers ?? {})) as Record<string, unknown>,
		group: change.group,
		sentMs: change.sentMs ?? nowMs,
		dueMs: change.delayMs ? nowMs + change.delayMs : undefined,
		firstLeasedMs: undefined,
		attempts: 0,
		lease: 0,
		told: false,
		note: undefined,
		origin: undefined,
	});
	if (key !== undefined)
		lane.deduplication.set(key, { untilMs: nowMs + (change.deduplication?.windowMs ?? 0), id, sequence });
	return { id, sequence, duplicate: false };
}

function requireRoom(lane: LaneState, messages: number): void {
	const { maxMessages } = lane.settings;
	if (lane.messages.size + messages > maxMessages) throw laneFull(lane.name, maxMessages);
}

/** The message of the newest lease that the token names, which in an ordered lane must not have ended by its time. */
function held(log: LogState, token: string): { lane: LaneState; message: MessageState } {
	const named = parseToken(token);
	for (const lane of named ? log.lanes.values() : []) {
		const message = lane.messages.get(named?.sequence ?? 0);
		if (!message || message.lease !== named?.lease || message.lease === 0) continue;
		if (lane.settings.ordered && message.state !== "leased") throw leaseEnded(token);
		return { lane, message };
	}
	throw staleLease(token);
}

export function settle(log: LogState, change: Settle, nowMs: number): void {
	const { lane, message } = held(log, change.token);
	const { detail } = change;
	if (change.outcome === "done") {
		record(log, message, { result: change.result ?? "done", detail }, nowMs);
		takeOut(log, lane, message);
	} else if (change.outcome === "move") {
		requireOtherLane(lane.name, change.lane);
		requireRoom(laneOf(log, change.lane), 1);
		record(log, message, { result: "moved", to: change.lane, detail }, nowMs);
		moveOver(log, lane, message, change.lane, change.headers);
	} else {
		record(log, message, { result: "retry", detail }, nowMs);
		const attempts = message.attempts - (change.counts === false ? 1 : 0);
		const again = { ...message, attempts, lease: message.lease + 1, note: change.note ?? message.note };
		if (change.delayMs === 0) return makeReady(log, lane, again);
		replace(log, lane, { ...again, state: "delayed", dueMs: nowMs + change.delayMs });
		wakeGroup(log, lane, message.group);
	}
}

export function extend(log: LogState, change: Extend, nowMs: number): void {
	const { lane, message } = held(log, change.token);
	if (message.state !== "leased") throw leaseEnded(change.token);
	const { visibilityMs, detail } = change;
	if (detail) record(log, message, { result: "retry", detail }, nowMs);
	const told = message.told || detail !== undefined;
	const dueMs = visibilityMs === undefined ? message.dueMs : nowMs + visibilityMs;
	if (visibilityMs !== 0) return replace(log, lane, { ...message, dueMs, told });
	if (!told) record(log, message, { result: "lapsed" }, nowMs);
	makeReady(log, lane, message);
}

export function lease(log: LogState, name: string, options: LeaseOptions, nowMs: number): LeasedMessage[] {
	const lane = log.lanes.get(name);
	if (!lane) return [];
	const leased: LeasedMessage[] = [];
	const room = lane.settings.maxInFlight - [...lane.messages.values()].filter((one) => one.state === "leased").length;
	let bytes = 0;
	let passedOver = 0;
	for (const message of inTurn(lane)) {
		if (leased.length >= Math.min(options.max, room) || passedOver >= maxPassedOver) break;
		if (passOver(log, lane, message, nowMs)) {
			passedOver++;
			continue;
		}
		bytes += message.body.length;
		if (leased.length > 0 && bytes > (options.maxBytes ?? Infinity)) break;
		leased.push(leaseOne(log, lane, message, options.visibility, nowMs));
	}
	if (passedOver >= maxPassedOver) log.readied.add(name);
	return leased;
}

/** What may be leased now: in an ordered lane a group's oldest and then those behind it up to one that is delayed. */
function* inTurn(lane: LaneState): Generator<MessageState, void> {
	for (const message of lane.messages.values()) {
		if (message.state !== "ready") continue;
		yield message;
		// One that was passed over has made its group's next ready, which is found in its own place.
		if (!lane.settings.ordered || lane.messages.get(message.sequence)?.state !== "leased") continue;
		for (const next of lane.messages.values()) {
			if (next.group !== message.group || next.sequence <= message.sequence) continue;
			if (next.state !== "blocked") break;
			yield next;
		}
	}
}

/** True for one that is not to be leased any more: too old, or leased so often that it is a dead letter. */
function passOver(log: LogState, lane: LaneState, message: MessageState, nowMs: number): boolean {
	const { redrive } = lane.settings;
	if (isExpired(lane, message, nowMs)) expire(log, lane, message, nowMs);
	else if (redrive && message.attempts >= redrive.maxLeases) {
		record(log, message, { result: "dead", to: redrive.lane }, nowMs);
		moveOver(log, lane, message, redrive.lane);
	} else return false;
	return true;
}

function leaseOne(
	log: LogState,
	lane: LaneState,
	message: MessageState,
	visibility: LeaseOptions["visibility"],
	nowMs: number,
): LeasedMessage {
	const dueMs = visibility === "process" ? undefined : nowMs + visibility;
	const firstLeasedMs = message.firstLeasedMs ?? nowMs;
	const attempts = message.attempts + 1;
	const changed: MessageState = {
		...message,
		state: "leased",
		dueMs,
		firstLeasedMs,
		attempts,
		lease: message.lease + 1,
		told: false,
	};
	replace(log, lane, changed);
	const { lease: _, told: _told, ...stored } = changed;
	return { ...stored, state: "leased", firstLeasedMs, token: tokenOf(changed), body: stored.body.slice() };
}

export function move(log: LogState, from: string, options: MoveOptions, nowMs: number): number {
	const lane = log.lanes.get(from);
	if (!lane) return 0;
	const ids = options.ids && new Set(options.ids);
	const chosen = [...lane.messages.values()]
		.filter((one) => one.state !== "leased" && (!ids || ids.has(one.id)))
		.map((message) => ({ message, to: options.to === "origin" ? message.origin : options.to.lane }))
		.filter(({ to }) => to !== undefined)
		.slice(0, options.max);
	const targets = Map.groupBy(chosen, ({ to }) => to ?? from);
	for (const [to, those] of targets) {
		requireOtherLane(from, to);
		requireRoom(laneOf(log, to), those.length);
	}
	for (const { message: chosenOne, to = from } of chosen) {
		const message = lane.messages.get(chosenOne.sequence) ?? chosenOne;
		if (!options.untold) record(log, message, { result: "moved", to }, nowMs);
		moveOver(log, lane, message, to);
	}
	return chosen.length;
}

function requireOtherLane(from: string, to: string): void {
	if (from === to) throw new SlipwayError("INVALID", `Messages of '${from}' can't be moved to itself`);
}

export function purge(log: LogState, name: string): number {
	const lane = log.lanes.get(name);
	const messages = lane?.messages.size ?? 0;
	lane?.messages.clear();
	return messages;
}
