/**
 * Is it JSON (RFC 8259)? Without building the value, and in slices, so that six megabytes of payload do not hold up the
 * event loop as JSON.parse would (some 50 ms).
 */
import { isUtf8 } from "node:buffer";
import { setImmediate } from "node:timers/promises";

/** About 2 ms of work. */
const sliceBytes = 256 * 1024;
/** Jackson's limit, which is the cloud's (StreamReadConstraints, maximum nesting depth). */
const maxDepth = 1000;

/** True for what is empty, or surely JSON and looked at in one slice; for the rest `checkJson` has to say. */
export function isShortJson(bytes: Uint8Array): boolean {
	if (bytes.length === 0) return true;
	if (bytes.length > sliceBytes) return false;
	const syntax = new JsonSyntax(bytes);
	return syntax.advance(bytes.length) === undefined && syntax.end() === undefined && isUtf8(bytes);
}

/** Undefined when `bytes` are one JSON value in UTF-8; else what is wrong, in the cloud's manner. */
export async function checkJson(bytes: Uint8Array): Promise<string | undefined> {
	const syntax = new JsonSyntax(bytes);
	for (let end = sliceBytes; ; end += sliceBytes) {
		const fault = syntax.advance(Math.min(end, bytes.length));
		if (fault !== undefined) return fault;
		if (end >= bytes.length)
			return syntax.end() ?? (isUtf8(bytes) ? undefined : `Invalid UTF-8${syntax.where(bytes.length)}`);
		await setImmediate();
	}
}

// What may come next.
const value = 0;
const valueOrEnd = 1;
const key = 2;
const keyOrEnd = 3;
const colon = 4;
const commaOrEnd = 5;
const done = 6;
const inString = 7;
const inNumber = 8;
const inWord = 9;

const number = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
/** Longer numbers than any that Jackson takes. */
const maxNumberLength = 1000;
const words = new Map([
	[0x74, "true"],
	[0x66, "false"],
	[0x6e, "null"],
]);

class JsonSyntax {
	readonly #bytes: Uint8Array;
	/** One flag a level: true in an object. */
	readonly #open: boolean[] = [];
	#state = value;
	#at = 0;
	/** Where the number or word began. */
	#start = 0;
	#isKey = false;
	#word = "";

	constructor(bytes: Uint8Array) {
		this.#bytes = bytes;
	}

	/** Reads up to `end`. */
	advance(end: number): string | undefined {
		while (this.#at < end) {
			const fault =
				this.#state === inString
					? this.#string(end)
					: this.#state === inNumber
						? this.#number(end)
						: this.#state === inWord
							? this.#letter()
							: this.#token();
			if (fault !== undefined) return fault;
		}
		return undefined;
	}

	end(): string | undefined {
		if (this.#state === inNumber) {
			const fault = this.#endNumber();
			if (fault !== undefined) return fault;
		}
		return this.#state === done ? undefined : `Unexpected end-of-input${this.where(this.#at)}`;
	}

	where(at: number): string {
		let line = 1;
		let start = 0;
		for (let i = 0; i < at; i++)
			if (this.#bytes[i] === 0x0a) {
				line++;
				start = i + 1;
			}
		return `\n at [Source: REDACTED (\`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION\` disabled); line: ${line}, column: ${at - start + 1}]`;
	}

