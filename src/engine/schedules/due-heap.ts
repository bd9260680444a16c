/** What is due first, of many: a binary heap. An entry that is put again or removed leaves its old one behind, which is dropped when it comes up. */
export class DueHeap {
	readonly #heap: { dueMs: number; key: string }[] = [];
	readonly #dueOf = new Map<string, number>();

	get size(): number {
		return this.#dueOf.size;
	}

	put(key: string, dueMs: number): void {
		if (this.#dueOf.get(key) === dueMs) return;
		this.#dueOf.set(key, dueMs);
		this.#push({ dueMs, key });
		// Otherwise a schedule that is changed over and over would fill the memory.
		if (this.#heap.length > 2 * this.#dueOf.size + 64) this.#rebuild();
	}

	remove(key: string): void {
		this.#dueOf.delete(key);
	}

	/** When the first is due. */
	first(): number | undefined {
		this.#dropStale();
		return this.#heap[0]?.dueMs;
	}

	/** Takes out those that are due, the earliest first, at most `max`. */
	take(nowMs: number, max: number): string[] {
		const keys: string[] = [];
		for (let first = this.first(); first !== undefined && first <= nowMs && keys.length < max; first = this.first()) {
			const { key } = this.#pop();
			this.#dueOf.delete(key);
			keys.push(key);
		}
		return keys;
	}

	#dropStale(): void {
		for (let top = this.#heap[0]; top && this.#dueOf.get(top.key) !== top.dueMs; top = this.#heap[0]) this.#pop();
	}

	#rebuild(): void {
		this.#heap.length = 0;
		for (const [key, dueMs] of this.#dueOf) this.#push({ dueMs, key });
	}

	#push(entry: { dueMs: number; key: string }): void {
		let index = this.#heap.push(entry) - 1;
		while (index > 0) {
			const parent = (index - 1) >> 1;
			if (this.#heap[parent]!.dueMs <= entry.dueMs) break;
			this.#heap[index] = this.#heap[parent]!;
			index = parent;
		}
		this.#heap[index] = entry;
	}

	#pop(): { dueMs: number; key: string } {
		const top = this.#heap[0]!;
		const last = this.#heap.pop()!;
		const length = this.#heap.length;
		if (length === 0) return top;
		let index = 0;
		for (;;) {
			const left = 2 * index + 1;
			if (left >= length) break;
			const right = left + 1;
			const child = right < length && this.#heap[right]!.dueMs < this.#heap[left]!.dueMs ? right : left;
			if (this.#heap[child]!.dueMs >= last.dueMs) break;
			this.#heap[index] = this.#heap[child]!;
			index = child;
		}
		this.#heap[index] = last;
		return top;
	}
}
