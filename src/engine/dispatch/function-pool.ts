import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import { Queue } from "../../base/queue.ts";
import type { Failure, FunctionRevision, InitializationType } from "../../core/invocation/function-contract.ts";
import type { InvocationRequest, InvocationResult } from "../../core/invocation/invocation.ts";
import { isAvailable, type SandboxState } from "../../core/sandbox/sandbox-state.ts";
import { FunctionSandbox, type FunctionSandboxDeps, sandboxGone } from "../sandbox/function-sandbox.ts";
import { throttled, VersionUse } from "./concurrency-ledger.ts";
import { FinishingSandboxes } from "./finishing-sandboxes.ts";
import { type ProvisionedState, Provisioning } from "./provisioning.ts";
import { RevisionSpares } from "./revision-spares.ts";
import type { QueuedStart } from "./start-queue.ts";

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
	/** When it came, on the monotonic clock. */
	sinceAt: number;
	cancelLimit: () => void;
	resolve: (result: InvocationResult | Promise<InvocationResult>) => void;
	reject: (error: unknown) => void;
}

/** A start whose turn has not come. */
interface WaitingStart {
	/** What it will start; undefined when that is still to be made. */
	spare: FunctionSandbox | undefined;
	/** Room was made for it. */
	hasRoom: boolean;
	leave: () => void;
}

export interface PoolHost {
	/** Milliseconds after which a sandbox gets no more events. */
	maxAgeMs: number;
	/** Begins the start when its turn has come, maybe now. What is returned takes it back before. */
	enter: (start: QueuedStart) => () => void;
	/** The same for one that nobody takes back. */
	admit: (start: (onCreated: () => void) => Promise<void>) => Promise<void>;
	/**
	 * False when no further sandbox may be started now, or made for that unless `spare` stands ready; the pool hears of it
	 * through `startWhatIsMissing` when that changes. Room that was made is kept for it until `takeRoom`.
	 */
	makeRoom: (pool: FunctionPool, spare: boolean) => boolean;
	/** The daemon stops: nothing is to begin any more. */
	isClosed: () => boolean;
	/** The sandbox that room was made for is made now, or never will be. */
	takeRoom: () => void;
	/** The same for one that is provisioned; nobody is told when that changes. */
	makeProvisionedRoom: () => boolean;
	/** 0 when the function may have one more environment; else the milliseconds until it may. */
	takeEnvironment: () => number;
	/** It will not be made after all. */
	giveBackEnvironment: () => void;
	/** A sandbox stands idle: if room is short elsewhere, it may have to go. */
	onIdle: (pool: FunctionPool) => void;
	onProvisioned: (count: number) => void;
	onSandbox: (sandbox: FunctionSandbox) => void;
	onEnd: (sandbox: FunctionSandbox) => void;
	/** Ends a sandbox, at once or when the machine has a free hand. */
	end: (sandbox: FunctionSandbox, reason: string) => Promise<void>;
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
	readonly spares: RevisionSpares;
	/** Sandboxes on demand, whatever they do. */
	#onDemand = 0;
	readonly #waiting = new Queue<Waiter>();
	/** Starts among `#starting` that have not begun; the last one is the first to be taken back. */
	readonly #queued = new Queue<WaitingStart>();
	/** Of these, those whose sandboxes are still to be made. */
	#unmade = 0;
	readonly #finishing = new FinishingSandboxes();
	#provisioning: Provisioning | undefined;
	/** Starts for events that wait, whether they have begun or not. */
	#starting = 0;
	#retired = false;
	#closed = false;

	constructor(deps: FunctionSandboxDeps & { log: Log }, revision: FunctionRevision, host: PoolHost) {
		this.#deps = deps;
		this.revision = revision;
		this.#host = host;
		this.spares = this.#newSpares();
	}

