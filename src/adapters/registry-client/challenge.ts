/** One challenge of a WWW-Authenticate header (RFC 9110 11.6.1). Names are lower case, values unquoted. */
export interface Challenge {
	scheme: string;
	parameters: Readonly<Record<string, string>>;
}

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+/;
const quoted = /^"((?:[^"\\]|\\.)*)"/;

/**
 * Parses a header that may hold several challenges. What can't be read ends the list: a client must not guess what an
 * unreadable challenge asks for.
 */
export function parseChallenges(header: string): Challenge[] {
	const challenges: { scheme: string; parameters: Record<string, string> }[] = [];
	let rest = header.trim();
	while (rest !== "") {
		const word = token.exec(rest)?.[0];
		if (word === undefined) break;
		const afterWord = rest.slice(word.length);
		const assignment = /^\s*=\s*/.exec(afterWord);
		const current = challenges.at(-1);
		if (assignment && current) {
			const value = readValue(afterWord.slice(assignment[0].length));
			if (value === undefined) break;
			current.parameters[word.toLowerCase()] = value.text;
			rest = value.rest;
		} else if (!assignment) {
			challenges.push({ scheme: word.toLowerCase(), parameters: {} });
			rest = afterWord;
		} else break;
		rest = rest.replace(/^[\s,]+/, "");
	}
	return challenges;
}

function readValue(text: string): { text: string; rest: string } | undefined {
	const string = quoted.exec(text);
	if (string) return { text: (string[1] ?? "").replace(/\\(.)/g, "$1"), rest: text.slice(string[0].length) };
	const word = token.exec(text)?.[0];
	return word === undefined ? undefined : { text: word, rest: text.slice(word.length) };
}
