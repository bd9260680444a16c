/** One step of a sequence: a character of `set`, once; any number of times with `loop`; or none with `optional`. */
export type Step = { set: Uint8Array; loop: boolean; optional: boolean } | { accept: "always" | "atEnd" };

const bitsPerWord = 32;

/**
 * The steps that a search may be at, a bit each, all moved on at once by a character: some 10 ns for 32 steps. An
 * automaton that makes a state of every set of steps is faster, but expressions such as `1[01]{300}` have a new one for
 * nearly every character, each some 20 µs.
 */
export class StepBits {
	readonly #words: number;
	/** Steps that a character leaves for the next one, by character class and word. */
	readonly #leaves: readonly Int32Array[];
	/** Steps that a character repeats. */
	readonly #repeats: readonly Int32Array[];
	readonly #optional: Int32Array;
	readonly #first: Int32Array;
	readonly #restarts: Int32Array;
	readonly #accepting: Int32Array;
	readonly #acceptingAtEnd: Int32Array;

	constructor(steps: readonly Step[], starts: readonly number[], restarts: readonly number[], classes: number) {
		this.#words = Math.ceil(steps.length / bitsPerWord);
		const where = (holds: (step: Step) => boolean) => this.#bits([...steps.keys()].filter((at) => holds(steps[at]!)));
		const consuming = (code: number, loop: boolean) => (step: Step) =>
			"set" in step && step.loop === loop && step.set[code] === 1;
		this.#leaves = Array.from({ length: classes }, (_, code) => where(consuming(code, false)));
		this.#repeats = Array.from({ length: classes }, (_, code) => where(consuming(code, true)));
		this.#optional = where((step) => "set" in step && step.optional);
		this.#accepting = where((step) => "accept" in step && step.accept === "always");
		this.#acceptingAtEnd = where((step) => "accept" in step && step.accept === "atEnd");
		this.#first = this.#bits([...starts, ...restarts]);
		this.#restarts = this.#bits(restarts);
	}

	/** `classOf` is the class of the character at that place. */
	finds(length: number, classOf: (at: number) => number): boolean {
		const at = new Int32Array(this.#words);
		this.#enter(at, this.#first);
		for (let i = 0; i < length; i++) {
			if (meets(at, this.#accepting)) return true;
			this.#move(at, classOf(i));
		}
		return meets(at, this.#accepting) || meets(at, this.#acceptingAtEnd);
	}

	#move(at: Int32Array, code: number): void {
		const leaves = this.#leaves[code]!;
		const repeats = this.#repeats[code]!;
		let carry = 0;
		for (let word = 0; word < this.#words; word++) {
			const leaving = at[word]! & leaves[word]!;
			at[word] = (leaving << 1) | carry | (at[word]! & repeats[word]!);
			carry = leaving >>> (bitsPerWord - 1);
		}
		this.#enter(at, this.#restarts);
	}

	/** Adds steps, and those that can be reached without a character. */
	#enter(at: Int32Array, added: Int32Array): void {
		let carry = 0;
		for (let word = 0; word < this.#words; word++) {
			const optional = this.#optional[word]!;
			let reached = at[word]! | added[word]! | carry;
			// Doubling the distance: a run of optional steps is passed in five moves rather than one at a time.
			let through = optional << 1;
			for (let distance = 1; through !== 0 && distance < bitsPerWord; distance *= 2) {
				reached |= through & (reached << distance);
				through &= through << distance;
			}
			at[word] = reached;
			carry = (reached & optional) >>> (bitsPerWord - 1);
		}
	}

	#bits(places: readonly number[]): Int32Array {
		const bits = new Int32Array(this.#words);
		for (const at of places) bits[Math.floor(at / bitsPerWord)]! |= 1 << (at % bitsPerWord);
		return bits;
	}
}

function meets(a: Int32Array, b: Int32Array): boolean {
	for (let word = 0; word < a.length; word++) if ((a[word]! & b[word]!) !== 0) return true;
	return false;
}
