import type { Clock } from "../../base/clock.ts";
import type { SpareSetting } from "../../core/function/spare-setting.ts";
import type { FunctionPool } from "./function-pool.ts";
import type { MemoryObservation } from "./memory-pressure.ts";
import {
	decideSpares,
	noSpares,
	type SpareCount,
	type SpareDemand,
	type SpareLimits,
	type SpareState,
} from "./spares.ts";

/** Milliseconds between two looks at the machine's memory: a look reads three small files of /proc. */
const memoryEveryMs = 1000;
/** Revisions in demand from which on it is decided only now and then what each should have: for thousands that takes milliseconds. */
const manyInDemand = 100;
const manyEveryMs = 1000;

export interface SpareKeeperHost {
	clock: Clock;
	limits: SpareLimits;
	memory: () => MemoryObservation | undefined;
	/** There is room for one more sandbox, and no start waits that could take it. */
	mayAdd: () => boolean;
	/** The CPUs have a hand free for an init, and the function may have one more environment; takes it. */
	mayInitialize: (pool: FunctionPool) => boolean;
	setting: (functionName: string) => SpareSetting;
	/** The function's reserved concurrency. */
	reserved: (functionName: string) => number | undefined;
}

/** Has the spares made and dropped that `decideSpares` decides on. */
export class SpareKeeper {
	readonly #host: SpareKeeperHost;
	#state: SpareState<FunctionPool> = noSpares();
	#memory: MemoryObservation | undefined;
	#memoryAtMs = Number.NEGATIVE_INFINITY;
	#decideAtMs = Number.NEGATIVE_INFINITY;
	#creating: Promise<void> | undefined;
	#initializing: Promise<void> | undefined;

	constructor(host: SpareKeeperHost) {
		this.#host = host;
	}

	/**
	 * To be called again and again, with the pools that are not at rest. One of each kind is begun at a time, and only while
	 * no start waits: a spare must never be in the way of one.
	 */
	keep(pools: ReadonlySet<FunctionPool>): void {
		const { clock, limits, mayAdd, mayInitialize } = this.#host;
		const now = clock.monotonic();
		if (now >= this.#decideAtMs) this.#decide(pools, now);
		if (!this.#creating && mayAdd()) {
			const short = this.#find(pools, "created", (pool) => pool.spares.mayCreate);
			this.#creating = short?.spares.addCreated().finally(() => {
				this.#creating = undefined;
			});
		}
		if (limits.initialized && !this.#initializing && mayAdd()) {
			const short = this.#find(pools, "initialized", mayInitialize);
			this.#initializing = short?.spares.addInitialized().finally(() => {
				this.#initializing = undefined;
			});
		}
	}

	/** The first that lacks some, those that need them most before others. */
	#find(
		pools: ReadonlySet<FunctionPool>,
		kind: keyof SpareCount,
		may: (pool: FunctionPool) => boolean,
	): FunctionPool | undefined {
		for (const [pool, wanted] of this.#state.wanted)
			if (pool.spares.count[kind] < wanted[kind] && pools.has(pool) && may(pool)) return pool;
		return undefined;
	}

	/** Lets one spare go, so that there is room for another sandbox: first one that costs least to make again. */
	dropOne(pools: Iterable<FunctionPool>): boolean {
		for (const kind of ["created", "initialized"] as const)
			for (const { spares } of pools) {
				if (spares.count[kind] === 0) continue;
				spares.drop({ [kind]: 1 });
				return true;
			}
		return false;
	}

	/** Waits until nothing is being made. */
	async stop(): Promise<void> {
		await this.#creating;
	}

	#decide(pools: ReadonlySet<FunctionPool>, nowMs: number): void {
		const { limits, setting, reserved } = this.#host;
		if (nowMs - this.#memoryAtMs >= memoryEveryMs) {
			this.#memoryAtMs = nowMs;
			this.#memory = this.#host.memory();
		}
		const demands = new Map<FunctionPool, SpareDemand>();
		for (const pool of pools) {
			const { name } = pool.revision;
			if (pool.spares.isInDemand(nowMs, limits.keepMs))
				demands.set(pool, pool.spares.demand(setting(name), reserved(name)));
		}
		this.#decideAtMs = nowMs + (demands.size < manyInDemand ? 0 : manyEveryMs);
		this.#state = decideSpares(this.#state, { demands, memory: this.#memory, limits }, nowMs);
		for (const pool of pools) {
			const { created, initialized } = pool.spares.count;
			if (created + initialized === 0) continue;
			const wanted = this.#state.wanted.get(pool) ?? { created: 0, initialized: 0 };
			pool.spares.drop({
				created: Math.max(0, created - wanted.created),
				initialized: Math.max(0, initialized - wanted.initialized),
			});
		}
	}
}
