/**
 * An extension's states (Runtime Interface Emulator, internal/lambda/core/externalagent_states.go):
 *
 *   Started ─register→ Registered ─next→ Ready ─deliver→ Running ─next→ Ready …
 *                          │ init/error      └──── exit/error ────┘
 *
 * `exit/error` is allowed from Registered on, `init/error` only before the first `next`; either may be repeated.
 */
export type ExtensionState = "Started" | "Registered" | "Ready" | "Running" | "InitError" | "ExitError";
export type ExtensionMove = "register" | "next" | "deliver" | "init/error" | "exit/error";

const moves: Record<ExtensionState, Partial<Record<ExtensionMove, ExtensionState>>> = {
	Started: { register: "Registered" },
	Registered: { next: "Ready", "init/error": "InitError", "exit/error": "ExitError" },
	Ready: { deliver: "Running", "exit/error": "ExitError" },
	Running: { next: "Ready", "exit/error": "ExitError" },
	InitError: { "init/error": "InitError" },
	ExitError: { "exit/error": "ExitError" },
};

/** The state after the move, or undefined when it is not allowed. */
export function nextExtensionState(state: ExtensionState, move: ExtensionMove): ExtensionState | undefined {
	return moves[state][move];
}
