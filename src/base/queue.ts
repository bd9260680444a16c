/** A place in a queue; only the queue it came from can do something with it. */
export class QueueEntry<T> {
	readonly value: T;
	/** Undefined in one that is no longer in the queue, as in the one at that end. */
	before: QueueEntry<T> | undefined;
	after: QueueEntry<T> | undefined;
	queued = true;

	constructor(value: T) {
		this.value = value;
	}
}

/** First in, first out, where any may also leave from its midst: each step takes the same short time, however many wait. */
export class Queue<T> {
	#first: QueueEntry<T> | undefined;
	#last: QueueEntry<T> | undefined;
	#size = 0;

	get size(): number {
		return this.#size;
	}

	get first(): T | undefined {
		return this.#first?.value;
	}

	push(value: T): QueueEntry<T> {
		const entry = new QueueEntry(value);
		entry.before = this.#last;
		if (this.#last) this.#last.after = entry;
		else this.#first = entry;
		this.#last = entry;
		this.#size++;
		return entry;
	}

	/** Removes and returns the first. */
	shift(): T | undefined {
		return this.#first && this.#take(this.#first);
	}

	/** Removes and returns the last. */
	pop(): T | undefined {
		return this.#last && this.#take(this.#last);
	}

	/** False when it was no longer there. */
	remove(entry: QueueEntry<T>): boolean {
		if (!entry.queued) return false;
		this.#take(entry);
		return true;
	}

	/** From the first to the last; only the one that was just given may leave meanwhile. */
	*[Symbol.iterator](): Generator<T, void> {
		for (let entry = this.#first; entry; ) {
			const { after } = entry;
			yield entry.value;
			entry = after;
		}
	}

	#take(entry: QueueEntry<T>): T {
		const { before, after } = entry;
		if (before) before.after = after;
		else this.#first = after;
		if (after) after.before = before;
		else this.#last = before;
		entry.before = undefined;
		entry.after = undefined;
		entry.queued = false;
		this.#size--;
		return entry.value;
	}
}
