import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import type { FunctionRevision, InitializationType } from "../../core/invocation/function-contract.ts";
import type { InvocationRequest, InvocationResult } from "../../core/invocation/invocation.ts";
import { isAvailable, type SandboxState } from "../../core/sandbox/sandbox-state.ts";
import { FunctionSandbox, type FunctionSandboxDeps, sandboxGone } from "../sandbox/function-sandbox.ts";
import { throttled, VersionUse } from "./concurrency-ledger.ts";
import { FinishingSandboxes } from "./finishing-sandboxes.ts";
import { type ProvisionedState, Provisioning } from "./provisioning.ts";
import { type SpareDemand, windowMs } from "./spares.ts";

/** Milliseconds for the init ahead of the event (lambda-contract 3.3). */
const initLimitMs = 10_000;
/** The same where it is not ahead of one event but of all: this or the function's timeout, whatever is more (3.3). */
const provisionedInitLimitMs = 130_000;
/** Milliseconds an event may wait for a sandbox when the machine has no room for another one. */
const maxWaitMs = 30_000;
/** Events that may wait for sandboxes of one revision; the account's concurrency bounds it below this anyway. */
const maxWaiting = 10_000;

interface Waiter {
	request: InvocationRequest;
	cancelLimit: () => void;
	resolve: (result: InvocationResult | Promise<InvocationResult>) => void;
	reject: (error: unknown) => void;
}

export interface PoolHost {
	/** Milliseconds after which a sandbox gets no more events. */
	maxAgeMs: number;
	/** Runs a start when the machine has a free hand. */
	admit: (start: () => Promise<void>) => Promise<void>;
	/**
	 * False when no further sandbox may be started now, or made for that unless `spare` stands ready; the pool hears of it
	 * through `startWhatIsMissing` when that changes.
	 */
	makeRoom: (pool: FunctionPool, spare: boolean) => boolean;
	/** The same for one that is provisioned; nobody is told when that changes. */
	makeProvisionedRoom: () => boolean;
	/** 0 when the function may have one more environment; else the milliseconds until it may. */
	takeEnvironment: () => number;
	/** A sandbox stands idle: if room is short elsewhere, it may have to go. */
	onIdle: (pool: FunctionPool) => void;
	onProvisioned: (count: number) => void;
	onSandbox: (sandbox: FunctionSandbox) => void;
	onEnd: (sandbox: FunctionSandbox) => void;
}

/** The sandboxes of one revision, and the events that wait for one of them, first come, first served. */
export class FunctionPool {
	readonly revision: FunctionRevision;
	/** Its provisioned slots in the ledger. */
	readonly use = new VersionUse();
	readonly #deps: FunctionSandboxDeps & { log: Log };
	readonly #host: PoolHost;
	/** Newest used last. */
	#idle: FunctionSandbox[] = [];
	/** Those of `#provisioning` that stand idle. */
	#provisionedIdle: FunctionSandbox[] = [];
	/** Created but not started (spares.ts). */
	#spares: FunctionSandbox[] = [];
	#sparesInMaking = 0;
	/** Sandboxes on demand, whatever they do. */
	#onDemand = 0;
	#waiting: Waiter[] = [];
	#lastDemandMs: number;
	#startTimes: number[] = [];
	readonly #finishing = new FinishingSandboxes();
	#provisioning: Provisioning | undefined;
	#starting = 0;
	#retired = false;
	#closed = false;

	constructor(deps: FunctionSandboxDeps & { log: Log }, revision: FunctionRevision, host: PoolHost) {
		this.#deps = deps;
		this.revision = revision;
		this.#host = host;
		this.#lastDemandMs = deps.clock.now();
	}

	invoke(request: InvocationRequest): Promise<InvocationResult> {
		this.#lastDemandMs = this.#deps.clock.now();
		const sandbox = takeLast(this.#provisionedIdle, isAvailable) ?? takeLast(this.#idle, isAvailable);
		return sandbox ? this.#run(sandbox, request) : this.#wait(request);
	}

	#wait(request: InvocationRequest): Promise<InvocationResult> {
		if (this.#closed) throw closing();
		if (this.#waiting.length >= maxWaiting) throw throttled("ConcurrentInvocationLimitExceeded");
		return new Promise((resolve, reject) => {
			const cancelLimit = this.#deps.clock.after(maxWaitMs, () => {
				this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
				reject(throttled("ConcurrentInvocationLimitExceeded"));
			});
			const waiter = { request, cancelLimit, resolve, reject };
			this.#waiting.push(waiter);
			this.#startUnlessOneIsFinishing();
		});
	}

