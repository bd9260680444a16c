import assert from "node:assert/strict";
import { test } from "node:test";
import { randomIds } from "./ids.ts";

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
