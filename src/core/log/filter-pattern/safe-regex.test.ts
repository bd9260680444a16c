import assert from "node:assert/strict";
import { test } from "node:test";
import { compileSafeRegex } from "./safe-regex.ts";

/** Repeatable. */
function randomOf(seed: number) {
	let state = seed;
	return (below: number) => {
		state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
		return (state >>> 8) % below;
	};
}

const atoms = ["0", "1", "a", "[01]", "[^0]", ".", "\\d", "\\w", "\\."];
const repetitions = ["", "", "", "?", "*", "+", "{2}", "{1,3}", "{0,40}", "{2,}"];

function randomSource(random: (below: number) => number): string {
	const sequences = Array.from({ length: 1 + random(3) }, () => {
		const steps = Array.from(
			{ length: 1 + random(6) },
			() => atoms[random(atoms.length)]! + repetitions[random(repetitions.length)]!,
		);
		return `${random(4) === 0 ? "^" : ""}${steps.join("")}${random(4) === 0 ? "$" : ""}`;
	});
	return sequences.join("|");
}

const textOf = (random: (below: number) => number, length: number, letters: string) =>
	Array.from({ length }, () => letters[random(letters.length)]).join("");

test("finds what JavaScript's expressions find, with a state for every set of steps and without", () => {
	const random = randomOf(7);
	const binary = textOf(random, 4_000, "01");
	for (let round = 0; round < 300; round++) {
		const source = randomSource(random);
		const expected = new RegExp(source);
		const byState = compileSafeRegex(source);
		const bySteps = compileSafeRegex(`${source}|1[01]{12}y`);
		bySteps(`^${binary}`); // More states than are kept, where the source itself does not end the search before.
		for (let i = 0; i < 30; i++) {
			const text = textOf(random, random(60), "01a. -");
			assert.equal(byState(text), expected.test(text), `${source} in '${text}'`);
			assert.equal(bySteps(text), expected.test(text), `${source} by steps in '${text}'`);
		}
	}
});

test("an expression with more states than can be kept takes as long as any other", () => {
	const text = textOf(randomOf(1), 256 * 1024, "01");
	const finds = compileSafeRegex("1[01]{300}x");
	const startMs = performance.now();
	assert.equal(finds(text), false);
	assert.equal(finds(`${text}x`), text.at(-301) === "1");
	// Some 25 ms each; made anew for nearly every character, the states took seconds.
	assert.ok(performance.now() - startMs < 1500);
});
