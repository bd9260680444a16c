import { SlipwayError } from "../../base/error.ts";
import { laneFull, leaseEnded, parseToken, staleLease } from "../../core/message-log/lane-state.ts";
import type { ChangeResult, Extend, Settle } from "../../core/message-log/message-log.ts";
import type { Database } from "./database.ts";
import type { Lane, LaneTable } from "./lane-table.ts";
import type { MessageRow, MessageTable } from "./message-table.ts";
import type { WireAppend, WireChange } from "./protocol.ts";
import type { TrailTable } from "./trail-table.ts";

export interface Tables {
	db: Database;
	lanes: LaneTable;
	messages: MessageTable;
	trail: TrailTable;
}

const nothing: ChangeResult = { id: "", sequence: 0, duplicate: false };

/** The three changes of a commit, as lane-operations.ts has them. A refusal leaves what the commit's earlier changes did. */
export class ChangeQueries {
	readonly #tables: Tables;

	constructor(tables: Tables) {
		this.#tables = tables;
	}

	commit(changes: readonly WireChange[], contents: Uint8Array, nowMs: number): ChangeResult[] {
		return changes.map((change) => {
			if (change.change === "append") return this.#append(change, contents, nowMs);
			if (change.change === "settle") this.#settle(change, nowMs);
			else this.#extend(change, nowMs);
			return nothing;
		});
	}

	#append(change: WireAppend, contents: Uint8Array, nowMs: number): ChangeResult {
		const { lanes, messages } = this.#tables;
		const lane = lanes.named(change.lane);
		const { ordered } = lane.settings;
		if (ordered && change.group === undefined)
			throw new SlipwayError("INVALID", `'${change.lane}' is ordered: a message needs a group`);
		const first = change.deduplication && this.#duplicate(lane, change.deduplication.key, nowMs);
		if (first) return first;
		requireRoom(lane, 1);
		const { id, correlation = id, delayMs } = change;
		const grp = change.group ?? null;
		const content = contents.subarray(change.from, change.to);
		const sequence = messages.insert(lane, {
			state: delayMs ? 1 : ordered && messages.head(lane, grp) ? 3 : 0,
			due: delayMs ? nowMs + delayMs : null,
			id,
			correlation: correlation === id ? null : correlation,
			grp,
			sent: change.sentMs ?? nowMs,
			first_leased: null,
			attempts: 0,
			lease: 0,
			note: null,
			origin: null,
			headers_bytes: change.headersBytes,
			bytes: content.length - change.headersBytes,
			content,
		});
		if (change.deduplication) this.#remember(lane, change.deduplication, id, sequence, nowMs);
		return { id, sequence, duplicate: false };
	}

	#duplicate(lane: Lane, key: string, nowMs: number): ChangeResult | undefined {
		const sql = "SELECT id, sequence FROM deduplication WHERE lane = ? AND key = ? AND until > ?";
		const row = this.#tables.db.get(sql, lane.id, key, nowMs);
		return row && { id: row.id as string, sequence: row.sequence as number, duplicate: true };
	}

	#remember(lane: Lane, by: { key: string; windowMs: number }, id: string, sequence: number, nowMs: number): void {
		const sql = "INSERT OR REPLACE INTO deduplication (lane, key, until, id, sequence) VALUES (?, ?, ?, ?, ?)";
		this.#tables.db.run(sql, lane.id, by.key, nowMs + by.windowMs, id, sequence);
	}

	/** The message of the newest lease that the token names, which in an ordered lane must not have ended by its time. */
	#held(token: string): { lane: Lane; row: MessageRow } {
		const named = parseToken(token);
		const row = named && this.#tables.messages.get(named.sequence);
		const lane = row && this.#tables.lanes.byId(row.lane);
		if (!lane || lane.name === null || row.lease !== named?.lease || row.lease === 0) throw staleLease(token);
		if (lane.settings.ordered && row.state !== 2) throw leaseEnded(token);
		return { lane, row };
	}

	#settle(change: Settle, nowMs: number): void {
		const { lanes, messages, trail } = this.#tables;
		const { lane, row } = this.#held(change.token);
		const { detail } = change;
		if (change.outcome === "done") {
			trail.record(lane, row, { result: change.result ?? "done", detail }, nowMs);
			messages.delete(lane, row);
		} else if (change.outcome === "move") {
			const to = lanes.named(change.lane);
			if (to === lane) throw ownLane(change.lane);
			requireRoom(to, 1);
			trail.record(lane, row, { result: "moved", to: change.lane, detail }, nowMs);
			messages.moveOver(lane, row, to, nowMs, change.headers);
		} else {
			trail.record(lane, row, { result: "retry", detail }, nowMs);
			const attempts = row.attempts - (change.counts === false ? 1 : 0);
			const next = { attempts, lease: row.lease + 1, note: change.note ?? row.note };
			if (change.delayMs === 0) return messages.makeReady(lane, row, next);
			messages.update(lane, row, { ...next, state: 1, due: nowMs + change.delayMs });
			messages.wakeGroup(lane, row.grp);
		}
	}

	#extend(change: Extend, nowMs: number): void {
		const { messages, trail } = this.#tables;
		const { lane, row } = this.#held(change.token);
		if (row.state !== 2) throw leaseEnded(change.token);
		const { visibilityMs, detail } = change;
		if (detail) trail.record(lane, row, { result: "retry", detail }, nowMs);
		const told = detail ? 1 : row.told;
		const due = visibilityMs === undefined ? row.due : nowMs + visibilityMs;
		if (visibilityMs !== 0) return messages.update(lane, row, { due, told });
		if (told === 0) trail.record(lane, row, { result: "lapsed" }, nowMs);
		messages.makeReady(lane, row);
	}
}

export function requireRoom(lane: Lane, messages: number): void {
	const { maxMessages } = lane.settings;
	if (lane.visible + lane.delayed + lane.inFlight + messages > maxMessages)
		throw laneFull(lane.name ?? "", maxMessages);
}

export function ownLane(lane: string): SlipwayError {
	return new SlipwayError("INVALID", `Messages of '${lane}' can't be moved to itself`);
}
