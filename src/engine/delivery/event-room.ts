/** The room that events have on this machine, and who has which part of it. */
import type { Clock } from "../../base/clock.ts";
import type { CpuMeter } from "../../base/cpu-meter.ts";
import { firstTotal, nextLimit, nextTotal } from "./event-limits.ts";

export interface EventRoomOptions {
	clock: Clock;
	cpu: CpuMeter;
	cpus: number;
	/** Events at once, of all functions. */
	maxTotal: number;
	/** Cold starts under way, or waiting for their turn: more sandboxes would only wait behind them. */
	starting: () => number;
}

/** Takes events from somewhere: asynchronous invocation, event source mappings, triggers. Keys are unique among all users. */
export interface RoomUser {
	/** Room is shared evenly between functions. */
	functionOf: (key: string) => string;
	/** The most events at once of the key alone; 1 where it is less. */
	max: (key: string) => number;
	/** The key may have more events now. */
	onRoom: (key: string) => void;
}

interface Lane {
	readonly key: string;
	readonly user: RoomUser;
	readonly functionName: string;
	limit: number;
	running: number;
	/** Places that are kept for it, and whether they were at the last look. */
	granted: number;
	grantIsOld: boolean;
	/** Monotonic milliseconds: when it last got a place that others waited for. */
	turnAt: number;
	backlog: boolean;
	throttled: boolean;
	/** Looks at which it was throttled, one after the other; and those that it still sits out. */
	throttles: number;
	pause: number;
}

/** Milliseconds between two looks while there are events that wait, are throttled, or have a place kept for them. */
const lookMs = 250;
/** Cold starts for each CPU, under way or waiting, with which no lane gets more than it has. */
const startingPerCpu = 2;
/** Looks that a lane sits out at most after throttles: 8 s. */
const longestPause = 32;
/** Milliseconds that a lane keeps its places while others wait: each change of functions may cost a cold start. */
const turnMs = 2000;
/** Milliseconds without any event begun after which a function with none in hand gets a place beyond the limit, however busy the CPUs. */
const patienceMs = 2000;

/**
 * How many events may run at once, of each lane and of all together: few at first, more while they wait and the machine has
 * time, fewer of a lane that is throttled. When all places are taken, a free one goes to the function with the fewest events
 * in hand, of several to the one that has waited the longest. Nothing is kept of a lane that has nothing to do, and there is no timer then.
 */
export class EventRoom implements Disposable {
	readonly #options: EventRoomOptions;
	readonly #lanes = new Map<string, Lane>();
	/** Those that found every place taken, in the order in which they came. */
	readonly #waiting = new Set<Lane>();
	/** Places taken or kept, by function and of all. */
	readonly #byFunction = new Map<string, number>();
	#taken = 0;
	#total: number;
	#lastBeginAt = 0;
	#cancelLook: (() => void) | undefined;
	#lastLook: { atMs: number; idleMs: number | undefined } | undefined;
	#isClosed = false;

	constructor(options: EventRoomOptions) {
		this.#options = options;
		this.#total = this.#firstTotal();
	}

