/** Finds those of many matchers of one field that may match a value, by a list or tree for each kind of matcher. */
import { IntervalIndex } from "./interval-index.ts";
import { blockOf, type IpAddress, parseIp } from "./ip-range.ts";
import { AffixLists, PostingLists } from "./posting-lists.ts";
import { foldCase, type Leaf, type NumericRange, type ValueMatcher } from "./value-matcher.ts";
import type { Wildcard } from "./wildcard.ts";

/** Where one matcher is kept. */
export type Posting =
	| { list: "exact"; key: Leaf }
	| { list: "folded" | "prefix" | "foldedPrefix" | "suffix" | "foldedSuffix" | "gram"; key: string }
	| { list: "range"; range: NumericRange }
	| { list: "block"; width: number; maskBits: number; key: string }
	/** Every value of the field. */
	| { list: "any" }
	/** Events without the field. */
	| { list: "absent" };

/** Characters of a text's part by which wildcards are found that neither begin nor end with text. */
const gramLength = 3;
/** How much dearer a place is that every event with (or without) the field comes to. */
const anyPenalty = 4;

export class FieldIndex<T> {
	readonly #exact = new PostingLists<Leaf, T>();
	readonly #texts = {
		folded: new PostingLists<string, T>(),
		gram: new PostingLists<string, T>(),
		prefix: new AffixLists<T>(),
		foldedPrefix: new AffixLists<T>(),
		suffix: new AffixLists<T>(),
		foldedSuffix: new AffixLists<T>(),
	};
	readonly #ranges = new IntervalIndex<Posting & { item: T }>();
	/** By item, so that it can be taken out again. */
	readonly #rangePlaces = new Map<T, (Posting & { item: T })[]>();
	readonly #blocks = new PostingLists<string, T>();
	/** "32/24": blocks of that size. */
	readonly #blockSizes = new Map<string, { width: number; maskBits: number; count: number }>();
	readonly #any = new Set<T>();
	readonly absent = new Set<T>();
	/** Postings in all. */
	size = 0;

	/** The cheapest places for the matchers, and how many others must be looked at with them. */
	plan(matchers: readonly ValueMatcher[]): { postings: Posting[]; cost: number } {
		const postings: Posting[] = [];
		let sum = 0;
		for (const matcher of matchers) {
			let best: Posting | undefined;
			let bestCost = Number.POSITIVE_INFINITY;
			for (const posting of placesOf(matcher)) {
				const cost = this.#cost(posting);
				if (cost < bestCost) [best, bestCost] = [posting, cost];
			}
			if (best) postings.push(best);
			sum += bestCost;
		}
		return { postings, cost: sum };
	}

	#cost(posting: Posting): number {
		switch (posting.list) {
			case "exact":
				return this.#exact.sizeOf(posting.key);
			case "range":
				return this.#ranges.unbounded + (Number.isFinite(posting.range.high - posting.range.low) ? 0 : 1);
			case "block":
				return this.#blocks.sizeOf(posting.key);
			case "any":
				return anyPenalty * (this.#any.size + 1);
			case "absent":
				return anyPenalty * (this.absent.size + 1);
			default:
				return this.#texts[posting.list].sizeOf(posting.key);
		}
	}

	add(posting: Posting, item: T): void {
		this.size++;
		switch (posting.list) {
			case "exact":
				return this.#exact.add(posting.key, item);
			case "range":
				return this.#addRange(posting, item);
			case "block":
				return this.#addBlock(posting, item);
			case "any":
				return void this.#any.add(item);
			case "absent":
				return void this.absent.add(item);
			default:
				return this.#texts[posting.list].add(posting.key, item);
		}
	}

	delete(posting: Posting, item: T): void {
		this.size--;
		switch (posting.list) {
			case "exact":
				return this.#exact.delete(posting.key, item);
			case "range":
				return this.#deleteRanges(item);
			case "block":
				return this.#deleteBlock(posting, item);
			case "any":
				return void this.#any.delete(item);
			case "absent":
				return void this.absent.delete(item);
			default:
				return this.#texts[posting.list].delete(posting.key, item);
		}
	}

	/** Those that may match whatever value the field has. */
	collectAny(into: Set<T>): void {
		for (const item of this.#any) into.add(item);
	}

	/** With those of `collectAny`, every item that may match the value is among them. */
	collect(value: Leaf, into: Set<T>): void {
		this.#exact.collect(value, into);
		if (typeof value === "number" && this.#ranges.size > 0)
			this.#ranges.find(value, ({ item }) => {
				into.add(item);
			});
		if (typeof value === "string") this.#collectText(value, into);
	}

	#collectText(value: string, into: Set<T>): void {
		const { folded, gram, prefix, foldedPrefix, suffix, foldedSuffix } = this.#texts;
		prefix.collectPrefixes(value, into);
		suffix.collectSuffixes(value, into);
		if (!folded.isEmpty || !foldedPrefix.isEmpty || !foldedSuffix.isEmpty) {
			const lower = foldCase(value);
			folded.collect(lower, into);
			foldedPrefix.collectPrefixes(lower, into);
			foldedSuffix.collectSuffixes(lower, into);
		}
		if (!gram.isEmpty)
			for (let i = 0; i + gramLength <= value.length; i++) gram.collect(value.slice(i, i + gramLength), into);
		const ip = this.#blocks.isEmpty ? undefined : parseIp(value);
		if (ip)
			for (const { width, maskBits } of this.#blockSizes.values())
				if (width === ip.width) this.#blocks.collect(blockKey(ip, maskBits), into);
	}

	#addRange(posting: Posting & { list: "range" }, item: T): void {
		const place = { ...posting, item };
		this.#ranges.add(place, posting.range);
		this.#rangePlaces.set(item, [...(this.#rangePlaces.get(item) ?? []), place]);
	}

	#deleteRanges(item: T): void {
		for (const place of this.#rangePlaces.get(item) ?? []) this.#ranges.delete(place);
		this.#rangePlaces.delete(item);
	}

	#addBlock({ width, maskBits, key }: Posting & { list: "block" }, item: T): void {
		this.#blocks.add(key, item);
		const size = `${width}/${maskBits}`;
		const known = this.#blockSizes.get(size);
		if (known) known.count++;
		else this.#blockSizes.set(size, { width, maskBits, count: 1 });
	}

	#deleteBlock({ width, maskBits, key }: Posting & { list: "block" }, item: T): void {
		this.#blocks.delete(key, item);
		const size = `${width}/${maskBits}`;
		const known = this.#blockSizes.get(size);
		if (known && --known.count === 0) this.#blockSizes.delete(size);
	}
}

