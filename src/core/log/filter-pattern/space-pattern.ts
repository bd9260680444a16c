/** `[ip, user, ..., status = 4* && status != 404, bytes > 1000]` */
import { asNumber, readComparison, readCondition } from "./comparison.ts";
import type { FilterPattern } from "./pattern.ts";
import type { Scanner } from "./scanner.ts";

interface Field {
	name: string;
	test: ((word: string) => boolean) | undefined;
}

/** Fields behind the ellipsis, if there is one, are counted from the end. */
interface Layout {
	front: Field[];
	back: Field[] | undefined;
}

export function readSpacePattern(scanner: Scanner): FilterPattern {
	const layout: Layout = { front: [], back: undefined };
	scanner.expect("[");
	do {
		scanner.skipSpace();
		if (scanner.take("...")) {
			if (layout.back) throw scanner.error("there is more than one ellipsis");
			layout.back = [];
		} else (layout.back ?? layout.front).push(readField(scanner));
		scanner.skipSpace();
	} while (scanner.take(","));
	scanner.expect("]");
	scanner.skipSpace();
	if (!scanner.isAtEnd) throw scanner.error("something stands behind ']'");
	return {
		matches: (message) => {
			const pairs = assign(layout, wordsOf(message));
			return pairs?.every(([field, word]) => !field.test || field.test(word)) ?? false;
		},
		extract: (message) =>
			Object.fromEntries((assign(layout, wordsOf(message)) ?? []).map(([field, word]) => [`$${field.name}`, word])),
	};
}

function readField(scanner: Scanner): Field {
	const name = scanner.match(/[A-Za-z0-9_.\-$]+/y);
	if (name === undefined && !scanner.peek("(")) throw scanner.error("a field's name is missing");
	scanner.skipSpace();
	if (name !== undefined && (scanner.peek(",") || scanner.peek("]"))) return { name, test: undefined };
	if (scanner.isAtEnd) throw scanner.error("']' is missing");
	let field = name;
	let isFirst = name !== undefined;
	const test = readCondition<string>(scanner, () => {
		scanner.skipSpace();
		// The first name has been read already.
		const own = isFirst ? name : scanner.match(/[A-Za-z0-9_.\-$]+/y);
		isFirst = false;
		field ??= own;
		if (own === undefined || own !== field) throw scanner.error("a field's conditions must be about the field itself");
		scanner.skipSpace();
		const compare = readComparison(scanner, (word) => asNumber(String(word)));
		if (!compare) throw scanner.error(`'${own}' needs an operator`);
		return compare;
	});
	return { name: field!, test };
}

function assign({ front, back }: Layout, words: readonly string[]): [Field, string][] | undefined {
	const count = front.length + (back?.length ?? 0);
	if (back ? words.length < count : words.length !== count) return undefined;
	return [
		...front.map((field, i): [Field, string] => [field, words[i]!]),
		...(back ?? []).map((field, i): [Field, string] => [field, words[words.length - back!.length + i]!]),
	];
}

/** Words between spaces; what stands in quotes or square brackets is one word. */
function wordsOf(message: string): string[] {
	const words: string[] = [];
	const anyWord = /"([^"]*)"|\[([^\]]*)\]|(\S+)/g;
	const unbracketed = /"([^"]*)"|(\S+)/g;
	const lastClose = message.lastIndexOf("]");
	for (let at = 0; ; ) {
		// Behind the last "]" no bracket is closed; to search for its end at each one takes time in the square of the message.
		const word = at <= lastClose ? anyWord : unbracketed;
		word.lastIndex = at;
		const found = word.exec(message);
		if (!found) return words;
		words.push(found.slice(1).find((text) => text !== undefined) ?? "");
		at = word.lastIndex;
	}
}
