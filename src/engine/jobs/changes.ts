/** Tells those who watch a resource that it is another one now; who is slow sees the newest state and not all between. */
export class Changes {
	readonly #listeners = new Map<string, Set<() => void>>();

	notify(key: string): void {
		for (const listener of this.#listeners.get(key) ?? []) listener();
	}

	/** `read` now and after each change, until it returns undefined or the signal aborts. */
	async *watch<T>(key: string, read: () => T | undefined, signal: AbortSignal): AsyncGenerator<T> {
		let wake = Promise.withResolvers<void>();
		const onChange = () => wake.resolve();
		const listeners = this.#listeners.getOrInsertComputed(key, () => new Set());
		listeners.add(onChange);
		signal.addEventListener("abort", onChange);
		try {
			while (!signal.aborted) {
				wake = Promise.withResolvers<void>();
				const value = read();
				if (value === undefined) return;
				yield value;
				await wake.promise;
			}
		} finally {
			signal.removeEventListener("abort", onChange);
			listeners.delete(onChange);
			if (listeners.size === 0) this.#listeners.delete(key);
		}
	}
}
