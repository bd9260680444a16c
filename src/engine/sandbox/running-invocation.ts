import type { Failure } from "../../core/invocation/function-contract.ts";

/** How the caller's wait ends. */
export type Outcome =
	| { kind: "response"; payload: Uint8Array }
	| { kind: "streamed"; bytes: number; failure: Failure | undefined }
	| { kind: "failure"; failure: Failure };

/**
 * One event in a sandbox. Its caller has the answer as soon as there is one (`answered`); it is over when everybody in the
 * sandbox is done with it (`done`), which takes from the event's time too.
 */
export class RunningInvocation {
	readonly #answered = Promise.withResolvers<Outcome>();
	readonly #done = Promise.withResolvers<Failure | undefined>();
	#outcome: Outcome | undefined;
	#answeringAt: number | undefined;

	/** Never rejects. */
	get answered(): Promise<Outcome> {
		return this.#answered.promise;
	}

	/** With the failure that ended it, if one did; also one that came after the answer. Never rejects. */
	get done(): Promise<Failure | undefined> {
		return this.#done.promise;
	}

	get hasAnswer(): boolean {
		return this.#outcome !== undefined;
	}

	/** When the answer began to come, on the monotonic clock; undefined when none did. */
	get answeringAt(): number | undefined {
		return this.#answeringAt;
	}

	answering(at: number): void {
		this.#answeringAt ??= at;
	}

	answer(outcome: Outcome): void {
		this.#outcome ??= outcome;
		this.#answered.resolve(this.#outcome);
	}

	/** Everybody waits for the next event. */
	ready(): void {
		this.#done.resolve(this.#outcome && failureOf(this.#outcome));
	}

	/** It can't go on: the caller hears of it unless there is an answer already. */
	fail(failure: Failure): void {
		this.answer({ kind: "failure", failure });
		this.#done.resolve(failure);
	}
}

export function failureOf(outcome: Outcome): Failure | undefined {
	return outcome.kind === "response" ? undefined : outcome.failure;
}
