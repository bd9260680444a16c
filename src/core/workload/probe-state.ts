import type { Probe } from "./workload.ts";

/** What a row of answers means (Kubernetes, prober/worker.go). */
export interface ProbeState {
	/** Of the answers that were alike, how many came last. */
	alike: number;
	last: boolean | undefined;
	verdict: "unknown" | "success" | "failure";
}

export const unknownProbe: ProbeState = { alike: 0, last: undefined, verdict: "unknown" };

/** The state after one more answer: a verdict changes when as many in a row say so as the probe's threshold asks for. */
export function nextProbeState(
	state: ProbeState,
	well: boolean,
	{ successThreshold, failureThreshold }: Pick<Probe, "successThreshold" | "failureThreshold">,
): ProbeState {
	const alike = state.last === well ? state.alike + 1 : 1;
	const threshold = well ? successThreshold : failureThreshold;
	const verdict = alike >= threshold ? (well ? "success" : "failure") : state.verdict;
	return { alike, last: well, verdict };
}

/** How long a container may take to its first success when its probe sets no limit: Cloud Run's four minutes. */
const startupLimitMs = 240_000;

/** Milliseconds from a container's start within which its startup probe has to succeed. */
export function startupBudgetMs(probe: Probe): number {
	if (probe.periodMs === 0) return probe.initialDelayMs + startupLimitMs;
	// The timeout of the last attempt counts; that of Cloud Run's default is its only one, and as long as its period.
	return (
		probe.initialDelayMs + Math.max(probe.timeoutMs, (probe.failureThreshold - 1) * probe.periodMs + probe.timeoutMs)
	);
}

const shortestPauseMs = 1;
/** Knative's pause (queue/readiness/probe.go). */
const longestPauseMs = 50;
/** A look may come late by this part of the time that has passed. */
const pausePart = 1 / 32;

/** Milliseconds between two looks at a container that is on its way: short at first, when many are ready soon. */
export function eagerPauseMs(sinceStartMs: number): number {
	return Math.min(longestPauseMs, Math.max(shortestPauseMs, sinceStartMs * pausePart));
}

/** What Cloud Run does for a container with a port and no startup probe: one TCP probe of 240 s. */
export function defaultStartupProbe(port: number): Probe {
	return {
		check: { kind: "tcp", port },
		initialDelayMs: 0,
		timeoutMs: startupLimitMs,
		periodMs: startupLimitMs,
		successThreshold: 1,
		failureThreshold: 1,
	};
}
