import type { Condition } from "../../core/service/knative.ts";

export type ConditionState = Pick<Condition, "status"> & { reason?: string; message?: string; severity?: "Info" };

export const unknown = (reason = "", message = ""): ConditionState => ({ status: "Unknown", reason, message });
export const isTrue: ConditionState = { status: "True" };
export const isFalse = (reason: string, message: string): ConditionState => ({ status: "False", reason, message });
export const info = (state: ConditionState): ConditionState => ({ ...state, severity: "Info" });

/**
 * Conditions in the order of their types, with Ready over the ones that count, as knative.dev/pkg/apis ConditionSet makes them. A
 * condition that has not changed keeps its time.
 */
export function conditions(
	states: Readonly<Record<string, ConditionState>>,
	before: readonly Condition[] | undefined,
	now: string,
): Condition[] {
	const counting = Object.values(states).filter(({ severity }) => severity !== "Info");
	const unhappy =
		counting.find(({ status }) => status === "False") ?? counting.find(({ status }) => status === "Unknown");
	const ready: ConditionState = unhappy
		? { status: unhappy.status, reason: unhappy.reason ?? "", message: unhappy.message ?? "" }
		: isTrue;
	return Object.entries({ ...states, Ready: ready })
		.sort(([a], [b]) => (a < b ? -1 : 1))
		.map(([type, state]) => {
			const condition: Omit<Condition, "lastTransitionTime"> = {
				type,
				status: state.status,
				...(state.reason ? { reason: state.reason } : {}),
				...(state.message ? { message: state.message } : {}),
				...(state.severity ? { severity: state.severity } : {}),
			};
			const old = before?.find((one) => one.type === type);
			const same =
				old?.status === condition.status && old.reason === condition.reason && old.message === condition.message;
			return { ...condition, lastTransitionTime: same && old ? old.lastTransitionTime : now };
		});
}

export function conditionOf(list: readonly Condition[], type: string): Condition | undefined {
	return list.find((one) => one.type === type);
}

/** A condition of a part as a condition of the whole. */
export function propagated(list: readonly Condition[], type = "Ready"): ConditionState {
	const condition = conditionOf(list, type);
	if (!condition) return unknown();
	if (condition.status === "True") return isTrue;
	return { status: condition.status, reason: condition.reason ?? "", message: condition.message ?? "" };
}
