import { SlipwayError } from "../../base/error.ts";
import type { LaneSettings, MoveOptions } from "../../core/message-log/message-log.ts";
import { ownLane, requireRoom, type Tables } from "./change-queries.ts";
import type { Lane } from "./lane-table.ts";
import type { StateNumber } from "./message-table.ts";

/** Milliseconds of deleting in one transaction of a purge or a removal, so that nobody waits long behind it. */
const stepMs = 4;
/** Messages deleted between two looks at the time. */
const rowsAtOnce = 50;
/** Messages and keys that one step of a sweep deletes: about the same time. */
const deletedPerStep = 200;
/** Lanes that one step of a sweep looks at. */
const lanesPerStep = 200;
/** Every state; messages that are leased come last, so that a purge begins with what nobody waits for. */
const allStates: readonly StateNumber[] = [0, 1, 3, 2];

/** What concerns many messages: each call here is a step, and its answer says where the next one begins. */
export class BulkQueries {
	readonly #tables: Tables;

	constructor(tables: Tables) {
		this.#tables = tables;
	}

	define(name: string, settings: LaneSettings): void {
		const { lanes } = this.#tables;
		const lane = lanes.byName(name);
		const messages = lane ? lane.visible + lane.delayed + lane.inFlight : 0;
		if (lane && settings.ordered !== lane.settings.ordered && messages > 0)
			throw new SlipwayError("CONFLICT", `'${name}' has messages: whether it is ordered can't change now`);
		lanes.define(name, settings);
		if (messages > 0) lanes.readied(name);
	}

	/** The name is free and the messages are out of reach; `removeStep` deletes them. */
	remove(name: string): void {
		const lane = this.#tables.lanes.byName(name);
		if (lane) this.#tables.lanes.detach(lane);
	}