	#unexpected(): string {
		const byte = this.#bytes[this.#at]!;
		const shown = byte > 0x20 && byte < 0x7f ? `'${String.fromCharCode(byte)}' (code ${byte})` : `(code ${byte})`;
		return `Unexpected character (${shown}): was expecting a valid JSON value or separator${this.where(this.#at)}`;
	}

	#token(): string | undefined {
		const byte = this.#bytes[this.#at]!;
		if (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) {
			this.#at++;
			return undefined;
		}
		const state = this.#state;
		if (state === value || state === valueOrEnd) return this.#value(byte);
		this.#isKey = state === key || state === keyOrEnd;
		if (this.#isKey && byte === 0x22) this.#state = inString;
		else if (state === keyOrEnd && byte === 0x7d) this.#close();
		else if (state === colon && byte === 0x3a) this.#state = value;
		else if (state === commaOrEnd && byte === 0x2c) this.#state = this.#open.at(-1) ? key : value;
		else if (state === commaOrEnd && byte === (this.#open.at(-1) ? 0x7d : 0x5d)) this.#close();
		else return this.#unexpected();
		this.#at++;
		return undefined;
	}

	#value(byte: number): string | undefined {
		if (byte === 0x7b || byte === 0x5b) {
			if (this.#open.length >= maxDepth)
				return `Document nesting depth exceeds the maximum allowed (${maxDepth})${this.where(this.#at)}`;
			this.#open.push(byte === 0x7b);
			this.#state = byte === 0x7b ? keyOrEnd : valueOrEnd;
		} else if (byte === 0x22) {
			this.#isKey = false;
			this.#state = inString;
		} else if (byte === 0x5d && this.#state === valueOrEnd) this.#close();
		else if (byte === 0x2d || (byte >= 0x30 && byte <= 0x39)) {
			this.#start = this.#at;
			this.#state = inNumber;
		} else {
			const word = words.get(byte);
			if (word === undefined) return this.#unexpected();
			this.#word = word;
			this.#start = this.#at;
			this.#state = inWord;
		}
		this.#at++;
		return undefined;
	}

	#close(): void {
		this.#open.pop();
		this.#endValue();
	}

	#endValue(): void {
		this.#state = this.#open.length === 0 ? done : commaOrEnd;
	}

	#string(end: number): string | undefined {
		const bytes = this.#bytes;
		let at = this.#at;
		while (at < end) {
			const byte = bytes[at]!;
			if (byte === 0x22) {
				this.#at = at + 1;
				if (this.#isKey) this.#state = colon;
				else this.#endValue();
				return undefined;
			}
			if (byte < 0x20) {
				this.#at = at;
				return `Illegal unquoted character ((CTRL-CHAR, code ${byte})): has to be escaped using backslash to be included in string value${this.where(at)}`;
			}
			if (byte === 0x5c) {
				const length = escapeLength(bytes, at);
				if (length === 0) {
					this.#at = at;
					return at + 6 > bytes.length
						? `Unexpected end-of-input in character escape sequence${this.where(at)}`
						: `Unrecognized character escape${this.where(at)}`;
				}
				at += length;
			} else at++;
		}
		this.#at = at;
		return undefined;
	}

	#number(end: number): string | undefined {
		const bytes = this.#bytes;
		while (this.#at < end && isNumberByte(bytes[this.#at]!)) this.#at++;
		return this.#at < end
			? this.#endNumber()
			: this.#at - this.#start > maxNumberLength
				? this.#longNumber()
				: undefined;
	}

	#endNumber(): string | undefined {
		if (this.#at - this.#start > maxNumberLength) return this.#longNumber();
		const text = Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + this.#start, this.#at - this.#start).toString(
			"latin1",
		);
		if (!number.test(text)) return `Invalid numeric value${this.where(this.#start)}`;
		this.#endValue();
		return undefined;
	}

	#longNumber(): string {
		return `Number value length exceeds the maximum allowed (${maxNumberLength})${this.where(this.#start)}`;
	}

	#letter(): string | undefined {
		const index = this.#at - this.#start;
		if (this.#bytes[this.#at] !== this.#word.charCodeAt(index))
			return `Unrecognized token: was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')${this.where(this.#start)}`;
		this.#at++;
		if (index === this.#word.length - 1) this.#endValue();
		return undefined;
	}
}

function isNumberByte(byte: number): boolean {
	return (
		(byte >= 0x30 && byte <= 0x39) || byte === 0x2e || byte === 0x2b || byte === 0x2d || byte === 0x65 || byte === 0x45
	);
}

/** Bytes of the escape at `at`; 0 when it is not one. May reach past the slice, never past the text. */
function escapeLength(bytes: Uint8Array, at: number): number {
	const kind = bytes[at + 1];
	if (kind === 0x75) {
		for (let i = at + 2; i < at + 6; i++) if (!isHex(bytes[i])) return 0;
		return 6;
	}
	return kind !== undefined && '"\\/bfnrt'.includes(String.fromCharCode(kind)) ? 2 : 0;
}

function isHex(byte: number | undefined): boolean {
	return (
		byte !== undefined &&
		((byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x46) || (byte >= 0x61 && byte <= 0x66))
	);
}
