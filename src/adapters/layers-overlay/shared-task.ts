/** One piece of work that several callers wait for. It is aborted when the last of them has gone. */
export class SharedTask<Result, Progress> {
	readonly #controller = new AbortController();
	readonly #listeners = new Set<(progress: Progress) => void>();
	readonly #result: Promise<Result>;
	#waiting = 0;

	constructor(work: (signal: AbortSignal, report: (progress: Progress) => void) => Promise<Result>) {
		this.#result = work(this.#controller.signal, (progress) => {
			for (const listener of this.#listeners) listener(progress);
		});
		// Those who joined get the error; nobody may be left.
		this.#result.catch(() => {});
	}

	/** Resolves when the work has ended, however. */
	get settled(): Promise<void> {
		return this.#result.then(
			() => {},
			() => {},
		);
	}

	abort(reason: unknown): void {
		this.#controller.abort(reason);
	}

	/** Aborted work may still be cleaning up; whoever comes now starts again after `settled`. */
	get aborted(): boolean {
		return this.#controller.signal.aborted;
	}

	/** A caller that aborts leaves at once, except for the last one, who waits until the work has cleaned up. */
	async join(onProgress: ((progress: Progress) => void) | undefined, signal: AbortSignal | undefined): Promise<Result> {
		const listener = (progress: Progress) => onProgress?.(progress);
		this.#listeners.add(listener);
		this.#waiting++;
		const left = Promise.withResolvers<never>();
		const onAbort = () => {
			this.#listeners.delete(listener);
			if (--this.#waiting > 0) left.reject(signal?.reason);
			else this.abort(signal?.reason);
		};
		signal?.addEventListener("abort", onAbort, { once: true });
		try {
			return await Promise.race([this.#result, left.promise]);
		} finally {
			this.#listeners.delete(listener);
			signal?.removeEventListener("abort", onAbort);
		}
	}
}
