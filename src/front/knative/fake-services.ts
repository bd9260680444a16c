/** For tests: services in memory that are ready at once. Checks a manifest for a name and one container with an image. */
import { SlipwayError } from "../../base/error.ts";
import type {
	AnyKnativeObject,
	Condition,
	KnativeConfiguration,
	KnativeRevision,
	KnativeRoute,
	KnativeService,
	ObjectMeta,
	ServiceSpec,
	TrafficTarget,
} from "../../core/service/knative.ts";
import type { ChangeOptions, ServiceUseCases, WatchEvent, WatchOptions } from "../../engine/services/types.ts";

interface Told extends WatchEvent {
	version: number;
}

const apiVersion = "serving.knative.dev/v1";
const epoch = "2026-01-01T00:00:00Z";

export class FakeServices implements ServiceUseCases {
	readonly routing = { find: () => undefined };
	/** Versions up to this are forgotten. */
	forgotten = 0;
	readonly #objects = new Map<string, AnyKnativeObject>();
	readonly #told: Told[] = [];
	readonly #waiting = new Set<() => void>();
	#version = 100;

	get resourceVersion(): string {
		return String(this.#version);
	}

	async create(namespace: string, manifest: unknown, options: ChangeOptions): Promise<KnativeService> {
		const { name } = read(manifest);
		if (this.#objects.has(key("Service", namespace, name)))
			throw new SlipwayError("ALREADY_EXISTS", `Service "${name}" exists already`);
		return this.#write(namespace, manifest, options, 1);
	}

	async replace(namespace: string, name: string, manifest: unknown, options: ChangeOptions): Promise<KnativeService> {
		const { metadata } = this.service(namespace, name);
		const given = (manifest as { metadata?: { resourceVersion?: string } }).metadata?.resourceVersion;
		if (given !== undefined && given !== metadata.resourceVersion)
			throw new SlipwayError(
				"CONFLICT",
				"the object has been modified; please apply your changes to the latest version",
				{
					reason: "Conflict",
				},
			);
		return this.#write(namespace, manifest, options, metadata.generation + 1);
	}

	async apply(namespace: string, manifest: unknown, options: ChangeOptions): Promise<KnativeService> {
		const there = this.#objects.get(key("Service", namespace, read(manifest).name));
		return this.#write(namespace, manifest, options, (there?.metadata.generation ?? 0) + 1);
	}

	async patch(namespace: string, name: string, patch: unknown, options: ChangeOptions): Promise<KnativeService> {
		const service = this.service(namespace, name);
		if (Array.isArray(patch)) throw new SlipwayError("UNSUPPORTED", "The fake knows merge patches only");
		return this.replace(namespace, name, merge(service, patch), options);
	}

	async delete(namespace: string, name: string): Promise<KnativeService> {
		const service = this.service(namespace, name);
		for (const revision of this.revisions(namespace))
			if (revision.metadata.labels["serving.knative.dev/service"] === name) this.#tell("DELETED", revision);
		this.#tell("DELETED", this.route(namespace, name));
		this.#tell("DELETED", this.configuration(namespace, name));
		this.#tell("DELETED", service);
		return service;
	}

	async setTraffic(
		namespace: string,
		name: string,
		traffic: TrafficTarget[],
		options: ChangeOptions,
	): Promise<KnativeService> {
		return this.patch(namespace, name, { spec: { traffic } }, options);
	}

	async rollback(): Promise<KnativeService> {
		throw new SlipwayError("CONFLICT", "The fake keeps no history", { reason: "Conflict" });
	}

	async deleteRevision(namespace: string, name: string): Promise<KnativeRevision> {
		const revision = this.revision(namespace, name);
		this.#tell("DELETED", revision);
		return revision;
	}

	service = (namespace: string, name: string) => this.#one("Service", namespace, name) as KnativeService;
	services = (namespace?: string) => this.#all("Service", namespace) as KnativeService[];
	revision = (namespace: string, name: string) => this.#one("Revision", namespace, name) as KnativeRevision;
	revisions = (namespace?: string) => this.#all("Revision", namespace) as KnativeRevision[];
	configuration = (namespace: string, name: string) =>
		this.#one("Configuration", namespace, name) as KnativeConfiguration;
	configurations = (namespace?: string) => this.#all("Configuration", namespace) as KnativeConfiguration[];
	route = (namespace: string, name: string) => this.#one("Route", namespace, name) as KnativeRoute;
	placeholderMetadata = (namespace: string, name: string) => {
		const { labels, annotations } = this.route(namespace, name).metadata;
		return { labels: { ...labels, "serving.knative.dev/route": name }, annotations };
	};
	routes = (namespace?: string) => this.#all("Route", namespace) as KnativeRoute[];

	watch(kind: AnyKnativeObject["kind"], options: WatchOptions): AsyncIterable<WatchEvent> {
		const after = options.resourceVersion === undefined ? this.#version : Number(options.resourceVersion);
		if (after < this.forgotten)
			throw new SlipwayError("CONFLICT", `too old resource version: ${after} (${this.forgotten})`, {
				reason: "Expired",
			});
		return this.#events(kind, options, after);
	}

	async *#events(
		kind: AnyKnativeObject["kind"],
		{ namespace, name, signal }: WatchOptions,
		from: number,
	): AsyncGenerator<WatchEvent> {
		let after = from;
		while (!signal.aborted) {
			const event = this.#told.find(({ version }) => version > after);
			if (!event) {
				await this.#change(signal);
				continue;
			}
			after = event.version;
			const { type, object } = event;
			const fits = namespace === undefined || object.metadata.namespace === namespace;
			if (object.kind === kind && fits && (name === undefined || object.metadata.name === name)) yield { type, object };
		}
	}

	#change(signal: AbortSignal): Promise<void> {
		return new Promise((resolve) => {
			const done = () => {
				this.#waiting.delete(done);
				signal.removeEventListener("abort", done);
				resolve();
			};
			this.#waiting.add(done);
			signal.addEventListener("abort", done);
		});
	}