	/** True while there is more to do. */
	removeStep(): boolean {
		const { db, lanes } = this.#tables;
		const id = db.get("SELECT id FROM lanes WHERE name IS NULL LIMIT 1")?.id as number | undefined;
		const lane = id === undefined ? undefined : lanes.byId(id);
		if (!lane) return false;
		if (this.#deleteSome(lane, Number.MAX_SAFE_INTEGER) > 0) return true;
		const sql =
			"DELETE FROM deduplication WHERE lane = ?1 AND key IN (SELECT key FROM deduplication WHERE lane = ?1 LIMIT ?2)";
		if (db.run(sql, lane.id, deletedPerStep) === 0) lanes.delete(lane);
		return true;
	}

	/** The newest message there is now: what comes later is not purged. */
	purgeBound(name: string): number {
		const lane = this.#tables.lanes.byName(name);
		if (!lane) return 0;
		const sql = "SELECT max(sequence) AS newest FROM messages WHERE lane = ? AND state = ?";
		return Math.max(...allStates.map((state) => Number(this.#tables.db.get(sql, lane.id, state)?.newest ?? 0)));
	}

	/** How many it deleted; none at the end. */
	purgeStep(name: string, upTo: number): number {
		const lane = this.#tables.lanes.byName(name);
		return lane ? this.#deleteSome(lane, upTo) : 0;
	}

	#deleteSome(lane: Lane, upTo: number): number {
		const until = performance.now() + stepMs;
		for (let deleted = 0; ; ) {
			const some = this.#oldestOf(lane, upTo);
			// Deleting one may have made the next of its group ready: the rows are read anew.
			for (const sequence of some) {
				const row = this.#tables.messages.get(sequence);
				if (!row) throw notThere(sequence);
				this.#tables.messages.delete(lane, row);
			}
			deleted += some.length;
			if (some.length < rowsAtOnce || performance.now() > until) return deleted;
		}
	}

	/** Fewer than `rowsAtOnce` at the end only. */
	#oldestOf(lane: Lane, upTo: number): number[] {
		const sequences: number[] = [];
		for (const state of allStates)
			for (const { sequence } of this.#tables.messages.oldest(lane, state, 0, rowsAtOnce - sequences.length))
				if (sequence <= upTo) sequences.push(sequence);
		return sequences;
	}

	move(from: string, options: MoveOptions, nowMs: number): number {
		const { lanes, messages, trail } = this.#tables;
		const lane = lanes.byName(from);
		if (!lane) return 0;
		const chosen = this.#movable(lane, options);
		const targets = Map.groupBy(chosen, ({ to }) => to);
		for (const [to, those] of targets) {
			if (to === from) throw ownLane(from);
			requireRoom(lanes.named(to), those.length);
		}
		let moved = 0;
		for (const { sequence, to } of chosen) {
			const row = messages.get(sequence);
			if (!row || !messages.moveOver(lane, row, lanes.named(to), nowMs)) continue;
			if (!options.untold) trail.record(lane, row, { result: "moved", to }, nowMs);
			moved++;
		}
		return moved;
	}

	#movable(lane: Lane, options: MoveOptions): { sequence: number; to: string }[] {
		const { db } = this.#tables;
		const { to, max, ids } = options;
		const columns = "sequence, origin FROM messages";
		const withOrigin = to === "origin" ? "AND origin IS NOT NULL" : "";
		const rows = ids
			? ids.flatMap((id) =>
					db.all(`SELECT ${columns} WHERE id = ? AND lane = ? AND state <> 2 ${withOrigin}`, id, lane.id),
				)
			: [0, 1, 3].flatMap((state) =>
					db.all(
						`SELECT ${columns} WHERE lane = ? AND state = ? ${withOrigin} ORDER BY sequence LIMIT ?`,
						...[lane.id, state, max],
					),
				);
		const bySequence = new Map(rows.map((row) => [row.sequence as number, row.origin as string | null]));
		return [...bySequence]
			.sort(([a], [b]) => a - b)
			.slice(0, max)
			.map(([sequence, origin]) => ({ sequence, to: to === "origin" ? (origin ?? "") : to.lane }));
	}

	/** Deletes the oldest messages of lanes above `after` whose time is over; answers with the next `after`, undefined at the end. */
	sweepStep(after: number, nowMs: number): number | undefined {
		const { db, lanes } = this.#tables;
		const sql = "SELECT id FROM lanes WHERE id >= ? AND name IS NOT NULL ORDER BY id LIMIT ?";
		lanes.flush();
		const ids = db.all(sql, after, lanesPerStep).map(({ id }) => id as number);
		let left = deletedPerStep;
		for (const id of ids) {
			const lane = lanes.byId(id);
			if (lane) left -= this.#expireSome(lane, left, nowMs);
			if (left <= 0) return id;
		}
		const forgotten = db.run(
			"DELETE FROM deduplication WHERE (lane, key) IN (SELECT lane, key FROM deduplication WHERE until <= ? LIMIT ?)",
			...[nowMs, deletedPerStep],
		);
		if (ids.length < lanesPerStep && forgotten < deletedPerStep) return undefined;
		return (ids.at(-1) ?? after) + 1;
	}

	#expireSome(lane: Lane, limit: number, nowMs: number): number {
		const { messages, trail } = this.#tables;
		let deleted = 0;
		for (; deleted < limit; deleted++) {
			const oldest = ([0, 1, 2, 3] as const).flatMap((state) => messages.oldest(lane, state, 0, 1));
			const row = oldest.sort((a, b) => a.sequence - b.sequence)[0];
			if (!row || row.state === 2 || row.sent + lane.settings.retentionMs > nowMs) break;
			if (!messages.get(row.sequence)) throw notThere(row.sequence);
			trail.record(lane, row, { result: "expired" }, nowMs);
			messages.delete(lane, row);
		}
		return deleted;
	}
}

/** An index and its table disagree: going on would be to look for the same message for ever. */
function notThere(sequence: number): SlipwayError {
	return new SlipwayError("UNAVAILABLE", `Message ${sequence} is in an index of the event log, and not in the log`, {
		reason: "LogCorrupt",
		hint: "Stop the daemon and run `sqlite3 events.db reindex`",
	});
}
