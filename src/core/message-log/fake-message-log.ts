import type { Clock } from "../../base/clock.ts";
import { SlipwayError } from "../../base/error.ts";
import { checkChanges, checkLane, checkLease, checkMove, checkScan, checkSettings } from "./check-call.ts";
import { commit, define, lease, move, purge } from "./lane-operations.ts";
import {
	copyLog,
	emptyLog,
	type LaneState,
	type LogState,
	type MessageState,
	promoteDue,
	restart,
	sweep,
} from "./lane-state.ts";
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
} from "./message-log.ts";
import { longestTimerMs, sweepMs } from "./message-log.ts";
import { ReadyWatchers } from "./ready-watchers.ts";

/** More of them are done on a copy of the state, since one may fail after another was done; a single one fails before it does anything. */
const changesWithoutCopy = 1;

/** A MessageLog in memory, for tests: the state machine of lane-state.ts and timers of the given clock. */
export class FakeMessageLog implements MessageLog {
	readonly #clock: Pick<Clock, "now" | "after">;
	readonly #watchers = new ReadyWatchers((prefix) => this.#readyLanes(prefix));
	#log: LogState = emptyLog();
	#cancelTimer: (() => void) | undefined;
	#cancelSweep: (() => void) | undefined;
	/** Commits that were asked for. */
	commits = 0;
	/** Called before a commit takes effect (`before`) and after it has (`after`); throwing makes it fail for the caller. */
	onCommit:
		| ((when: "before" | "after", number: number, changes: readonly LogChange[]) => void | Promise<void>)
		| undefined;

	constructor(options: { clock: Pick<Clock, "now" | "after"> }) {
		this.#clock = options.clock;
		this.#sweepLater();
	}

	/** As when the process was killed and another one opened the log: leases for a process end, watches are gone. */
	restart(): void {
		this.#watchers.clear();
		restart(this.#log, this.#clock.now());
		this.#finish();
	}

	/** What happens by itself once a minute: messages past their retention go, watchers are told of what is ready. */
	async sweep(): Promise<void> {
		this.#run((log, nowMs) => sweep(log, nowMs));
		for (const lane of await this.#readyLanes("")) this.#watchers.notify(lane);
	}

	/** Ends its timers. */
	[Symbol.dispose](): void {
		this.#cancelTimer?.();
		this.#cancelSweep?.();
		this.#watchers.clear();
	}

	async defineLane(lane: string, settings: LaneSettings): Promise<void> {
		checkSettings(lane, settings);
		this.#run((log) => define(log, lane, { ...settings }));
	}

	async removeLane(lane: string): Promise<void> {
		this.#run((log) => log.lanes.delete(lane));
	}

	async commit(changes: readonly LogChange[]): Promise<ChangeResult[]> {
		checkChanges(changes);
		const number = ++this.commits;
		await this.onCommit?.("before", number, changes);
		const results = this.#run((log, nowMs) => {
			const before = changes.length > changesWithoutCopy ? copyLog(log) : undefined;
			try {
				return commit(log, changes, nowMs);
			} catch (error) {
				if (before) this.#log = before;
				throw error;
			}
		});
		await this.onCommit?.("after", number, changes);
		return results;
	}

	async lease(lane: string, options: LeaseOptions): Promise<LeasedMessage[]> {
		checkLease(options);
		return this.#run((log, nowMs) => lease(log, lane, options, nowMs));
	}

	watch(prefix: string, onReady: (lane: string) => void): () => void {
		return this.#watchers.watch(prefix, onReady);
	}

	async counts(lane: string): Promise<LaneCounts> {
		return this.#run((log) => {
			const found = log.lanes.get(lane);
			if (!found) throw new SlipwayError("NOT_FOUND", `There is no lane '${lane}'`);
			return countsOf(found);
		});
	}

	async lanes(prefix: string): Promise<LaneCounts[]> {
		return this.#run((log) =>
			[...log.lanes.values()]
				.filter((lane) => lane.name.startsWith(prefix))
				.sort((a, b) => (a.name < b.name ? -1 : 1))
				.map(countsOf),
		);
	}

	async scan(lane: string, options: ScanOptions): Promise<StoredMessage[]> {
		checkScan(options);
		const { limit, state, after = 0, fromMs = -Infinity, toMs = Infinity } = options;
		return this.#run((log) =>
			[...(log.lanes.get(lane)?.messages.values() ?? [])]
				.filter((one) => one.sequence > after && (!state || one.state === state))
				.filter((one) => one.sentMs >= fromMs && one.sentMs <= toMs)
				.slice(0, limit)
				.map(stored),
		);
	}

	async find(id: string): Promise<StoredMessage[]> {
		return this.#run((log) =>
			[...log.lanes.values()]
				.flatMap((lane) => [...lane.messages.values()].filter((one) => one.id === id || one.correlation === id))
				.sort((a, b) => a.sequence - b.sequence)
				.slice(0, 1000)
				.map(stored),
		);
	}

	async trail(id: string): Promise<TrailEntry[]> {
		return this.#run((log) => log.trail.filter((one) => one.id === id || one.correlation === id).slice(0, 1000));
	}

	async move(from: string, options: MoveOptions): Promise<number> {
		checkMove(from, options);
		return this.#run((log, nowMs) => move(log, from, options, nowMs));
	}

	async purge(lane: string): Promise<number> {
		checkLane(lane);
		return this.#run((log) => purge(log, lane));
	}

	async faults(): Promise<LogFault[]> {
		return [...this.#log.faults];
	}

	#run<T>(operation: (log: LogState, nowMs: number) => T): T {
		const nowMs = this.#clock.now();
		promoteDue(this.#log, nowMs);
		try {
			return operation(this.#log, nowMs);
		} finally {
			this.#finish();
		}
	}

	/** Tells the watchers, and waits for what is due next. */
	#finish(): void {
		for (const lane of this.#log.readied) this.#watchers.notify(lane);
		this.#log.readied.clear();
		this.#cancelTimer?.();
		this.#cancelTimer = undefined;
		const waitMs = Math.max(0, this.#log.nextDueMs - this.#clock.now());
		if (waitMs === Infinity) return;
		this.#cancelTimer = this.#clock.after(Math.min(waitMs, longestTimerMs), () => this.#run(() => undefined));
	}

	#sweepLater(): void {
		this.#cancelSweep = this.#clock.after(sweepMs, () => {
			void this.sweep();
			this.#sweepLater();
		});
	}

	async #readyLanes(prefix: string): Promise<string[]> {
		promoteDue(this.#log, this.#clock.now());
		return [...this.#log.lanes.values()]
			.filter((lane) => lane.name.startsWith(prefix))
			.filter((lane) => [...lane.messages.values()].some((one) => one.state === "ready"))
			.map((lane) => lane.name);
	}
}

function stored({ lease: _, told: _told, ...message }: MessageState): StoredMessage {
	return { ...message, body: message.body.slice(), headers: structuredClone(message.headers) };
}

function countsOf(lane: LaneState): LaneCounts {
	const counts = { visible: 0, delayed: 0, inFlight: 0, bytes: 0 };
	let oldest: number | undefined;
	for (const message of lane.messages.values()) {
		oldest ??= message.sentMs;
		counts.bytes += message.body.length;
		if (message.state === "delayed") counts.delayed++;
		else if (message.state === "leased") counts.inFlight++;
		else counts.visible++;
	}
	return { lane: lane.name, settings: lane.settings, ...counts, oldestSentMs: oldest };
}