function blockKey(ip: IpAddress, maskBits: number): string {
	return `${ip.width}/${maskBits}/${blockOf(ip, maskBits)}`;
}

/** Each of them alone finds all values that the matcher matches. */
function placesOf(matcher: ValueMatcher): Posting[] {
	switch (matcher.kind) {
		case "exact":
			return [{ list: "exact", key: matcher.value }];
		case "equals-ignore-case":
			return [{ list: "folded", key: matcher.text }];
		case "prefix":
			return [{ list: matcher.ignoreCase ? "foldedPrefix" : "prefix", key: matcher.text }];
		case "suffix":
			return [{ list: matcher.ignoreCase ? "foldedSuffix" : "suffix", key: matcher.text }];
		case "wildcard":
			return wildcardPlaces(matcher.wildcard);
		case "numeric":
			return [{ list: "range", range: matcher }];
		case "cidr": {
			const { width, maskBits, first } = matcher.range;
			return [{ list: "block", width, maskBits, key: blockKey({ width, value: first }, maskBits) }];
		}
		case "absent":
			return [{ list: "absent" }];
		case "anything-but":
		case "exists":
			return [{ list: "any" }];
	}
}

/** Grams that are tried of one wildcard: enough to find a rare one. */
const maxGrams = 64;

function wildcardPlaces({ pieces }: Wildcard): Posting[] {
	const [first = ""] = pieces;
	if (pieces.length === 1) return [{ list: "exact", key: first }];
	const last = pieces[pieces.length - 1] ?? "";
	const places: Posting[] = [{ list: "any" }];
	if (first !== "") places.push({ list: "prefix", key: first });
	if (last !== "") places.push({ list: "suffix", key: last });
	for (const piece of pieces)
		for (let i = 0; i + gramLength <= piece.length && places.length < maxGrams; i++)
			places.push({ list: "gram", key: piece.slice(i, i + gramLength) });
	return places;
}
