/** Where requests of a service go, from its traffic's definition and its revisions: pure. */
import type { TrafficTarget } from "../../core/service/knative.ts";
import { advance, type Rollout, retarget } from "../../core/service/rollout.ts";
import { rollbackBounds, rolloutDurationMs } from "../../core/service/service-annotations.ts";
import { type ConditionState, isFalse, isTrue, unknown } from "./conditions.ts";
import {
	maxHistory,
	type RevisionRecord,
	type RoutedTarget,
	type RoutingRecord,
	type ServiceRecord,
} from "./records.ts";

export interface RoutingInput {
	/** With the new spec and configuration status, and the routing as it was. */
	record: ServiceRecord;
	/** Any revision of the namespace by name. */
	revision: (name: string) => RevisionRecord | undefined;
	nowMs: number;
}

export interface RoutingResult {
	routing: RoutingRecord;
	/** Of the route: where not all traffic can be assigned, the routing stays as it was. */
	assigned: ConditionState;
	traffic: TrafficTarget[];
}

export function routeTraffic({ record, revision, nowMs }: RoutingInput): RoutingResult {
	const before = record.routing;
	const problem = record.spec.traffic
		.map((target) => targetProblem(target, record, revision))
		.find((found) => found !== undefined);
	if (problem) return { assigned: problem, ...unassigned(record, nowMs) };
	const latest = record.configuration.status.latestReadyRevisionName ?? "";
	const rolledBack = stillRolledBack(record, latest, revision);
	const place = (name: string) => (rolledBack?.revision === name ? rolledBack.to : name);
	// Back is back: not in steps.
	const durationMs = rolledBack ? 0 : rolloutDurationMs(record.metadata.annotations);
	const rollout = rolloutOf(record, { newest: place(latest), durationMs }, nowMs, revision);
	const traffic = record.spec.traffic.flatMap((target) => statusTargets(target, latest, rollout, place));
	const targets = merged(traffic);
	const tags = record.spec.traffic.flatMap(({ tag, revisionName }) =>
		tag === undefined ? [] : [{ tag, revision: revisionName ?? latest }],
	);
	const history = historyAfter(before, targets);
	const routing: RoutingRecord = { targets, tags, rollout, probation: undefined, rolledBack, history };
	routing.probation = probationAfter(record, routing, revision, nowMs);
	return { routing, assigned: isTrue, traffic };
}

/** Its definition can't be followed now: a rollout under way goes on with what it has, and what broke its bounds keeps nothing. */
function unassigned({ routing, route }: ServiceRecord, nowMs: number): Pick<RoutingResult, "routing" | "traffic"> {
	const { rolledBack, rollout, targets } = routing;
	const traffic = route.status.traffic ?? [];
	if (!targets.some(({ revision }) => revision === rolledBack?.revision))
		return { routing: rollout ? stepped(routing, nowMs) : routing, traffic };
	const back = merged(
		targets.map(({ revision, percent }) => ({
			revisionName: revision === rolledBack?.revision ? rolledBack.to : revision,
			percent,
		})),
	);
	return {
		routing: { ...routing, targets: back, rollout: undefined },
		traffic: [
			...back.map(({ revision, percent }) => ({ revisionName: revision, latestRevision: false, percent })),
			...traffic.flatMap((target) => (target.tag === undefined ? [] : [{ ...target, percent: 0 }])),
		],
	};
}

function targetProblem(
	{ revisionName }: TrafficTarget,
	{ metadata, configuration }: ServiceRecord,
	revision: RoutingInput["revision"],
): ConditionState | undefined {
	if (revisionName === undefined) {
		const { latestReadyRevisionName, latestCreatedRevisionName } = configuration.status;
		if (latestReadyRevisionName && revision(latestReadyRevisionName)) return undefined;
		const created = latestCreatedRevisionName ? revision(latestCreatedRevisionName) : undefined;
		return created?.progress.state === "failed"
			? isFalse("RevisionMissing", `Configuration "${metadata.name}" does not have any ready Revision.`)
			: unknown("RevisionMissing", `Configuration "${metadata.name}" is waiting for a Revision to become ready.`);
	}
	const found = revision(revisionName);
	if (!found) return isFalse("RevisionMissing", `Revision "${revisionName}" referenced in traffic not found.`);
	if (found.service !== metadata.name)
		return isFalse(
			"RevisionNotOwned",
			`Revision "${revisionName}" belongs to Service "${found.service}", not Service "${metadata.name}".`,
		);
	if (found.progress.state === "failed")
		return isFalse("RevisionMissing", `Revision "${revisionName}" failed to become ready.`);
	if (found.progress.state !== "ready")
		return unknown("RevisionMissing", `Revision "${revisionName}" is not yet ready.`);
	return undefined;
}

/** As long as the traffic's definition is the one that was rolled back, and leads to the revision that was. */
function stillRolledBack(
	{ routing, route, spec }: ServiceRecord,
	latest: string,
	revision: RoutingInput["revision"],
): RoutingRecord["rolledBack"] {
	const { rolledBack } = routing;
	if (!rolledBack || rolledBack.routeGeneration !== route.generation) return undefined;
	const leadsThere = spec.traffic.some(({ revisionName }) => (revisionName ?? latest) === rolledBack.revision);
	return leadsThere && revision(rolledBack.to)?.progress.state === "ready" ? rolledBack : undefined;
}

