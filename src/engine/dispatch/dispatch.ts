import type { Clock } from "../../base/clock.ts";
import type { CpuMeter } from "../../base/cpu-meter.ts";
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import { automaticSpares, type SpareSetting } from "../../core/function/spare-setting.ts";
import type { FunctionRevision } from "../../core/invocation/function-contract.ts";
import type { InvocationRequest, InvocationResult } from "../../core/invocation/invocation.ts";
import type { FunctionSandbox, FunctionSandboxDeps } from "../sandbox/function-sandbox.ts";
import { ConcurrencyLedger, type ConcurrencyLimits, cloudLimits, FunctionUse } from "./concurrency-ledger.ts";
import { EndQueue } from "./end-queue.ts";
import { FunctionPool } from "./function-pool.ts";
import { IdleFreezer } from "./idle-freezer.ts";
import type { MemoryObservation } from "./memory-pressure.ts";
import type { ProvisionedState } from "./provisioning.ts";
import { censusOf, type SandboxCensus, type SandboxView, viewOf } from "./sandbox-census.ts";
import { SpareKeeper } from "./spare-keeper.ts";
import type { SpareLimits } from "./spares.ts";
import { StartQueue } from "./start-queue.ts";

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
	/** CPUs of this machine: how many sandboxes start and end at once depends on them. */
	cpus: number;
	/** Milliseconds between two looks at what is idle, spare or provisioned; 100 where it is left out. */
	sweepMs?: number;
	/** Sandboxes that stand ready before any event asks for them. */
	spares: SpareLimits;
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
	/** Of this machine: more starts than CPUs run at once while some of these stand idle. */
	cpu: CpuMeter;
	/** What a function's owner wants kept ready; left to what its past events say where it is left out. Asked now and then. */
	spareSetting?: (functionName: string) => SpareSetting;
	/** Undefined where it is not known. Asked now and then, and may read a few small files. */
	memory?: () => MemoryObservation | undefined;
	log: Log;
}

/** A function's pools, one a version, and what it uses of the account's concurrency. */
interface FunctionEntry {
	use: FunctionUse;
	pools: Map<string, FunctionPool>;
	/** Those that wait for the function's own sandboxes, because it may have no more of them. In order, as below. */
	starved: Set<FunctionPool>;
}

/** How often idle sandboxes, spares and provisioned sandboxes are looked at, milliseconds. */
const defaultSweepMs = 100;
/** Environments are recycled every few hours (lambda-contract 3.7); the cloud does not say after how many. */
const defaultMaxAgeMs = 4 * 3_600_000;

/** Brings each event to a sandbox: an idle one, newest first, else a new one. Touches neither store nor registry. */
export class Dispatcher implements AsyncDisposable {
	readonly #deps: DispatcherDeps;
	readonly #options: DispatcherOptions;
	readonly #clock: Clock;
	readonly #ledger: ConcurrencyLedger;
	readonly #functions = new Map<string, FunctionEntry>();
	/** Those that are not at rest: they are looked through ten times a second, and thousands may be at rest. */
	readonly #awake = new Set<FunctionPool>();
	/** Functions of which a pool has gone since their last event was over. */
	readonly #retired = new Set<string>();
	readonly #sandboxes = new Set<FunctionSandbox>();
	readonly #starts: StartQueue;
	readonly #ends: EndQueue;
	readonly #freezer: IdleFreezer;
	/** Those that wait for room on the machine, the longest waiting first. */
	readonly #starved = new Set<FunctionPool>();
	/** Those of whose pools some wait for sandboxes of their own. */
	readonly #reserveStarved = new Set<FunctionEntry>();
	/** Sandboxes that room is kept for and that are still to be made. */
	#promised = 0;
	readonly #spares: SpareKeeper;
	#closing = false;
	/** What was in flight has had its time. */
	#closed = false;
	#cancelSweep: () => void;

