/**
 * Gradual rollout of a new revision, as Knative's route reconciler steps it (pkg/reconciler/route/traffic/rollout.go): 1 % at
 * once, then equal steps until the newest has everything. Pure: time comes in, states go out. Percentages are whole.
 */
export interface Rollout {
	/** What the target of the newest revision has of all traffic. */
	percent: number;
	/** Oldest first; together they have `percent`. One (or none) when nothing is rolling out. */
	revisions: readonly { revision: string; percent: number }[];
	/** Absent when nothing is rolling out. */
	step: RolloutStep | undefined;
}

export interface RolloutStep {
	startedMs: number;
	/** When the next step is due, how long until the one after it, milliseconds; and how much goes over. */
	nextMs: number;
	everyMs: number;
	size: number;
}

/** Knative learns from its ingress how long a change takes; here it takes effect at once, and a second is its least. */
const leastStepS = 1;

/**
 * The rollout once `newest` is the newest ready revision and its target has `percent`: goes on with the one under way, starts one,
 * or (`durationMs` 0, no revision before) gives the newest everything at once.
 */
export function retarget(
	previous: Rollout | undefined,
	newest: string,
	percent: number,
	durationMs: number,
	nowMs: number,
): Rollout {
	const whole: Rollout = { percent, revisions: percent > 0 ? [{ revision: newest, percent }] : [], step: undefined };
	if (!previous || percent === 0 || previous.revisions.length === 0) return whole;
	const adjusted = adjust(previous.revisions, percent);
	const last = adjusted.at(-1)?.revision;
	if (last === newest) {
		if (adjusted.length === 1 || durationMs === 0) return whole;
		return { percent, revisions: adjusted, step: previous.step };
	}
	// A target of 1 % is somebody's own test: nothing to do in steps.
	if (durationMs === 0 || percent <= 1) return whole;
	// The newest revision that has any gives 1 % to the new one.
	const giver = adjusted.findLastIndex((one) => one.percent > 0);
	const rest = adjusted
		.map((one, index) => (index === giver ? { ...one, percent: one.percent - 1 } : one))
		.filter((one) => one.percent > 0 && one.revision !== newest);
	const given = percent - rest.reduce((total, one) => total + one.percent, 0);
	return {
		percent,
		revisions: [...rest, { revision: newest, percent: given }],
		step: stepsOf(percent, durationMs, nowMs),
	};
}

/** The same at `nowMs`: every step that is due has been taken. */
export function advance(rollout: Rollout, nowMs: number): Rollout {
	let current = rollout;
	while (current.step && current.revisions.length > 1 && nowMs >= current.step.nextMs)
		current = stepOnce(current, current.step);
	return current.revisions.length > 1 ? current : { ...current, step: undefined };
}

/** rollout.go computeProperties. */
function stepsOf(percent: number, durationMs: number, nowMs: number): RolloutStep {
	const durationS = Math.max(1, durationMs / 1000 - leastStepS);
	const remaining = percent - 1;
	const steps = Math.min(Math.max(1, durationS / leastStepS), remaining);
	const everyMs = (durationS / steps) * 1000;
	return { startedMs: nowMs, nextMs: nowMs + everyMs, everyMs, size: Math.max(1, Math.round(remaining / steps)) };
}

/** rollout.go stepRevisions: the newest takes from those before it, newest first. */
function stepOnce(rollout: Rollout, step: RolloutStep): Rollout {
	const older = rollout.revisions.slice(0, -1);
	const newest = rollout.revisions.at(-1);
	if (!newest) return rollout;
	let wanted = step.size;
	while (wanted > 0 && older.length > 0) {
		const giver = older.at(-1);
		if (!giver) break;
		if (giver.percent > wanted) {
			older[older.length - 1] = { ...giver, percent: giver.percent - wanted };
			break;
		}
		wanted -= giver.percent;
		older.pop();
	}
	const percent = rollout.percent - older.reduce((total, one) => total + one.percent, 0);
	return {
		percent: rollout.percent,
		revisions: [...older, { revision: newest.revision, percent }],
		step: older.length > 0 ? { ...step, nextMs: step.nextMs + step.everyMs } : undefined,
	};
}

/** rollout.go adjustPercentage: more goes to the newest, less is taken from the oldest. */
function adjust(revisions: Rollout["revisions"], goal: number): { revision: string; percent: number }[] {
	const result = revisions.map((one) => ({ ...one }));
	let less = result.reduce((total, one) => total + one.percent, 0) - goal;
	const newest = result.at(-1);
	if (less < 0 && newest) newest.percent -= less;
	while (less > 0) {
		const oldest = result[0];
		if (!oldest) break;
		if (oldest.percent > less) {
			oldest.percent -= less;
			break;
		}
		less -= oldest.percent;
		result.shift();
	}
	return result;
}
