/** `ERROR "exact phrase" -excluded %regex%`, or `?ONE ?OTHER` */
import type { FilterPattern } from "./pattern.ts";
import type { Scanner } from "./scanner.ts";

type Found = (message: string) => boolean;

/** What must be quoted: it means something in other kinds of pattern. */
const reserved = /["%()[\]{}=<>&|!?]/;

export function readTermPattern(scanner: Scanner): FilterPattern {
	const included: Found[] = [];
	const excluded: Found[] = [];
	const optional: Found[] = [];
	for (scanner.skipSpace(); !scanner.isAtEnd; scanner.skipSpace()) {
		const kind = scanner.take("?") ? optional : scanner.take("-") ? excluded : included;
		kind.push(readTerm(scanner));
	}
	// Beside terms that must be there, or must not, those that may be there decide nothing.
	const isOptional = included.length === 0 && excluded.length === 0 && optional.length > 0;
	const matches: Found = isOptional
		? (message) => optional.some((found) => found(message))
		: (message) => included.every((found) => found(message)) && !excluded.some((found) => found(message));
	return { matches, extract: () => ({}) };
}

function readTerm(scanner: Scanner): Found {
	const regex = scanner.regex();
	if (regex) return regex;
	const text = scanner.quoted() ?? readWord(scanner);
	return (message) => message.includes(text);
}

function readWord(scanner: Scanner): string {
	const word = scanner.match(/\S+/y);
	if (word === undefined) throw scanner.error("a term is missing");
	if (reserved.test(word)) throw scanner.error(`Invalid character(s) in term '${word}'; put it in double quotes`);
	return word;
}
