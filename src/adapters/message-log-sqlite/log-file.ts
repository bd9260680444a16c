import { isSlipwayError } from "../../base/error.ts";
import { isDiskFailure, isDiskFull } from "../../base/sqlite-database.ts";
import { toWire } from "../../base/wire-error.ts";
import type { LaneSettings, LeaseOptions, MoveOptions, ScanOptions } from "../../core/message-log/message-log.ts";
import { BulkQueries } from "./bulk-queries.ts";
import { ChangeQueries, type Tables } from "./change-queries.ts";
import { Database, fromLogError } from "./database.ts";
import { LaneTable } from "./lane-table.ts";
import { LeaseQueries } from "./lease-queries.ts";
import { MessageTable } from "./message-table.ts";
import type { Batch, BatchResult, Call, Outcome, WireChange } from "./protocol.ts";
import { ReadQueries } from "./read-queries.ts";
import { TrailTable } from "./trail-table.ts";

/** A call failed after it had changed something: the transaction is done again with a savepoint for each call. */
class HalfDone extends Error {}

/** One opened file. */
class OpenFile implements Disposable {
	readonly tables: Tables;
	readonly changes: ChangeQueries;
	readonly leases: LeaseQueries;
	readonly reads: ReadQueries;
	readonly bulk: BulkQueries;

	constructor(path: string) {
		const db = new Database(path);
		const lanes = new LaneTable(db);
		this.tables = { db, lanes, messages: new MessageTable(db, lanes), trail: new TrailTable(db) };
		this.changes = new ChangeQueries(this.tables);
		this.leases = new LeaseQueries(this.tables);
		this.reads = new ReadQueries(this.tables);
		this.bulk = new BulkQueries(this.tables);
	}

	reset(): void {
		this.tables.lanes.reset();
		this.tables.messages.reset();
		this.tables.trail.reset();
	}

	[Symbol.dispose](): void {
		this.tables.db[Symbol.dispose]();
	}
}

/**
 * Calls that promise nothing to anybody: a lease that a loss of power undoes leaves its message ready, to be delivered once more. A
 * transaction of these alone is not waited for at the disk; the next one that is takes it along.
 */
const withoutPromise: ReadonlySet<string> = new Set([
	"lease",
	"promote",
	"counts",
	"lanes",
	"readyLanes",
	"scan",
	"find",
	"trail",
	"faults",
]);

/** A call with the contents of its batch. */
interface Task {
	call: Call;
	contents: Uint8Array;
}

/** The log's file as its thread works with it: batches of calls, each a transaction, and what to do when the disk fails. */
export class LogFile implements Disposable {
	readonly #path: string;
	#file: OpenFile;
	/** The disk failed and the file could not be brought into order since: why. */
	#broken: unknown;
	#lost: { sequence: number; lease: number }[] = [];
	/** Lanes that a file closed since had made ready. */
	#readied: string[] = [];
	#commitMs: number | undefined;
	#recovered = false;
	/** What the clock said when the newest of the batches was sent. */
	#nowMs = 0;

	constructor(path: string) {
		this.#path = path;
		this.#file = new OpenFile(path);
	}

