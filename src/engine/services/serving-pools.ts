import type { RevisionObservation } from "../../core/service/rollback.ts";
import type { RevisionUsage } from "../serving/revision-usage.ts";
import type { Serving } from "../serving/serving.ts";
import type { ServiceServing } from "./ports.ts";

type Pools = Pick<
	Serving,
	"addRevision" | "setReachable" | "updateScaling" | "removeRevision" | "check" | "scale" | "usage"
>;

/** The pools of engine/serving as services need them. */
export function servingPools(pools: Pools): ServiceServing {
	return {
		addRevision: (revision) => pools.addRevision(revision, { reachable: false }),
		setReachable: (revision, reachable) => {
			// What is gone, or could not be restored, is reached by nobody.
			if (pools.scale(revision)) pools.setReachable(revision, reachable);
		},
		updateScaling: (revision, scaling) => {
			if (pools.scale(revision)) pools.updateScaling(revision, scaling);
		},
		removeRevision: (revision) => void pools.removeRevision(revision),
		check: (revision, signal) => pools.check(revision, signal),
		status: (revision) => {
			const scale = pools.scale(revision);
			return scale && { actualReplicas: scale.actual, desiredReplicas: scale.desired };
		},
		usage: (revision) => {
			const usage = pools.usage(revision);
			return usage && observationOf(usage);
		},
	};
}

/** Requests that got no instance failed too. Clients that went away say nothing. */
function observationOf({
	requests,
	failures,
	aborted,
	refused,
	latencyMs,
}: Readonly<RevisionUsage>): RevisionObservation {
	return {
		requests: requests - aborted + refused,
		failures: failures + refused,
		latency: Array.from(latencyMs.counts, (count, index) => ({
			upToMs: latencyMs.bounds[index] ?? Number.POSITIVE_INFINITY,
			count,
		})),
	};
}
