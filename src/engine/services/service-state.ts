/** A service as it has to be, given its definition and its revisions: conditions, routing, labels. Pure. */
import { isDeepStrictEqual } from "node:util";
import type { Condition, ConfigurationStatus, RouteStatus, ServiceStatus } from "../../core/service/knative.ts";
import { rollbackBounds } from "../../core/service/service-annotations.ts";
import { type ConditionState, conditions, info, isFalse, isTrue, propagated, unknown } from "./conditions.ts";
import type { RevisionRecord, ServiceRecord } from "./records.ts";
import { revisionStatus } from "./revision-status.ts";
import { routeTraffic } from "./routing.ts";

export interface StateInput {
	record: ServiceRecord;
	/** All of the service's. */
	revisions: readonly RevisionRecord[];
	/** Any of the namespace. */
	revision: (name: string) => RevisionRecord | undefined;
	urlOf: (namespace: string, service: string, tag: string | undefined) => string;
	nowMs: number;
}

/** The service and those of its revisions that have changed. */
export function settle(input: StateInput): { record: ServiceRecord; revisions: RevisionRecord[] } {
	const now = new Date(input.nowMs).toISOString().replace(/\.\d+Z$/, "Z");
	// The version that it gets is written into it: not into what was handed out before.
	const configured = { ...input.record, metadata: { ...input.record.metadata } };
	const nameTaken = takenName(input);
	configured.configuration = { ...input.record.configuration, status: configurationStatus(input, nameTaken, now) };
	const { routing, assigned, traffic } = routeTraffic({ ...input, record: configured });
	const routed: ServiceRecord = { ...configured, routing };
	routed.route = { ...input.record.route, status: routeStatus({ ...input, record: routed }, assigned, traffic, now) };
	routed.status = serviceStatus(routed, nameTaken, now);
	const revisions = input.revisions.flatMap((revision) => {
		const changed = settledRevision(revision, routed, input.nowMs, now);
		return changed === revision ? [] : [changed];
	});
	return { record: routed, revisions };
}

/** The newest revision, which the template was made into; its own name may be another revision's already. */
export function createdRevision({
	record,
	revisions,
}: Pick<StateInput, "record" | "revisions">): RevisionRecord | undefined {
	const { name } = record.spec.template.metadata;
	if (name !== undefined)
		return revisions.find(({ object }) => object.metadata.name === name && matches(object, record));
	return revisions.find(({ generation }) => generation === record.configuration.generation);
}

function matches(object: RevisionRecord["object"], { spec }: ServiceRecord): boolean {
	return isDeepStrictEqual(object.spec, spec.template.spec);
}

/** BYO name of a revision that is not what the template says. */
function takenName(input: StateInput): string | undefined {
	const { name } = input.record.spec.template.metadata;
	return name !== undefined && input.revision(name) && !createdRevision(input) ? name : undefined;
}

function configurationStatus(input: StateInput, nameTaken: string | undefined, now: string): ConfigurationStatus {
	const { record, revisions } = input;
	const before = record.configuration.status;
	const created = createdRevision(input);
	const createdName = created?.object.metadata.name ?? before.latestCreatedRevisionName;
	const readyName = latestReady(input, created) ?? before.latestReadyRevisionName;
	const isThere = readyName !== undefined && revisions.some(({ object }) => object.metadata.name === readyName);
	let state: ConditionState = unknown();
	if (nameTaken !== undefined)
		state = isFalse(
			"RevisionFailed",
			`Revision creation failed with message: revisions.serving.knative.dev "${nameTaken}" already exists.`,
		);
	else if (created?.progress.state === "failed")
		state = isFalse(
			"RevisionFailed",
			`Revision "${created.object.metadata.name}" failed with message: ${created.progress.message}.`,
		);
	else if (created?.progress.state === "ready") state = isTrue;
	return {
		observedGeneration: record.configuration.generation,
		conditions: conditions({ Ready: state }, before.conditions, now),
		...(createdName === undefined ? {} : { latestCreatedRevisionName: createdName }),
		...(isThere ? { latestReadyRevisionName: readyName } : {}),
	};
}

/** configuration.go findAndSetLatestReadyRevision: the newest that is ready, never an older one than before; a name given anew counts as newest. */
function latestReady({ record, revisions }: StateInput, created: RevisionRecord | undefined): string | undefined {
	if (created?.progress.state === "ready") return created.object.metadata.name;
	const before = record.configuration.status.latestReadyRevisionName;
	const beforeGeneration = revisions.find(({ object }) => object.metadata.name === before)?.generation ?? 0;
	return revisions
		.filter(({ progress, generation }) => progress.state === "ready" && generation >= beforeGeneration)
		.reduce<RevisionRecord | undefined>(
			(newest, one) => (newest && newest.generation >= one.generation ? newest : one),
			undefined,
		)?.object.metadata.name;
}

