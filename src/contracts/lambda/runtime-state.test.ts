import assert from "node:assert/strict";
import { test } from "node:test";
import { nextState, type RuntimeMove, type RuntimeState } from "./runtime-state.ts";

/** Every cell, so that a new state or move has to be decided on here too. "-" is refused. */
const table: Record<RuntimeState, Record<RuntimeMove, RuntimeState | "-">> = {
	Started: { next: "Ready", deliver: "-", response: "-", error: "-", "init/error": "InitError", abandon: "-" },
	Ready: { next: "Ready", deliver: "Running", response: "-", error: "-", "init/error": "-", abandon: "-" },
	Running: {
		next: "Running",
		deliver: "-",
		response: "ResponseSent",
		error: "ResponseSent",
		"init/error": "-",
		abandon: "ResponseSent",
	},
	ResponseSent: { next: "Ready", deliver: "-", response: "-", error: "-", "init/error": "-", abandon: "-" },
	InitError: { next: "-", deliver: "-", response: "-", error: "-", "init/error": "-", abandon: "-" },
};

test("every move in every state goes where the contract says or is refused", () => {
	for (const [from, cells] of Object.entries(table))
		for (const [move, to] of Object.entries(cells))
			assert.equal(nextState(from as RuntimeState, move as RuntimeMove) ?? "-", to, `${from} ${move}`);
});
