/**
 * The cold start of a request: what it waited for because no initialised sandbox of its function stood ready. Its stages
 * follow each other without a gap, on the monotonic clock, from the event's arrival in the dispatcher until it was handed
 * to the process that asked for it:
 *
 * - `queue`: until the start of its sandbox began: the machine, or the function's limits, let no other start be sooner;
 * - `sandbox`: until the sandbox was made; 0 for one that stood made as a spare (`spare`). After an init that failed, the
 *   sandbox is made anew, which is this stage a second time;
 * - `process`: from the release of the image's process until the first connection of any of its programs to the
 *   contract's endpoint: the system's exec, the dynamic linker, the language's own start;
 * - `init`: until the runtime and every extension asked for their first event, or the init failed;
 * - `first-poll`: from then until the event went out as the answer to that poll.
 *
 * A request counts what it waited for itself: where it came in the middle of a start that was begun for another, earlier
 * stages are shorter or 0. One that found a sandbox initialised (idle, frozen, provisioned, a pre-initialised spare) had
 * no cold start, nor had one that waited until a sandbox which others had used before was free. A second init inside of
 * the invocation (after a failed init, a timeout or a crash) is a cold start of that request.
 */
export interface ColdStart {
	/** When the event came, milliseconds since the epoch. */
	arrivedMs: number;
	/** Its sandbox stood created ahead of it. */
	spare: boolean;
	/** In the order in which they happened; a stage comes again where an init was tried a second time. */
	steps: readonly ColdStartStep[];
}

export interface ColdStartStep {
	stage: ColdStartStage;
	/** Milliseconds with fractions. */
	ms: number;
}

export const coldStartStages = ["queue", "sandbox", "process", "init", "first-poll"] as const;
export type ColdStartStage = (typeof coldStartStages)[number];

/** Milliseconds of each stage, all tries together. */
export function stageTotals({ steps }: ColdStart): Record<ColdStartStage, number> {
	const totals = { queue: 0, sandbox: 0, process: 0, init: 0, "first-poll": 0 };
	for (const { stage, ms } of steps) totals[stage] += ms;
	return totals;
}

/**
 * The stages in the syntax of the Server-Timing header (https://www.w3.org/TR/server-timing/#the-server-timing-header-field):
 * `queue;dur=0.031, sandbox;dur=0.000;desc=spare, process;dur=1.204, init;dur=0.310, first-poll;dur=0.052`. Milliseconds to
 * the microsecond, always all five, in this order.
 */
export function serverTiming(coldStart: ColdStart): string {
	const totals = stageTotals(coldStart);
	return coldStartStages
		.map((stage) => {
			const description = stage === "sandbox" && coldStart.spare ? ";desc=spare" : "";
			return `${stage};dur=${totals[stage].toFixed(3)}${description}`;
		})
		.join(", ");
}
