import { SlipwayError } from "../../base/error.ts";
import type {
	AnyKnativeObject,
	KnativeConfiguration,
	KnativeRevision,
	KnativeRoute,
	KnativeService,
	ObjectMeta,
	TrafficTarget,
} from "../../core/service/knative.ts";
import type { RollbackDecision } from "../../core/service/rollback.ts";
import type { ServiceRoutes } from "../../core/service/traffic.ts";
import { type ServiceDraft, validateService, validateTraffic } from "../../core/service/validate-service.ts";
import { imagesUsed } from "../jobs/resolve-images.ts";
import type { ImageInUse } from "../jobs/types.ts";
import { withGeneratedName } from "./generated-name.ts";
import { newService, replacedService, timestamp } from "./new-records.ts";
import { patched } from "./patch.ts";
import type { ServicesDeps } from "./ports.ts";
import { afterProbation } from "./probation.ts";
import { keyOf, type RevisionRecord, type ServiceRecord } from "./records.ts";
import { withReplicas } from "./revision-status.ts";
import { rollbackTraffic } from "./rollback-traffic.ts";
import { ServiceEffects } from "./service-effects.ts";
import { notFound, ServiceRecords } from "./service-records.ts";
import { isRouted } from "./service-state.ts";
import { type Settled, settledService } from "./settled-service.ts";
import type { ChangeOptions, DeploymentProgress, ServiceUseCases, WatchEvent, WatchOptions } from "./types.ts";
import { configurationView, placeholderMetadata, routeView, serviceView } from "./views.ts";

/** Services of an installation: the bound of what is held in memory. */
const maxServices = 10_000;

/** Knative's controllers in one: definitions in, revisions brought to ready, requests routed, everything on the disk first. */
export class Services implements ServiceUseCases, AsyncDisposable {
	readonly #deps: ServicesDeps;
	readonly #records: ServiceRecords;
	readonly #effects: ServiceEffects;

