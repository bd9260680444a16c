import type { RevisionRecord, ServiceRecord } from "./records.ts";
import { isRouted } from "./service-state.ts";

/** Knative's config-gc, milliseconds and counts (http-contracts 2.2). */
const retainSinceCreateMs = 48 * 3_600_000;
const retainSinceLastActiveMs = 15 * 3_600_000;
const minNonActive = 20;
const maxNonActive = 1000;
/** Cloud Run keeps the newest 1000 of a service, however old (http-contracts 1.7). */
const maxCloudRun = 1000;

/** Names of a service's revisions that are kept no longer: nothing leads to them, and neither time nor number speaks for them. */
export function revisionsToCollect(
	service: ServiceRecord,
	revisions: readonly RevisionRecord[],
	nowMs: number,
): string[] {
	const { latestCreatedRevisionName, latestReadyRevisionName } = service.configuration.status;
	const kept = new Set([latestCreatedRevisionName, latestReadyRevisionName, ...service.routing.history.slice(-2)]);
	const idle = revisions
		.filter(({ object, progress }) => {
			const { name } = object.metadata;
			const pending = progress.state === "resolving" || progress.state === "deploying";
			return !kept.has(name) && !pending && !isRouted(service, name);
		})
		.sort((a, b) => b.lastRoutedMs - a.lastRoutedMs || b.generation - a.generation);
	const most = service.profile === "cloudrun" ? maxCloudRun : maxNonActive;
	return idle
		.filter((revision, place) => {
			if (place >= most) return true;
			if (service.profile === "cloudrun" || place < minNonActive) return false;
			const createdMs = Date.parse(revision.object.metadata.creationTimestamp);
			return nowMs - createdMs > retainSinceCreateMs && nowMs - revision.lastRoutedMs > retainSinceLastActiveMs;
		})
		.map(({ object }) => object.metadata.name);
}
