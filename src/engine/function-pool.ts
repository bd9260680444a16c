import { isSlipwayError, SlipwayError } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import type { Failure, FunctionRevision } from "../core/invocation/function-contract.ts";
import type { InvocationRequest, InvocationResult } from "../core/invocation/invocation.ts";
import { FunctionSandbox, type FunctionSandboxDeps, sandboxGone } from "./function-sandbox.ts";

/** Milliseconds for the init ahead of the event (lambda-contract 3.3). */
const initLimitMs = 10_000;
/** Events that may wait for sandboxes of one revision; the account's concurrency bounds it below this anyway. */
const maxWaiting = 10_000;

interface Waiter {
	request: InvocationRequest;
	resolve: (result: InvocationResult | Promise<InvocationResult>) => void;
	reject: (error: unknown) => void;
}

export interface PoolHost {
	/** Runs a start when the machine has a free hand. */
	admit: (start: () => Promise<void>) => Promise<void>;
	/** False when no further sandbox may be made now. */
	makeRoom: () => boolean;
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
	readonly #waiting: Waiter[] = [];
	#starting = 0;
	#running = 0;
	#retired = false;

	constructor(deps: FunctionSandboxDeps & { log: Log }, revision: FunctionRevision, host: PoolHost) {
		this.#deps = deps;
		this.revision = revision;
		this.#host = host;
	}

	invoke(request: InvocationRequest): Promise<InvocationResult> {
		for (let sandbox = this.#idle.pop(); sandbox; sandbox = this.#idle.pop())
			if (sandbox.state !== "stopped") return this.#run(sandbox, request);
		if (this.#waiting.length >= maxWaiting) throw throttled();
		return new Promise((resolve, reject) => {
			this.#waiting.push({ request, resolve, reject });
			this.#startWhatIsMissing();
		});
	}

	get oldestIdle(): FunctionSandbox | undefined {
		return this.#idle[0];
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
	}

	async #run(sandbox: FunctionSandbox, request: InvocationRequest, sinceMs?: number): Promise<InvocationResult> {
		this.#running++;
		try {
			return await sandbox.invoke(request, sinceMs);
		} catch (error) {
			this.#discard(sandbox, error);
			if (isSlipwayError(error) && error.reason === sandboxGone) return this.invoke(request);
			throw error;
		} finally {
			this.#running--;
		}
	}

	#startWhatIsMissing(): void {
		while (this.#starting < this.#waiting.length) {
			if (!this.#host.makeRoom()) {
				// Those who wait get the next sandbox that is free; with none running that would be never.
				if (this.#starting === 0 && this.#running === 0)
					for (const waiter of this.#waiting.splice(0)) waiter.reject(throttled());
				return;
			}
			this.#starting++;
			this.#host
				.admit(() => this.#start())
				.catch((error: unknown) => this.#waiting.shift()?.reject(error))
				.finally(() => {
					this.#starting--;
					this.#startWhatIsMissing();
				});
		}
	}

	async #start(): Promise<void> {
		if (this.#waiting.length === 0) return;
		const sandbox = this.#newSandbox();
		const failure = await sandbox.initialize("init", initLimitMs);
		if (!failure) return this.#offer(sandbox);
		const waiter = this.#waiting.shift();
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
		sandbox.onEnd = () => {
			this.takeIdle((idle) => idle === sandbox);
			this.#host.onEnd(sandbox);
			this.#startWhatIsMissing();
		};
		this.#host.onSandbox(sandbox);
		return sandbox;
	}

	#offer(sandbox: FunctionSandbox): void {
		const waiter = this.#waiting.shift();
		if (waiter) waiter.resolve(this.#run(sandbox, waiter.request));
		else if (this.#retired) this.#end(sandbox, "spindown");
		else this.#idle.push(sandbox);
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
