import type { RevisionStatus } from "../../core/service/knative.ts";
import { type ConditionState, conditions, info, isFalse, isTrue, unknown } from "./conditions.ts";
import type { RevisionRecord } from "./records.ts";

/** revision_lifecycle.go: what a revision's progress is in conditions. Active is as of the last change; reads have it fresh. */
export function revisionStatus(record: RevisionRecord, now: string): RevisionStatus {
	const { object, images } = record;
	const statuses = images
		? object.spec.containers.map(({ name }) => ({ name, imageDigest: images[name]?.imageDigest ?? "" }))
		: undefined;
	return {
		observedGeneration: object.metadata.generation,
		conditions: conditions(states(record), object.status.conditions, now),
		...(statuses ? { containerStatuses: statuses } : {}),
	};
}

function states({ progress }: RevisionRecord): Record<string, ConditionState> {
	switch (progress.state) {
		case "resolving":
			return {
				Active: info(unknown("ResolvingDigests")),
				ContainerHealthy: unknown("ResolvingDigests"),
				ResourcesAvailable: unknown("ResolvingDigests"),
			};
		case "deploying":
			return {
				Active: info(unknown("Deploying")),
				ContainerHealthy: unknown("Deploying"),
				ResourcesAvailable: unknown("Deploying"),
			};
		case "ready":
			return { Active: info(isTrue), ContainerHealthy: isTrue, ResourcesAvailable: isTrue };
		case "failed": {
			const failure = isFalse(progress.reason, progress.message);
			const other = progress.condition === "ContainerHealthy" ? "ResourcesAvailable" : "ContainerHealthy";
			return {
				Active: info(isFalse(progress.reason, progress.message)),
				[progress.condition]: failure,
				[other]: unknown("Deploying"),
			};
		}
	}
}

/** What its pool says now: its replicas, and whether it has any (autoscaling/v1alpha1 MarkInactive's words). */
export function withReplicas(
	status: RevisionStatus,
	replicas: { actualReplicas: number; desiredReplicas: number } | undefined,
	now: string,
): RevisionStatus {
	if (!replicas) return status;
	const ready = status.conditions.find(({ type }) => type === "Ready")?.status === "True";
	const active = replicas.actualReplicas + replicas.desiredReplicas > 0;
	const list = status.conditions.map((condition) => {
		if (condition.type !== "Active" || !ready || active === (condition.status === "True")) return condition;
		return active
			? { type: "Active", status: "True" as const, severity: "Info" as const, lastTransitionTime: now }
			: {
					type: "Active",
					status: "False" as const,
					reason: "NoTraffic",
					message: "The target is not receiving traffic.",
					severity: "Info" as const,
					lastTransitionTime: condition.lastTransitionTime,
				};
	});
	return { ...status, conditions: list, ...replicas };
}
