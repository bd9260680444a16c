import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import type { Failure, FunctionRevision, InitializationType } from "../../core/invocation/function-contract.ts";
import type { InvocationRequest, InvocationResult } from "../../core/invocation/invocation.ts";
import { isAvailable, type SandboxState } from "../../core/sandbox/sandbox-state.ts";
import { FunctionSandbox, type FunctionSandboxDeps, sandboxGone } from "../sandbox/function-sandbox.ts";
import { VersionUse } from "./concurrency-ledger.ts";
import { EventStarts } from "./event-starts.ts";
import { FinishingSandboxes } from "./finishing-sandboxes.ts";
import { type ProvisionedState, Provisioning } from "./provisioning.ts";
import { RevisionSpares } from "./revision-spares.ts";
import type { QueuedStart } from "./start-queue.ts";
import { type WaitingEvent, WaitingEvents } from "./waiting-events.ts";

/** Milliseconds for the init ahead of the event (lambda-contract 3.3). */
const initLimitMs = 10_000;
/** The same where it is not ahead of one event but of all: this or the function's timeout, whatever is more (3.3). */
const provisionedInitLimitMs = 130_000;
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
	readonly #waiting: WaitingEvents;
	readonly #starts: EventStarts;
	readonly #finishing = new FinishingSandboxes();
	#provisioning: Provisioning | undefined;
	#retired = false;
	#closed = false;

	constructor(deps: FunctionSandboxDeps & { log: Log }, revision: FunctionRevision, host: PoolHost) {
		this.#deps = deps;
		this.revision = revision;
		this.#host = host;
		this.#waiting = new WaitingEvents(deps.clock, () => this.#takeBackStarts());
		this.#starts = this.#newStarts();
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
		const answer = this.#waiting.add(request, sinceAt);
		this.#startUnlessOneIsFinishing();
		return answer;
	}

	get oldestIdle(): FunctionSandbox | undefined {
		return this.#idle[0];
	}

	/** Nothing of it stands, waits or is kept ready: until its next event there is nothing to look after. */
	isAtRest(nowMs: number, spareKeepMs: number): boolean {
		if (this.#onDemand > 0 || this.#waiting.size > 0 || this.#starts.size > 0) return false;
		return (this.#provisioning?.isAtRest ?? true) && !this.spares.isInDemand(nowMs, spareKeepMs);
	}

	/** Sandboxes on demand that have an event or are made for one. */
	get inUse(): number {
		return this.#onDemand + this.#starts.unmade - this.#idle.length - this.spares.idle;
	}

	/** Sandboxes on demand in which something works or has worked. */
	get environments(): number {
		return this.#onDemand + this.#starts.unmade - this.spares.idle + this.spares.count.initialized;
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
		while (!this.#closed && this.#starts.size + servedOtherwise < this.#waiting.size) {
			if (this.#takeInitialized() || this.#takeOver()) continue;
			const hasRoom = !this.spares.hasCreated;
			if (!this.#host.makeRoom(this, !hasRoom)) return;
			const waitMs = this.#host.takeEnvironment();
			if (waitMs === 0) this.#starts.add(this.spares.takeCreated(), hasRoom);
			else {
				if (hasRoom) this.#host.takeRoom();
				this.#waiting.throttleLast(waitMs);
			}
		}
	}

	#takeBackStarts(): void {
		this.#starts.takeBackBeyond(this.#waiting.size);
	}

	/** A spare was initialized while the event waited for something else. */
	#takeInitialized(): boolean {
		const spare = this.spares.takeInitialized();
		if (!spare) return false;
		const waiter = this.#nextWaiter();
		if (waiter) waiter.resolve(this.#run(spare, waiter.request, waiter.sinceAt));
		return true;
	}

	/** An event waits for an init that was begun ahead of any: it is sooner done than another one would be. */
	#takeOver(): boolean {
		const taken = this.spares.takeInitializing();
		if (!taken) return false;
		this.#starts.takeOver();
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

	#nextWaiter(): WaitingEvent | undefined {
		const waiter = this.#waiting.takeFirst();
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
			this.#starts.over();
		}
		if (!failure) {
			this.spares.onInitialized(sandbox);
			return this.#offer(sandbox);
		}
		const waiter = this.#nextWaiter();
		if (waiter) waiter.resolve(this.#run(sandbox, waiter.request, waiter.sinceAt));
		else sandbox.release();
	}

	#newStarts(): EventStarts {
		const { enter, takeRoom, giveBackEnvironment, isClosed } = this.#host;
		return new EventStarts({
			enter,
			takeRoom,
			giveBackEnvironment,
			isClosed,
			giveBackSpare: (spare) => this.spares.giveBack(spare),
			onClosed: () => this.close(),
			newSandbox: () => this.#newSandbox("on-demand"),
			start: (sandbox, spare, onCreated) => this.#whenStarted(this.#start(sandbox, onCreated), spare),
		});
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
			onReady: () => this.#host.onIdle(this),
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
