import { isDeepStrictEqual } from "node:util";
import { SlipwayError } from "../../base/error.ts";
import { Semaphore } from "../../base/semaphore.ts";
import type { JobImage } from "../../core/job/container-workload.ts";
import { instanceCountAnnotation, type WorkerPool, type WorkerPoolSpec } from "../../core/job/job.ts";
import { instanceCount, type Manifest, readWorkerPoolManifest } from "../../core/job/job-manifest.ts";
import type { Condition } from "../../core/service/knative.ts";
import { Changes } from "./changes.ts";
import { time } from "./execution-record.ts";
import { maxWaitingChanges } from "./jobs.ts";
import { imageDigests, imagesUsed, resolveImages } from "./resolve-images.ts";
import type { ImageInUse, InstanceOfWorkload, JobsDeps, WorkerUseCases } from "./types.ts";
import { type WorkerRevision, WorkerRun, type WorkerTarget } from "./worker-run.ts";

const workerKind = "worker";
/** Of the installation; as many as jobs (http-contracts 1.7). */
const maxWorkers = 1000;
/** From SIGTERM to SIGKILL when the daemon stops, whatever a worker asks for: it is up again with the next daemon. */
const shutdownGraceMs = 10_000;

interface WorkerRecord {
	metadata: WorkerPool["metadata"];
	latest: WorkerRevision;
	ready: WorkerRevision | undefined;
	/** Revisions there have been; the next one's number. */
	revisions: number;
}

interface KnownWorker {
	record: WorkerRecord;
	/** Undefined before `resume`. */
	run: WorkerRun | undefined;
	condition: Condition;
}

const keyOf = (namespace: string, name: string) => `${namespace}/${name}`;

/** Worker pools: services without a port, kept running in the number that is asked for. */
export class Workers implements WorkerUseCases, AsyncDisposable {
	readonly #deps: JobsDeps;
	readonly #workers = new Map<string, KnownWorker>();
	/** Of workers that were deleted, until their last instance has ended; by key. */
	readonly #ending = new Map<WorkerRun, string>();
	readonly #changes = new Changes();
	/** A record is read, changed and written by one at a time. */
	readonly #turn = new Semaphore(1, maxWaitingChanges);

	private constructor(deps: JobsDeps) {
		this.#deps = deps;
	}

	/** Knows everything that is stored and runs nothing: see `resume`. */
	static async open(deps: JobsDeps): Promise<Workers> {
		const workers = new Workers(deps);
		for (const { document } of await deps.store.list(workerKind)) workers.#add(document as WorkerRecord);
		return workers;
	}

