import { SlipwayError } from "../../base/error.ts";

/** The life of one sandbox as the platform sees it. */
export type SandboxState =
	/** The runtime makes it; nothing of the image runs yet. */
	| "creating"
	/** Ready to be started, and may wait so for long: a spare. */
	| "created"
	/** Its program runs and has not asked for its first event. */
	| "initializing"
	/** Waits for an event. */
	| "idle"
	/** Works on one. */
	| "busy"
	/** Idle, and stopped in place by the kernel. */
	| "frozen"
	/** Its processes are ended, after a failure, and others made ready in their place. */
	| "resetting"
	/** Takes an event, which starts its processes first: made anew, with /tmp as it was. */
	| "reset"
	/** Gets no more events; may still be working on its last one. */
	| "draining"
	/** Gone, on purpose. */
	| "stopped"
	/** Gone, and not on purpose. */
	| "failed";

export type SandboxEvent =
	/** The runtime has made it. */
	| "created"
	/** Its program was released. */
	| "started"
	/** The program asks for its first event. */
	| "initialized"
	/** An event was handed to it. */
	| "assigned"
	/** It has answered and asks for the next. */
	| "finished"
	| "frozen"
	| "thawed"
	/** Its processes have failed and others are to take their place. */
	| "reset"
	/** The platform wants it gone. */
	| "drain"
	/** Its last process has ended. */
	| "exited"
	/** It could not be made, broke its contract, or ran out of time. */
	| "fail";

export const sandboxStates: readonly SandboxState[] = [
	"creating",
	"created",
	"initializing",
	"idle",
	"busy",
	"frozen",
	"resetting",
	"reset",
	"draining",
	"stopped",
	"failed",
];

export const sandboxEvents: readonly SandboxEvent[] = [
	"created",
	"started",
	"initialized",
	"assigned",
	"finished",
	"frozen",
	"thawed",
	"reset",
	"drain",
	"exited",
	"fail",
];

/** Every move that is allowed; what is not here is a bug of the caller. An exit that nobody asked for is a failure. */
const moves: Readonly<Record<SandboxState, Partial<Record<SandboxEvent, SandboxState>>>> = {
	creating: { created: "created", reset: "resetting", drain: "draining", exited: "failed", fail: "failed" },
	created: { started: "initializing", reset: "resetting", drain: "draining", exited: "failed", fail: "failed" },
	initializing: { initialized: "idle", reset: "resetting", drain: "draining", exited: "failed", fail: "failed" },
	idle: { assigned: "busy", frozen: "frozen", drain: "draining", exited: "failed", fail: "failed" },
	busy: { finished: "idle", reset: "resetting", drain: "draining", exited: "failed", fail: "failed" },
	frozen: { thawed: "idle", drain: "draining", exited: "failed", fail: "failed" },
	resetting: { created: "reset", drain: "draining", exited: "failed", fail: "failed" },
	reset: { started: "initializing", reset: "resetting", drain: "draining", exited: "failed", fail: "failed" },
	// A sandbox may be asked twice, and its last event may still come to an end.
	draining: { finished: "draining", drain: "draining", exited: "stopped", fail: "failed" },
	// Nothing leaves these two; that the process ends after all, or is asked to, changes nothing.
	stopped: { drain: "stopped", exited: "stopped" },
	failed: { drain: "failed", exited: "failed", fail: "failed" },
};

/** The state after `event`. Throws SANDBOX_FAILED (reason "IllegalSandboxMove"), naming both, for a move that is not allowed. */
export function nextSandboxState(state: SandboxState, event: SandboxEvent): SandboxState {
	const next = moves[state][event];
	if (next === undefined)
		throw new SlipwayError("SANDBOX_FAILED", `A sandbox that is ${state} can't take the event "${event}"`, {
			reason: "IllegalSandboxMove",
		});
	return next;
}

/** Whether its processes are gone for good. */
export function isEnded(state: SandboxState): boolean {
	return state === "stopped" || state === "failed";
}

/** Whether an event may be handed to it, if need be after a thaw or with a start first. */
export function isAvailable(state: SandboxState): boolean {
	return state === "idle" || state === "frozen" || state === "reset";
}
