import { compareCursors, type LogCursor } from "./log-store.ts";

/** What a page may hold. */
export interface WindowLimits {
	count: number;
	/** Of the items' own sizes; one item is kept whatever its size. */
	bytes: number;
	fromStart: boolean;
}

/**
 * Keeps the first (or last) items of a sequence that comes in any order, within a count and a size, in memory of at most
 * twice those: how a page is put together from files whose times overlap.
 */
export class EventWindow<Item extends LogCursor & { size: number }> {
	readonly #limits: WindowLimits;
	#items: Item[] = [];
	#bytes = 0;
	#dropped = false;
	/** The last item that fitted when the window was full; nothing beyond it is of interest. */
	#edge: Item | undefined;

	constructor(limits: WindowLimits) {
		this.#limits = limits;
	}

	/** Whether the window is full, and `place` and everything beyond it can't come into it any more. */
	excludes(place: LogCursor): boolean {
		return this.#edge !== undefined && this.#order(place, this.#edge) > 0;
	}

	add(item: Item): void {
		if (this.excludes(item)) return this.miss();
		this.#items.push(item);
		this.#bytes += item.size;
		if (this.#items.length >= 2 * this.#limits.count || this.#bytes >= 2 * this.#limits.bytes) this.settle();
	}

	/** There was an item that would not have come into the window. */
	miss(): void {
		this.#dropped = true;
	}

	/** Cuts to the limits; what comes after decides from here on what is still of interest. */
	settle(): void {
		const sorted = this.#items.sort((a, b) => this.#order(a, b));
		let bytes = 0;
		let count = 0;
		for (const item of sorted) {
			if (count > 0 && (count === this.#limits.count || bytes + item.size > this.#limits.bytes)) break;
			bytes += item.size;
			count++;
		}
		if (count < sorted.length) this.#dropped = true;
		this.#items = sorted.slice(0, count);
		this.#bytes = bytes;
		if (count === this.#limits.count || this.#dropped) this.#edge = this.#items.at(-1);
	}

	/** In time order. `more`: something did not fit. */
	result(): { items: Item[]; more: boolean } {
		this.settle();
		const items = this.#limits.fromStart ? this.#items : this.#items.toReversed();
		return { items, more: this.#dropped };
	}

	#order(a: LogCursor, b: LogCursor): number {
		return this.#limits.fromStart ? compareCursors(a, b) : compareCursors(b, a);
	}
}
