import { SlipwayError } from "../../base/error.ts";
import { newRevision, revisionName } from "./new-records.ts";
import type { ServicesDeps } from "./ports.ts";
import type { RevisionRecord, ServiceRecord } from "./records.ts";
import { revisionsToCollect } from "./revision-gc.ts";
import type { Batch, ServiceRecords } from "./service-records.ts";
import { createdRevision, settle } from "./service-state.ts";

/** Revisions of all services: the bound of what is held in memory. */
const maxRevisions = 50_000;

export interface Settled {
	record: ServiceRecord;
	batch: Batch;
}

export interface ServiceChange {
	service: ServiceRecord;
	/** Who made the change; undefined: it came about by itself. */
	user: string | undefined;
	/** One of its revisions as it is from now on. */
	changed?: RevisionRecord | undefined;
}

/** A service with everything that follows from it: its new revision, conditions, routing, revisions that are kept no longer. */
export function settledService(
	{ clock, ids, urlOf }: Pick<ServicesDeps, "clock" | "ids" | "urlOf">,
	records: ServiceRecords,
	{ service, user = "", changed }: ServiceChange,
): Settled {
	const { namespace, name } = service.metadata;
	const nowMs = clock.now();
	const before = records.revisionsOf(namespace, name);
	const revisions = before.map((one) => (changed && nameOf(one) === nameOf(changed) ? changed : one));
	const fresh = needsRevision(records, service, revisions) ? newRevision(service, { ids, nowMs, user }) : undefined;
	if (fresh) revisions.push(fresh);
	const byName = new Map(revisions.map((one) => [nameOf(one), one]));
	const revision = (one: string) => byName.get(one) ?? records.findRevision(namespace, one);
	const result = settle({ record: service, revisions, revision, urlOf, nowMs });
	const changes = new Map(result.revisions.map((one) => [nameOf(one), one]));
	for (const one of [changed, fresh]) if (one && !changes.has(nameOf(one))) changes.set(nameOf(one), one);
	const collected = new Set(revisionsToCollect(result.record, revisions, nowMs));
	const batch: Batch = {
		services: [result.record],
		// The version that each gets is written into it: not into what was handed out before.
		revisions: [...changes.values()]
			.filter((one) => !collected.has(nameOf(one)))
			.map((one) => ({ ...one, object: { ...one.object, metadata: { ...one.object.metadata } } })),
		removedRevisions: before.filter((one) => collected.has(nameOf(one))),
	};
	return { record: result.record, batch };
}

function nameOf({ object }: RevisionRecord): string {
	return object.metadata.name;
}

function needsRevision(records: ServiceRecords, record: ServiceRecord, revisions: readonly RevisionRecord[]): boolean {
	if (createdRevision({ record, revisions })) return false;
	// Its name is another revision's: the conditions say so.
	if (records.findRevision(record.metadata.namespace, revisionName(record))) return false;
	if (records.revisionCount >= maxRevisions)
		throw new SlipwayError("THROTTLED", `An installation has at most ${maxRevisions} revisions`, {
			hint: "Delete services or revisions that are needed no longer",
		});
	return true;
}