	constructor(deps: DispatcherDeps, options: DispatcherOptions) {
		this.#deps = deps;
		this.#options = options;
		this.#clock = deps.clock;
		const { cpus, maxSandboxes } = options;
		this.#starts = new StartQueue(deps.clock, deps.cpu, { cpus, max: maxSandboxes });
		this.#ends = new EndQueue(deps.clock, cpus, () => ({
			starting: this.starting > 0,
			roomWanted: this.#starved.size + this.#reserveStarved.size > 0 || this.#room < 0,
		}));
		this.#freezer = new IdleFreezer(deps.clock, options.freezeAfterMs);
		this.#ledger = new ConcurrencyLedger({
			...cloudLimits,
			account: options.accountConcurrency,
			...(options.scaling && { scaling: options.scaling }),
		});
		this.#spares = new SpareKeeper({
			clock: this.#clock,
			limits: options.spares,
			memory: deps.memory ?? (() => undefined),
			mayAdd: () => !this.#closing && this.#room > 0 && this.#starts.waiting === 0,
			mayInitialize: (pool) => this.#mayInitialize(pool),
			setting: deps.spareSetting ?? (() => automaticSpares),
			reserved: deps.reservedConcurrency,
		});
		this.#cancelSweep = this.#clock.after(this.#options.sweepMs ?? defaultSweepMs, () => this.#sweep());
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
		let slot: ReturnType<ConcurrencyLedger["admit"]> | undefined;
		try {
			slot = this.#ledger.admit(entry.use, pool.use, reserved, unreservedConcurrency(), this.#clock.monotonic());
			return await pool.invoke(request);
		} catch (error) {
			const code = isSlipwayError(error) ? error.code : "SANDBOX_FAILED";
			const { requestId } = request;
			this.#deps.onLifecycle({ type: "invocation-refused", requestId, code, atMs: this.#clock.now() }, revision);
			throw error;
		} finally {
			if (slot !== undefined) this.#ledger.release(entry.use, pool.use, slot);
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
		return Promise.all([...this.#sandboxes].map(viewOf));
	}

	/** The same in numbers, without asking the kernel: for metrics. */
	census(): SandboxCensus {
		return censusOf(this.#sandboxes);
	}

	/** Sandboxes that may still be made; below 0 while those that had to go for others are on their way. */
	get #room(): number {
		return this.#options.maxSandboxes - this.#sandboxes.size - this.#promised;
	}

	/** Cold starts under way, and those that wait for their turn. */
	get starting(): number {
		return this.#starts.running + this.#starts.waiting;
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
			this.#awake.delete(pool);
			this.#retired.add(functionName);
			pool.retire();
		}
	}

	/** Ends every idle sandbox of one function, or of all, but for provisioned ones: the next event is a cold start. Returns how many. */
	async stopIdle(functionName?: string): Promise<number> {
		const idle = [...this.#awake]
			.filter((pool) => functionName === undefined || pool.revision.name === functionName)
			.flatMap((pool) => pool.takeIdle(() => true));
		await Promise.all(idle.map((sandbox) => this.#end(sandbox, "spindown")));
		return idle.length;
	}

	/**
	 * Lets a function go to zero now, as its idle time would: ends what of it waits for an event, spares too, and forgets its
	 * demand. Sandboxes at work and provisioned ones stay. Returns how many end.
	 */
	async stop(functionName: string): Promise<number> {
		let spares = 0;
		for (const pool of this.#functions.get(functionName)?.pools.values() ?? []) {
			const { created, initialized } = pool.spares.count;
			spares += created + initialized;
			pool.spares.forgetDemand();
			pool.spares.dropAll();
		}
		return spares + (await this.stopIdle(functionName));
	}

	/** Takes no more events, lets those in flight finish for at most `graceMs`, then ends every sandbox. */
	async close(graceMs: number): Promise<void> {
		this.#closing = true;
		this.#cancelSweep();
		this.#freezer.stop();
		await this.#spares.stop();
		const until = this.#clock.monotonic() + graceMs;
		while (this.#ledger.inFlight > 0 && this.#clock.monotonic() < until) await this.#clock.sleep(20);
		this.#closed = true;
		for (const { pools } of this.#functions.values()) for (const pool of pools.values()) pool.close();
		const ended = await Promise.allSettled([...this.#sandboxes].map((sandbox) => sandbox.end("shutdown")));
		const failed = ended.find((result) => result.status === "rejected");
		if (failed) throw failed.reason;
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.close(0);
	}

	#entry(functionName: string): FunctionEntry {
		const existing = this.#functions.get(functionName);
		if (existing) return existing;
		const entry = { use: new FunctionUse(), pools: new Map<string, FunctionPool>(), starved: new Set<FunctionPool>() };
		this.#functions.set(functionName, entry);
		return entry;
	}

	#pool(entry: FunctionEntry, revision: FunctionRevision): FunctionPool {
		const existing = entry.pools.get(revision.version);
		if (existing?.revision.id === revision.id) {
			this.#awake.add(existing);
			return existing;
		}
		this.retire(revision.name, revision.version);
		const pool: FunctionPool = new FunctionPool(this.#deps, revision, {
			maxAgeMs: this.#options.maxAgeMs ?? defaultMaxAgeMs,
			enter: (start) => this.#starts.enter(revision.name, start),
			admit: (start) => this.#starts.run(revision.name, start),
			makeRoom: (starved, spare) => this.#makeRoomFor(entry, starved, spare),
			isClosed: () => this.#closed,
			takeRoom: () => {
				this.#promised--;
				if (this.#starved.size > 0 && this.#room > 0) this.#serveStarved(entry);
			},
			makeProvisionedRoom: () => !this.#closing && this.#makeRoom(),
			takeEnvironment: () => this.#ledger.takeEnvironment(entry.use, this.#clock.monotonic()),
			giveBackEnvironment: () => this.#ledger.giveBackEnvironment(entry.use),
			onIdle: (idle) => {
				this.#freezer.onIdle(idle);
				this.#serveStarved(entry);
			},
			onProvisioned: (count) => this.#ledger.setProvisioned(entry.use, pool.use, count),
			onSandbox: (sandbox) => this.#sandboxes.add(sandbox),
			onEnd: (sandbox) => {
				this.#sandboxes.delete(sandbox);
				this.#serveStarved(entry);
			},
			end: (sandbox, reason) => this.#end(sandbox, reason),
		});
		entry.pools.set(revision.version, pool);
		this.#awake.add(pool);
		return pool;
	}

	#makeRoomFor(entry: FunctionEntry, pool: FunctionPool, spare: boolean): boolean {
		if (this.#closed) {
			pool.close();
			return false;
		}
		if (!this.#mayScale(entry, pool.revision.name)) {
			entry.starved.add(pool);
			this.#reserveStarved.add(entry);
			this.#ends.serve();
			return false;
		}
		if (spare) return true;
		if (this.#makeRoom()) {
			this.#promised++;
			return true;
		}
		this.#starved.add(pool);
		this.#ends.serve();
		return false;
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
		if (this.#room > 0) return true;
		if (this.#spares.dropOne(this.#awake)) return true;
		let oldest: { pool: FunctionPool; sandbox: FunctionSandbox } | undefined;
		for (const pool of this.#awake) {
			const sandbox = pool.oldestIdle;
			if (sandbox && (!oldest || sandbox.lastUsedAt < oldest.sandbox.lastUsedAt)) oldest = { pool, sandbox };
		}
		if (!oldest) return false;
		oldest.pool.takeIdle((sandbox) => sandbox === oldest.sandbox);
		this.#endInBackground(oldest.sandbox, "spindown");
		return true;
	}

	/** A sandbox of the function has become idle or has ended: those that waited for that try again, the longest waiting first. */
	#serveStarved(entry: FunctionEntry): void {
		if (entry.starved.size > 0) {
			const starved = [...entry.starved];
			entry.starved.clear();
			this.#reserveStarved.delete(entry);
			for (const pool of starved) pool.startWhatIsMissing();
		}
		for (const pool of this.#starved) {
			this.#starved.delete(pool);
			pool.startWhatIsMissing();
			// It took what room there was and waits for more, behind the others.
			if (this.#starved.has(pool)) return;
		}
	}

	#sweep(): void {
		const now = this.#clock.monotonic();
		const { idleTimeoutMs, spares } = this.#options;
		for (const pool of this.#awake) {
			pool.sweep(now, idleTimeoutMs);
			if (pool.isAtRest(now, spares.keepMs)) this.#awake.delete(pool);
		}
		for (const name of this.#retired) {
			const entry = this.#functions.get(name);
			if (entry && entry.use.inFlight > 0) continue;
			this.#retired.delete(name);
			// Of a function that is gone, and whose last event is over.
			if (entry?.pools.size === 0) this.#functions.delete(name);
		}
		// Their reserves may have been raised.
		for (const entry of [...this.#reserveStarved]) this.#serveStarved(entry);
		this.#spares.keep(this.#awake);
		this.#cancelSweep = this.#clock.after(this.#options.sweepMs ?? defaultSweepMs, () => this.#sweep());
	}

	/** Starts that callers wait for keep half of the CPUs at least; a function never has more environments than its reserve, and takes each within its rate. */
	#mayInitialize({ revision }: FunctionPool): boolean {
		const entry = this.#functions.get(revision.name);
		if (!entry || this.#starts.running >= this.#options.cpus / 2) return false;
		const reserved = this.#deps.reservedConcurrency(revision.name);
		if (reserved !== undefined) {
			let all = entry.use.provisioned;
			for (const pool of entry.pools.values()) all += pool.environments;
			if (all >= reserved) return false;
		}
		return this.#ledger.takeEnvironment(entry.use, this.#clock.monotonic()) === 0;
	}

	/** Those that were used and are not needed any more can wait until starts are over; others may still do harm. */
	#end(sandbox: FunctionSandbox, reason: string): Promise<void> {
		return reason === "spindown" ? this.#ends.run(() => sandbox.end(reason)) : sandbox.end(reason);
	}

	#endInBackground(sandbox: FunctionSandbox, reason: string): void {
		this.#end(sandbox, reason).catch((error: unknown) => {
			this.#deps.log.error("A sandbox could not be removed cleanly", { error, sandbox: sandbox.id });
		});
	}
}
