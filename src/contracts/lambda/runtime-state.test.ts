import assert from "node:assert/strict";
import { test } from "node:test";
import { type ExtensionMove, type ExtensionState, nextExtensionState } from "./extension-state.ts";
import { nextState, type RuntimeMove, type RuntimeState } from "./runtime-state.ts";

const moves = ["next", "deliver", "response", "error", "sent", "init/error", "abandon"] as const;

/** Every cell, in the order of `moves`, so that a new state or move has to be decided on here too. "-" is refused. */
const runtime: Record<RuntimeState, (RuntimeState | "-")[]> = {
	Started: ["Ready", "-", "-", "-", "-", "InitError", "-"],
	Ready: ["Ready", "Running", "-", "-", "-", "-", "-"],
	Running: ["Running", "-", "InvocationResponse", "InvocationErrorResponse", "-", "-", "ResponseSent"],
	InvocationResponse: ["-", "-", "-", "-", "ResponseSent", "-", "ResponseSent"],
	InvocationErrorResponse: ["-", "-", "-", "-", "ResponseSent", "-", "ResponseSent"],
	ResponseSent: ["Ready", "-", "-", "-", "-", "-", "-"],
	InitError: ["-", "-", "-", "-", "-", "-", "-"],
};

test("every move of a runtime in every state goes where the contract says or is refused", () => {
	for (const [from, cells] of Object.entries(runtime))
		for (const [index, to] of cells.entries())
			assert.equal(nextState(from as RuntimeState, moves[index] as RuntimeMove) ?? "-", to, `${from} ${moves[index]}`);
});

const extensionMoves = ["register", "next", "deliver", "init/error", "exit/error"] as const;
const extension: Record<ExtensionState, (ExtensionState | "-")[]> = {
	Started: ["Registered", "-", "-", "-", "-"],
	Registered: ["-", "Ready", "-", "InitError", "ExitError"],
	Ready: ["-", "-", "Running", "-", "ExitError"],
	Running: ["-", "Ready", "-", "-", "ExitError"],
	InitError: ["-", "-", "-", "InitError", "-"],
	ExitError: ["-", "-", "-", "-", "ExitError"],
};

test("every move of an extension in every state goes where the contract says or is refused", () => {
	for (const [from, cells] of Object.entries(extension))
		for (const [index, to] of cells.entries()) {
			const move = extensionMoves[index] as ExtensionMove;
			assert.equal(nextExtensionState(from as ExtensionState, move) ?? "-", to, `${from} ${move}`);
		}
});
