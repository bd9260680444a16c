import { revisionFromTemplate, scalingOf } from "../../core/service/revision-from-template.ts";
import type { ServiceRevision } from "../../core/service/service-revision.ts";
import { Activations } from "./activations.ts";
import type { ServicesDeps } from "./ports.ts";
import { isInProgress, keyOf, type RevisionRecord, type ServiceRecord } from "./records.ts";
import { RolloutWatch, type RolloutWatchDeps } from "./rollout-watch.ts";
import { affinityOf, RoutingTable } from "./routing-table.ts";
import type { ServiceRecords } from "./service-records.ts";

export interface EffectsDeps extends ServicesDeps, Pick<RolloutWatchDeps, "step" | "decided"> {
	records: ServiceRecords;
	/** Undefined: it is gone. Rejects when it could not be saved. */
	save: (namespace: string, name: string, change: Partial<RevisionRecord>) => Promise<RevisionRecord | undefined>;
}

/** What is saved takes effect: routes of requests, pools of instances, work in the background. */
export class ServiceEffects {
	readonly table = new RoutingTable();
	readonly activations: Activations;
	readonly #deps: EffectsDeps;
	readonly #rollouts: RolloutWatch;
	/** Revisions that a route leads to, of each service, as the pools have been told. */
	readonly #reachable = new Map<string, Set<string>>();

	constructor(deps: EffectsDeps) {
		this.#deps = deps;
		this.activations = new Activations({ ...deps, revisionOf: (record) => this.#revisionOf(record) });
		this.#rollouts = new RolloutWatch({ ...deps, find: (namespace, name) => deps.records.find(namespace, name) });
	}

	/** After the daemon's start: what was ready is served without being checked again. */
	restore(record: RevisionRecord): void {
		if (record.progress.state !== "ready") return;
		const { namespace, name } = record.object.metadata;
		const { serving, images, architecture, log } = this.#deps;
		try {
			const revision = this.#revisionOf(record);
			if (revision) serving.addRevision(revision);
		} catch (error) {
			log.error("A revision could not be restored", { error, namespace, revision: name });
		}
		for (const { imageDigest } of Object.values(record.images ?? {}))
			images.prepare(imageDigest, architecture).catch((error: unknown) => {
				log.warn("The image of a revision could not be made ready", { error, namespace, revision: name });
			});
	}

	apply(record: ServiceRecord): void {
		const { namespace, name } = record.metadata;
		const { serving, records } = this.#deps;
		const key = keyOf(namespace, name);
		const before = this.#reachable.get(key) ?? new Set<string>();
		const { targets, tags } = record.routing;
		const after = new Set([...targets, ...tags].map(({ revision }) => revision));
		// First there, then routed to, and only then given up by the pools.
		for (const one of after) if (!before.has(one)) serving.setReachable({ namespace, name: one }, true);
		this.table.set(record, affinityOf(record));
		for (const one of before)
			if (!after.has(one) && records.findRevision(namespace, one))
				serving.setReachable({ namespace, name: one }, false);
		this.#reachable.set(key, after);
		for (const revision of records.revisionsOf(namespace, name)) {
			if (isInProgress(revision)) this.activations.start(revision);
			else if (revision.progress.state === "ready") this.#updateScaling(revision, record);
		}
		this.#rollouts.follow(record);
	}

	/** A service that is deleted, with its revisions. */
	forget(namespace: string, name: string, revisions: readonly RevisionRecord[]): void {
		this.table.delete(namespace, name);
		this.#rollouts.forget(namespace, name);
		this.#reachable.delete(keyOf(namespace, name));
		for (const revision of revisions) this.forgetRevision(revision);
	}

	forgetRevision({ object }: RevisionRecord): void {
		const { namespace, name } = object.metadata;
		this.activations.cancel(namespace, name);
		this.#deps.serving.removeRevision({ namespace, name });
	}

	async stop(): Promise<void> {
		this.#rollouts.stop();
		await this.activations.stop();
	}

	#updateScaling(revision: RevisionRecord, service: ServiceRecord): void {
		const { namespace, name } = revision.object.metadata;
		const { annotations } = service.metadata;
		const { profile } = revision;
		const scaling = scalingOf({ annotations, template: templateOf(revision), profile });
		this.#deps.serving.updateScaling({ namespace, name }, scaling);
	}

	#revisionOf(record: RevisionRecord): ServiceRevision | undefined {
		const { namespace, name, uid } = record.object.metadata;
		const service = this.#deps.records.find(namespace, record.service);
		if (!service) return undefined;
		return revisionFromTemplate({
			namespace,
			service: record.service,
			name,
			uid,
			profile: record.profile,
			template: templateOf(record),
			annotations: service.metadata.annotations,
			images: new Map(Object.entries(record.images ?? {})),
		});
	}
}

/** A revision has its template in it: the annotations are among its own. */
function templateOf({ object }: RevisionRecord) {
	const { labels, annotations } = object.metadata;
	return { metadata: { labels, annotations }, spec: object.spec };
}
