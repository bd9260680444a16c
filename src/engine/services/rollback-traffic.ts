import { SlipwayError } from "../../base/error.ts";
import type { TrafficTarget } from "../../core/service/knative.ts";
import type { RevisionRecord, ServiceRecord } from "./records.ts";
import { mainTarget, newestTarget } from "./routing.ts";

/** Everything to the revision that had most before the newest that has any; tags stay. CONFLICT when there is none. */
export function rollbackTraffic(
	record: ServiceRecord,
	revision: (name: string) => RevisionRecord | undefined,
): TrafficTarget[] {
	const { routing, metadata, configuration, spec } = record;
	const newest = newestTarget(routing.targets, revision);
	const others = routing.targets.filter((one) => one.revision !== newest?.revision);
	const isReady = (name: string) => revision(name)?.progress.state === "ready";
	const age = revision(newest?.revision ?? "")?.generation ?? 0;
	const before = routing.history.findLast(
		(name) => name !== newest?.revision && isReady(name) && (revision(name)?.generation ?? 0) < age,
	);
	const to = mainTarget(others)?.revision ?? before;
	if (to === undefined)
		throw new SlipwayError("CONFLICT", `Service "${metadata.name}" has no earlier revision to go back to`, {
			reason: "NoEarlierRevision",
			hint: "`slipway service get NAME` lists its revisions",
		});
	const latest = configuration.status.latestReadyRevisionName;
	const tagged = spec.traffic.flatMap((target) => (target.tag === undefined ? [] : [{ ...target, percent: 0 }]));
	const own = tagged.find((target) => (target.revisionName ?? latest) === to && target.revisionName !== undefined);
	if (own) return tagged.map((target) => (target === own ? { ...target, percent: 100 } : target));
	return [...tagged, { revisionName: to, latestRevision: false, percent: 100 }];
}
