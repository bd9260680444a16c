/** Of the greatest counts that were wanted lately: newer ones are lower. Never changed in place. */
export type DelayWindow = readonly { slot: number; count: number }[];

/** Milliseconds of one slot: decisions are made every two seconds (Knative's tickInterval). */
const slotMs = 2000;

/**
 * The greatest of `count` and of what was recorded within `delayMs` before now (knative/serving, pkg/autoscaler/aggregation/max). As
 * only counts that a later one has not reached are kept, a window is never longer than the greatest count or than its slots.
 */
export function delayed(
	window: DelayWindow,
	count: number,
	delayMs: number,
	nowMs: number,
): { window: DelayWindow; greatest: number } {
	const slots = Math.ceil(delayMs / slotMs);
	const slot = Math.floor(nowMs / slotMs);
	const higher = window.filter((entry) => entry.count > count && slot - entry.slot < slots);
	// Of two in the same slot the greater stands.
	const kept = higher.at(-1)?.slot === slot ? higher : [...higher, { slot, count }];
	return { window: kept, greatest: kept[0]!.count };
}
