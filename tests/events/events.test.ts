/** Every part in one daemon: an image of some hundred megabytes is pushed and unpacked once. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { chosenParts } from "./parts.ts";
import { clauseTimeoutMs, setupTimeoutMs, skip, World } from "./world.ts";

describe("events", { skip }, () => {
	let world: World | undefined;
	before(
		async () => {
			world = await World.start();
		},
		{ timeout: setupTimeoutMs },
	);
	after(() => world?.[Symbol.asyncDispose]());

	for (const [name, clauses] of chosenParts())
		describe(name, () => {
			for (const { says, run, timeoutMs = clauseTimeoutMs, skip = false } of clauses)
				it(says, { timeout: timeoutMs, skip }, async () => {
					assert.ok(world, "the daemon did not start");
					await run(world);
				});
		});
});
