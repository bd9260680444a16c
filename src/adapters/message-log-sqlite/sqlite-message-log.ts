import { statSync } from "node:fs";
import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import { retryDelayMs } from "../../core/delivery/retry-delay.ts";
import * as check from "../../core/message-log/check-call.ts";
import type {
	ChangeResult,
	LaneCounts,
	LaneSettings,
	LeasedMessage,
	LeaseOptions,
	LogChange,
	LogFault,
	MessageLog,
	MoveOptions,
	ScanOptions,
	StoredMessage,
	TrailEntry,
} from "../../core/message-log/message-log.ts";
import { longestTimerMs, sweepMs } from "../../core/message-log/message-log.ts";
import { ReadyWatchers } from "../../core/message-log/ready-watchers.ts";
import { CommitStats, type LogStats } from "./commit-stats.ts";
import { LogThread } from "./log-thread.ts";
import type { BatchResult } from "./protocol.ts";
import { lanesPerPage, type ScanStep } from "./read-queries.ts";

/** Between two tries of what failed and nobody waits for: a full disk or a damaged file has to be seen to by somebody. */
const backgroundDelays = { firstMs: 1000, longestMs: 300_000 };

export interface SqliteMessageLogOptions {
	path: string;
	clock: Pick<Clock, "now" | "after">;
	log: Log;
	/** A message whose bytes are not those that were written was set aside. */
	onFault?: (fault: LogFault) => void;
}

/**
 * The durable log in one SQLite file that a thread of its own reads and writes: docs/adr/0016. Calls that come while a commit is on
 * its way to the disk share the next one. One process at a time.
 */
export class SqliteMessageLog implements MessageLog, AsyncDisposable {
	readonly #options: SqliteMessageLogOptions;
	readonly #thread: LogThread;
	readonly #stats = new CommitStats();
	readonly #watchers = new ReadyWatchers((prefix) => this.#readyLanesAtLast(prefix));
	#cancelTimer: (() => void) | undefined;
	#cancelSweep: (() => void) | undefined;
	/** Looks for due messages that failed in a row. */
	#promoteFailures = 0;
	/** The same of looks for old ones. */
	#sweepFailures = 0;
	#closed = false;
	#removing: Promise<void> | undefined;

	private constructor(options: SqliteMessageLogOptions, thread: LogThread, opened: BatchResult) {
		this.#options = options;
		this.#thread = thread;
		thread.onResult = (result, calls) => this.#onResult(result, calls);
		thread.onFailure = (error) => options.log.error("The event log's thread has failed; restart the daemon", { error });
		this.#onResult(opened, 0);
		this.#sweepLater();
		this.#removeRest();
	}

	/**
	 * Opens or makes the file. UNAVAILABLE (reason "LogCorrupt") for a damaged file, UNSUPPORTED (reason "LogTooNew") for a newer
	 * schema, CONFLICT while another process has it, EXHAUSTED (reason "DiskFull").
	 */
	static async open(options: SqliteMessageLogOptions): Promise<SqliteMessageLog> {
		const { path, clock } = options;
		const { thread, opened } = await LogThread.start(path, () => clock.now());
		return new SqliteMessageLog(options, thread, opened);
	}

	/** Finishes the calls under way, then closes the file. Idempotent. */
	async [Symbol.asyncDispose](): Promise<void> {
		this.#closed = true;
		this.#cancelTimer?.();
		this.#cancelSweep?.();
		this.#watchers.clear();
		await this.#thread.close();
	}

