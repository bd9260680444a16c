import type { Clock } from "../../base/clock.ts";
import type { SpareSetting } from "../../core/function/spare-setting.ts";
import type { Failure } from "../../core/invocation/function-contract.ts";
import { isAvailable } from "../../core/sandbox/sandbox-state.ts";
import type { FunctionSandbox } from "../sandbox/function-sandbox.ts";
import type { SpareCount, SpareDemand } from "./spares.ts";
import { StartHistory } from "./start-history.ts";

/** Milliseconds before another init ahead of events after one that was not good: doubled by each further one, up to the longest. */
const firstRetryMs = 60_000;
const longestRetryMs = 3_600_000;

/** Milliseconds before the next one is made after one that could not be, unless an event has shown before that it can be done. */
const createRetryMs = 10_000;

/** The pool whose spares these are. */
export interface RevisionSparesHost {
	clock: Clock;
	/** Milliseconds for an init, from which it is a failure. */
	initLimitMs: number;
	/** Bytes that a sandbox may use. */
	memoryBytes: number;
	/** Milliseconds of age after which a sandbox gets no more events. */
	maxAgeMs: number;
	newSandbox: () => FunctionSandbox;
	/** No sandbox of it is needed any more. */
	isRetired: () => boolean;
	/** A spare stands ready, or one that events could have counted on is gone. */
	onChange: () => void;
	/** One stands ready: an initialized one may be frozen, and either has to go if others need its room. */
	onReady: () => void;
	end: (sandbox: FunctionSandbox, reason: string) => void;
	/** Ends one that failed outside of its contract, and says so. */
	discard: (sandbox: FunctionSandbox, error: unknown) => void;
}

/**
 * What stands ready of one revision, or is being made so, before an event asks for it (spares.ts decides how many), and
 * what is known of the demand for it. Nobody else ends them; an event that takes one makes it an ordinary sandbox.
 */
export class RevisionSpares {
	readonly #host: RevisionSparesHost;
	readonly #starts = new StartHistory();
	/** The oldest first, as all of these. */
	#created: FunctionSandbox[] = [];
	#creating = 0;
	#initialized: FunctionSandbox[] = [];
	/** Their inits. An event that comes meanwhile takes one over. */
	readonly #initializing = new Map<FunctionSandbox, Promise<Failure | undefined>>();
	#lastDemandMs: number;
	#lastStart: SpareDemand["lastStart"];
	#failures = 0;
	#initAfterMs = Number.NEGATIVE_INFINITY;
	#createAfterMs = Number.NEGATIVE_INFINITY;

	constructor(host: RevisionSparesHost) {
		this.#host = host;
		this.#lastDemandMs = host.clock.monotonic();
	}

	/** An event has come. */
	onDemand(): void {
		this.#lastDemandMs = this.#host.clock.monotonic();
	}

	/** An event has found no sandbox that others had used before it. */
	onStart(): void {
		this.#starts.record(this.#host.clock.monotonic());
	}

	/** An init that an event waited for was good. */
	onInitialized(sandbox: FunctionSandbox): void {
		this.#learn(sandbox);
		this.#recover();
	}

