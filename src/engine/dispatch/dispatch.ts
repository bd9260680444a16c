import type { Clock } from "../../base/clock.ts";
import { SlipwayError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import { Semaphore } from "../../base/semaphore.ts";
import type { FunctionRevision, InitializationType } from "../../core/invocation/function-contract.ts";
import type { InvocationRequest, InvocationResult } from "../../core/invocation/invocation.ts";
import type { SandboxState } from "../../core/sandbox/sandbox-state.ts";
import type { FunctionSandbox, FunctionSandboxDeps } from "../sandbox/function-sandbox.ts";
import { ConcurrencyLedger, type ConcurrencyLimits, cloudLimits, FunctionUse } from "./concurrency-ledger.ts";
import { FunctionPool } from "./function-pool.ts";
import { IdleFreezer } from "./idle-freezer.ts";
import type { ProvisionedState } from "./provisioning.ts";
import { decideSpares, type SpareLimits } from "./spares.ts";

export interface DispatcherOptions {
	/** Sandboxes at once, on this machine. */
	maxSandboxes: number;
	/** Invocations at once, the account's limit (1,000 in the cloud). */
	accountConcurrency: number;
	/** New environments of one function in a time; the cloud's own where it is left out. */
	scaling?: ConcurrencyLimits["scaling"];
	/** Milliseconds an idle sandbox is kept. */
	idleTimeoutMs: number;
	/** Milliseconds after which a sandbox gets no more events, however busy it is; 4 h where it is left out. */
	maxAgeMs?: number;
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
	version: string;
	initializationType: InitializationType;
	state: SandboxState;
	startedMs: number;
	lastUsedMs: number;
	invocations: number;
	memoryMiB: number;
	memoryBytes?: number;
}

export interface DispatcherDeps extends FunctionSandboxDeps {
	/**
	 * The revision that serves a function, or a version or an alias of it, now; for an alias that is split, one of the two at
	 * random with each call. NOT_FOUND; CONFLICT while it is being created. Asked at each event, as are the next two: none
	 * reads a store.
	 */
	resolveRevision: (functionName: string, qualifier?: string) => FunctionRevision;
	/** Of one function; undefined when it has none, 0 when it is always throttled. */
	reservedConcurrency: (functionName: string) => number | undefined;
	/** Of the account: what is neither reserved for a function nor provisioned beside that. */
	unreservedConcurrency: () => number;
	log: Log;
}

/** A function's pools, one a version, and what it uses of the account's concurrency. */
interface FunctionEntry {
	use: FunctionUse;
	pools: Map<string, FunctionPool>;
}

/** How often idle sandboxes, spares and provisioned sandboxes are looked at, milliseconds. */
const sweepMs = 100;
/** Environments are recycled every few hours (lambda-contract 3.7); the cloud does not say after how many. */
const defaultMaxAgeMs = 4 * 3_600_000;

/** Brings each event to a sandbox: an idle one, newest first, else a new one. Touches neither store nor registry. */
export class Dispatcher implements AsyncDisposable {
	readonly #deps: DispatcherDeps;
	readonly #options: DispatcherOptions;
	readonly #clock: Clock;
	readonly #ledger: ConcurrencyLedger;
	readonly #functions = new Map<string, FunctionEntry>();
	readonly #sandboxes = new Set<FunctionSandbox>();
	readonly #starts: Semaphore;
	readonly #freezer: IdleFreezer;
	readonly #starved = new Set<FunctionPool>();
	#sparing: Promise<void> | undefined;
	#closing = false;
	/** What was in flight has had its time. */
	#closed = false;
	#cancelSweep: () => void;

	constructor(deps: DispatcherDeps, options: DispatcherOptions) {
		this.#deps = deps;
		this.#options = options;
		this.#clock = deps.clock;
		this.#starts = new Semaphore(options.maxStarting);
		this.#freezer = new IdleFreezer(deps.clock, options.freezeAfterMs);
		this.#ledger = new ConcurrencyLedger({
			...cloudLimits,
			account: options.accountConcurrency,
			...(options.scaling && { scaling: options.scaling }),
		});
		this.#cancelSweep = this.#clock.after(sweepMs, () => this.#sweep());
	}

	/**
	 * A function that fails is a result with `functionError`. NOT_FOUND, CONFLICT (still Pending), THROTTLED,
	 * EXHAUSTED, SANDBOX_FAILED, UNAVAILABLE while shutting down.
	 */
	async invoke(functionName: string, request: InvocationRequest): Promise<InvocationResult> {
		if (this.#closing) throw new SlipwayError("UNAVAILABLE", "Slipway is shutting down");
		const { resolveRevision, reservedConcurrency, unreservedConcurrency } = this.#deps;
		const revision = resolveRevision(functionName, request.qualifier);
		const entry = this.#entry(revision.name);
		const pool = this.#pool(entry, revision);
		const reserved = reservedConcurrency(revision.name);
		const slot = this.#ledger.admit(entry.use, pool.use, reserved, unreservedConcurrency(), this.#clock.monotonic());
		try {
			return await pool.invoke(request);
		} finally {
			this.#ledger.release(entry.use, pool.use, slot);
		}
	}

	/** A revision has just become active: its first event is likely soon. */
	expect(revision: FunctionRevision): void {
		if (!this.#closing) this.#pool(this.#entry(revision.name), revision);
	}

	/**
	 * Keeps `count` sandboxes of the revision initialised from now on, in place of the count before; 0 lets go of them, at
	 * once or when their event is done. Events find these first and spill over on demand.
	 */
	provision(revision: FunctionRevision, count: number): void {
		if (this.#closing) return;
		const entry = this.#entry(revision.name);
		const pool = count === 0 ? entry.pools.get(revision.version) : this.#pool(entry, revision);
		pool?.provision(count);
	}

	/** Undefined when nothing is provisioned for the version. */
	provisionedState(functionName: string, version: string): ProvisionedState | undefined {
		return this.#functions.get(functionName)?.pools.get(version)?.provisioned;
	}

	async sandboxes(): Promise<SandboxView[]> {
		const views = [...this.#sandboxes].map(async (sandbox) => ({
			id: sandbox.id,
			functionName: sandbox.revision.name,
			version: sandbox.revision.version,
			initializationType: sandbox.initializationType,
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

	/**
	 * Ends the idle sandboxes of a version, or of all of the function's, now and the busy ones after their event; provisioned
	 * ones too. Called when a version's revision changes or goes.
	 */
	retire(functionName: string, version?: string): void {
		const entry = this.#functions.get(functionName);
		if (!entry) return;
		for (const [of, pool] of entry.pools) {
			if (version !== undefined && of !== version) continue;
			entry.pools.delete(of);
			pool.retire();
		}
	}

	/** Ends every idle sandbox of one function, or of all, but for provisioned ones: the next event is a cold start. Returns how many. */
	async stopIdle(functionName?: string): Promise<number> {
		const idle = this.#pools()
			.filter((pool) => functionName === undefined || pool.revision.name === functionName)
			.flatMap((pool) => pool.takeIdle(() => true));
		await Promise.all(idle.map((sandbox) => sandbox.end("spindown")));
		return idle.length;
	}

	/** Takes no more events, lets those in flight finish for at most `graceMs`, then ends every sandbox. */
	async close(graceMs: number): Promise<void> {
		this.#closing = true;
		this.#cancelSweep();
		this.#freezer.stop();
		await this.#sparing;
		const until = this.#clock.monotonic() + graceMs;
		while (this.#ledger.inFlight > 0 && this.#clock.monotonic() < until) await this.#clock.sleep(20);
		this.#closed = true;
		for (const pool of this.#pools()) pool.close();
		const ended = await Promise.allSettled([...this.#sandboxes].map((sandbox) => sandbox.end("shutdown")));
		const failed = ended.find((result) => result.status === "rejected");
		if (failed) throw failed.reason;
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.close(0);
	}

	#pools(): FunctionPool[] {
		return [...this.#functions.values()].flatMap((entry) => [...entry.pools.values()]);
	}

	#entry(functionName: string): FunctionEntry {
		const existing = this.#functions.get(functionName);
		if (existing) return existing;
		const entry = { use: new FunctionUse(), pools: new Map<string, FunctionPool>() };
		this.#functions.set(functionName, entry);
		return entry;
	}

	#pool(entry: FunctionEntry, revision: FunctionRevision): FunctionPool {
		const existing = entry.pools.get(revision.version);
		if (existing?.revision.id === revision.id) return existing;
		this.retire(revision.name, revision.version);
		const pool: FunctionPool = new FunctionPool(this.#deps, revision, {
			maxAgeMs: this.#options.maxAgeMs ?? defaultMaxAgeMs,
			admit: (start) => this.#starts.run(start),
			makeRoom: (starved, spare) => {
				if (this.#closed) {
					starved.close();
					return false;
				}
				const room = this.#mayScale(entry, revision.name) && (spare || this.#makeRoom());
				if (!room) this.#starved.add(starved);
				return room;
			},
			makeProvisionedRoom: () => !this.#closing && this.#makeRoom(),
			takeEnvironment: () => this.#ledger.takeEnvironment(entry.use, this.#clock.monotonic()),
			onIdle: (idle) => {
				this.#freezer.onIdle(idle);
				if (this.#starved.size > 0) this.#serveStarved();
			},
			onProvisioned: (count) => this.#ledger.setProvisioned(entry.use, pool.use, count),
			onSandbox: (sandbox) => this.#sandboxes.add(sandbox),
			onEnd: (sandbox) => {
				this.#sandboxes.delete(sandbox);
				this.#serveStarved();
			},
		});
		entry.pools.set(revision.version, pool);
		return pool;
	}

	/**
	 * A function never has more environments at work than its reserve: some rely on being alone. One that has answered and
	 * still works (its companions, or its end) is waited for.
	 */
	#mayScale(entry: FunctionEntry, functionName: string): boolean {
		const reserved = this.#deps.reservedConcurrency(functionName);
		if (reserved === undefined) return true;
		let inUse = entry.use.provisioned;
		for (const pool of entry.pools.values()) inUse += pool.inUse;
		return inUse < reserved;
	}

	/** True when one more sandbox may be made, if need be after the longest idle one was told to go. */
	#makeRoom(): boolean {
		if (this.#sandboxes.size < this.#options.maxSandboxes) return true;
		const pools = this.#pools();
		const spare = pools.find((pool) => pool.spareCount > 0);
		if (spare) {
			spare.dropSpares(1);
			return true;
		}
		let oldest: { pool: FunctionPool; sandbox: FunctionSandbox } | undefined;
		for (const pool of pools) {
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
		for (const [name, entry] of this.#functions) {
			for (const pool of entry.pools.values()) pool.sweep(now, this.#options.idleTimeoutMs);
			// Of a function that is gone, and whose last event is over.
			if (entry.pools.size === 0 && entry.use.inFlight === 0) this.#functions.delete(name);
		}
		this.#keepSpares(now);
		this.#cancelSweep = this.#clock.after(sweepMs, () => this.#sweep());
	}

	/** One at a time, and only while no event waits for a start: a spare must never be in the way of one. */
	#keepSpares(now: number): void {
		const pools = this.#pools();
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
