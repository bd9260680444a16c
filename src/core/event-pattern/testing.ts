/** For tests: random patterns and events over few names and values, so that they often meet. */
export type Random = () => number;

/** https://en.wikipedia.org/wiki/Xorshift: the same numbers for the same seed. */
export function seededRandom(seed: number): Random {
	let state = (seed * 2654435761 + 1) >>> 0 || 1;
	return () => {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		state >>>= 0;
		return state / 2 ** 32;
	};
}

function pick<T>(random: Random, items: readonly T[]): T {
	return items[Math.floor(random() * items.length)]!;
}

const names = ["a", "b", "c", "a.b", "$or", "__proto__"];
const texts = ["", "x", "X", "xyz", "xyzzy", "abcabc", "Order", "10.0.0.7", "10.0.1.9", "::1", "ab*c"];
const numbers = [-1, 0, 1, 2.5, 3e2, 1e21];

export function randomEvent(random: Random, depth = 0): unknown {
	const kind = random();
	if (depth > 3 || (depth > 0 && kind < 0.4)) return pick<unknown>(random, [...texts, ...numbers, null, true, false]);
	const many = Math.floor(random() * 4);
	if (depth > 0 && kind < 0.6) return Array.from({ length: many }, () => randomEvent(random, depth + 1));
	return Object.fromEntries(Array.from({ length: many }, () => [pick(random, names), randomEvent(random, depth + 1)]));
}

export function randomPattern(random: Random, depth = 0): Record<string, unknown> {
	const count = 1 + Math.floor(random() * 2);
	const entries = Array.from({ length: count }, (): [string, unknown] => {
		if (random() < 0.15) return ["$or", [randomPattern(random, depth + 1), randomPattern(random, depth + 1)]];
		const nests = depth < 2 && random() < 0.4;
		return [pick(random, names), nests ? randomPattern(random, depth + 1) : randomEntries(random)];
	});
	return Object.fromEntries(entries);
}

function randomEntries(random: Random): unknown[] {
	return Array.from({ length: 1 + Math.floor(random() * 2) }, () => randomEntry(random));
}

function randomEntry(random: Random): unknown {
	const text = () => pick(random, texts);
	const number = () => pick(random, numbers);
	const wildcard = () => pick(random, ["x*", "*z", "*yz*", "x*z*y", "*", "ab\\*c", "*bca*", "a*c"]);
	return pick<() => unknown>(random, [
		text,
		number,
		() => pick(random, [null, true, false]),
		() => ({ prefix: text() }),
		() => ({ suffix: text() }),
		() => ({ [pick(random, ["prefix", "suffix"])]: { "equals-ignore-case": text() } }),
		() => ({ "equals-ignore-case": text() }),
		() => ({ wildcard: wildcard() }),
		() => ({ "anything-but": pick<unknown>(random, [text(), number(), ["x", "xyz"], [1, 0]]) }),
		() => ({ "anything-but": { [pick(random, ["prefix", "suffix"])]: pick<unknown>(random, ["x", ["xy", "z"]]) } }),
		() => ({ "anything-but": { wildcard: wildcard() } }),
		() => ({ "anything-but": { "equals-ignore-case": [text(), text()] } }),
		() => ({ numeric: [pick(random, ["=", "<", "<=", ">", ">="]), number()] }),
		() => ({ numeric: [">", -1, "<=", number() + 1e22] }),
		() => ({ cidr: pick(random, ["10.0.0.0/24", "10.0.0.0/8", "::/64", "0.0.0.0/0"]) }),
		() => ({ exists: random() < 0.5 }),
	])();
}