	#learn({ startMs = 0, initMs }: FunctionSandbox): void {
		this.#lastStart = { sandboxMs: startMs - initMs, initMs };
	}

	/** Its owner wants it at zero: as if no event had ever come. */
	forgetDemand(): void {
		this.#lastDemandMs = Number.NEGATIVE_INFINITY;
		this.#starts.forget();
	}

	/** False where there is nothing to decide, which is most functions at any time. */
	isInDemand(nowMs: number, keepMs: number): boolean {
		return nowMs - this.#lastDemandMs <= keepMs;
	}

	demand(setting: SpareSetting, reserved: number | undefined): SpareDemand {
		return {
			lastDemandMs: this.#lastDemandMs,
			bursts: this.#starts.bursts(this.#host.clock.monotonic()),
			lastStart: this.#lastStart,
			memoryBytes: this.#host.memoryBytes,
			setting,
			reserved,
			initAfterMs: this.#initAfterMs,
		};
	}

	get count(): SpareCount {
		return { created: this.#created.length, initialized: this.#initialized.length };
	}

	/** Sandboxes in which nothing works: all but those whose init runs. */
	get idle(): number {
		return this.#created.length + this.#creating + this.#initialized.length;
	}

	/** Of those, the ones in which something has run. */
	get initialized(): readonly FunctionSandbox[] {
		return this.#initialized;
	}

	/** False for a while after one could not be made. */
	get mayCreate(): boolean {
		return this.#host.clock.monotonic() >= this.#createAfterMs;
	}

	/** Makes one more. A platform that can't is said so in the log: the next event will meet the same trouble and tell its caller. */
	async addCreated(): Promise<void> {
		const sandbox = this.#host.newSandbox();
		this.#creating++;
		try {
			await sandbox.create();
		} catch (error) {
			this.#createAfterMs = this.#host.clock.monotonic() + createRetryMs;
			return this.#host.discard(sandbox, error);
		} finally {
			this.#creating--;
		}
		if (this.#host.isRetired() || sandbox.state !== "created") return this.#host.end(sandbox, "spindown");
		this.#created.push(sandbox);
		// It may have taken the last room from an event that came in between, of this function or of another.
		this.#host.onChange();
		this.#host.onReady();
	}

	/** Makes one more and runs its init; resolves when that is over, or an event has taken it over. */
	async addInitialized(): Promise<void> {
		const { initLimitMs, discard, end, onChange, onReady } = this.#host;
		const sandbox = this.#host.newSandbox();
		sandbox.preInitialized = true;
		const init = sandbox.initialize("init", initLimitMs);
		this.#initializing.set(sandbox, init);
		const settled = await init.then(
			(failure) => ({ failure, error: undefined }),
			(error: unknown) => ({ failure: undefined, error }),
		);
		// An event has it and hears of the outcome, or it was told to go.
		if (!this.#initializing.delete(sandbox)) return;
		if (settled.error === undefined && !settled.failure && isAvailable(sandbox.state)) {
			this.#learn(sandbox);
			this.#initialized.push(sandbox);
			onReady();
		} else {
			this.#onFailure();
			if (settled.error === undefined) end(sandbox, "failure");
			else discard(sandbox, settled.error);
		}
		onChange();
	}

	get hasCreated(): boolean {
		const newest = this.takeCreated();
		if (newest) this.#created.push(newest);
		return newest !== undefined;
	}

	/** The newest that stands created. Those that do not any more have ended, and their end removes them elsewhere. */
	takeCreated(): FunctionSandbox | undefined {
		return takeLast(this.#created, (sandbox) => sandbox.state === "created");
	}

	/** One that was taken and is not needed after all. */
	giveBack(created: FunctionSandbox): void {
		// It may have died meanwhile, which its own end has told of or will.
		if (created.state !== "created") return;
		if (this.#host.isRetired()) return this.#host.end(created, "spindown");
		this.#created.push(created);
		this.#host.onReady();
	}

	/** The newest that stands initialized. */
	takeInitialized(): FunctionSandbox | undefined {
		const sandbox = takeLast(this.#initialized, ({ state }) => isAvailable(state));
		if (!sandbox) return undefined;
		this.onStart();
		this.#recover();
		return sandbox;
	}

	/** One whose init runs, for an event that has found no other: nobody else hears of its outcome then. */
	takeInitializing(): { sandbox: FunctionSandbox; init: Promise<Failure | undefined> } | undefined {
		const [oldest] = this.#initializing;
		if (!oldest) return undefined;
		const [sandbox, init] = oldest;
		this.#initializing.delete(sandbox);
		sandbox.preInitialized = false;
		return { sandbox, init };
	}

	/** Lets go of so many of the oldest. */
	drop({ created = 0, initialized = 0 }: Partial<SpareCount>): void {
		const all = [...this.#created.splice(0, created), ...this.#initialized.splice(0, initialized)];
		for (const sandbox of all) this.#host.end(sandbox, "spindown");
	}

	/** Lets go of all, also of those whose init runs. */
	dropAll(): void {
		this.drop(this.count);
		for (const sandbox of [...this.#initializing.keys()]) {
			this.#initializing.delete(sandbox);
			this.#host.end(sandbox, "spindown");
		}
	}

	/** Those that have waited too long go; others take their place where they are still wanted. */
	sweep(nowMs: number): void {
		if (this.#initialized.length === 0) return;
		const old = this.#initialized.filter(({ createdAt }) => nowMs - createdAt >= this.#host.maxAgeMs);
		if (old.length === 0) return;
		this.#initialized = this.#initialized.filter((sandbox) => !old.includes(sandbox));
		for (const sandbox of old) this.#host.end(sandbox, "spindown");
	}

	/** It has ended. One that waited for its first event was never good for any: those that follow would do the same. */
	forget(sandbox: FunctionSandbox): void {
		if (this.#created.includes(sandbox)) this.#created = this.#created.filter((spare) => spare !== sandbox);
		if (!this.#initialized.includes(sandbox)) return;
		this.#initialized = this.#initialized.filter((spare) => spare !== sandbox);
		this.#onFailure();
	}

	/** Only what an event has had proves that it can be had: some end as soon as they are ready. */
	#recover(): void {
		this.#failures = 0;
		this.#initAfterMs = Number.NEGATIVE_INFINITY;
		this.#createAfterMs = Number.NEGATIVE_INFINITY;
	}

	#onFailure(): void {
		const waitMs = Math.min(longestRetryMs, firstRetryMs * 2 ** this.#failures);
		this.#failures++;
		this.#initAfterMs = this.#host.clock.monotonic() + waitMs;
	}
}

function takeLast(
	sandboxes: FunctionSandbox[],
	isOfUse: (sandbox: FunctionSandbox) => boolean,
): FunctionSandbox | undefined {
	for (let sandbox = sandboxes.pop(); sandbox; sandbox = sandboxes.pop()) if (isOfUse(sandbox)) return sandbox;
	return undefined;
}