function routeStatus(
	{ record, urlOf }: StateInput,
	assigned: ConditionState,
	traffic: RouteStatus["traffic"],
	now: string,
): RouteStatus {
	const { name, namespace } = record.metadata;
	const hasIngress = record.routing.targets.length > 0 || record.routing.tags.length > 0;
	const rolling = record.routing.rollout?.step !== undefined;
	const ingress = rolling
		? unknown("RolloutInProgress", "A gradual rollout of the latest revision(s) is in progress.")
		: hasIngress
			? isTrue
			: unknown("IngressNotConfigured", "Ingress has not yet been reconciled.");
	const certificate: ConditionState = hasIngress
		? { status: "True", reason: "TLSNotEnabled", message: "external-domain-tls is not enabled" }
		: unknown();
	const url = urlOf(namespace, name, undefined);
	return {
		observedGeneration: record.route.generation,
		conditions: conditions(
			{ AllTrafficAssigned: assigned, IngressReady: ingress, CertificateProvisioned: certificate },
			record.route.status.conditions,
			now,
		),
		url,
		address: { url },
		traffic: (traffic ?? []).map((target) =>
			target.tag === undefined ? target : { ...target, url: urlOf(namespace, name, target.tag) },
		),
	};
}

function serviceStatus(record: ServiceRecord, nameTaken: string | undefined, now: string): ServiceStatus {
	const { observedGeneration: _, conditions: configurationConditions, ...configuration } = record.configuration.status;
	const { observedGeneration: __, conditions: routeConditions, ...route } = record.route.status;
	const routes =
		nameTaken === undefined
			? propagated(routeConditions)
			: isFalse(
					"RevisionNameTaken",
					`The revision name "${nameTaken}" is taken by a conflicting Revision, so traffic will not be migrated`,
				);
	return {
		observedGeneration: record.metadata.generation,
		conditions: conditions(
			{
				ConfigurationsReady: propagated(configurationConditions),
				RoutesReady: routes,
				...rolloutCondition(record),
				...warningCondition(record),
			},
			record.status.conditions,
			now,
		),
		...configuration,
		...route,
	};
}

/** Present where an automatic rollback is asked for, or has been done. Does not count for Ready. */
function rolloutCondition({ routing, metadata }: ServiceRecord): Record<string, ConditionState> {
	const { rolledBack, probation } = routing;
	if (rolledBack) return { RolloutHealthy: info(isFalse(rolledBack.reason, rolledBack.message)) };
	if (!rollbackBounds(metadata.annotations)) return {};
	if (!probation) return { RolloutHealthy: info(isTrue) };
	const message = `Revision "${probation.revision}" is being watched; traffic goes back to "${probation.previous}" when it breaks its bounds.`;
	return { RolloutHealthy: info(unknown("Watching", message)) };
}

function warningCondition({ warnings }: ServiceRecord): Record<string, ConditionState> {
	if (warnings.length === 0) return {};
	return { SettingsHonoured: info(isFalse("NotSupported", `${warnings.join(". ")}.`)) };
}

/** Conditions, and the labels that say whether a route leads to it (pkg/reconciler/labeler). */
function settledRevision(revision: RevisionRecord, service: ServiceRecord, nowMs: number, now: string): RevisionRecord {
	const { object } = revision;
	const { name } = object.metadata;
	const routed = isRouted(service, name);
	const wasRouted = object.metadata.labels["serving.knative.dev/routingState"] === "active";
	const isPending = revision.progress.state === "resolving" || revision.progress.state === "deploying";
	const routingState = routed ? "active" : isPending ? "pending" : "reserve";
	const metadata = {
		...object.metadata,
		labels: { ...object.metadata.labels },
		annotations: { ...object.metadata.annotations },
	};
	if (metadata.labels["serving.knative.dev/routingState"] !== routingState) {
		metadata.labels["serving.knative.dev/routingState"] = routingState;
		metadata.annotations["serving.knative.dev/routingStateModified"] = now;
	}
	if (routed) metadata.annotations["serving.knative.dev/routes"] = service.metadata.name;
	else delete metadata.annotations["serving.knative.dev/routes"];
	const status = revisionStatus(revision, now);
	const lastRoutedMs = routed || wasRouted ? nowMs : revision.lastRoutedMs;
	const isSame =
		isDeepStrictEqual(metadata, object.metadata) && isDeepStrictEqual(status, withoutReplicas(object.status));
	if (isSame) return revision;
	return { ...revision, lastRoutedMs, object: { ...object, metadata, status } };
}

function withoutReplicas(status: RevisionRecord["object"]["status"]): { conditions: Condition[] } {
	const { actualReplicas: _, desiredReplicas: __, ...rest } = status;
	return rest;
}

export function isRouted({ routing }: ServiceRecord, revision: string): boolean {
	return (
		routing.targets.some((target) => target.revision === revision) ||
		routing.tags.some((tag) => tag.revision === revision)
	);
}