	/** `sinceAt`: when the event came, on the monotonic clock, if it has waited already. */
	invoke(request: InvocationRequest, sinceAt?: number): Promise<InvocationResult> {
		this.spares.onDemand();
		const sandbox =
			takeLast(this.#provisionedIdle, isAvailable) ??
			takeLast(this.#idle, isAvailable) ??
			this.spares.takeInitialized();
		return sandbox ? this.#run(sandbox, request, sinceAt) : this.#wait(request, sinceAt);
	}

	#wait(request: InvocationRequest, sinceAt = this.#deps.clock.monotonic()): Promise<InvocationResult> {
		if (this.#closed) throw closing();
		if (this.#waiting.size >= maxWaiting) throw throttled("ConcurrentInvocationLimitExceeded");
		return new Promise((resolve, reject) => {
			const cancelLimit = this.#deps.clock.after(maxWaitMs, () => {
				this.#waiting.remove(entry);
				reject(throttled("ConcurrentInvocationLimitExceeded"));
				this.#takeBackStarts();
			});
			const entry = this.#waiting.push({ request, sinceAt, cancelLimit, resolve, reject });
			this.#startUnlessOneIsFinishing();
		});
	}

	get oldestIdle(): FunctionSandbox | undefined {
		return this.#idle[0];
	}

	get busy(): boolean {
		return this.#waiting.size > 0 || this.#starting > 0;
	}

	/** Sandboxes on demand that have an event or are made for one. */
	get inUse(): number {
		return this.#onDemand + this.#unmade - this.#idle.length - this.spares.idle;
	}

	/** Sandboxes on demand in which something works or has worked. */
	get environments(): number {
		return this.#onDemand + this.#unmade - this.spares.idle + this.spares.count.initialized;
	}

	/** Removes and returns the idle sandboxes that match; never provisioned ones. */
	takeIdle(matches: (sandbox: FunctionSandbox) => boolean): FunctionSandbox[] {
		const taken: FunctionSandbox[] = [];
		const left: FunctionSandbox[] = [];
		for (const sandbox of this.#idle) (matches(sandbox) ? taken : left).push(sandbox);
		if (taken.length > 0) this.#idle = left;
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
	sweep(nowMs: number, idleTimeoutMs: number): void {
		const { maxAgeMs } = this.#host;
		const isOver = ({ lastUsedAt, createdAt }: FunctionSandbox) =>
			nowMs - lastUsedAt >= idleTimeoutMs || nowMs - createdAt >= maxAgeMs;
		if (this.#idle.length > 0) for (const sandbox of this.takeIdle(isOver)) this.#end(sandbox, "spindown");
		this.spares.sweep(nowMs);
		this.#provisioning?.fill();
	}

	/** Freezes sandboxes that were last used at `beforeMs`, monotonic, or earlier. Returns when the next one's turn comes: its last use. */
	freezeIdle(beforeMs: number): number | undefined {
		let next: number | undefined;
		for (const idle of [this.#provisionedIdle, this.#idle, this.spares.initialized])
			for (const sandbox of idle) {
				if (sandbox.state !== "idle") continue;
				if (sandbox.lastUsedAt <= beforeMs) sandbox.freeze().catch((error: unknown) => this.#discard(sandbox, error));
				else next = Math.min(next ?? sandbox.lastUsedAt, sandbox.lastUsedAt);
			}
		return next;
	}

	/** No longer the function's revision: idle sandboxes go now, the others when their event and those that wait are done. */
	retire(): void {
		this.#retired = true;
		for (const sandbox of this.#idle.splice(0)) this.#end(sandbox, "spindown");
		this.spares.dropAll();
		this.#provisioning?.request(0);
	}

	/** The daemon stops: nothing is started any more, and events that still wait hear so. */
	close(): void {
		this.retire();
		this.#closed = true;
		for (let waiter = this.#nextWaiter(); waiter; waiter = this.#nextWaiter()) waiter.reject(closing());
	}

	async #run(sandbox: FunctionSandbox, request: InvocationRequest, sinceAt?: number): Promise<InvocationResult> {
		try {
			const result = await sandbox.invoke(request, sinceAt);
			// With a tail it was not told before its sandbox had finished: busy is that with another event by now.
			if ((sandbox.state === "busy" && !request.tail) || sandbox.state === "resetting")
				this.#finishing.add(sandbox, result.functionError !== undefined && sandbox.initializationType === "on-demand");
			return result;
		} catch (error) {
			// It ended while it waited, which its own end has told of or will: the event goes to another.
			if (isSlipwayError(error) && error.reason === sandboxGone) {
				this.#end(sandbox, "failure");
				return this.invoke(request, sinceAt);
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
		while (!this.#closed && this.#starting + servedOtherwise < this.#waiting.size) {
			if (this.#takeOver()) continue;
			const hasRoom = this.spares.count.created === 0;
			if (!this.#host.makeRoom(this, !hasRoom)) return;
			const waitMs = this.#host.takeEnvironment();
			if (waitMs === 0) this.#startOne(hasRoom);
			else {
				if (hasRoom) this.#host.takeRoom();
				this.#throttleLast(waitMs);
			}
		}
	}

	#startOne(hasRoom: boolean): void {
		this.#starting++;
		const spare = this.spares.takeCreated();
		const waiting: WaitingStart = { spare, hasRoom, leave: () => {} };
		const entry = this.#queued.push(waiting);
		if (!spare) this.#unmade++;
		waiting.leave = this.#host.enter({
			created: spare !== undefined,
			begin: (onCreated) => {
				this.#queued.remove(entry);
				if (this.#host.isClosed()) return this.#closeInstead(waiting);
				const sandbox = spare ?? this.#newSandbox("on-demand");
				this.#dequeued(waiting);
				return this.#whenStarted(this.#start(sandbox, onCreated), spare !== undefined);
			},
		});
	}

	/** Starts that no event waits for any more never begin: they have cost nothing. */
	#takeBackStarts(): void {
		while (this.#starting > this.#waiting.size) {
			const waiting = this.#queued.pop();
			if (!waiting) return;
			waiting.leave();
			this.#starting--;
			this.#host.giveBackEnvironment();
			if (waiting.spare) this.spares.giveBack(waiting.spare);
			this.#dequeued(waiting);
		}
	}

	async #closeInstead(waiting: WaitingStart): Promise<void> {
		this.#starting--;
		this.#dequeued(waiting);
		this.close();
	}

	#dequeued({ spare, hasRoom }: WaitingStart): void {
		if (!spare) this.#unmade--;
		if (hasRoom) this.#host.takeRoom();
	}

	/** An event waits for an init that was begun ahead of any: it is sooner done than another one would be. */
	#takeOver(): boolean {
		const taken = this.spares.takeInitializing();
		if (!taken) return false;
		this.#starting++;
		this.spares.onStart();
		void this.#whenStarted(this.#initialized(taken.sandbox, taken.init), true);
		return true;
	}

	#whenStarted(start: Promise<void>, spare: boolean): Promise<void> {
		return start
			.catch((error: unknown) => {
				// A spare may have died while it stood ready: the event gets another.
				if (!(spare && isSlipwayError(error, "SANDBOX_FAILED"))) this.#nextWaiter()?.reject(error);
			})
			.finally(() => this.startWhatIsMissing());
	}

	#throttleLast(waitMs: number): void {
		const waiter = this.#waiting.pop();
		waiter?.cancelLimit();
		waiter?.reject(throttled("FunctionInvocationRateLimitExceeded", waitMs));
	}

	#nextWaiter(): Waiter | undefined {
		const waiter = this.#waiting.shift();
		waiter?.cancelLimit();
		this.#takeBackStarts();
		return waiter;
	}

	#start(sandbox: FunctionSandbox, onCreated: () => void): Promise<void> {
		this.spares.onStart();
		sandbox.onCreated = onCreated;
		return this.#initialized(sandbox, sandbox.initialize("init", initLimitMs));
	}

	/** After a failed init the event goes to the same sandbox, whose second init is inside of it (lambda-contract 3.3). */
	async #initialized(sandbox: FunctionSandbox, init: Promise<Failure | undefined>): Promise<void> {
		let failure: Failure | undefined;
		try {
			failure = await init;
		} finally {
			this.#starting--;
		}
		if (!failure) {
			this.spares.onInitialized(sandbox);
			return this.#offer(sandbox);
		}
		const waiter = this.#nextWaiter();
		if (waiter) waiter.resolve(this.#run(sandbox, waiter.request, waiter.sinceAt));
		else sandbox.release();
	}

	#newSpares(): RevisionSpares {
		return new RevisionSpares({
			clock: this.#deps.clock,
			initLimitMs,
			memoryBytes: this.revision.configuration.memoryMiB * 1024 * 1024,
			maxAgeMs: this.#host.maxAgeMs,
			newSandbox: () => this.#newSandbox("on-demand"),
			isRetired: () => this.#retired,
			onChange: () => this.startWhatIsMissing(this.#finishing.size),
			onIdle: () => this.#host.onIdle(this),
			end: (sandbox, reason) => this.#end(sandbox, reason),
			discard: (sandbox, error) => this.#discard(sandbox, error),
		});
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
				this.spares.forget(sandbox);
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
		const old = sandbox.lastUsedAt - sandbox.createdAt >= this.#host.maxAgeMs;
		const waiter = old ? undefined : this.#nextWaiter();
		if (waiter) return waiter.resolve(this.#run(sandbox, waiter.request, waiter.sinceAt));
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
		if (waiter) return waiter.resolve(this.#run(sandbox, waiter.request, waiter.sinceAt));
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
		this.#host.end(sandbox, reason).catch((error: unknown) => {
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
