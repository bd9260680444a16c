import type { Clock } from "../base/clock.ts";
import { SlipwayError } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import { Semaphore } from "../base/semaphore.ts";
import type { FunctionRevision } from "../core/invocation/function-contract.ts";
import type { InvocationRequest, InvocationResult } from "../core/invocation/invocation.ts";
import type { SandboxState } from "../core/sandbox/sandbox-state.ts";
import { FunctionPool } from "./function-pool.ts";
import type { FunctionSandbox, FunctionSandboxDeps } from "./function-sandbox.ts";
import { decideSpares, type SpareLimits } from "./spares.ts";

export interface DispatcherOptions {
	/** Sandboxes at once, on this machine. */
	maxSandboxes: number;
	/** Invocations at once, the account's limit (1,000 in the cloud). */
	accountConcurrency: number;
	/** Milliseconds an idle sandbox is kept. */
	idleTimeoutMs: number;
	/** Milliseconds after which an idle sandbox is frozen. */
	freezeAfterMs: number;
	/** Sandboxes being made at once: more than the cores only thrash. */
	maxStarting: number;
	/** Sandboxes that stand created but not started. */
	spares: SpareLimits;
}

export interface SandboxView {
	id: string;
	functionName: string;
	state: SandboxState;
	startedMs: number;
	lastUsedMs: number;
	invocations: number;
	memoryMiB: number;
	memoryBytes?: number;
}

export interface DispatcherDeps extends FunctionSandboxDeps {
	/** The revision that serves a function now. NOT_FOUND, CONFLICT while it is being created. */
	activeRevision: (functionName: string) => FunctionRevision;
	log: Log;
}

/** How often idle sandboxes are looked at, milliseconds. */
const sweepMs = 100;

/** Brings each event to a sandbox: an idle one, newest first, else a new one. Touches neither store nor registry. */
export class Dispatcher implements AsyncDisposable {
	readonly #deps: DispatcherDeps;
	readonly #options: DispatcherOptions;
	readonly #clock: Clock;
	readonly #pools = new Map<string, FunctionPool>();
	readonly #sandboxes = new Set<FunctionSandbox>();
	readonly #starts: Semaphore;
	readonly #starved = new Set<FunctionPool>();
	#sparing: Promise<void> | undefined;
	#inFlight = 0;
	#closing = false;
	#cancelSweep: () => void;

	constructor(deps: DispatcherDeps, options: DispatcherOptions) {
		this.#deps = deps;
		this.#options = options;
		this.#clock = deps.clock;
		this.#starts = new Semaphore(options.maxStarting);
		this.#cancelSweep = this.#clock.after(sweepMs, () => this.#sweep());
	}