/** Of the share that the newest revision has; Knative steps each configuration's, and here there is one. */
function rolloutOf(
	record: ServiceRecord,
	{ newest, durationMs }: { newest: string; durationMs: number },
	nowMs: number,
	revision: RoutingInput["revision"],
): Rollout | undefined {
	const percent = record.spec.traffic.reduce(
		(sum, target) => sum + (target.revisionName === undefined ? (target.percent ?? 0) : 0),
		0,
	);
	if (percent === 0) return undefined;
	const { rollout } = record.routing;
	const gone = rollout?.revisions.some((one) => revision(one.revision)?.progress.state !== "ready");
	return advance(retarget(gone ? undefined : rollout, newest, percent, durationMs, nowMs), nowMs);
}

function stepped(routing: RoutingRecord, nowMs: number): RoutingRecord {
	if (!routing.rollout) return routing;
	const rollout = advance(routing.rollout, nowMs);
	const rolling = new Set(routing.rollout.revisions.map(({ revision }) => revision));
	const others = routing.targets.filter((target) => !rolling.has(target.revision));
	// A revision may have a share of its own besides the rollout's: then what is due is taken when all is known again.
	const sum = others.reduce((total, { percent }) => total + percent, rollout.percent);
	return { ...routing, rollout, ...(sum === 100 && { targets: [...others, ...rollout.revisions] }) };
}

/** What a target of the definition is in the status: the one that follows the newest is several while it rolls out. */
function statusTargets(
	target: TrafficTarget,
	latest: string,
	rollout: Rollout | undefined,
	place: (name: string) => string,
): TrafficTarget[] {
	const { tag, percent = 0, revisionName } = target;
	const rest = { latestRevision: revisionName === undefined, ...(tag === undefined ? {} : { tag }) };
	if (revisionName !== undefined) return [{ ...rest, revisionName: place(revisionName), percent }];
	// More than one target that follows the newest: the steps are of all together, each one's part is not told apart.
	if (!rollout || rollout.revisions.length < 2 || rollout.percent !== percent)
		return [{ ...rest, revisionName: place(latest), percent }];
	return rollout.revisions.map((one, index) => ({
		...(index === rollout.revisions.length - 1 ? rest : { latestRevision: true }),
		revisionName: one.revision,
		percent: one.percent,
	}));
}

function merged(traffic: readonly TrafficTarget[]): RoutedTarget[] {
	const sums = new Map<string, number>();
	for (const { revisionName = "", percent = 0 } of traffic)
		if (percent > 0) sums.set(revisionName, (sums.get(revisionName) ?? 0) + percent);
	return [...sums].map(([revision, percent]) => ({ revision, percent }));
}

/** Of those with the same share, the first. */
export function mainTarget(targets: readonly RoutedTarget[]): RoutedTarget | undefined {
	return targets.reduce<RoutedTarget | undefined>(
		(most, one) => (most === undefined || one.percent > most.percent ? one : most),
		undefined,
	);
}

function historyAfter({ history }: RoutingRecord, targets: readonly RoutedTarget[]): string[] {
	const main = mainTarget(targets)?.revision;
	if (main === undefined || main === history.at(-1)) return history;
	return [...history.filter((name) => name !== main), main].slice(-maxHistory);
}

/** By the configuration generation that they were made for. */
export function newestTarget(
	targets: readonly RoutedTarget[],
	revision: RoutingInput["revision"],
): RoutedTarget | undefined {
	const age = (name: string) => revision(name)?.generation ?? 0;
	return targets.reduce<RoutedTarget | undefined>(
		(newest, one) => (newest === undefined || age(one.revision) > age(newest.revision) ? one : newest),
		undefined,
	);
}

/** The newest revision is judged from when its share has grown, and while it grows. */
function probationAfter(
	record: ServiceRecord,
	after: RoutingRecord,
	revision: RoutingInput["revision"],
	nowMs: number,
): RoutingRecord["probation"] {
	const before = record.routing;
	const bounds = rollbackBounds(record.metadata.annotations);
	const newest = newestTarget(after.targets, revision);
	if (!bounds || !newest || after.rolledBack) return undefined;
	const share = before.targets.find((one) => one.revision === newest.revision)?.percent ?? 0;
	const running = before.probation?.revision === newest.revision ? before.probation : undefined;
	if (newest.percent <= share) return running && (after.rollout?.step ? { ...running, sinceMs: nowMs } : running);
	const others = after.targets.filter((one) => one.revision !== newest.revision);
	const previous =
		running?.previous ?? mainTarget(others)?.revision ?? after.history.findLast((name) => name !== newest.revision);
	const known = previous === undefined ? undefined : revision(previous);
	if (previous === undefined || known?.progress.state !== "ready") return undefined;
	if (known.generation >= (revision(newest.revision)?.generation ?? 0)) return undefined;
	return { revision: newest.revision, previous, sinceMs: nowMs };
}
