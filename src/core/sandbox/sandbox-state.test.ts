import assert from "node:assert/strict";
import { test } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import {
	isAvailable,
	isEnded,
	nextSandboxState,
	type SandboxEvent,
	type SandboxState,
	sandboxEvents,
	sandboxStates,
} from "./sandbox-state.ts";

const no = "refused";

/** Every state by every event, written out a second time. */
const table: Record<SandboxState, Record<SandboxEvent, SandboxState | typeof no>> = {
	creating: row("created", no, no, no, no, no, no, "resetting", "draining", "failed", "failed"),
	created: row(no, "initializing", no, no, no, no, no, "resetting", "draining", "failed", "failed"),
	initializing: row(no, no, "idle", no, no, no, no, "resetting", "draining", "failed", "failed"),
	idle: row(no, no, no, "busy", no, "frozen", no, no, "draining", "failed", "failed"),
	busy: row(no, no, no, no, "idle", no, no, "resetting", "draining", "failed", "failed"),
	frozen: row(no, no, no, no, no, no, "idle", no, "draining", "failed", "failed"),
	resetting: row("reset", no, no, no, no, no, no, no, "draining", "failed", "failed"),
	reset: row(no, "initializing", no, no, no, no, no, "resetting", "draining", "failed", "failed"),
	draining: row(no, no, no, no, "draining", no, no, no, "draining", "stopped", "failed"),
	stopped: row(no, no, no, no, no, no, no, no, "stopped", "stopped", no),
	failed: row(no, no, no, no, no, no, no, no, "failed", "failed", "failed"),
};

function row(...outcomes: (SandboxState | typeof no)[]): Record<SandboxEvent, SandboxState | typeof no> {
	assert.equal(outcomes.length, sandboxEvents.length);
	return Object.fromEntries(sandboxEvents.map((event, at) => [event, outcomes[at]])) as Record<
		SandboxEvent,
		SandboxState | typeof no
	>;
}

for (const state of sandboxStates)
	test(`every event while ${state}`, () => {
		for (const event of sandboxEvents) {
			const expected = table[state][event];
			if (expected !== no) assert.equal(nextSandboxState(state, event), expected, `${state} + ${event}`);
			else
				assert.throws(
					() => nextSandboxState(state, event),
					(error) =>
						isSlipwayError(error, "SANDBOX_FAILED") && error.message.includes(state) && error.message.includes(event),
					`${state} + ${event}`,
				);
		}
	});

test("nothing leads out of an ended state, and only idle, frozen and reset sandboxes are available", () => {
	for (const state of sandboxStates) {
		const reachable = new Set(sandboxEvents.map((event) => table[state][event]).filter((next) => next !== no));
		if (isEnded(state)) assert.deepEqual([...reachable], [state]);
		assert.equal(isAvailable(state), ["idle", "frozen", "reset"].includes(state));
	}
});
