import { tokenOf } from "../../core/message-log/lane-state.ts";
import { type LeasedMessage, type LeaseOptions, maxPassedOver } from "../../core/message-log/message-log.ts";
import type { Tables } from "./change-queries.ts";
import type { Lane } from "./lane-table.ts";
import { type FullRow, type MessageRow, toStored } from "./message-table.ts";

/** Due messages made ready in one transaction: 20 ms of work; the rest is the next one's. */
const maxPromoted = 2000;
/** Rows read at once while leasing. */
const pageRows = 100;

/** Leases and what the clock does to them. */
export class LeaseQueries {
	readonly #tables: Tables;
	/** Leases for the process that this transaction made: when nobody learns whether it was committed, they have to end. */
	readonly #unanswered: { sequence: number; lease: number }[] = [];

	constructor(tables: Tables) {
		this.#tables = tables;
	}

	lease(name: string, options: LeaseOptions, nowMs: number): LeasedMessage[] {
		const { lanes } = this.#tables;
		const lane = lanes.byName(name);
		if (!lane) return [];
		const max = Math.min(options.max, lane.settings.maxInFlight - lane.inFlight);
		const leased: LeasedMessage[] = [];
		let bytes = 0;
		let passedOver = 0;
		for (const row of this.#inTurn(lane, () => max - leased.length)) {
			if (passedOver >= maxPassedOver) lanes.readied(name);
			if (leased.length >= max || passedOver >= maxPassedOver) break;
			const message = this.#passOver(lane, row, nowMs);
			if (!message) {
				passedOver++;
				continue;
			}
			bytes += row.bytes;
			if (leased.length > 0 && bytes > (options.maxBytes ?? Number.POSITIVE_INFINITY)) break;
			leased.push(this.#leaseOne(lane, message, options.visibility, nowMs));
		}
		return leased;
	}

	/** What may be leased now: in an ordered lane a group's oldest and then those behind it up to one that is delayed. */
	*#inTurn(lane: Lane, wanted: () => number): Generator<MessageRow, void> {
		const { messages } = this.#tables;
		const { ordered } = lane.settings;
		for (let after = 0; ; ) {
			// One at a time where the run behind it comes first.
			const page = messages.page(lane, 0, after, ordered ? 1 : pageSize(wanted()));
			for (const row of page) {
				after = row.sequence;
				const { inFlight } = lane;
				yield row;
				// One that was passed over has made its group's next ready, which is found in its own place.
				if (ordered && lane.inFlight > inFlight) yield* this.#behind(lane, row, wanted);
			}
			if (page.length === 0) return;
		}
	}

	*#behind(lane: Lane, { grp, sequence }: MessageRow, wanted: () => number): Generator<MessageRow, void> {
		for (let after = sequence; wanted() > 0; ) {
			const page = this.#tables.messages.groupPage(lane, grp, after, pageSize(wanted()));
			for (const row of page) {
				if (row.state !== 3) return;
				after = row.sequence;
				yield row;
			}
			if (page.length === 0) return;
		}
	}

	/** Undefined for one that is not to be leased any more: too old, leased so often that it is a dead letter, or damaged. */
	#passOver(lane: Lane, row: MessageRow, nowMs: number): FullRow | undefined {
		const { lanes, messages, trail } = this.#tables;
		const { redrive, retentionMs } = lane.settings;
		if (row.sent + retentionMs <= nowMs) {
			trail.record(lane, row, { result: "expired" }, nowMs);
			messages.delete(lane, row);
			return undefined;
		}
		if (!redrive || row.attempts < redrive.maxLeases) return messages.complete(lane, row, nowMs);
		if (messages.moveOver(lane, row, lanes.named(redrive.lane), nowMs))
			trail.record(lane, row, { result: "dead", to: redrive.lane }, nowMs);
		return undefined;
	}

	#leaseOne(lane: Lane, row: FullRow, visibility: LeaseOptions["visibility"], nowMs: number): LeasedMessage {
		const due = visibility === "process" ? null : nowMs + visibility;
		const first_leased = row.first_leased ?? nowMs;
		const next = {
			state: 2 as const,
			due,
			first_leased,
			attempts: row.attempts + 1,
			lease: row.lease + 1,
			told: 0 as const,
		};
		this.#tables.messages.update(lane, row, next);
		const changed = { ...row, ...next };
		if (due === null) this.#unanswered.push({ sequence: changed.sequence, lease: changed.lease });
		const stored = toStored(lane.name ?? "", changed);
		return { ...stored, state: "leased", firstLeasedMs: first_leased, token: tokenOf(changed) };
	}

	/** Delayed messages and ended leases that are due, the earliest first; the earliest that is left says when to come again. */
	promote(nowMs: number): void {
		const { lanes, messages } = this.#tables;
		if (messages.nextDueMs > nowMs) return;
		for (const row of messages.due(nowMs, maxPromoted)) {
			const lane = lanes.byId(row.lane);
			if (lane && lane.name !== null) this.#lapse(lane, row, nowMs);
			else if (lane) messages.delete(lane, row);
		}
		messages.nextDueMs = messages.earliestDue() ?? Number.POSITIVE_INFINITY;
	}

	#lapse(lane: Lane, row: MessageRow, nowMs: number): void {
		if (row.state === 2 && row.told === 0) this.#tables.trail.record(lane, row, { result: "lapsed" }, nowMs);
		this.#tables.messages.makeReady(lane, row);
	}

	/** The process that held these is gone. */
	endProcessLeases(nowMs: number): void {
		const { db, lanes, messages } = this.#tables;
		for (const { id } of db.all("SELECT id FROM lanes WHERE in_flight > 0 AND name IS NOT NULL")) {
			const lane = lanes.byId(id as number);
			for (let after = 0, more = true; lane && more; ) {
				const page = messages.oldest(lane, 2, after, pageRows);
				for (const row of page) if (row.due === null) this.#lapse(lane, row, nowMs);
				after = page.at(-1)?.sequence ?? 0;
				more = page.length === pageRows;
			}
		}
	}

	/** The transaction was committed, and whoever asked is being answered; or it never was. */
	answered(): void {
		this.#unanswered.length = 0;
	}

	/** The transaction may have been committed, and those who asked were told that it failed. */
	takeUnanswered(): { sequence: number; lease: number }[] {
		return this.#unanswered.splice(0);
	}

	release(leases: readonly { sequence: number; lease: number }[], nowMs: number): void {
		for (const { sequence, lease } of leases) {
			const row = this.#tables.messages.get(sequence);
			const lane = row && this.#tables.lanes.byId(row.lane);
			if (lane && row.state === 2 && row.lease === lease) this.#lapse(lane, row, nowMs);
		}
	}
}

function pageSize(wanted: number): number {
	return Math.max(1, Math.min(wanted, pageRows));
}
