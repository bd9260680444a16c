/**
 * The Runtime API's states (Runtime Interface Emulator, internal/lambda/core/states.go):
 *
 *   Started ─next→ Ready ─deliver→ Running ─response→ InvocationResponse ─sent→ ResponseSent ─next→ Ready …
 *      │                              └─────error───→ InvocationErrorResponse ─sent→ ┘
 *      └─init/error→ InitError
 *
 * `next` while Running returns the same event again, since several clients retry it. An answer that is still on its way
 * in has a state of its own, so that no second one can be begun. Every move that is not in the table is refused.
 */
export type RuntimeState =
	| "Started"
	| "Ready"
	| "Running"
	| "InvocationResponse"
	| "InvocationErrorResponse"
	| "ResponseSent"
	| "InitError";
export type RuntimeMove = "next" | "deliver" | "response" | "error" | "sent" | "init/error" | "abandon";

const moves: Record<RuntimeState, Partial<Record<RuntimeMove, RuntimeState>>> = {
	Started: { next: "Ready", "init/error": "InitError" },
	Ready: { next: "Ready", deliver: "Running" },
	Running: {
		next: "Running",
		response: "InvocationResponse",
		error: "InvocationErrorResponse",
		abandon: "ResponseSent",
	},
	InvocationResponse: { sent: "ResponseSent", abandon: "ResponseSent" },
	InvocationErrorResponse: { sent: "ResponseSent", abandon: "ResponseSent" },
	ResponseSent: { next: "Ready" },
	InitError: {},
};

/** The state after the move, or undefined when it is not allowed. */
export function nextState(state: RuntimeState, move: RuntimeMove): RuntimeState | undefined {
	return moves[state][move];
}

/** The state's name in error messages that runtimes see (same source, core/runtime_state_names.go). */
export function stateName(state: RuntimeState): string {
	return state === "ResponseSent" ? "RuntimeResponseSentState" : state;
}