	private constructor(deps: ServicesDeps, records: ServiceRecords) {
		this.#deps = deps;
		this.#records = records;
		this.#effects = new ServiceEffects({
			...deps,
			records,
			save: (namespace, name, change) => this.#saveRevision(namespace, name, change),
			step: ({ metadata }) => this.#touch(metadata.namespace, metadata.name, (record) => record),
			decided: (record, decision) => this.#decided(record, decision),
		});
	}

	/** Everything is as it was: what was ready is served without being checked again, what was in progress goes on. */
	static async open(deps: ServicesDeps): Promise<Services> {
		const services = new Services(deps, await ServiceRecords.open(deps.store));
		for (const record of services.#records.allRevisions()) services.#effects.restore(record);
		for (const record of services.#records.all()) {
			services.#effects.apply(record);
			await services.#touch(record.metadata.namespace, record.metadata.name, (same) => same);
		}
		return services;
	}

	get routing(): ServiceRoutes {
		return this.#effects.table;
	}

	get resourceVersion(): string {
		return String(this.#records.version);
	}

	async create(namespace: string, manifest: unknown, options: ChangeOptions): Promise<KnativeService> {
		const draft = this.#draft(namespace, withGeneratedName(manifest, this.#deps.ids), options);
		return this.#change(namespace, draft.name, options, (record) => {
			if (!record) return this.#new(draft, options);
			throw new SlipwayError("ALREADY_EXISTS", `services.serving.knative.dev "${draft.name}" already exists`, {
				reason: "AlreadyExists",
			});
		});
	}

	async replace(namespace: string, name: string, manifest: unknown, options: ChangeOptions): Promise<KnativeService> {
		return this.#change(namespace, name, options, (record) => {
			if (!record) throw notFound("services", name);
			return this.#replaced(record, manifest, options);
		});
	}

	async apply(namespace: string, manifest: unknown, options: ChangeOptions): Promise<KnativeService> {
		const { name } = this.#draft(namespace, manifest, options);
		return this.#change(namespace, name, options, (record) =>
			record
				? this.#replaced(record, manifest, options)
				: this.#new(this.#draft(namespace, manifest, options), options),
		);
	}

	async patch(namespace: string, name: string, patch: unknown, options: ChangeOptions): Promise<KnativeService> {
		return this.#change(namespace, name, options, (record) => {
			if (!record) throw notFound("services", name);
			return this.#replaced(record, patched(serviceView(record), patch), options);
		});
	}

	async setTraffic(
		namespace: string,
		name: string,
		traffic: TrafficTarget[],
		options: ChangeOptions,
	): Promise<KnativeService> {
		const targets = validateTraffic(traffic);
		return this.#change(namespace, name, options, (record) => {
			if (!record) throw notFound("services", name);
			return this.#withTraffic(record, targets, options);
		});
	}

	async rollback(namespace: string, name: string, options: ChangeOptions): Promise<KnativeService> {
		return this.#change(namespace, name, options, (record) => {
			if (!record) throw notFound("services", name);
			const revision = (one: string) => this.#records.findRevision(namespace, one);
			return this.#withTraffic(record, rollbackTraffic(record, revision), options);
		});
	}

	async delete(namespace: string, name: string): Promise<KnativeService> {
		const decide = () => {
			const record = this.#records.get(namespace, name);
			const revisions = this.#records.revisionsOf(namespace, name);
			return { batch: { removedServices: [record], removedRevisions: revisions }, result: { record, revisions } };
		};
		const { record } = await this.#records.change(decide, ({ revisions }) => {
			this.#effects.forget(namespace, name, revisions);
		});
		const view = serviceView(record);
		return { ...view, metadata: { ...view.metadata, deletionTimestamp: timestamp(this.#deps.clock.now()) } };
	}

	async deleteRevision(namespace: string, name: string): Promise<KnativeRevision> {
		const decide = () => {
			const revision = this.#records.findRevision(namespace, name);
			if (!revision) throw notFound("revisions", name);
			const service = this.#records.find(namespace, revision.service);
			const refuse = (why: string, hint: string) =>
				new SlipwayError("CONFLICT", `Revision "${name}" can't be deleted: ${why}`, { reason: "Conflict", hint });
			if (service && isRouted(service, name))
				throw refuse("traffic or a tag is routed to it", "Route the traffic to another revision first");
			const { latestCreatedRevisionName, latestReadyRevisionName } = service?.configuration.status ?? {};
			if (name === latestCreatedRevisionName || name === latestReadyRevisionName)
				throw refuse("it is its service's newest", "Deploy another one first, or delete the service");
			return { batch: { removedRevisions: [revision] }, result: revision };
		};
		const { object } = await this.#records.change(decide, (revision) => this.#effects.forgetRevision(revision));
		return object;
	}

	service(namespace: string, name: string): KnativeService {
		return serviceView(this.#records.get(namespace, name));
	}

	services(namespace?: string): KnativeService[] {
		return this.#records.all(namespace).map(serviceView);
	}

	revision(namespace: string, name: string): KnativeRevision {
		const record = this.#records.findRevision(namespace, name);
		if (!record) throw notFound("revisions", name);
		return this.#revisionView(record);
	}

	revisions(namespace?: string): KnativeRevision[] {
		return this.#records.allRevisions(namespace).map((record) => this.#revisionView(record));
	}

	configuration(namespace: string, name: string): KnativeConfiguration {
		return configurationView(this.#records.get(namespace, name, "configurations"));
	}

	configurations(namespace?: string): KnativeConfiguration[] {
		return this.#records.all(namespace).map(configurationView);
	}

	route(namespace: string, name: string): KnativeRoute {
		return routeView(this.#records.get(namespace, name, "routes"));
	}

	routes(namespace?: string): KnativeRoute[] {
		return this.#records.all(namespace).map(routeView);
	}

	placeholderMetadata(namespace: string, name: string): ObjectMeta {
		return placeholderMetadata(this.#records.get(namespace, name, "routes"));
	}

	watch(kind: AnyKnativeObject["kind"], options: WatchOptions): AsyncIterable<WatchEvent> {
		return this.#records.hub.watch(kind, options);
	}

	/** Of every revision there is: the collector keeps them. */
	*imagesInUse(): Iterable<ImageInUse> {
		for (const { images = {}, object, service } of this.#records.allRevisions())
			yield* imagesUsed(images, `service ${keyOf(object.metadata.namespace, service)}`);
	}

	/** Undefined: it is not being made ready. */
	progress(namespace: string, revision: string): DeploymentProgress | undefined {
		return this.#effects.activations.progress(namespace, revision);
	}

	/** When no revision is in progress. */
	settled(): Promise<void> {
		return this.#effects.activations.settled();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#effects.stop();
	}

	#draft(namespace: string, manifest: unknown, options: ChangeOptions, record?: ServiceRecord): ServiceDraft {
		const draft = validateService(manifest, { namespace, profile: options.profile, previous: record?.profile });
		// As it will be when it has been stored: without properties that are undefined.
		return { ...draft, spec: JSON.parse(JSON.stringify(draft.spec)) as ServiceDraft["spec"] };
	}

	#new(draft: ServiceDraft, { user }: ChangeOptions): ServiceRecord {
		if (this.#records.serviceCount >= maxServices)
			throw new SlipwayError("THROTTLED", `An installation has at most ${maxServices} services`);
		return newService(draft, { ids: this.#deps.ids, nowMs: this.#deps.clock.now(), user });
	}

	#replaced(record: ServiceRecord, manifest: unknown, options: ChangeOptions): ServiceRecord {
		const { namespace, name } = record.metadata;
		const draft = this.#draft(namespace, manifest, options, record);
		if (draft.name !== name)
			throw new SlipwayError(
				"INVALID",
				`validation failed: invalid value: ${draft.name}: metadata.name\nmust be ${name}, the name that the request was sent to`,
				{ reason: "Invalid" },
			);
		return replacedService(record, draft, options.user);
	}

	#withTraffic(record: ServiceRecord, traffic: TrafficTarget[], { user }: ChangeOptions): ServiceRecord {
		const { metadata, spec, profile, warnings } = record;
		const draft: ServiceDraft = {
			...metadata,
			spec: { ...spec, traffic },
			profile,
			warnings,
			resourceVersion: undefined,
			uid: undefined,
		};
		return replacedService(record, draft, user);
	}

	async #change(
		namespace: string,
		name: string,
		options: ChangeOptions,
		decide: (record: ServiceRecord | undefined) => ServiceRecord,
	): Promise<KnativeService> {
		if (options.dryRun) {
			const before = this.#records.find(namespace, name);
			const after = decide(before);
			return serviceView(after === before ? after : this.#settled(after, options.user).record);
		}
		const changed = await this.#commit(() => {
			const before = this.#records.find(namespace, name);
			const after = decide(before);
			return before && after === before ? { record: before, batch: {} } : this.#settled(after, options.user);
		});
		if (!changed) throw new Error("A change of a service has come to nothing");
		return serviceView(changed.record);
	}

	/** Saves what `decide` says, then lets it take effect. */
	#commit(decide: () => Settled | undefined): Promise<Settled | undefined> {
		const run = () => {
			const settled = decide();
			return { batch: settled?.batch, result: settled };
		};
		return this.#records.change(run, (settled) => {
			if (!settled) return;
			for (const revision of settled.batch.removedRevisions ?? []) this.#effects.forgetRevision(revision);
			this.#effects.apply(settled.record);
		});
	}

	/** Changes a service's record from inside, when it is still there. */
	#touch(namespace: string, name: string, change: (record: ServiceRecord) => ServiceRecord): Promise<unknown> {
		return this.#commit(() => {
			const before = this.#records.find(namespace, name);
			return before && this.#settled(change(before), undefined);
		});
	}

	async #saveRevision(
		namespace: string,
		name: string,
		change: Partial<RevisionRecord>,
	): Promise<RevisionRecord | undefined> {
		await this.#commit(() => {
			const before = this.#records.findRevision(namespace, name);
			const service = before && this.#records.find(namespace, before.service);
			return service && this.#settled(service, undefined, { ...before, ...change });
		});
		return this.#records.findRevision(namespace, name);
	}

	#settled(service: ServiceRecord, user: string | undefined, changed?: RevisionRecord): Settled {
		return settledService(this.#deps, this.#records, { service, user, changed });
	}

	#revisionView({ object }: RevisionRecord): KnativeRevision {
		const { namespace, name } = object.metadata;
		const replicas = this.#deps.serving.status({ namespace, name });
		return { ...object, status: withReplicas(object.status, replicas, timestamp(this.#deps.clock.now())) };
	}

	#decided({ metadata, routing: { probation } }: ServiceRecord, decision: RollbackDecision): Promise<unknown> {
		const { namespace, name } = metadata;
		return this.#touch(namespace, name, (record) => {
			if (!probation) return record;
			const previous = this.#records.findRevision(namespace, probation.previous);
			const after = afterProbation(record, probation, decision, { previous, nowMs: this.#deps.clock.now() });
			const { rolledBack } = after.routing;
			if (rolledBack && rolledBack !== record.routing.rolledBack)
				this.#deps.log.warn("A revision was rolled back", { namespace, service: name, ...rolledBack });
			return after;
		});
	}
}
