import type { Clock } from "../../base/clock.ts";
import type { FunctionSandbox } from "../sandbox/function-sandbox.ts";

/** Milliseconds an event waits for a sandbox that has just answered before another one is started for it. */
const finishingMs = 5;
/**
 * The same for one whose processes are being replaced after a failure: its caller, if it is the only one, is to meet the
 * same environment again, with /tmp as it was (lambda-contract 3.7). A reset takes some tens of milliseconds.
 */
const resettingMs = 250;

/** Sandboxes that have answered and are not idle yet: most will be within a millisecond. */
export class FinishingSandboxes {
	readonly #all = new Set<FunctionSandbox>();
	/** Of these, those whose event failed. */
	readonly #failed = new Set<FunctionSandbox>();

	get size(): number {
		return this.#all.size;
	}

	add(sandbox: FunctionSandbox, failed: boolean): void {
		this.#all.add(sandbox);
		if (failed) this.#failed.add(sandbox);
	}

	delete(sandbox: FunctionSandbox): void {
		this.#all.delete(sandbox);
		if (this.#failed.size > 0) this.#failed.delete(sandbox);
	}

	/** Calls back when those that are finishing now should have finished, with the number that may take longer; then once more for these. */
	whenOverdue(clock: Clock, callback: (left: number) => void): void {
		if (this.#all.size === 0) return;
		clock.after(finishingMs, () => {
			const left = this.#failed.size;
			callback(left);
			if (left > 0) clock.after(resettingMs, () => callback(0));
		});
	}
}
