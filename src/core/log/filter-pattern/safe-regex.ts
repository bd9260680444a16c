/**
 * The regular expressions of filter patterns: no groups, no look-around, no back references, and so a finite automaton,
 * whose search takes one step a character whatever the expression is. Allowed characters and operators:
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html ("Supported regular expressions").
 */
import { SlipwayError } from "../../../base/error.ts";
import { type Step, StepBits } from "./step-bits.ts";

/** Steps that an expression may have once its repetitions are written out: bounds the work for one character. */
const maxSteps = 512;
/** States kept of the automaton; an expression that has more is searched for by its steps. */
const maxStates = 500;
/** Character codes that are told apart: ASCII, and one class for all the others. */
const classes = 129;
const other = 128;

type CharSet = Uint8Array;

interface State {
	next: (State | undefined)[];
	steps: readonly number[];
	accepts: boolean;
	acceptsAtEnd: boolean;
}

/** Throws SlipwayError INVALID. The result says whether the expression is found anywhere in a text. */
export function compileSafeRegex(source: string): (text: string) => boolean {
	const { steps, starts, restarts } = new RegexParser(source).parse();
	const automaton = new Automaton(steps, starts, restarts);
	return (text) => automaton.finds(text);
}

class Automaton {
	readonly #steps: readonly Step[];
	/** Where sequences begin: at the text's start, and at every later character. */
	readonly #starts: readonly number[];
	readonly #restarts: readonly number[];
	readonly #states = new Map<string, State>();
	/** Once there were too many states. */
	#bits: StepBits | undefined;

	constructor(steps: readonly Step[], starts: readonly number[], restarts: readonly number[]) {
		this.#steps = steps;
		this.#starts = starts;
		this.#restarts = restarts;
	}

	finds(text: string): boolean {
		return this.#bits ? this.#findsByBits(text, this.#bits) : this.#findsByState(text);
	}

	#findsByState(text: string): boolean {
		let state = this.#state([...this.#starts, ...this.#restarts]);
		for (let at = 0; at < text.length; at++) {
			if (state.accepts) return true;
			const code = classOf(text, at);
			const known = state.next[code];
			if (known) state = known;
			else {
				if (this.#states.size >= maxStates) return this.#findsByBits(text, this.#giveUpStates());
				const following = this.#state(this.#after(state, code));
				state.next[code] = following;
				state = following;
			}
		}
		return state.accepts || state.acceptsAtEnd;
	}

	#findsByBits(text: string, bits: StepBits): boolean {
		return bits.finds(text.length, (at) => classOf(text, at));
	}

	#giveUpStates(): StepBits {
		this.#states.clear();
		this.#bits = new StepBits(this.#steps, this.#starts, this.#restarts, classes);
		return this.#bits;
	}

	#after(state: State, code: number): number[] {
		const following = [...this.#restarts];
		for (const at of state.steps) {
			const step = this.#steps[at]!;
			if ("set" in step && step.set[code]) following.push(step.loop ? at : at + 1);
		}
		return following;
	}

	/** With every step that can be reached from these without a character. */
	#state(from: readonly number[]): State {
		const reached = new Set(from);
		for (const at of reached) {
			const step = this.#steps[at]!;
			if ("set" in step && step.optional) reached.add(at + 1);
		}
		const steps = [...reached].sort((a, b) => a - b);
		const key = steps.join();
		const known = this.#states.get(key);
		if (known) return known;
		const accepted = (how: string) =>
			steps.some((at) => {
				const step = this.#steps[at]!;
				return "accept" in step && step.accept === how;
			});
		const state = {
			next: new Array<State | undefined>(classes).fill(undefined),
			steps,
			accepts: accepted("always"),
			acceptsAtEnd: accepted("atEnd"),
		};
		this.#states.set(key, state);
		return state;
	}
}

function classOf(text: string, at: number): number {
	return Math.min(text.charCodeAt(at), other);
}

