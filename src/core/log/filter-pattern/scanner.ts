import { SlipwayError } from "../../../base/error.ts";
import { compileSafeRegex } from "./safe-regex.ts";

/** Regular expressions in one pattern (FilterAndPatternSyntax, "Quotas"). */
const maxRegexes = 2;

/** Reads a filter pattern from left to right. */
export class Scanner {
	readonly text: string;
	#at = 0;
	#regexes = 0;

	constructor(text: string) {
		this.text = text;
	}

	get isAtEnd(): boolean {
		return this.#at >= this.text.length;
	}

	skipSpace(): void {
		while (!this.isAtEnd && /\s/.test(this.text[this.#at]!)) this.#at++;
	}

	peek(expected: string): boolean {
		return this.text.startsWith(expected, this.#at);
	}

	/** Whether it stood there; then it has been read. */
	take(expected: string): boolean {
		if (!this.peek(expected)) return false;
		this.#at += expected.length;
		return true;
	}

	expect(expected: string): void {
		if (!this.take(expected)) throw this.error(`'${expected}' is missing`);
	}

	/** `pattern` must be sticky. */
	match(pattern: RegExp): string | undefined {
		pattern.lastIndex = this.#at;
		const found = pattern.exec(this.text)?.[0];
		this.#at += found?.length ?? 0;
		return found === "" ? undefined : found;
	}

	/** A text in double quotes, without them; undefined when there is none. A backslash stands before a quote or itself. */
	quoted(): string | undefined {
		if (!this.take('"')) return undefined;
		let result = "";
		for (; !this.isAtEnd; this.#at++) {
			const char = this.text[this.#at]!;
			if (char === '"') {
				this.#at++;
				return result;
			}
			const next = this.text[this.#at + 1];
			if (char === "\\" && (next === '"' || next === "\\")) {
				this.#at++;
				result += next;
			} else result += char;
		}
		throw this.error("a quotation mark is not closed");
	}

	/** A regular expression between percent signs; undefined when there is none. */
	regex(): ((text: string) => boolean) | undefined {
		if (!this.take("%")) return undefined;
		const end = this.text.indexOf("%", this.#at);
		if (end === -1) throw this.error("a regular expression is not closed by '%'");
		if (++this.#regexes > maxRegexes) throw this.error(`there are more than ${maxRegexes} regular expressions`);
		const source = this.text.slice(this.#at, end);
		this.#at = end + 1;
		return compileSafeRegex(source);
	}

	error(why: string): SlipwayError {
		return new SlipwayError("INVALID", `Invalid filter pattern: ${why} (at character ${this.#at + 1})`);
	}
}
