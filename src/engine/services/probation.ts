import type { RollbackDecision } from "../../core/service/rollback.ts";
import type { RevisionRecord, RoutingRecord, ServiceRecord } from "./records.ts";

/**
 * A service after its newest revision has been judged: it is trusted, or its traffic goes back to the revision before it, when that one
 * is still ready. The record itself when the judgement came too late: another revision is being judged.
 */
export function afterProbation(
	record: ServiceRecord,
	judged: NonNullable<RoutingRecord["probation"]>,
	decision: RollbackDecision,
	{ previous, nowMs }: { previous: RevisionRecord | undefined; nowMs: number },
): ServiceRecord {
	if (record.routing.probation?.revision !== judged.revision) return record;
	const routing: RoutingRecord = { ...record.routing, probation: undefined };
	if (decision.decision !== "rollback" || previous?.progress.state !== "ready") return { ...record, routing };
	const rolledBack = {
		revision: judged.revision,
		to: judged.previous,
		routeGeneration: record.route.generation,
		reason: decision.reason,
		message: `Traffic went from revision "${judged.revision}" back to "${judged.previous}": ${decision.message}.`,
		atMs: nowMs,
	};
	return { ...record, routing: { ...routing, rolledBack } };
}