	/** Gives back the memory of pages that can be read again. */
	shrink(): void {
		if (this.#broken === undefined) this.#file.tables.db.exec("PRAGMA shrink_memory");
	}

	/** The first transaction: leases that were to last as long as the process before this one end. */
	start(nowMs: number): BatchResult {
		this.#transaction(() => {
			this.#file.leases.endProcessLeases(nowMs);
			this.#file.leases.promote(nowMs);
		});
		return this.#result([]);
	}

	/** In one transaction, at the time of the newest. */
	run(batches: readonly Batch[]): BatchResult {
		this.#commitMs = undefined;
		this.#recovered = false;
		this.#nowMs = batches.at(-1)?.nowMs ?? this.#nowMs;
		if (this.#broken !== undefined) this.#recover();
		const tasks = batches.flatMap(({ calls, contents }) => calls.map((call): Task => ({ call, contents })));
		return this.#result(this.#runTogether(tasks));
	}

	#result(outcomes: Outcome[]): BatchResult {
		const { lanes, messages } = this.#file.tables;
		lanes.trim();
		return {
			outcomes,
			readied: [...this.#readied.splice(0), ...lanes.takeReadied()],
			nextDueMs: messages.nextDueMs === Number.POSITIVE_INFINITY ? undefined : messages.nextDueMs,
			faults: messages.takeFaults(),
			commitMs: this.#commitMs,
			recovered: this.#recovered,
		};
	}

	#runTogether(tasks: readonly Task[]): Outcome[] {
		if (this.#broken !== undefined) return this.#refuse(tasks, this.#broken);
		try {
			return this.#attempt(tasks, false);
		} catch (error) {
			if (!(error instanceof HalfDone)) return this.#afterFailure(tasks, error);
		}
		try {
			return this.#attempt(tasks, true);
		} catch (error) {
			return this.#afterFailure(tasks, error);
		}
	}

	#refuse(tasks: readonly Task[], error: unknown): Outcome[] {
		return tasks.map(() => ({ error: toWire(fromLogError(error, this.#path)) }));
	}

	/** Nothing was committed, or, after a failure of the disk, perhaps all. */
	#afterFailure(tasks: readonly Task[], error: unknown): Outcome[] {
		if (isDiskFailure(error)) {
			this.#lost.push(...this.#file.leases.takeUnanswered());
			this.#broken = error;
			this.#recover();
			return this.#refuse(tasks, error);
		}
		this.#file.leases.answered();
		if (isDiskFull(error)) this.#makeRoom();
		if (tasks.length > 1) return tasks.flatMap((task) => this.#runTogether([task]));
		return this.#refuse(tasks, error);
	}

	#attempt(tasks: readonly Task[], apart: boolean): Outcome[] {
		const work = () => {
			this.#file.leases.promote(this.#nowMs);
			return tasks.map((task) => (apart ? this.#runApart(task) : this.#runOne(task)));
		};
		const isPromised = tasks.some(({ call }) => !withoutPromise.has(call.method));
		const outcomes = isPromised ? this.#transaction(work) : this.#unflushed(work);
		this.#file.leases.answered();
		return outcomes;
	}

	#unflushed<T>(work: () => T): T {
		const { db } = this.#file.tables;
		db.exec("PRAGMA synchronous = NORMAL");
		try {
			return this.#transaction(work);
		} finally {
			db.exec("PRAGMA synchronous = FULL");
		}
	}

	#transaction<T>(work: () => T): T {
		const { db, lanes, messages } = this.#file.tables;
		messages.mark();
		try {
			db.exec("BEGIN");
			const { writes } = db;
			const done = work();
			lanes.flush();
			const began = performance.now();
			db.exec("COMMIT");
			if (db.writes !== writes) this.#commitMs = (this.#commitMs ?? 0) + performance.now() - began;
			return done;
		} catch (error) {
			this.#rollBack();
			throw error;
		}
	}

	#rollBack(): void {
		const { db } = this.#file.tables;
		if (db.inTransaction) db.exec("ROLLBACK");
		this.#file.reset();
	}

	/** A refusal before the call has written anything needs no undoing. */
	#runOne(task: Task): Outcome {
		const { db } = this.#file.tables;
		const { writes } = db;
		try {
			return { value: this.#invoke(task) };
		} catch (error) {
			if (!isSlipwayError(error)) throw error;
			if (db.writes !== writes) throw new HalfDone();
			return { error: toWire(error) };
		}
	}

	#runApart(task: Task): Outcome {
		const { db, lanes, messages } = this.#file.tables;
		lanes.flush();
		messages.mark();
		db.exec("SAVEPOINT one");
		try {
			const value = this.#invoke(task);
			lanes.flush();
			db.exec("RELEASE one");
			return { value };
		} catch (error) {
			if (!isSlipwayError(error)) throw error;
			db.exec("ROLLBACK TO one; RELEASE one");
			this.#file.reset();
			return { error: toWire(error) };
		}
	}

	#invoke({ call, contents }: Task): unknown {
		const nowMs = this.#nowMs;
		const { changes, leases, reads, bulk, tables } = this.#file;
		const [first, second] = call.parameters;
		const name = first as string;
		switch (call.method) {
			case "commit":
				return changes.commit(first as WireChange[], contents, nowMs);
			case "lease":
				return leases.lease(name, second as LeaseOptions, nowMs);
			case "promote":
				return undefined;
			case "counts":
				return reads.counts(name);
			case "lanes":
				return reads.lanes(name, second as string);
			case "readyLanes":
				return reads.readyLanes(name, second as string);
			case "scan":
				return reads.scan(name, second as ScanOptions, nowMs);
			case "find":
				return reads.find(name, nowMs);
			case "trail":
				return tables.trail.of(name);
			case "faults":
				return reads.faults();
			case "defineLane":
				return bulk.define(name, second as LaneSettings);
			case "remove":
				return bulk.remove(name);
			case "removeStep":
				return bulk.removeStep();
			case "purgeBound":
				return bulk.purgeBound(name);
			case "purgeStep":
				return bulk.purgeStep(name, second as number);
			case "move":
				return bulk.move(name, second as MoveOptions, nowMs);
			case "sweepStep":
				return bulk.sweepStep(first as number, nowMs);
			default:
				throw new Error(`No such method: ${call.method}`);
		}
	}

	/** What was written back need not be in the write-ahead log any more. */
	#makeRoom(): void {
		try {
			this.#file.tables.db.checkpoint();
		} catch (error) {
			if (isDiskFailure(error)) this.#broken = error;
			else if (!isDiskFull(error)) throw error;
		}
	}

	/**
	 * After a failed flush the kernel takes the pages for clean, and flushing again says "done" of bytes that are not on the disk
	 * (https://wiki.postgresql.org/wiki/Fsync_Errors). So the file is opened anew and all of the write-ahead log written to it
	 * and flushed: only then is anything acknowledged again.
	 */
	#recover(): void {
		try {
			// Of calls before the failed one, which are committed: somebody has to hear of them.
			this.#readied.push(...this.#file.tables.lanes.takeReadied());
			this.#file[Symbol.dispose]();
			this.#file = new OpenFile(this.#path);
			this.#file.tables.db.checkpoint();
			this.#broken = undefined;
			this.#transaction(() => this.#file.leases.release(this.#lost, this.#nowMs));
			this.#lost = [];
			this.#recovered = true;
		} catch (error) {
			this.#broken = error;
		}
	}

	[Symbol.dispose](): void {
		try {
			if (this.#broken === undefined) this.#transaction(() => this.#file.tables.messages.giveBackSequences());
		} finally {
			this.#file[Symbol.dispose]();
		}
	}
}
