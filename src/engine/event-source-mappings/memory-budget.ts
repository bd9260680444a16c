/** Bytes of batches in hand, of all mappings together: past it nobody takes another. */
const maxBytesInHand = 48 * 1024 * 1024;
/** Batches taken at the same time: each may go past the bound by its own 6 MB. */
const maxTakers = 3;

/** What all pollers together may hold in memory: a thousand batches of 6 MB would be the whole machine. */
export class MemoryBudget {
	#bytes = 0;
	#takers = 0;
	readonly #waiting: (() => void)[] = [];

	/** Takes a batch when there is room; `bytes` of what it returns count until `free`. */
	async take<T extends { bytes: number } | undefined>(gather: () => Promise<T>): Promise<T> {
		while (!this.#hasRoom) await new Promise<void>((resolve) => this.#waiting.push(resolve));
		this.#takers++;
		this.#wake();
		try {
			const taken = await gather();
			this.#bytes += taken?.bytes ?? 0;
			return taken;
		} finally {
			this.#takers--;
			this.#wake();
		}
	}

	free(bytes: number): void {
		this.#bytes -= bytes;
		this.#wake();
	}

	get #hasRoom(): boolean {
		return this.#takers < maxTakers && this.#bytes < maxBytesInHand;
	}

	/** The longest waiting, which wakes the next when there is room for both: thousands of mappings may wait. */
	#wake(): void {
		if (this.#hasRoom) this.#waiting.shift()?.();
	}
}