	/** Events that it may have in hand now, of which one more than before is kept for it for a moment. Asked while there are some ready. */
	allowed(key: string, user: RoomUser): number {
		const lane = this.#lane(key, user);
		if (lane.pause > 0) return 0;
		const most = Math.min(lane.limit, this.#max(lane));
		if (lane.running < most && lane.granted === 0 && !this.#keep(lane)) this.#waiting.add(lane);
		const allowed = Math.min(most, lane.running + lane.granted);
		// Where all places are taken, more for itself would be of no use.
		if (lane.running >= most) lane.backlog = true;
		this.#lookLater();
		return allowed;
	}

	begin(key: string, user: RoomUser): void {
		const lane = this.#lane(key, user);
		lane.running++;
		lane.grantIsOld = false;
		// One that comes later than its place was kept takes one all the same.
		if (lane.granted > 0) lane.granted--;
		else this.#take(lane, 1);
		this.#lastBeginAt = this.#options.clock.monotonic();
	}

	end(key: string, { throttled }: { throttled: boolean }): void {
		const lane = this.#lanes.get(key);
		if (!lane) return;
		lane.running--;
		if (throttled && !lane.throttled) {
			lane.throttled = true;
			lane.pause = Math.min(longestPause, 2 ** Math.min(lane.throttles++, 10));
			this.#lookLater();
		}
		if (this.#mayStay(lane)) {
			lane.granted++;
			lane.grantIsOld = false;
		} else {
			this.#take(lane, -1);
			// Behind all others that wait.
			if (this.#waiting.delete(lane)) this.#waiting.add(lane);
			this.#handOut();
		}
		if (this.#cancelLook === undefined) this.#tidy(lane);
	}

	[Symbol.dispose](): void {
		this.#isClosed = true;
		this.#cancelLook?.();
		this.#cancelLook = undefined;
		this.#lanes.clear();
		this.#waiting.clear();
	}

	#firstTotal(): number {
		return Math.min(this.#options.maxTotal, firstTotal(this.#options.cpus));
	}

	#lane(key: string, user: RoomUser): Lane {
		const existing = this.#lanes.get(key);
		if (existing) return existing;
		const lane: Lane = {
			key,
			user,
			functionName: user.functionOf(key),
			limit: Math.max(2, this.#options.cpus),
			running: 0,
			granted: 0,
			grantIsOld: false,
			turnAt: this.#options.clock.monotonic(),
			backlog: false,
			throttled: false,
			throttles: 0,
			pause: 0,
		};
		this.#lanes.set(key, lane);
		return lane;
	}

	#max({ key, user }: Lane): number {
		return Math.max(1, Math.min(this.#options.maxTotal, user.max(key)));
	}

	#take({ functionName }: Lane, count: number): void {
		this.#taken += count;
		const held = (this.#byFunction.get(functionName) ?? 0) + count;
		if (held === 0) this.#byFunction.delete(functionName);
		else this.#byFunction.set(functionName, held);
	}

	#held({ functionName }: Lane): number {
		return this.#byFunction.get(functionName) ?? 0;
	}

	/** False: there is no place left. */
	#keep(lane: Lane): boolean {
		if (this.#taken >= this.#total) return false;
		this.#take(lane, 1);
		lane.granted++;
		lane.grantIsOld = false;
		return true;
	}

	/** While others wait, one that has more to do goes on in its own place until its turn is over. */
	#mayStay(lane: Lane): boolean {
		if (this.#waiting.size === 0 || this.#taken > this.#total || lane.pause > 0 || lane.granted > 0) return false;
		if (!lane.backlog && !this.#waiting.has(lane)) return false;
		return this.#options.clock.monotonic() - lane.turnAt < turnMs;
	}

	/** Free places to those that wait. */
	#handOut(): void {
		while (!this.#isClosed) {
			const next = this.#next();
			if (!next || !this.#keep(next)) return;
			this.#waiting.delete(next);
			next.turnAt = this.#options.clock.monotonic();
			this.#lookLater();
			next.user.onRoom(next.key);
		}
	}

	#next(): Lane | undefined {
		let next: Lane | undefined;
		for (const lane of this.#waiting) {
			if (!next || this.#held(lane) < this.#held(next)) next = lane;
			if (this.#held(next) === 0) break;
		}
		return next;
	}

	#lookLater(): void {
		if (this.#isClosed) return;
		const { clock, cpu } = this.#options;
		this.#lastLook ??= { atMs: clock.monotonic(), idleMs: cpu.idleMs() };
		this.#cancelLook ??= clock.after(lookMs, () => this.#look());
	}

	#look(): void {
		this.#cancelLook = undefined;
		const idleCpus = this.#idleCpus();
		const { cpus, starting } = this.#options;
		const mayGrow = starting() < cpus * startingPerCpu;
		this.#adjustTotal(idleCpus);
		const wake: Lane[] = [];
		let goesOn = false;
		for (const lane of this.#lanes.values()) {
			if (this.#adjust(lane, idleCpus, mayGrow)) wake.push(lane);
			if (lane.pause > 0 || lane.throttles > 0 || lane.granted > 0 || this.#waiting.has(lane)) goesOn = true;
			else this.#tidy(lane);
		}
		if (goesOn) this.#lookLater();
		else if (wake.length === 0) this.#lastLook = undefined;
		this.#handOut();
		// A lane with a backlog is told of its room, asks, and has the next look taken by that.
		for (const { user, key } of wake) user.onRoom(key);
	}

	#adjustTotal(idleCpus: number | undefined): void {
		if (this.#waiting.size === 0) return;
		const { clock, cpus, maxTotal, starting } = this.#options;
		const total = this.#total;
		this.#total = nextTotal({ limit: total, max: maxTotal, cpus, idleCpus }, starting());
		const next = this.#next();
		const waits = next !== undefined && this.#held(next) === 0;
		if (this.#total === total && waits && clock.monotonic() - this.#lastBeginAt >= patienceMs)
			this.#total = Math.min(maxTotal, total + 1);
	}

	/** True when the lane should ask again. */
	#adjust(lane: Lane, idleCpus: number | undefined, mayGrow: boolean): boolean {
		const { backlog, throttled } = lane;
		const { cpus } = this.#options;
		lane.limit = nextLimit({
			limit: lane.limit,
			max: this.#max(lane),
			backlog: backlog && mayGrow,
			throttled,
			cpus,
			idleCpus,
		});
		if (!throttled && lane.pause === 0) lane.throttles = 0;
		lane.backlog = false;
		lane.throttled = false;
		this.#takeBack(lane);
		if (lane.pause > 0) {
			lane.pause--;
			return lane.pause === 0;
		}
		return backlog && !this.#waiting.has(lane);
	}

	/** What was kept for it for a whole look: it has nothing to do. */
	#takeBack(lane: Lane): void {
		if (lane.grantIsOld || lane.pause > 0) {
			this.#take(lane, -lane.granted);
			lane.granted = 0;
		}
		lane.grantIsOld = lane.granted > 0;
	}

	#tidy(lane: Lane): void {
		if (lane.running + lane.granted + lane.throttles > 0 || this.#waiting.has(lane)) return;
		this.#lanes.delete(lane.key);
		if (this.#lanes.size === 0) this.#total = this.#firstTotal();
	}

	/** Since the last look. */
	#idleCpus(): number | undefined {
		const { clock, cpu } = this.#options;
		const before = this.#lastLook;
		const now = { atMs: clock.monotonic(), idleMs: cpu.idleMs() };
		this.#lastLook = now;
		if (before?.idleMs === undefined || now.idleMs === undefined || now.atMs <= before.atMs) return undefined;
		return (now.idleMs - before.idleMs) / (now.atMs - before.atMs);
	}
}