	/**
	 * A function that fails is a result with `functionError`. NOT_FOUND, CONFLICT (still Pending), THROTTLED,
	 * EXHAUSTED, SANDBOX_FAILED, UNAVAILABLE while shutting down.
	 */
	async invoke(functionName: string, request: InvocationRequest): Promise<InvocationResult> {
		if (this.#closing) throw new SlipwayError("UNAVAILABLE", "Slipway is shutting down");
		const pool = this.#pool(this.#deps.activeRevision(functionName));
		if (this.#inFlight >= this.#options.accountConcurrency)
			throw new SlipwayError("THROTTLED", "Rate Exceeded.", { reason: "ConcurrentInvocationLimitExceeded" });
		this.#inFlight++;
		try {
			return await pool.invoke(request);
		} finally {
			this.#inFlight--;
		}
	}

	/** A revision has just become active: its first event is likely soon. */
	expect(revision: FunctionRevision): void {
		if (!this.#closing) this.#pool(revision);
	}

	async sandboxes(): Promise<SandboxView[]> {
		const views = [...this.#sandboxes].map(async (sandbox) => ({
			id: sandbox.id,
			functionName: sandbox.revision.name,
			state: sandbox.state,
			startedMs: sandbox.createdMs,
			lastUsedMs: sandbox.lastUsedMs,
			invocations: sandbox.invocations,
			memoryMiB: sandbox.revision.configuration.memoryMiB,
			memoryBytes: await sandbox.memoryBytes(),
		}));
		return Promise.all(views);
	}

	get sandboxCount(): number {
		return this.#sandboxes.size;
	}

	/** Ends the function's idle sandboxes now and its busy ones after their event. Called when its revision changes or goes. */
	retire(functionName: string): void {
		const pool = this.#pools.get(functionName);
		this.#pools.delete(functionName);
		pool?.retire();
	}

	/** Ends every idle sandbox of one function, or of all: the next event is a cold start. Returns how many. */
	async stopIdle(functionName?: string): Promise<number> {
		const idle = [...this.#pools.values()]
			.filter((pool) => functionName === undefined || pool.revision.name === functionName)
			.flatMap((pool) => pool.takeIdle(() => true));
		await Promise.all(idle.map((sandbox) => sandbox.end("spindown")));
		return idle.length;
	}

	/** Takes no more events, lets those in flight finish for at most `graceMs`, then ends every sandbox. */
	async close(graceMs: number): Promise<void> {
		this.#closing = true;
		this.#cancelSweep();
		await this.#sparing;
		const until = this.#clock.monotonic() + graceMs;
		while (this.#inFlight > 0 && this.#clock.monotonic() < until) await this.#clock.sleep(20);
		const ended = await Promise.allSettled([...this.#sandboxes].map((sandbox) => sandbox.end("shutdown")));
		const failed = ended.find((result) => result.status === "rejected");
		if (failed) throw failed.reason;
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.close(0);
	}

	#pool(revision: FunctionRevision): FunctionPool {
		const existing = this.#pools.get(revision.name);
		if (existing?.revision.id === revision.id) return existing;
		this.retire(revision.name);
		const pool = new FunctionPool(this.#deps, revision, {
			admit: (start) => this.#starts.run(start),
			makeRoom: (starved) => {
				const room = this.#makeRoom();
				if (!room) this.#starved.add(starved);
				return room;
			},
			onIdle: () => this.#serveStarved(),
			onSandbox: (sandbox) => this.#sandboxes.add(sandbox),
			onEnd: (sandbox) => {
				this.#sandboxes.delete(sandbox);
				this.#serveStarved();
			},
		});
		this.#pools.set(revision.name, pool);
		return pool;
	}

	/** True when one more sandbox may be made, if need be after the longest idle one was told to go. */
	#makeRoom(): boolean {
		if (this.#sandboxes.size < this.#options.maxSandboxes) return true;
		const spare = [...this.#pools.values()].find((pool) => pool.spareCount > 0);
		if (spare) {
			spare.dropSpares(1);
			return true;
		}
		let oldest: { pool: FunctionPool; sandbox: FunctionSandbox } | undefined;
		for (const pool of this.#pools.values()) {
			const sandbox = pool.oldestIdle;
			if (sandbox && (!oldest || sandbox.lastUsedMs < oldest.sandbox.lastUsedMs)) oldest = { pool, sandbox };
		}
		if (!oldest) return false;
		oldest.pool.takeIdle((sandbox) => sandbox === oldest.sandbox);
		this.#endInBackground(oldest.sandbox, "spindown");
		return true;
	}

	/** Pools that found no room try again, the longest waiting first. */
	#serveStarved(): void {
		const starved = [...this.#starved];
		this.#starved.clear();
		for (const pool of starved) pool.startWhatIsMissing();
	}

	#sweep(): void {
		const now = this.#clock.now();
		for (const pool of this.#pools.values()) {
			for (const sandbox of pool.takeIdle((idle) => now - idle.lastUsedMs >= this.#options.idleTimeoutMs))
				this.#endInBackground(sandbox, "spindown");
			pool.freezeIdle(now - this.#options.freezeAfterMs);
		}
		this.#keepSpares(now);
		this.#cancelSweep = this.#clock.after(sweepMs, () => this.#sweep());
	}

	/** One at a time, and only while no event waits for a start: a spare must never be in the way of one. */
	#keepSpares(now: number): void {
		const pools = [...this.#pools.values()];
		const wanted = decideSpares(new Map(pools.map((pool) => [pool, pool.demand(now)])), this.#options.spares, now);
		for (const pool of pools) pool.dropSpares(Math.max(0, pool.spareCount - (wanted.get(pool) ?? 0)));
		if (this.#sparing || this.#sandboxes.size >= this.#options.maxSandboxes || pools.some((pool) => pool.busy)) return;
		const short = pools.find((pool) => pool.spareCount < (wanted.get(pool) ?? 0));
		this.#sparing = short?.addSpare().finally(() => {
			this.#sparing = undefined;
		});
	}

	#endInBackground(sandbox: FunctionSandbox, reason: string): void {
		sandbox.end(reason).catch((error: unknown) => {
			this.#deps.log.error("A sandbox could not be removed cleanly", { error, sandbox: sandbox.id });
		});
	}
}