const literals = /^[A-Za-z0-9:_#=@/;,\- ]$/;

class RegexParser {
	readonly #source: string;
	#at = 0;
	readonly #steps: Step[] = [];

	constructor(source: string) {
		this.#source = source;
	}

	parse(): { steps: Step[]; starts: number[]; restarts: number[] } {
		if (this.#source === "") throw this.#error("it is empty");
		const starts: number[] = [];
		const restarts: number[] = [];
		do {
			const anchored = this.#take("^");
			(anchored ? starts : restarts).push(this.#steps.length);
			this.#sequence();
		} while (this.#take("|"));
		if (this.#at < this.#source.length) throw this.#error(`unexpected '${this.#source[this.#at]}'`);
		return { steps: this.#steps, starts, restarts };
	}

	#sequence(): void {
		while (this.#at < this.#source.length && this.#peek() !== "|" && this.#peek() !== "$") {
			const set = this.#atom();
			const [least, most] = this.#repetition();
			for (let i = 0; i < least; i++) this.#push({ set, loop: false, optional: false });
			if (most === Number.POSITIVE_INFINITY) this.#push({ set, loop: true, optional: true });
			else for (let i = least; i < most; i++) this.#push({ set, loop: false, optional: true });
		}
		this.#push({ accept: this.#take("$") ? "atEnd" : "always" });
	}

	#push(step: Step): void {
		if (this.#steps.length >= maxSteps) throw this.#error("it is too large");
		this.#steps.push(step);
	}

	#atom(): CharSet {
		const char = this.#source[this.#at++]!;
		if (char === ".") return setOf(() => true);
		if (char === "[") return this.#class();
		if (char === "\\") return this.#escape();
		if (char.charCodeAt(0) >= other) throw this.#error("multi-byte characters are not supported");
		if (!literals.test(char))
			throw this.#error(`'${char}' is not supported there; the character itself is written '\\${char}'`);
		return charSet(char);
	}

	#class(): CharSet {
		const isNegated = this.#take("^");
		const set = new Uint8Array(classes);
		for (let first = true; first || this.#peek() !== "]"; first = false) {
			if (this.#at >= this.#source.length) throw this.#error("a '[' is not closed");
			const from = this.#classItem();
			const isRange = this.#peek() === "-" && this.#source[this.#at + 1] !== "]" && from.char !== undefined;
			if (!isRange) {
				for (let code = 0; code < classes; code++) if (from.set[code]) set[code] = 1;
				continue;
			}
			this.#at++;
			const to = this.#classItem();
			if (to.char === undefined || to.char < from.char!) throw this.#error("a range of characters is out of order");
			for (let code = from.char!; code <= to.char; code++) set[code] = 1;
		}
		this.#at++;
		return isNegated ? setOf((code) => !set[code]) : set;
	}

	#classItem(): { set: CharSet; char: number | undefined } {
		const char = this.#source[this.#at++];
		if (char === undefined) throw this.#error("a '[' is not closed");
		if (char !== "\\") {
			if (char.charCodeAt(0) >= other) throw this.#error("multi-byte characters are not supported");
			return { set: charSet(char), char: char.charCodeAt(0) };
		}
		const set = this.#escape();
		const codes = [...set.keys()].filter((code) => set[code]);
		return { set, char: codes.length === 1 ? codes[0] : undefined };
	}

	#escape(): CharSet {
		const char = this.#source[this.#at++];
		if (char === undefined) throw this.#error("it ends with '\\'");
		const named = escapes[char];
		if (named) return named;
		if (char === "x") {
			const hex = /^[0-9A-Fa-f]{2}/.exec(this.#source.slice(this.#at))?.[0];
			const code = Number.parseInt(hex ?? "", 16);
			if (!(code < other)) throw this.#error("'\\x' needs two hexadecimal digits up to 7f");
			this.#at += 2;
			return charSet(String.fromCharCode(code));
		}
		if (/[A-Za-z0-9]/.test(char) || char.charCodeAt(0) >= other) throw this.#error(`'\\${char}' is not supported`);
		return charSet(char);
	}

	#repetition(): [least: number, most: number] {
		if (this.#take("?")) return [0, 1];
		if (this.#take("*")) return [0, Number.POSITIVE_INFINITY];
		if (this.#take("+")) return [1, Number.POSITIVE_INFINITY];
		if (this.#peek() !== "{") return [1, 1];
		const counts = /^\{(\d{1,3})(,(\d{1,3})?)?\}/.exec(this.#source.slice(this.#at));
		if (!counts) throw this.#error("a '{' needs one or two numbers");
		this.#at += counts[0].length;
		const least = Number(counts[1]);
		const most =
			counts[2] === undefined ? least : counts[3] === undefined ? Number.POSITIVE_INFINITY : Number(counts[3]);
		if (most < least) throw this.#error("a repetition is out of order");
		return [least, most];
	}

	#peek(): string | undefined {
		return this.#source[this.#at];
	}

	#take(char: string): boolean {
		if (this.#peek() !== char) return false;
		this.#at++;
		return true;
	}

	#error(why: string): SlipwayError {
		return new SlipwayError("INVALID", `Invalid regular expression '${this.#source}': ${why}`);
	}
}

function setOf(has: (code: number) => boolean): CharSet {
	return Uint8Array.from({ length: classes }, (_, code) => (has(code) ? 1 : 0));
}

function charSet(char: string): CharSet {
	const code = char.charCodeAt(0);
	return setOf((other) => other === code);
}

function matching(pattern: RegExp): CharSet {
	// What is not ASCII is no digit, no space and no word character.
	return setOf((code) => code < other && pattern.test(String.fromCharCode(code)));
}

function not(set: CharSet): CharSet {
	return setOf((code) => !set[code]);
}

const [digit, space, word] = [matching(/\d/), matching(/\s/), matching(/\w/)];
const escapes: Readonly<Record<string, CharSet | undefined>> = Object.assign(
	Object.create(null) as Record<string, CharSet>,
	{ d: digit, D: not(digit), s: space, S: not(space), w: word, W: not(word) },
);