	stats(): LogStats {
		const { path } = this.#options;
		return this.#stats.read({
			fileBytes: sizeOf(path),
			walBytes: sizeOf(`${path}-wal`),
			pending: this.#thread.pending,
		});
	}

	async defineLane(lane: string, settings: LaneSettings): Promise<void> {
		check.checkSettings(lane, settings);
		await this.#thread.call("defineLane", [lane, settings]);
	}

	async removeLane(lane: string): Promise<void> {
		check.checkLane(lane);
		await this.#thread.call("remove", [lane]);
		this.#removeRest();
	}

	async commit(changes: readonly LogChange[]): Promise<ChangeResult[]> {
		check.checkChanges(changes);
		return (await this.#thread.commit(changes)) as ChangeResult[];
	}

	async lease(lane: string, options: LeaseOptions): Promise<LeasedMessage[]> {
		check.checkLease(options);
		return (await this.#thread.call("lease", [lane, options])) as LeasedMessage[];
	}

	watch(prefix: string, onReady: (lane: string) => void): () => void {
		return this.#watchers.watch(prefix, onReady);
	}

	async counts(lane: string): Promise<LaneCounts> {
		return (await this.#thread.call("counts", [lane])) as LaneCounts;
	}

	async lanes(prefix: string): Promise<LaneCounts[]> {
		const lanes: LaneCounts[] = [];
		for (let after = ""; ; ) {
			const page = (await this.#thread.call("lanes", [prefix, after])) as LaneCounts[];
			for (const lane of page) lanes.push(lane);
			const last = page.at(-1);
			if (!last || page.length < lanesPerPage) return lanes;
			after = last.lane;
		}
	}

	async scan(lane: string, options: ScanOptions): Promise<StoredMessage[]> {
		check.checkScan(options);
		const found: StoredMessage[] = [];
		for (let after = options.after ?? 0; ; ) {
			const limit = options.limit - found.length;
			const step = (await this.#thread.call("scan", [lane, { ...options, after, limit }])) as ScanStep;
			for (const message of step.messages) found.push(message);
			if (step.after === undefined || found.length >= options.limit) return found;
			after = step.after;
		}
	}

	async find(id: string): Promise<StoredMessage[]> {
		return (await this.#thread.call("find", [id])) as StoredMessage[];
	}

	async trail(id: string): Promise<TrailEntry[]> {
		return (await this.#thread.call("trail", [id])) as TrailEntry[];
	}

	async move(from: string, options: MoveOptions): Promise<number> {
		check.checkMove(from, options);
		return (await this.#thread.call("move", [from, options])) as number;
	}

	async purge(lane: string): Promise<number> {
		check.checkLane(lane);
		const upTo = await this.#thread.call("purgeBound", [lane]);
		for (let deleted = 0; ; ) {
			const some = (await this.#thread.call("purgeStep", [lane, upTo])) as number;
			if (some === 0) return deleted;
			deleted += some;
		}
	}

	async faults(): Promise<LogFault[]> {
		return (await this.#thread.call("faults", [])) as LogFault[];
	}

	/**
	 * Deletes what is past its retention, and tells watchers once more of the lanes that have something for them, as happens by itself
	 * once a minute: whoever let a call slip does not wait for ever.
	 */
	async sweep(): Promise<void> {
		for (let after: unknown = 0; after !== undefined; ) after = await this.#thread.call("sweepStep", [after]);
		for (const lane of await this.#readyLanes("")) this.#watchers.notify(lane);
	}

	#onResult(result: BatchResult, calls: number): void {
		this.#stats.add(result, calls);
		for (const fault of result.faults) {
			this.#options.log.error("A message of the event log is damaged and was set aside", { ...fault });
			this.#options.onFault?.(fault);
		}
		if (result.recovered) this.#options.log.error("The disk of the event log failed; the file was opened anew");
		for (const lane of result.readied) this.#watchers.notify(lane);
		this.#promoteAt(result.nextDueMs);
	}

	#promoteAt(dueMs: number | undefined): void {
		this.#cancelTimer?.();
		this.#cancelTimer = undefined;
		if (dueMs === undefined) this.#promoteFailures = 0;
		if (dueMs === undefined || this.#closed) return;
		const waitMs = Math.max(0, dueMs - this.#options.clock.now());
		if (waitMs > 0) this.#promoteFailures = 0;
		const again = this.#promoteFailures > 0 ? retryDelayMs(backgroundDelays, this.#promoteFailures) : 0;
		const delayMs = Math.max(again, Math.min(waitMs, longestTimerMs));
		this.#cancelTimer = this.#options.clock.after(delayMs, () => this.#inBackground(this.#promote(dueMs)));
	}

	/** Messages stay due while the disk has no room for what becomes of them. */
	async #promote(dueMs: number): Promise<void> {
		try {
			await this.#thread.call("promote", []);
			this.#promoteFailures = 0;
		} catch (error) {
			this.#promoteFailures++;
			this.#promoteAt(dueMs);
			throw error;
		}
	}

	#sweepLater(): void {
		const again = this.#sweepFailures > 0 ? retryDelayMs(backgroundDelays, this.#sweepFailures) : 0;
		this.#cancelSweep = this.#options.clock.after(Math.max(sweepMs, again), () => this.#inBackground(this.#sweepNow()));
	}

	/** One at a time, however long it takes. */
	async #sweepNow(): Promise<void> {
		try {
			await this.sweep();
			this.#sweepFailures = 0;
		} catch (error) {
			this.#sweepFailures++;
			throw error;
		} finally {
			if (!this.#closed) this.#sweepLater();
		}
	}

	/** Deletes the messages of removed lanes, step by step among the calls of others. */
	#removeRest(): void {
		this.#removing ??= (async () => {
			try {
				while (!this.#closed && (await this.#thread.call("removeStep", []))) {}
			} finally {
				this.#removing = undefined;
			}
		})();
		this.#inBackground(this.#removing);
	}

	/** Work that nobody waits for; it is done again in its time, when the log is opened at the latest. */
	#inBackground(work: Promise<unknown>): void {
		work.catch((error: unknown) => {
			if (!this.#closed) this.#options.log.warn("The event log could not tidy up", { error });
		});
	}

	/** A watch that has begun is told of all of them: if the disk fails or too many calls wait, later. */
	async #readyLanesAtLast(prefix: string): Promise<string[]> {
		for (let failures = 1; ; failures++)
			try {
				return await this.#readyLanes(prefix);
			} catch (error) {
				if (this.#closed) return [];
				this.#options.log.warn("The event log could not be asked what is ready; will try again", { error });
				await new Promise<void>((resolve) =>
					this.#options.clock.after(retryDelayMs(backgroundDelays, failures), resolve),
				);
			}
	}

	async #readyLanes(prefix: string): Promise<string[]> {
		const names: string[] = [];
		for (let after = ""; ; ) {
			const page = (await this.#thread.call("readyLanes", [prefix, after])) as string[];
			for (const name of page) names.push(name);
			if (page.length < lanesPerPage) return names;
			after = page.at(-1) ?? "";
		}
	}
}

function sizeOf(path: string): number {
	return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
