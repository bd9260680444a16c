/** Text with `*` for any characters. Matching takes time in proportion to the text and the pattern, whatever they are. */
export interface Wildcard {
	/** What stands between the asterisks; the first is "" where the pattern begins with one, the last where it ends so. */
	readonly pieces: readonly string[];
}

/** `\*` and `\\` stand for themselves. Throws Error in ruler's words; positions count the opening quote, as its do. */
export function parseWildcard(text: string): Wildcard {
	const pieces = [""];
	for (let i = 0; i < text.length; i++) {
		const character = text[i]!;
		const next = text[i + 1];
		if (character === "*") {
			if (next === "*") throw new Error(`Consecutive wildcard characters at pos ${i + 1}`);
			pieces.push("");
		} else if (character === "\\") {
			if (next !== "*" && next !== "\\") throw new Error(`Invalid escape character at pos ${i + 1}`);
			pieces[pieces.length - 1] += next;
			i++;
		} else pieces[pieces.length - 1] += character;
	}
	return { pieces };
}

export function matchesWildcard({ pieces }: Wildcard, text: string): boolean {
	const first = pieces[0] ?? "";
	if (pieces.length === 1) return text === first;
	const last = pieces[pieces.length - 1] ?? "";
	if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false;
	const end = text.length - last.length;
	let from = first.length;
	for (const piece of pieces.slice(1, -1)) {
		const at = indexOf(text, piece, from);
		if (at < 0 || at + piece.length > end) return false;
		from = at + piece.length;
	}
	return true;
}

/** Characters up to which the engine's own search is quick on any text; its worst case is the product of both lengths. */
const shortPiece = 32;

function indexOf(text: string, piece: string, from: number): number {
	return piece.length <= shortPiece ? text.indexOf(piece, from) : linearIndexOf(text, piece, from);
}

/** Knuth, Morris and Pratt: never goes back in the text. */
function linearIndexOf(text: string, piece: string, from: number): number {
	const borders = bordersOf(piece);
	let matched = 0;
	for (let i = from; i < text.length; i++) {
		while (matched > 0 && text[i] !== piece[matched]) matched = borders[matched - 1]!;
		if (text[i] === piece[matched]) matched++;
		if (matched === piece.length) return i - matched + 1;
	}
	return -1;
}

function bordersOf(piece: string): Uint32Array {
	const borders = new Uint32Array(piece.length);
	for (let i = 1, length = 0; i < piece.length; i++) {
		while (length > 0 && piece[i] !== piece[length]) length = borders[length - 1]!;
		if (piece[i] === piece[length]) length++;
		borders[i] = length;
	}
	return borders;
}
