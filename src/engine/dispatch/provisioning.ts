import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import type { FunctionSandbox } from "../sandbox/function-sandbox.ts";

/** As GetProvisionedConcurrencyConfig has it. */
export interface ProvisionedState {
	/** Sandboxes that stand or are being made. */
	allocated: number;
	/** Of these, those whose init is done: busy ones too. */
	available: number;
	status: "IN_PROGRESS" | "READY" | "FAILED";
	/** Why it is not READY, where there is more to say than "not yet". */
	reason: string | undefined;
}

/** The pool whose sandboxes these are, and the machine. */
export interface ProvisioningHost {
	clock: Clock;
	log: Log;
	initLimitMs: number;
	/** Milliseconds after which a sandbox is replaced. */
	maxAgeMs: number;
	newSandbox: () => FunctionSandbox;
	/** Runs a start when its turn has come; `onCreated` is to be called when its sandbox is made. */
	admit: (start: (onCreated: () => void) => Promise<void>) => Promise<void>;
	/** False when no further sandbox may be made now. */
	makeRoom: () => boolean;
	/** Initialised, and ours: it may have events. */
	onReady: (sandbox: FunctionSandbox) => void;
	/** How many stand initialised has changed. */
	onAvailable: (count: number) => void;
	/** No longer ours: to be ended now, or when its event is done. */
	onSurplus: (sandbox: FunctionSandbox) => void;
	end: (sandbox: FunctionSandbox, reason: string) => void;
}

/** What GetProvisionedConcurrencyConfig gives as the reason when a function's init fails. */
export const initFailure = "FUNCTION_ERROR_INIT_FAILURE";
const noRoom = "This machine has no room for more sandboxes: raise its limit or provision less";

/** Starts at the same time for one version: events that wait for a sandbox use the same machine. */
const maxStarting = 4;
/** Failures in a row after which the state is FAILED: one may be chance. It is still tried again. */
const failuresUntilFailed = 3;
/** Milliseconds before another try after a failure: doubled by each further one, up to the longest. */
const firstRetryMs = 1000;
const longestRetryMs = 300_000;
/** Milliseconds for which all have to stand before earlier failures are forgotten: some end as soon as they are ready. */
const settledMs = 10_000;

/**
 * Keeps as many sandboxes of one version initialised as were asked for: makes what is missing, replaces what ended or got
 * old (one at a time, the new one first), gives away what is too much. Nobody else ends them.
 */
export class Provisioning {
	readonly #host: ProvisioningHost;
	/** The oldest first. */
	readonly #ready = new Set<FunctionSandbox>();
	#requested = 0;
	#starting = 0;
	#failures = 0;
	#retryAtMs = 0;
	#lastReadyMs = Number.NEGATIVE_INFINITY;
	#reason: string | undefined;

	constructor(host: ProvisioningHost) {
		this.#host = host;
	}

	get requested(): number {
		return this.#requested;
	}

	/** None is wanted, and none is left. */
	get isAtRest(): boolean {
		return this.#requested + this.#starting + this.#ready.size === 0;
	}

	get state(): ProvisionedState {
		const available = Math.min(this.#ready.size, this.#requested);
		const allocated = Math.min(this.#ready.size + this.#starting, this.#requested);
		const ready = available >= this.#requested;
		const failed = this.#failures >= failuresUntilFailed;
		return {
			allocated,
			available,
			status: ready ? "READY" : failed ? "FAILED" : "IN_PROGRESS",
			reason: ready ? undefined : this.#reason,
		};
	}

	/** How many there should be from now on. */
	request(count: number): void {
		this.#requested = count;
		this.#failures = 0;
		this.#retryAtMs = 0;
		this.#reason = undefined;
		this.#giveAway();
		this.fill();
	}

	owns(sandbox: FunctionSandbox): boolean {
		return this.#ready.has(sandbox);
	}

	/** It has ended, or can't serve any more. */
	forget(sandbox: FunctionSandbox): void {
		if (!this.#ready.delete(sandbox)) return;
		// One that ended before its first event was never good for any: those that follow would do the same, at full speed.
		if (sandbox.invocations === 0) this.#onFailure(initFailure);
		this.#host.onAvailable(this.#ready.size);
		this.fill();
	}

	/** Starts what is missing, as far as there is room. Called again and again: room and time to try come without notice. */
	fill(): void {
		const now = this.#host.clock.monotonic();
		if (now < this.#retryAtMs) return;
		const [oldest] = this.#ready;
		const replacing = oldest && now - oldest.createdAt >= this.#host.maxAgeMs ? 1 : 0;
		const wanted = this.#requested === 0 ? 0 : this.#requested + replacing;
		if (this.#ready.size >= this.#requested && now - this.#lastReadyMs >= settledMs) this.#failures = 0;
		const parallel = this.#failures === 0 ? maxStarting : 1;
		while (this.#starting < parallel && this.#ready.size + this.#starting < wanted) {
			if (!this.#host.makeRoom()) {
				this.#reason ??= noRoom;
				return;
			}
			if (this.#reason === noRoom) this.#reason = undefined;
			void this.#start(this.#host.newSandbox());
		}
	}

	async #start(sandbox: FunctionSandbox): Promise<void> {
		this.#starting++;
		try {
			await this.#host.admit(async (onCreated) => {
				if (this.#requested === 0) return;
				sandbox.onCreated = onCreated;
				const failure = await sandbox.initialize("init", this.#host.initLimitMs);
				if (!failure && sandbox.state === "idle") this.#onReady(sandbox);
				else this.#onFailure(initFailure);
			});
		} catch (error) {
			// One that is given up while it is being made fails by that: nobody misses it.
			if (this.#requested > 0)
				this.#host.log.error("A sandbox could not be provisioned", { error, sandbox: sandbox.id });
			this.#onFailure(error instanceof Error ? error.message : String(error));
		}
		this.#starting--;
		if (!this.#ready.has(sandbox)) this.#host.end(sandbox, "failure");
		this.#giveAway();
		this.fill();
	}

	#onReady(sandbox: FunctionSandbox): void {
		this.#lastReadyMs = this.#host.clock.monotonic();
		this.#ready.add(sandbox);
		this.#host.onAvailable(this.#ready.size);
		this.#host.onReady(sandbox);
	}

	#onFailure(reason: string): void {
		this.#failures++;
		this.#reason = reason;
		const waitMs = Math.min(longestRetryMs, firstRetryMs * 2 ** (this.#failures - 1));
		this.#retryAtMs = this.#host.clock.monotonic() + waitMs;
	}

	#giveAway(): void {
		if (this.#ready.size <= this.#requested) return;
		for (const sandbox of this.#ready) {
			if (this.#ready.size <= this.#requested) break;
			this.#ready.delete(sandbox);
			this.#host.onAvailable(this.#ready.size);
			this.#host.onSurplus(sandbox);
		}
	}
}
