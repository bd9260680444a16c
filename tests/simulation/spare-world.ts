/** What simulations of spares have in common. */
import assert from "node:assert/strict";
import type { SpareLimits } from "../../src/engine/dispatch/spares.ts";
import type { Script } from "./simulated-platform.ts";
import type { World } from "./world.ts";

export const second = 1000;
export const minute = 60 * second;
export const hour = 60 * minute;
const MiB = 1024 * 1024;

export const limits: SpareLimits & Required<Pick<SpareLimits, "initialized">> = {
	maxTotal: 6,
	maxPerFunction: 4,
	keepMs: 15 * minute,
	initialized: { maxTotal: 4, maxPerFunction: 2, maxBytes: 1024 * MiB },
};
/** An init worth running ahead. */
export const slow: Partial<Script> = { init: () => ({ ms: 500, ends: "well" }) };
/** Shorter than the gaps between events, so that each of them finds nothing warm. */
export const impatient = { idleTimeoutMs: minute };
/** For hours on end: each look at the sandboxes takes some time of the test. */
export const leisurely = { ...impatient, sweepMs: 5 * second };

/** How many spares there are now, which is never more than allowed. */
export async function countSpares({ sandboxes }: Pick<World, "sandboxes">, of: SpareLimits) {
	const all = await sandboxes();
	const created = all.filter(({ state }) => state === "created" || state === "creating");
	const initialized = all.filter(({ preInitialized, invocations }) => preInitialized && invocations === 0);
	const ready = initialized.filter(({ state }) => state === "frozen" || state === "idle");
	assert.ok(ready.length <= (of.initialized?.maxTotal ?? 0), `${ready.length} initialized`);
	// One may be on its way when the others are found to be too many.
	assert.ok(created.length <= of.maxTotal + 1, `${created.length} created`);
	const bytes = ready.reduce((sum, { memoryMiB }) => sum + memoryMiB * MiB, 0);
	assert.ok(bytes <= (of.initialized?.maxBytes ?? 0));
	for (const { state } of ready) assert.ok(["frozen", "idle"].includes(state));
	return { created: created.length, initialized: initialized.length, all: all.length };
}