	get oldestIdle(): FunctionSandbox | undefined {
		return this.#idle[0];
	}

	demand(now: number): SpareDemand {
		this.#startTimes = this.#startTimes.filter((atMs) => now - atMs < windowMs);
		return { lastDemandMs: this.#lastDemandMs, recentStarts: this.#startTimes.length };
	}

	get spareCount(): number {
		return this.#spares.length;
	}

	get busy(): boolean {
		return this.#waiting.length > 0 || this.#starting > 0;
	}

	/** Sandboxes on demand that have an event or are made for one. */
	get inUse(): number {
		return this.#onDemand - this.#idle.length - this.#spares.length - this.#sparesInMaking;
	}

	/** Makes one more spare. A platform that can't is said so in the log: the next event will meet the same trouble and tell its caller. */
	async addSpare(): Promise<void> {
		const sandbox = this.#newSandbox("on-demand");
		this.#sparesInMaking++;
		try {
			await sandbox.create();
		} catch (error) {
			return this.#discard(sandbox, error);
		} finally {
			this.#sparesInMaking--;
		}
		if (this.#retired || sandbox.state !== "created") return this.#end(sandbox, "spindown");
		this.#spares.push(sandbox);
		// It may have taken the last room from an event that came in between.
		this.startWhatIsMissing(this.#finishing.size);
	}

	/** Lets go of spares, the oldest first. */
	dropSpares(count: number): void {
		for (const sandbox of this.#spares.splice(0, count)) this.#end(sandbox, "spindown");
	}

	/** Removes and returns the idle sandboxes that match; never provisioned ones. */
	takeIdle(matches: (sandbox: FunctionSandbox) => boolean): FunctionSandbox[] {
		const taken = this.#idle.filter(matches);
		if (taken.length > 0) this.#idle = this.#idle.filter((sandbox) => !taken.includes(sandbox));
		return taken;
	}

	/** How many sandboxes are to stand initialised whether events come or not. */
	provision(count: number): void {
		this.#provisioning ??= this.#newProvisioning();
		this.#provisioning.request(this.#retired ? 0 : count);
	}

	/** Undefined when none was asked for. */
	get provisioned(): ProvisionedState | undefined {
		return this.#provisioning && this.#provisioning.requested > 0 ? this.#provisioning.state : undefined;
	}

	/** What has to be looked after from time to time: idle sandboxes that are too old or too long idle, provisioned ones that lack. */
	sweep(now: number, idleTimeoutMs: number): void {
		const { maxAgeMs } = this.#host;
		const isOver = (sandbox: FunctionSandbox) =>
			now - sandbox.lastUsedMs >= idleTimeoutMs || now - sandbox.createdMs >= maxAgeMs;
		for (const sandbox of this.takeIdle(isOver)) this.#end(sandbox, "spindown");
		this.#provisioning?.fill();
	}

	/** Freezes sandboxes that were last used at `beforeMs` or earlier. Returns when the next one's turn comes: its last use. */
	freezeIdle(beforeMs: number): number | undefined {
		let next: number | undefined;
		for (const idle of [this.#provisionedIdle, this.#idle])
			for (const sandbox of idle) {
				if (sandbox.state !== "idle") continue;
				if (sandbox.lastUsedMs <= beforeMs) sandbox.freeze().catch((error: unknown) => this.#discard(sandbox, error));
				else next = Math.min(next ?? sandbox.lastUsedMs, sandbox.lastUsedMs);
			}
		return next;
	}

	/** No longer the function's revision: idle sandboxes go now, the others when their event and those that wait are done. */
	retire(): void {
		this.#retired = true;
		for (const sandbox of this.#idle.splice(0)) this.#end(sandbox, "spindown");
		this.dropSpares(this.#spares.length);
		this.#provisioning?.request(0);
	}

	/** The daemon stops: nothing is started any more, and events that still wait hear so. */
	close(): void {
		this.retire();
		this.#closed = true;
		for (let waiter = this.#nextWaiter(); waiter; waiter = this.#nextWaiter()) waiter.reject(closing());
	}

	async #run(sandbox: FunctionSandbox, request: InvocationRequest): Promise<InvocationResult> {
		try {
			const result = await sandbox.invoke(request);
			// With a tail it was not told before its sandbox had finished: busy is that with another event by now.
			if ((sandbox.state === "busy" && !request.tail) || sandbox.state === "resetting")
				this.#finishing.add(sandbox, result.functionError !== undefined && sandbox.initializationType === "on-demand");
			return result;
		} catch (error) {
			// It ended while it waited, which its own end has told of or will: the event goes to another.
			if (isSlipwayError(error) && error.reason === sandboxGone) {
				this.#end(sandbox, "failure");
				return this.invoke(request);
			}
			this.#discard(sandbox, error);
			throw error;
		}
	}

	/** A client that calls again as soon as it has its answer should find the sandbox that gave it, not cause a second one. */
	#startUnlessOneIsFinishing(): void {
		this.startWhatIsMissing(this.#finishing.size);
		this.#finishing.whenOverdue(this.#deps.clock, (left) => this.startWhatIsMissing(left));
	}

	/**
	 * Begins as many starts as events wait, less those that are served otherwise, as far as there is room. Events for which
	 * the function may have no more environments yet are throttled, the last to come first.
	 */
	startWhatIsMissing(servedOtherwise = 0): void {
		while (!this.#closed && this.#starting + servedOtherwise < this.#waiting.length) {
			if (!this.#host.makeRoom(this, this.#spares.length > 0)) return;
			const waitMs = this.#host.takeEnvironment();
			if (waitMs > 0) this.#throttleLast(waitMs);
			else this.#startOne();
		}
	}

	#startOne(): void {
		this.#starting++;
		const spare = takeLast(this.#spares, (state) => state === "created");
		const sandbox = spare ?? this.#newSandbox("on-demand");
		// A spare is only released: it need not wait behind those that have to be made.
		const start = spare ? this.#start(spare) : this.#host.admit(() => this.#start(sandbox));
		start
			.catch((error: unknown) => {
				// A spare may have died while it stood ready: the event gets another.
				if (!(spare && isSlipwayError(error, "SANDBOX_FAILED"))) this.#nextWaiter()?.reject(error);
			})
			.finally(() => {
				this.#starting--;
				this.startWhatIsMissing();
			});
	}

	#throttleLast(waitMs: number): void {
		const waiter = this.#waiting.pop();
		waiter?.cancelLimit();
		waiter?.reject(throttled("FunctionInvocationRateLimitExceeded", waitMs));
	}

	#nextWaiter(): Waiter | undefined {
		const waiter = this.#waiting.shift();
		waiter?.cancelLimit();
		return waiter;
	}

	/** After a failed init the event goes to the same sandbox, whose second init is inside of it (lambda-contract 3.3). */
	async #start(sandbox: FunctionSandbox): Promise<void> {
		if (this.#waiting.length === 0) return this.#end(sandbox, "spindown");
		this.#startTimes.push(this.#deps.clock.now());
		const failure = await sandbox.initialize("init", initLimitMs);
		if (!failure) return this.#offer(sandbox);
		const waiter = this.#nextWaiter();
		if (waiter) waiter.resolve(this.#run(sandbox, waiter.request));
		else sandbox.release();
	}

	#newProvisioning(): Provisioning {
		const { timeoutS } = this.revision.configuration;
		return new Provisioning({
			clock: this.#deps.clock,
			log: this.#deps.log,
			initLimitMs: Math.max(provisionedInitLimitMs, timeoutS * 1000),
			maxAgeMs: this.#host.maxAgeMs,
			newSandbox: () => this.#newSandbox("provisioned-concurrency"),
			admit: this.#host.admit,
			makeRoom: this.#host.makeProvisionedRoom,
			onReady: (sandbox) => this.#offer(sandbox),
			onAvailable: this.#host.onProvisioned,
			onSurplus: (sandbox) => {
				if (this.#takeProvisionedIdle(sandbox)) this.#end(sandbox, "spindown");
			},
			end: (sandbox, reason) => this.#end(sandbox, reason),
		});
	}

	#takeProvisionedIdle(sandbox: FunctionSandbox): boolean {
		const at = this.#provisionedIdle.indexOf(sandbox);
		if (at >= 0) this.#provisionedIdle.splice(at, 1);
		return at >= 0;
	}

	#newSandbox(type: InitializationType): FunctionSandbox {
		const sandbox = new FunctionSandbox(this.#deps, this.revision, type);
		if (type === "on-demand") this.#onDemand++;
		sandbox.onIdle = () => this.#offer(sandbox);
		sandbox.onOver = (reason, error) => {
			if (error === undefined) this.#end(sandbox, reason);
			else this.#discard(sandbox, error);
		};
		sandbox.onEnd = () => {
			this.#finishing.delete(sandbox);
			if (type === "on-demand") {
				this.#onDemand--;
				this.takeIdle((idle) => idle === sandbox);
				this.#spares = this.#spares.filter((spare) => spare !== sandbox);
			} else {
				this.#takeProvisionedIdle(sandbox);
				this.#provisioning?.forget(sandbox);
			}
			this.#host.onEnd(sandbox);
		};
		this.#host.onSandbox(sandbox);
		return sandbox;
	}

	/** The sandbox may have an event, unless its time is over. */
	#offer(sandbox: FunctionSandbox): void {
		this.#finishing.delete(sandbox);
		// Its processes may have ended right after they got ready; its end is under way.
		if (!isAvailable(sandbox.state)) return this.startWhatIsMissing();
		if (sandbox.initializationType === "provisioned-concurrency") return this.#offerProvisioned(sandbox);
		const old = sandbox.lastUsedMs - sandbox.createdMs >= this.#host.maxAgeMs;
		const waiter = old ? undefined : this.#nextWaiter();
		if (waiter) return waiter.resolve(this.#run(sandbox, waiter.request));
		if (old || this.#retired) {
			this.#end(sandbox, "spindown");
			return this.startWhatIsMissing();
		}
		this.#idle.push(sandbox);
		this.#host.onIdle(this);
	}

	/** One that lost its processes is not waited for by the next event: another takes its place, initialised ahead. */
	#offerProvisioned(sandbox: FunctionSandbox): void {
		if (sandbox.state !== "idle" || !this.#provisioning?.owns(sandbox)) {
			this.#end(sandbox, sandbox.state === "idle" ? "spindown" : "failure");
			return this.startWhatIsMissing();
		}
		const waiter = this.#nextWaiter();
		if (waiter) return waiter.resolve(this.#run(sandbox, waiter.request));
		this.#provisionedIdle.push(sandbox);
		this.#host.onIdle(this);
	}

	#discard(sandbox: FunctionSandbox, error: unknown): void {
		this.#deps.log.error("A sandbox failed outside of its contract", { error, sandbox: sandbox.id });
		this.#end(sandbox, "failure");
	}

	#end(sandbox: FunctionSandbox, reason: string): void {
		// It takes no event from now on: whoever replaces it need not wait until it is gone.
		this.#provisioning?.forget(sandbox);
		sandbox.end(reason).catch((error: unknown) => {
			this.#deps.log.error("A sandbox could not be removed cleanly", { error, sandbox: sandbox.id });
		});
	}
}

/** Removes and returns the newest that is of use. Those that are not have ended, and their end removes them elsewhere. */
function takeLast(
	sandboxes: FunctionSandbox[],
	isOfUse: (state: SandboxState) => boolean,
): FunctionSandbox | undefined {
	for (let sandbox = sandboxes.pop(); sandbox; sandbox = sandboxes.pop()) if (isOfUse(sandbox.state)) return sandbox;
	return undefined;
}

function closing(): SlipwayError {
	return new SlipwayError("UNAVAILABLE", "Slipway is shutting down");
}