	#write(namespace: string, manifest: unknown, options: ChangeOptions, generation: number): KnativeService {
		const { name, spec, labels, annotations } = read(manifest);
		const existing = this.#objects.get(key("Service", namespace, name));
		const metadata: ObjectMeta = {
			name,
			namespace,
			uid: existing?.metadata.uid ?? `uid-${this.#version + 1}`,
			resourceVersion: String(this.#version + 1),
			generation,
			creationTimestamp: epoch,
			labels,
			annotations: { ...annotations, "serving.knative.dev/creator": options.user },
		};
		const made = objectsOf(metadata, spec);
		if (options.dryRun) return made.service;
		for (const object of [made.revision, made.configuration, made.route, made.service])
			this.#tell(this.#objects.has(keyOf(object)) ? "MODIFIED" : "ADDED", object);
		return this.service(namespace, name);
	}

	#tell(type: WatchEvent["type"], given: AnyKnativeObject): void {
		const version = ++this.#version;
		const object = { ...given, metadata: { ...given.metadata, resourceVersion: String(version) } } as AnyKnativeObject;
		if (type === "DELETED") this.#objects.delete(keyOf(object));
		else this.#objects.set(keyOf(object), object);
		this.#told.push({ type, object, version });
		for (const done of [...this.#waiting]) done();
	}

	#one(kind: string, namespace: string, name: string): AnyKnativeObject {
		const object = this.#objects.get(key(kind, namespace, name));
		if (!object) throw new SlipwayError("NOT_FOUND", `There is no ${kind} ${namespace}/${name}`);
		return object;
	}

	#all(kind: string, namespace: string | undefined): AnyKnativeObject[] {
		return [...this.#objects.values()].filter(
			(object) => object.kind === kind && (namespace === undefined || object.metadata.namespace === namespace),
		);
	}
}

function objectsOf(metadata: ObjectMeta, spec: ServiceSpec) {
	const { name, namespace, generation } = metadata;
	const revisionName = `${name}-${String(generation).padStart(5, "0")}`;
	const url = `http://${name}.${namespace}.localhost:4747`;
	const conditions: Condition[] = [{ type: "Ready", status: "True", lastTransitionTime: epoch }];
	const base = { observedGeneration: generation, conditions };
	const latest = { latestCreatedRevisionName: revisionName, latestReadyRevisionName: revisionName };
	const traffic = [{ revisionName, latestRevision: true, percent: 100 }];
	const child = (suffix: string) => ({
		...metadata,
		uid: metadata.uid + suffix,
		labels: { ...metadata.labels, "serving.knative.dev/service": name },
	});
	const service: KnativeService = {
		apiVersion,
		kind: "Service",
		metadata,
		spec,
		status: { ...base, ...latest, url, traffic },
	};
	const revision: KnativeRevision = {
		apiVersion,
		kind: "Revision",
		metadata: {
			...child("-revision"),
			name: revisionName,
			labels: {
				"serving.knative.dev/service": name,
				"serving.knative.dev/configuration": name,
				"serving.knative.dev/configurationGeneration": String(generation),
			},
		},
		spec: spec.template.spec,
		status: { ...base, actualReplicas: 1, desiredReplicas: 1 },
	};
	const configuration: KnativeConfiguration = {
		apiVersion,
		kind: "Configuration",
		metadata: child("-configuration"),
		spec: { template: spec.template },
		status: { ...base, ...latest },
	};
	const route: KnativeRoute = {
		apiVersion,
		kind: "Route",
		metadata: child("-route"),
		spec: { traffic: spec.traffic },
		status: { ...base, url, traffic },
	};
	return { service, revision, configuration, route };
}

function read(manifest: unknown) {
	const { metadata, spec } = manifest as {
		metadata?: Partial<ObjectMeta>;
		spec?: Partial<ServiceSpec>;
	};
	if (metadata?.name === undefined) throw invalid("missing field(s): metadata.name");
	if (!spec?.template?.spec?.containers?.[0]?.image)
		throw invalid("missing field(s): spec.template.spec.containers[0].image");
	if (spec.template.spec.containerConcurrency !== undefined && spec.template.spec.containerConcurrency < 0)
		throw invalid("expected 0 <= -1 <= 1000: spec.template.spec.containerConcurrency");
	return {
		name: metadata.name,
		labels: metadata.labels ?? {},
		annotations: metadata.annotations ?? {},
		spec: { traffic: [], ...spec } as ServiceSpec,
	};
}

function invalid(problem: string): SlipwayError {
	return new SlipwayError("INVALID", `validation failed: ${problem}`, { reason: "Invalid" });
}

/** RFC 7396. */
function merge(target: unknown, patch: unknown): unknown {
	if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
	const result: Record<string, unknown> = { ...(target as Record<string, unknown>) };
	for (const [name, value] of Object.entries(patch))
		if (value === null) delete result[name];
		else result[name] = merge(result[name] ?? {}, value);
	return result;
}

const key = (kind: string, namespace: string, name: string) => `${kind}/${namespace}/${name}`;
const keyOf = ({ kind, metadata }: AnyKnativeObject) => key(kind, metadata.namespace, metadata.name);
