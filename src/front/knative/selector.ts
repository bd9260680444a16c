import { badRequest } from "./status.ts";

/** Requirements of one selector, and bytes of it: more than any client asks for. */
const maxRequirements = 100;
const maxSelectorLength = 8 * 1024;

/** Decides by labels, or by the fields that objects can be selected by. */
export type Selector = (values: Readonly<Record<string, string>>) => boolean;

/**
 * The grammar of labelSelector (apimachinery/pkg/labels Parse): requirements with commas between them, each `key`, `!key`,
 * `key = value`, `key == value`, `key != value`, `key in (a, b)`, `key notin (a, b)`, `key < 5`, `key > 5`. An empty one
 * selects everything.
 */
export function parseLabelSelector(text: string): Selector {
	const tokens = tokenize(text);
	if (tokens.length === 0) return () => true;
	const requirements: Selector[] = [];
	const reader = new Tokens(tokens, text);
	do requirements.push(requirement(reader));
	while (reader.takeIf(","));
	reader.end();
	if (requirements.length > maxRequirements)
		throw badRequest(`labelSelector: at most ${maxRequirements} requirements are looked at`);
	return (labels) => requirements.every((holds) => holds(labels));
}

/**
 * metadata.name and metadata.namespace with `=`, `==` and `!=` (apimachinery/pkg/fields): all that custom resources
 * have. `name`: the one that is asked for, when there is one.
 */
export function parseFieldSelector(text: string): { select: Selector; name: string | undefined } {
	const terms = text
		.split(",")
		.filter((term) => term !== "")
		.map((term) => {
			const match = /^([A-Za-z.]+)\s*(!=|==|=)\s*([^=!]*)$/.exec(term.trim());
			const [, field = "", operator = "", value = ""] = match ?? [];
			if (!match)
				throw badRequest(`invalid selector: '${text.slice(0, 200)}'; can't understand '${term.slice(0, 100)}'`);
			if (field !== "metadata.name" && field !== "metadata.namespace")
				throw badRequest(`field label not supported: ${field.slice(0, 100)}`);
			return { field, equal: operator !== "!=", value };
		});
	const select: Selector = (values) => terms.every(({ field, equal, value }) => (values[field] === value) === equal);
	const name = terms.find(({ field, equal }) => field === "metadata.name" && equal)?.value;
	return { select, name };
}

function tokenize(text: string): string[] {
	if (text.length > maxSelectorLength) throw badRequest(`labelSelector: longer than ${maxSelectorLength} characters`);
	const tokens = text.match(/[A-Za-z0-9._/-]+|!=|==|[=!<>(),]/g) ?? [];
	// What is no token and no blank stands for nothing.
	if (tokens.join("").length !== text.replace(/\s+/g, "").length) throw unparsable(text, "an unknown character");
	return tokens;
}

const operators = new Set(["=", "==", "!=", "<", ">", "in", "notin"]);
const isWord = (token: string | undefined) => token !== undefined && /^[A-Za-z0-9._/-]+$/.test(token);

function requirement(reader: Tokens): Selector {
	const absent = reader.takeIf("!");
	const key = reader.word("a label's key");
	if (absent) return (labels) => labels[key] === undefined;
	const operator = reader.peek();
	if (operator === undefined || !operators.has(operator)) return (labels) => labels[key] !== undefined;
	reader.take();
	switch (operator) {
		case "in":
		case "notin": {
			const values = new Set(reader.list());
			return (labels) => (labels[key] !== undefined && values.has(labels[key])) === (operator === "in");
		}
		case "<":
		case ">": {
			const bound = integer(reader.word("a number"));
			if (bound === undefined) throw reader.wrong("a number");
			return (labels) => {
				const value = labels[key] === undefined ? undefined : integer(labels[key]);
				return value !== undefined && (operator === "<" ? value < bound : value > bound);
			};
		}
		default: {
			const value = reader.wordOrNothing();
			return (labels) => (labels[key] === value) === (operator !== "!=");
		}
	}
}

function integer(text: string): bigint | undefined {
	return /^-?\d{1,19}$/.test(text) ? BigInt(text) : undefined;
}

class Tokens {
	readonly #tokens: readonly string[];
	readonly #text: string;
	#at = 0;

	constructor(tokens: readonly string[], text: string) {
		this.#tokens = tokens;
		this.#text = text;
	}

	peek(): string | undefined {
		return this.#tokens[this.#at];
	}

	take(): void {
		this.#at++;
	}

	takeIf(token: string): boolean {
		if (this.peek() !== token) return false;
		this.#at++;
		return true;
	}

	word(what: string): string {
		const token = this.peek();
		if (token === undefined || !isWord(token)) throw this.wrong(what);
		this.#at++;
		return token;
	}

	/** `key=` selects an empty value. */
	wordOrNothing(): string {
		return isWord(this.peek()) ? this.word("a value") : "";
	}

	/** `(a, b)`; an empty place is the empty value. */
	list(): string[] {
		if (!this.takeIf("(")) throw this.wrong("'('");
		const values: string[] = [];
		do values.push(this.wordOrNothing());
		while (this.takeIf(","));
		if (!this.takeIf(")")) throw this.wrong("',' or ')'");
		return values;
	}

	end(): void {
		if (this.peek() !== undefined) throw this.wrong("',' or the end");
	}

	wrong(expected: string): Error {
		return unparsable(this.#text, `found '${this.peek() ?? ""}', expected: ${expected}`);
	}
}

function unparsable(text: string, why: string): Error {
	return badRequest(`unable to parse requirement: ${why} in '${text.slice(0, 200)}'`);
}
