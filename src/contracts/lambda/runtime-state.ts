/**
 * The Runtime API's states (Runtime Interface Emulator, internal/lambda/core/states.go):
 *
 *   Started ─next→ Ready ─deliver→ Running ─response→ ResponseSent ─next→ Ready …
 *      │             ▲                └──────error──────┘
 *      └─init/error→ InitError
 *
 * `next` while Running returns the same event again, since several clients retry it. Every move that is not in the table
 * is refused.
 */
export type RuntimeState = "Started" | "Ready" | "Running" | "ResponseSent" | "InitError";
export type RuntimeMove = "next" | "deliver" | "response" | "error" | "init/error" | "abandon";

const moves: Record<RuntimeState, Partial<Record<RuntimeMove, RuntimeState>>> = {
	Started: { next: "Ready", "init/error": "InitError" },
	Ready: { next: "Ready", deliver: "Running" },
	Running: { next: "Running", response: "ResponseSent", error: "ResponseSent", abandon: "ResponseSent" },
	ResponseSent: { next: "Ready" },
	InitError: {},
};

/** The state after the move, or undefined when it is not allowed. */
export function nextState(state: RuntimeState, move: RuntimeMove): RuntimeState | undefined {
	return moves[state][move];
}

/** The state's name in error messages that runtimes see (same source). */
export function stateName(state: RuntimeState): string {
	return state === "ResponseSent" ? "RuntimeResponseSent" : `Runtime${state}`;
}
