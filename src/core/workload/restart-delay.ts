/** Kubernetes' back-off of containers that end (kubelet, MaxContainerBackOff): 10 s, doubled, 5 minutes at most. */
const firstDelayMs = 10_000;
const longestDelayMs = 300_000;
/** A container that has run for this long is restarted as if it had never failed. */
const forgivenAfterMs = 600_000;

/** Milliseconds before the restart after the `failures`th end in a row; the first is at once. */
export function restartDelayMs(failures: number): number {
	if (failures <= 1) return 0;
	// 2 ** 5 is past the longest already.
	return Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(failures - 2, 5));
}

/** How many ends in a row there are after another one, `ranMs` after its start. */
export function failuresAfter(failures: number, ranMs: number): number {
	return ranMs >= forgivenAfterMs ? 1 : failures + 1;
}
