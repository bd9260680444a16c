import assert from "node:assert/strict";
import { test } from "node:test";
import { randomIds, timeOrderedUuid } from "./ids.ts";

test("Hex ids have the length asked for and never come twice, across many fillings of their pool", () => {
	const seen = new Set<string>();
	for (let index = 0; index < 5000; index++) {
		const bytes = 8 + (index % 9);
		const id = randomIds.hex(bytes);
		assert.match(id, new RegExp(`^[0-9a-f]{${2 * bytes}}$`));
		seen.add(id.slice(0, 16));
	}
	assert.equal(seen.size, 5000);
	assert.equal(randomIds.hex(5000).length, 10_000);
});

test("Time-ordered ids are version 7, sort by their time, and have all the chance that they are given", () => {
	const ids = Array.from({ length: 100 }, (_, ms) => timeOrderedUuid(1_700_000_000_000 + ms, randomIds));
	for (const id of ids) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
	assert.deepEqual(ids.toSorted(), ids);
	let last = 0;
	const counting = { hex: (bytes: number) => (++last).toString(16).padStart(2 * bytes, "0") };
	assert.equal(new Set(Array.from({ length: 100 }, () => timeOrderedUuid(1, counting))).size, 100);
});
