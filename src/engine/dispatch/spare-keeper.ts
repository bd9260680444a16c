import type { Clock } from "../../base/clock.ts";
import type { SpareSetting } from "../../core/function/spare-setting.ts";
import type { FunctionPool } from "./function-pool.ts";
import type { MemoryObservation } from "./memory-pressure.ts";
import { decideSpares, noSpares, type SpareLimits, type SpareState } from "./spares.ts";

/** Milliseconds between two looks at the machine's memory: a look reads three small files of /proc. */
const memoryEveryMs = 1000;

export interface SpareKeeperHost {
	clock: Clock;
	limits: SpareLimits;
	memory: () => MemoryObservation | undefined;
	/** There is room for one more sandbox. */
	mayAdd: () => boolean;
	/** The function may have one more environment; takes it. */
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
	#creating: Promise<void> | undefined;
	#initializing: Promise<void> | undefined;

	constructor(host: SpareKeeperHost) {
		this.#host = host;
	}

	/**
	 * To be called again and again. One of each kind is begun at a time, and only while no event waits for a start: a spare
	 * must never be in the way of one.
	 */
	keep(pools: readonly FunctionPool[]): void {
		const { limits, mayAdd, mayInitialize } = this.#host;
		this.#decide(pools);
		const lacking = (pool: FunctionPool) => {
			const { created, initialized } = pool.spares.count;
			const wanted = this.#state.wanted.get(pool) ?? { created: 0, initialized: 0 };
			return { created: wanted.created - created, initialized: wanted.initialized - initialized };
		};
		for (const pool of pools) {
			const { created, initialized } = lacking(pool);
			if (created < 0 || initialized < 0)
				pool.spares.drop({ created: Math.max(0, -created), initialized: Math.max(0, -initialized) });
		}
		if (pools.some((pool) => pool.busy)) return;
		if (!this.#creating && mayAdd()) {
			const short = pools.find((pool) => lacking(pool).created > 0);
			this.#creating = short?.spares.addCreated().finally(() => {
				this.#creating = undefined;
			});
		}
		if (limits.initialized && !this.#initializing && mayAdd()) {
			const short = pools.find((pool) => lacking(pool).initialized > 0 && mayInitialize(pool));
			this.#initializing = short?.spares.addInitialized().finally(() => {
				this.#initializing = undefined;
			});
		}
	}

	/** Lets one spare go, so that there is room for another sandbox: first one that costs least to make again. */
	dropOne(pools: readonly FunctionPool[]): boolean {
		for (const kind of ["created", "initialized"] as const) {
			const pool = pools.find(({ spares }) => spares.count[kind] > 0);
			if (!pool) continue;
			pool.spares.drop({ [kind]: 1 });
			return true;
		}
		return false;
	}

	/** Waits until nothing is being made. */
	async stop(): Promise<void> {
		await this.#creating;
	}

	#decide(pools: readonly FunctionPool[]): void {
		const { clock, limits, setting, reserved } = this.#host;
		const now = clock.monotonic();
		if (now - this.#memoryAtMs >= memoryEveryMs) {
			this.#memoryAtMs = now;
			this.#memory = this.#host.memory();
		}
		// Of a thousand functions, those few that were used of late.
		const inDemand = pools.filter((pool) => pool.spares.isInDemand(limits.keepMs));
		const demands = new Map(
			inDemand.map((pool) => {
				const { name } = pool.revision;
				return [pool, pool.spares.demand(setting(name), reserved(name))];
			}),
		);
		this.#state = decideSpares(this.#state, { demands, memory: this.#memory, limits }, now);
	}
}
