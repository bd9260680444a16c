/** Lists of items by key; an empty list is not kept. */
export class PostingLists<K, T> {
	readonly #lists = new Map<K, Set<T>>();

	add(key: K, item: T): void {
		const list = this.#lists.get(key);
		if (list) list.add(item);
		else this.#lists.set(key, new Set([item]));
	}

	delete(key: K, item: T): void {
		const list = this.#lists.get(key);
		list?.delete(item);
		if (list?.size === 0) this.#lists.delete(key);
	}

	sizeOf(key: K): number {
		return this.#lists.get(key)?.size ?? 0;
	}

	get isEmpty(): boolean {
		return this.#lists.size === 0;
	}

	collect(key: K, into: Set<T>): void {
		const list = this.#lists.get(key);
		if (list) for (const item of list) into.add(item);
	}
}

/** Lists by text, and which lengths the texts have: beginnings (or ends) of a value are looked up length by length. */
export class AffixLists<T> {
	readonly #lists = new PostingLists<string, T>();
	readonly #lengths = new Map<number, number>();

	add(text: string, item: T): void {
		this.#lists.add(text, item);
		this.#lengths.set(text.length, (this.#lengths.get(text.length) ?? 0) + 1);
	}

	delete(text: string, item: T): void {
		this.#lists.delete(text, item);
		const left = (this.#lengths.get(text.length) ?? 0) - 1;
		if (left > 0) this.#lengths.set(text.length, left);
		else this.#lengths.delete(text.length);
	}

	sizeOf(text: string): number {
		return this.#lists.sizeOf(text);
	}

	collectPrefixes(value: string, into: Set<T>): void {
		for (const length of this.#lengths.keys())
			if (length <= value.length) this.#lists.collect(value.slice(0, length), into);
	}

	collectSuffixes(value: string, into: Set<T>): void {
		for (const length of this.#lengths.keys())
			if (length <= value.length) this.#lists.collect(value.slice(value.length - length), into);
	}

	get isEmpty(): boolean {
		return this.#lists.isEmpty;
	}
}
