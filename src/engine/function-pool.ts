import { isSlipwayError, SlipwayError } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import type { Failure, FunctionRevision } from "../core/invocation/function-contract.ts";
import type { InvocationRequest, InvocationResult } from "../core/invocation/invocation.ts";
import { isAvailable } from "../core/sandbox/sandbox-state.ts";
import { FunctionSandbox, type FunctionSandboxDeps, sandboxGone } from "./function-sandbox.ts";
import { type SpareDemand, windowMs } from "./spares.ts";

/** Milliseconds for the init ahead of the event (lambda-contract 3.3). */
const initLimitMs = 10_000;
/** Milliseconds an event waits for a sandbox that has just answered before another one is started for it. */
const finishingMs = 5;
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
	/** Runs a start when the machine has a free hand. */
	admit: (start: () => Promise<void>) => Promise<void>;
	/** False when no further sandbox may be made now; the pool hears of it through `startWhatIsMissing` when that changes. */
	makeRoom: (pool: FunctionPool) => boolean;
	/** A sandbox stands idle: if room is short elsewhere, it may have to go. */
	onIdle: () => void;
	onSandbox: (sandbox: FunctionSandbox) => void;
	onEnd: (sandbox: FunctionSandbox) => void;
}

/** The sandboxes of one revision, and the events that wait for one of them, first come, first served. */
export class FunctionPool {
	readonly revision: FunctionRevision;
	readonly #deps: FunctionSandboxDeps & { log: Log };
	readonly #host: PoolHost;
	/** Newest used last. */
	#idle: FunctionSandbox[] = [];
	/** Created but not started (spares.ts). */
	#spares: FunctionSandbox[] = [];
	readonly #waiting: Waiter[] = [];
	#lastDemandMs: number;
	#startTimes: number[] = [];
	/** Have answered and not yet asked for their next event: most do within a millisecond. */
	readonly #finishing = new Set<FunctionSandbox>();
	#starting = 0;
	#retired = false;

	constructor(deps: FunctionSandboxDeps & { log: Log }, revision: FunctionRevision, host: PoolHost) {
		this.#deps = deps;
		this.revision = revision;
		this.#host = host;
		this.#lastDemandMs = deps.clock.now();
	}