	/** Starts the instances of all that are known. */
	resume(): void {
		for (const known of this.#workers.values()) this.#begin(known);
	}

	async apply(namespace: string, manifest: unknown, { user }: { user: string }): Promise<WorkerPool> {
		const { name, labels, annotations, spec } = readWorkerPoolManifest(manifest, namespace);
		const images = await resolveImages(this.#deps, spec.template.spec.containers);
		await this.#turn.run(() => this.#apply({ name, namespace, labels, annotations, spec }, images, user));
		return this.worker(namespace, name);
	}

	async #apply(manifest: Manifest<WorkerPoolSpec>, images: Record<string, JobImage>, user: string): Promise<void> {
		const { name, namespace, labels, annotations, spec } = manifest;
		const before = this.#workers.get(keyOf(namespace, name))?.record;
		if (!before && this.#workers.size >= maxWorkers)
			throw new SlipwayError("THROTTLED", `There are ${maxWorkers} workers, which is the most`);
		const same =
			before && isDeepStrictEqual({ spec, images }, { spec: before.latest.spec, images: before.latest.images });
		const revisions = (before?.revisions ?? 0) + (same ? 0 : 1);
		const generation = (before?.metadata.generation ?? 0) + 1;
		const record: WorkerRecord = {
			metadata: {
				name,
				namespace,
				uid: before?.metadata.uid ?? this.#deps.ids.uuid(),
				resourceVersion: String(generation),
				generation,
				creationTimestamp: before?.metadata.creationTimestamp ?? time(this.#deps.clock.now()),
				labels,
				annotations: {
					...annotations,
					"serving.knative.dev/creator": before?.metadata.annotations["serving.knative.dev/creator"] ?? user,
					"serving.knative.dev/lastModifier": user,
				},
			},
			latest: same ? before.latest : { name: `${name}-${String(revisions).padStart(5, "0")}`, spec, images },
			ready: before?.ready,
			revisions,
		};
		await this.#put(record);
		const known = this.#workers.get(keyOf(namespace, name));
		if (known) this.#update(known, record);
		else this.#begin(this.#add(record));
	}

	worker(namespace: string, name: string): WorkerPool {
		return view(this.#find(namespace, name));
	}

	workers(namespace?: string): WorkerPool[] {
		return [...this.#workers.entries()]
			.filter(([, { record }]) => namespace === undefined || record.metadata.namespace === namespace)
			.sort(([a], [b]) => (a < b ? -1 : 1))
			.map(([, known]) => view(known));
	}

	scale(namespace: string, name: string, instances: number): Promise<WorkerPool> {
		return this.#turn.run(() => this.#scale(namespace, name, instances));
	}

	async #scale(namespace: string, name: string, instances: number): Promise<WorkerPool> {
		const known = this.#find(namespace, name);
		const { metadata } = known.record;
		const annotations = { ...metadata.annotations, [instanceCountAnnotation]: String(instances) };
		instanceCount(annotations);
		const generation = metadata.generation + 1;
		const changed = { ...metadata, annotations, generation, resourceVersion: String(generation) };
		const record: WorkerRecord = { ...known.record, metadata: changed };
		await this.#put(record);
		this.#update(known, record);
		return view(known);
	}

	delete(namespace: string, name: string): Promise<void> {
		return this.#turn.run(() => this.#delete(namespace, name));
	}

	async #delete(namespace: string, name: string): Promise<void> {
		const { run } = this.#find(namespace, name);
		await this.#deps.store.commit([{ change: "delete", kind: workerKind, namespace, name }]);
		const key = keyOf(namespace, name);
		this.#workers.delete(key);
		this.#changes.notify(key);
		if (!run) return;
		this.#ending.set(run, key);
		void run.stop().then(() => this.#ending.delete(run));
	}

	watch(namespace: string, name: string, signal: AbortSignal): AsyncIterable<WorkerPool> {
		this.#find(namespace, name);
		const key = keyOf(namespace, name);
		const current = () => {
			const known = this.#workers.get(key);
			return known && view(known);
		};
		return this.#changes.watch(key, current, signal);
	}

	async instances(): Promise<InstanceOfWorkload[]> {
		return (await Promise.all([...this.#workers.values()].map(({ run }) => run?.views() ?? []))).flat();
	}

	/** Of the newest revision of each, and of the one that runs until that is ready. */
	*imagesInUse(): Iterable<ImageInUse> {
		for (const [key, { record }] of this.#workers)
			for (const revision of [record.latest, record.ready])
				if (revision) yield* imagesUsed(revision.images, `worker ${key}`);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		const runs = [...this.#workers.values()].flatMap(({ run }) => run ?? []);
		await Promise.all([...runs, ...this.#ending.keys()].map((run) => run.stop(shutdownGraceMs)));
	}

	#find(namespace: string, name: string): KnownWorker {
		const known = this.#workers.get(keyOf(namespace, name));
		if (known) return known;
		throw new SlipwayError("NOT_FOUND", `Worker '${name}' was not found in namespace '${namespace}'`, {
			hint: "`slipway worker ls` lists the workers",
		});
	}

	async #put(record: WorkerRecord): Promise<void> {
		const { namespace, name } = record.metadata;
		await this.#deps.store.commit([{ change: "put", kind: workerKind, namespace, name, document: record }]);
	}

	#add(record: WorkerRecord): KnownWorker {
		const known: KnownWorker = {
			record,
			run: undefined,
			condition: { type: "Ready", status: "Unknown", lastTransitionTime: time(this.#deps.clock.now()) },
		};
		this.#workers.set(keyOf(record.metadata.namespace, record.metadata.name), known);
		return known;
	}

	#begin(known: KnownWorker): void {
		const { metadata } = known.record;
		const key = keyOf(metadata.namespace, metadata.name);
		const before = [...this.#ending].flatMap(([run, of]) => (of === key ? run.ended : []));
		known.run = new WorkerRun(this.#deps, targetOf(known.record), {
			onChange: () => this.#changed(known),
			onReady: (revision) => this.#turn.run(() => this.#becameReady(metadata.namespace, metadata.name, revision)),
			after: Promise.all(before),
		});
		this.#changed(known);
	}

	#update(known: KnownWorker, record: WorkerRecord): void {
		known.record = record;
		known.run?.change(targetOf(record));
		this.#changed(known);
	}

	#changed(known: KnownWorker): void {
		const { lastTransitionTime, status } = known.condition;
		const condition = conditionOf(known);
		const since = condition.status === status ? lastTransitionTime : time(this.#deps.clock.now());
		known.condition = { ...condition, lastTransitionTime: since };
		this.#changes.notify(keyOf(known.record.metadata.namespace, known.record.metadata.name));
	}

	/** Only a restart of the daemon needs to know it: a store that fails now is no reason to stop the instance. */
	async #becameReady(namespace: string, name: string, revision: WorkerRevision): Promise<void> {
		const known = this.#workers.get(keyOf(namespace, name));
		if (!known) return;
		const record: WorkerRecord = { ...known.record, ready: revision };
		this.#update(known, record);
		await this.#put(record).catch((error: unknown) =>
			this.#deps.log.error("That a worker is ready could not be written", { error, namespace, worker: name }),
		);
	}
}

function targetOf({ metadata, latest, ready }: WorkerRecord): WorkerTarget {
	const { namespace, name, annotations } = metadata;
	return { namespace, pool: name, instances: instanceCount(annotations), latest, ready };
}

function view({ record: { metadata, latest, ready }, run, condition }: KnownWorker): WorkerPool {
	const instances = run?.instances() ?? [];
	return {
		apiVersion: "run.googleapis.com/v1",
		kind: "WorkerPool",
		metadata,
		spec: latest.spec,
		status: {
			observedGeneration: metadata.generation,
			conditions: [condition],
			...(run?.progress && { progress: run.progress }),
			latestCreatedRevisionName: latest.name,
			...(ready && { latestReadyRevisionName: ready.name }),
			desiredInstances: instanceCount(metadata.annotations),
			readyInstances: instances.filter(({ state }) => state === "ready").length,
			imageDigests: imageDigests(latest.images),
			instances,
		},
	};
}

function conditionOf({ record, run }: KnownWorker): Omit<Condition, "lastTransitionTime"> {
	const { metadata, latest } = record;
	const desired = instanceCount(metadata.annotations);
	const current = run?.instances().filter(({ revision, state }) => revision === latest.name && state === "ready");
	const ready = current?.length ?? 0;
	const type = "Ready";
	if (run?.problem) return { type, status: "False", ...run.problem };
	if (ready >= desired) return { type, status: "True" };
	return { type, status: "Unknown", reason: "Deploying", message: `${ready} of ${desired} instances are ready` };
}
