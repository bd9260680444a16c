import { type Clock, settledWithin } from "../../base/clock.ts";
import { isSlipwayError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import { handlerDelays, retryDelayMs, storageDelays } from "../../core/delivery/retry-delay.ts";
import {
	type LeasedMessage,
	type LogChange,
	type MessageLog,
	maxBodyBytes,
} from "../../core/message-log/message-log.ts";
import { FailureReports } from "./failure-reports.ts";

export interface LaneConsumersDeps {
	log: MessageLog;
	clock: Clock;
	logger: Log;
}

export interface LaneConsumersOptions {
	/** Serves every lane whose name begins so. */
	prefix: string;
	/**
	 * Handlers at work at once for the lane. Asked each time; 0 pauses it until `poke`. What has been handled and is being
	 * written does not count: the disk must not hold up the next.
	 */
	concurrency: (lane: string) => number;
	/**
	 * What becomes of the message: changes that are committed together, exactly one of them a settle of `message.token`. One that
	 * throws is retried after 1 s … 5 min. `signal` aborts when the process ends and has waited long enough.
	 */
	handle: (message: LeasedMessage, signal: AbortSignal) => Promise<LogChange[]>;
	/** A handler threw, or what it returned can't be committed (the target's lane is full). It is logged anyway. */
	onError?: (message: LeasedMessage, error: unknown) => void;
	/**
	 * What becomes of the message instead, when what `handle` returned can never be committed (a target's lane is full); tried
	 * again later, with the handler, where it is left out.
	 */
	onRefused?: (message: LeasedMessage, error: unknown, changes: readonly LogChange[]) => LogChange[];
	/** Milliseconds that handlers have to finish at the end; 10 s where it is left out. */
	graceMs?: number;
}

/** Messages of one lease: bounds the work of one call of the log. */
const maxLease = 128;
/** Messages of one lane that are leased and wait for a handler: as many as are handled while a lease is under way, or so. */
const maxAhead = 128;
const firstAhead = 4;
/** Bytes of bodies of one lease. */
const maxLeaseBytes = 8 * 1_048_576;
/** Bytes of bodies in hand, of all lanes: past it no lane leases. */
const maxBytesInHand = 64 * 1_048_576;
/** Handled messages of one lane whose outcome is being written: past it the lane waits for the disk. */
const maxSettling = 512;
/** Leases under way at once: at a start thousands of lanes may be ready. */
const maxLeases = 16;
/** Milliseconds that handlers have at the end, and then those that were told to stop. */
const defaultGraceMs = 10_000;
const abortGraceMs = 1000;

/** One that has messages, or may have. Nothing is kept of the others. */
interface Lane {
	name: string;
	/** Handlers at work. */
	running: number;
	/** Handled, and on the way to the disk. */
	settling: number;
	leasing: boolean;
	/** Leased, and waiting for a handler. */
	queue: LeasedMessage[];
	/** How many may wait so: handlers that are done sooner than a lease comes are not to stand idle. */
	ahead: number;
	/** May have messages that are ready. */
	ready: boolean;
	/** Leases that failed in a row, and the end of the wait after the last. */
	failures: number;
	cancelWait: (() => void) | undefined;
}

/**
 * Takes the messages of lanes as they become ready, gives each to a handler, and writes what the handler says becomes of it.
 * A message is never lost: its lease is this process's own, and ends only with what is committed. Without messages there are
 * no timers and nothing is kept of a lane.
 */
export class LaneConsumers implements AsyncDisposable {
	readonly #deps: LaneConsumersDeps;
	readonly #options: LaneConsumersOptions;
	readonly #lanes = new Map<string, Lane>();
	readonly #reports: FailureReports;
	readonly #stop = new AbortController();
	/** Those that wait for another's lease to end, or for memory, the longest waiting first. */
	readonly #waiting = new Set<Lane>();
	#leases = 0;
	#bytes = 0;
	#unwatch: (() => void) | undefined;
	#closing = false;
	#onQuiet: (() => void) | undefined;

	constructor(deps: LaneConsumersDeps, options: LaneConsumersOptions) {
		this.#deps = deps;
		this.#options = options;
		this.#reports = new FailureReports(deps.logger, deps.clock);
	}

	/** Messages in hand, of all lanes. */
	get inHand(): number {
		let count = 0;
		for (const { running, settling, queue } of this.#lanes.values()) count += running + settling + queue.length;
		return count;
	}

	start(): void {
		if (!this.#closing) this.#unwatch ??= this.#deps.log.watch(this.#options.prefix, (lane) => this.poke(lane));
	}

	/** The lane, or any lane, may be served again: its concurrency has changed from 0. */
	poke(name?: string): void {
		if (this.#closing || !this.#unwatch) return;
		if (name === undefined) {
			// The watch names each lane that has messages when it begins.
			this.#unwatch();
			this.#unwatch = undefined;
			return this.start();
		}
		const lane = this.#lanes.get(name) ?? newLane(name);
		this.#lanes.set(name, lane);
		lane.ready = true;
		this.#pump(lane);
	}

	/** No new leases; waits for handlers, tells the late ones to stop, and leaves what is still in hand to the next process. */
	async [Symbol.asyncDispose](): Promise<void> {
		this.#closing = true;
		this.#unwatch?.();
		this.#waiting.clear();
		for (const lane of this.#lanes.values()) {
			lane.cancelWait?.();
			lane.cancelWait = undefined;
			this.#giveBack(lane);
		}
		const quiet = new Promise<void>((resolve) => {
			this.#onQuiet = resolve;
			if (this.#lanes.size === 0) resolve();
		});
		const { clock } = this.#deps;
		await settledWithin(quiet, this.#options.graceMs ?? defaultGraceMs, clock);
		this.#stop.abort();
		await settledWithin(quiet, abortGraceMs, clock);
	}

	#pump(lane: Lane): void {
		this.#begin(lane);
		const room = this.#room(lane);
		if (room <= 0) return this.#forgetIdle(lane);
		if (this.#leases >= maxLeases || this.#bytes >= maxBytesInHand) {
			this.#waiting.add(lane);
			return;
		}
		void this.#lease(lane, room);
	}

	/** Handlers for those that wait for one. */
	#begin(lane: Lane): void {
		// Asked until it says no: who bounds the concurrency learns so that more are waiting.
		while (lane.queue.length > 0 && !this.#closing) {
			const concurrency = this.#options.concurrency(lane.name);
			// Paused: nobody knows for how long.
			if (concurrency <= 0) return this.#giveBack(lane);
			const free = concurrency - lane.running;
			if (free <= 0) return;
			const messages = lane.queue.splice(0, free);
			lane.running += messages.length;
			for (const message of messages) void this.#serve(lane, message);
		}
	}

	/** Messages to lease now. */
	#room(lane: Lane): number {
		if (this.#closing || lane.leasing || lane.cancelWait || !lane.ready) return 0;
		// Not for each message that is handled: many at once cost hardly more than one.
		if (lane.queue.length * 2 > lane.ahead) return 0;
		const concurrency = this.#options.concurrency(lane.name);
		if (concurrency <= 0) return 0;
		const room = concurrency - lane.running - lane.queue.length + lane.ahead;
		return Math.min(room, maxLease, maxSettling - lane.settling);
	}

	/** While one lease is under way handlers end: the next takes as many at once. */
	async #lease(lane: Lane, max: number): Promise<void> {
		lane.leasing = true;
		lane.ready = false;
		this.#leases++;
		try {
			const options = { max, maxBytes: maxLeaseBytes, visibility: "process" } as const;
			this.#take(lane, max, await this.#deps.log.lease(lane.name, options));
		} catch (error) {
			this.#waitAfterFailure(lane, error);
		}
		lane.leasing = false;
		this.#leases--;
		this.#pump(lane);
		this.#pumpWaiting();
	}

	#take(lane: Lane, max: number, messages: readonly LeasedMessage[]): void {
		lane.failures = 0;
		let bytes = 0;
		for (const message of messages) bytes += message.body.length;
		this.#bytes += bytes;
		// Fewer than were asked for are all there were, unless the next one did not fit.
		if (messages.length === max || bytes > maxLeaseBytes - maxBodyBytes) lane.ready = true;
		// Of a group none may be in hand behind one that may fail: the order would be lost.
		if (messages.some(({ group }) => group !== undefined)) lane.ahead = 0;
		else if (lane.queue.length === 0 && lane.ready)
			lane.ahead = Math.min(maxAhead, Math.max(firstAhead, lane.ahead * 2));
		else if (lane.queue.length * 4 > lane.ahead) lane.ahead -= Math.ceil(lane.ahead / 4);
		for (const message of messages) lane.queue.push(message);
		if (this.#closing) this.#giveBack(lane);
	}

	/** What no handler has seen: ready for the next at once. */
	#giveBack(lane: Lane): void {
		const messages = lane.queue.splice(0);
		for (const { body, token } of messages) {
			this.#bytes -= body.length;
			const change: LogChange = { change: "settle", token, outcome: "retry", delayMs: 0, counts: false };
			// Should it fail, the lease ends with the process.
			this.#deps.log.commit([change]).catch(() => {});
		}
		this.#forgetIdle(lane);
	}

	async #serve(lane: Lane, message: LeasedMessage): Promise<void> {
		const changes = await this.#handle(message);
		lane.running--;
		lane.settling++;
		this.#pump(lane);
		await this.#settle(message, changes);
		lane.settling--;
		this.#bytes -= message.body.length;
		this.#pump(lane);
		this.#pumpWaiting();
	}

	async #handle(message: LeasedMessage): Promise<LogChange[]> {
		try {
			const changes = await this.#options.handle(message, this.#stop.signal);
			if (settlesOf(changes, message.token) === 1) return changes;
			throw new Error(`A handler of ${message.lane} settled its message ${settlesOf(changes, message.token)} times`);
		} catch (error) {
			this.#failed(message, error);
			return [retryLater(message)];
		}
	}

	/**
	 * Until it is on the disk, or the lease is not ours any more: a full disk or a log that is behind has the message waiting here, and
	 * with it the lane. What can never be committed is a handler's failure.
	 */
	async #settle(message: LeasedMessage, changes: readonly LogChange[]): Promise<void> {
		let failures = 0;
		let refusals = 0;
		let next = changes;
		while (!this.#stop.signal.aborted) {
			try {
				await this.#deps.log.commit(next);
				return;
			} catch (error) {
				if (isSlipwayError(error, "PRECONDITION") && error.reason === "StaleLease") return;
				if (isPassing(error))
					this.#reports.report("What became of a message could not be written yet", message.lane, error);
				else next = this.#instead(message, changes, error, ++refusals);
				await this.#deps.clock.sleep(retryDelayMs(storageDelays, ++failures), this.#stop.signal).catch(() => {});
			}
		}
	}

	#instead(message: LeasedMessage, changes: readonly LogChange[], error: unknown, refusals: number): LogChange[] {
		this.#failed(message, error);
		const own = refusals === 1 ? this.#options.onRefused?.(message, error, changes) : undefined;
		return own ?? [retryLater(message)];
	}

	#failed(message: LeasedMessage, error: unknown): void {
		if (this.#stop.signal.aborted) return;
		this.#reports.report("A message could not be delivered and is tried again", message.lane, error, message.id);
		this.#options.onError?.(message, error);
	}

	#waitAfterFailure(lane: Lane, error: unknown): void {
		lane.ready = true;
		if (this.#closing) return;
		this.#reports.report("Messages could not be taken from the log", lane.name, error);
		lane.cancelWait = this.#deps.clock.after(retryDelayMs(storageDelays, ++lane.failures), () => {
			lane.cancelWait = undefined;
			this.#pump(lane);
		});
	}

	#pumpWaiting(): void {
		for (const lane of this.#waiting) {
			if (this.#leases >= maxLeases || this.#bytes >= maxBytesInHand) return;
			this.#waiting.delete(lane);
			this.#pump(lane);
		}
	}

	#forgetIdle(lane: Lane): void {
		if (
			lane.running + lane.settling + lane.queue.length > 0 ||
			lane.leasing ||
			lane.cancelWait ||
			this.#waiting.has(lane)
		)
			return;
		this.#lanes.delete(lane.name);
		if (this.#lanes.size === 0) this.#onQuiet?.();
	}
}

function newLane(name: string): Lane {
	return {
		name,
		running: 0,
		settling: 0,
		leasing: false,
		queue: [],
		ahead: 0,
		ready: false,
		failures: 0,
		cancelWait: undefined,
	};
}

function settlesOf(changes: readonly LogChange[], token: string): number {
	return changes.filter((change) => change.change === "settle" && change.token === token).length;
}

function retryLater(message: LeasedMessage): LogChange {
	return {
		change: "settle",
		token: message.token,
		outcome: "retry",
		delayMs: retryDelayMs(handlerDelays, message.attempts),
	};
}

/** The same commit may succeed later; the others (a lane that is full, a body that is too large) are the target's, or a bug. */
function isPassing(error: unknown): boolean {
	if (isSlipwayError(error, "UNAVAILABLE") || isSlipwayError(error, "THROTTLED")) return true;
	return isSlipwayError(error, "EXHAUSTED") && error.reason !== "LaneFull";
}