	invoke(request: InvocationRequest): Promise<InvocationResult> {
		this.#lastDemandMs = this.#deps.clock.now();
		for (let sandbox = this.#idle.pop(); sandbox; sandbox = this.#idle.pop())
			if (isAvailable(sandbox.state)) return this.#run(sandbox, request);
		if (this.#waiting.length >= maxWaiting) throw throttled();
		return new Promise((resolve, reject) => {
			const cancelLimit = this.#deps.clock.after(maxWaitMs, () => {
				this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
				reject(throttled());
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

	/** Makes one more spare. A platform that can't is said so in the log: the next event will meet the same trouble and tell its caller. */
	async addSpare(): Promise<void> {
		const sandbox = this.#newSandbox();
		try {
			await sandbox.create();
		} catch (error) {
			return this.#discard(sandbox, error);
		}
		if (this.#retired || sandbox.state !== "created") this.#end(sandbox, "spindown");
		else this.#spares.push(sandbox);
	}

	/** Lets go of spares, the oldest first. */
	dropSpares(count: number): void {
		for (const sandbox of this.#spares.splice(0, count)) this.#end(sandbox, "spindown");
	}

	/** Removes and returns the idle sandboxes that match. */
	takeIdle(matches: (sandbox: FunctionSandbox) => boolean): FunctionSandbox[] {
		const taken = this.#idle.filter(matches);
		if (taken.length > 0) this.#idle = this.#idle.filter((sandbox) => !taken.includes(sandbox));
		return taken;
	}

	/** Freezes sandboxes that were last used before `beforeMs`. */
	freezeIdle(beforeMs: number): void {
		for (const sandbox of this.#idle)
			if (sandbox.state === "idle" && sandbox.lastUsedMs < beforeMs)
				sandbox.freeze().catch((error: unknown) => this.#discard(sandbox, error));
	}

	/** No longer the function's revision: idle sandboxes go now, the others when their event and those that wait are done. */
	retire(): void {
		this.#retired = true;
		for (const sandbox of this.#idle.splice(0)) this.#end(sandbox, "spindown");
		this.dropSpares(this.#spares.length);
	}

	async #run(sandbox: FunctionSandbox, request: InvocationRequest, sinceMs?: number): Promise<InvocationResult> {
		try {
			const result = await sandbox.invoke(request, sinceMs);
			if (sandbox.state === "busy") this.#finishing.add(sandbox);
			return result;
		} catch (error) {
			this.#discard(sandbox, error);
			if (isSlipwayError(error) && error.reason === sandboxGone) return this.invoke(request);
			throw error;
		}
	}

	/** A client that calls again as soon as it has its answer should find the sandbox that gave it, not cause a second one. */
	#startUnlessOneIsFinishing(): void {
		if (this.#finishing.size === 0) return this.startWhatIsMissing();
		this.startWhatIsMissing(this.#finishing.size);
		this.#deps.clock.after(finishingMs, () => this.startWhatIsMissing());
	}

	/** Begins as many starts as events wait, less those that are served otherwise, as far as there is room. */
	startWhatIsMissing(servedOtherwise = 0): void {
		while (this.#starting + servedOtherwise < this.#waiting.length) {
			if (this.#spares.length === 0 && !this.#host.makeRoom(this)) return;
			this.#starting++;
			const spare = this.#spares.pop();
			const sandbox = spare ?? this.#newSandbox();
			// A spare is only released: it need not wait behind those that have to be made.
			const start = spare ? this.#start(spare) : this.#host.admit(() => this.#start(sandbox));
			start
				.catch((error: unknown) => this.#nextWaiter()?.reject(error))
				.finally(() => {
					this.#starting--;
					this.startWhatIsMissing();
				});
		}
	}

	#nextWaiter(): Waiter | undefined {
		const waiter = this.#waiting.shift();
		waiter?.cancelLimit();
		return waiter;
	}

	async #start(sandbox: FunctionSandbox): Promise<void> {
		if (this.#waiting.length === 0) return sandbox.end("spindown");
		this.#startTimes.push(this.#deps.clock.now());
		const failure = await sandbox.initialize("init", initLimitMs);
		if (!failure) return this.#offer(sandbox);
		const waiter = this.#nextWaiter();
		if (waiter) waiter.resolve(this.#startInside(waiter.request, failure));
	}

	/** The second try, inside the invocation and on its time (lambda-contract 3.3). */
	async #startInside(request: InvocationRequest, first: Failure): Promise<InvocationResult> {
		const sinceMs = this.#deps.clock.monotonic();
		const sandbox = this.#newSandbox();
		// A process that can't be started at all will not start the second time either.
		const hopeless = first.kind === "invalid-entrypoint" || first.kind === "invalid-working-dir";
		const limitMs = this.revision.configuration.timeoutS * 1000;
		const failure = hopeless ? first : await sandbox.initialize("invoke", limitMs);
		if (failure) {
			await sandbox.end("failure");
			return sandbox.failedInvocation(request, sinceMs, failure);
		}
		return this.#run(sandbox, request, sinceMs);
	}

	#newSandbox(): FunctionSandbox {
		const sandbox = new FunctionSandbox(this.#deps, this.revision);
		sandbox.onIdle = () => this.#offer(sandbox);
		sandbox.onOver = (reason, error) => {
			if (error === undefined) this.#end(sandbox, reason);
			else this.#discard(sandbox, error);
		};
		sandbox.onEnd = () => {
			this.#finishing.delete(sandbox);
			this.takeIdle((idle) => idle === sandbox);
			this.#spares = this.#spares.filter((spare) => spare !== sandbox);
			this.#host.onEnd(sandbox);
		};
		this.#host.onSandbox(sandbox);
		return sandbox;
	}

	#offer(sandbox: FunctionSandbox): void {
		this.#finishing.delete(sandbox);
		const waiter = this.#nextWaiter();
		if (waiter) return waiter.resolve(this.#run(sandbox, waiter.request));
		if (this.#retired) return this.#end(sandbox, "spindown");
		this.#idle.push(sandbox);
		this.#host.onIdle();
	}

	#discard(sandbox: FunctionSandbox, error: unknown): void {
		this.#deps.log.error("A sandbox failed outside of its contract", { error, sandbox: sandbox.id });
		this.#end(sandbox, "failure");
	}

	#end(sandbox: FunctionSandbox, reason: string): void {
		sandbox.end(reason).catch((error: unknown) => {
			this.#deps.log.error("A sandbox could not be removed cleanly", { error, sandbox: sandbox.id });
		});
	}
}

function throttled(): SlipwayError {
	return new SlipwayError("THROTTLED", "Rate Exceeded.", {
		reason: "ConcurrentInvocationLimitExceeded",
		retryAfterMs: 1000,
	});
}
