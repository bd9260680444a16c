import { SlipwayError } from "../../base/error.ts";
import { Semaphore } from "../../base/semaphore.ts";
import type { JobImage } from "../../core/job/container-workload.ts";
import { isOver } from "../../core/job/execution-state.ts";
import type { Execution, Job, JobSpec, RunOverrides, Task } from "../../core/job/job.ts";
import { applyOverrides, type Manifest, readJobManifest } from "../../core/job/job-manifest.ts";
import type { ResourceChange } from "../../core/resource/resource-store.ts";
import { Changes } from "./changes.ts";
import {
	type ExecutionRecord,
	executionDeletion,
	executionKind,
	executionView,
	putExecution,
	type TaskRecord,
	taskKind,
	taskView,
	time,
} from "./execution-record.ts";
import { ExecutionRun, stateOf } from "./execution-run.ts";
import { imageDigests, imagesUsed, resolveImages } from "./resolve-images.ts";
import type { ImageInUse, InstanceOfWorkload, JobsDeps, JobUseCases } from "./types.ts";

const jobKind = "job";
/** Of the installation, and of one job (http-contracts 1.7). */
const maxJobs = 1000;
const maxRunningExecutions = 1000;
const maxKeptExecutions = 1000;
/** Of a job's executions that are over, all tasks together: they are kept in memory, some 300 bytes each. */
const maxKeptTasks = 20_000;
/** Changes of jobs that wait for the one before. */
export const maxWaitingChanges = 1000;

/** What is stored; the rest of a Job is seen from its executions. */
interface JobRecord {
	job: Job;
	images: Record<string, JobImage>;
}

interface KnownExecution {
	record: ExecutionRecord;
	tasks: Map<number, TaskRecord>;
	/** While it is not over. */
	run: ExecutionRun | undefined;
}

const keyOf = (namespace: string, name: string) => `${namespace}/${name}`;

/** Jobs and their executions. A daemon that starts again goes on with those that run. */
export class Jobs implements JobUseCases, AsyncDisposable {
	readonly #deps: JobsDeps;
	readonly #jobs = new Map<string, JobRecord>();
	readonly #executions = new Map<string, KnownExecution>();
	/** Keys of a job's executions, the oldest first. */
	readonly #byJob = new Map<string, string[]>();
	readonly #changes = new Changes();
	/** A record is read, changed and written by one at a time. */
	readonly #turn = new Semaphore(1, maxWaitingChanges);
	#closed = false;

	private constructor(deps: JobsDeps) {
		this.#deps = deps;
	}

	/** Knows everything that is stored and runs nothing: see `resume`. */
	static async open(deps: JobsDeps): Promise<Jobs> {
		const jobs = new Jobs(deps);
		await jobs.#read();
		return jobs;
	}

	/** Takes up the executions that were running: what ran of them counts as interrupted attempts, which are tried again. */
	resume(): void {
		for (const { run } of this.#executions.values()) void run?.begin();
	}

	async #read(): Promise<void> {
		const { store } = this.#deps;
		for (const { namespace, name, document } of await store.list(jobKind))
			this.#jobs.set(keyOf(namespace, name), document as JobRecord);
		const tasks = Map.groupBy(
			(await store.list(taskKind)).map(({ document }) => document as TaskRecord),
			({ namespace, execution }) => keyOf(namespace, execution),
		);
		const records = (await store.list(executionKind)).map(({ document }) => document as ExecutionRecord);
		for (const record of records.sort((a, b) => a.createdMs - b.createdMs)) {
			const own = tasks.get(keyOf(record.namespace, record.name)) ?? [];
			this.#take(record, new Map(own.map((task) => [task.index, task])));
		}
	}

	async apply(namespace: string, manifest: unknown, { user }: { user: string }): Promise<Job> {
		const { name, labels, annotations, spec } = readJobManifest(manifest, namespace);
		const images = await resolveImages(this.#deps, spec.template.spec.template.spec.containers);
		await this.#turn.run(() => this.#apply({ name, namespace, labels, annotations, spec }, images, user));
		return this.job(namespace, name);
	}

	async #apply(manifest: Manifest<JobSpec>, images: Record<string, JobImage>, user: string): Promise<void> {
		const { name, namespace, labels, annotations, spec } = manifest;
		const key = keyOf(namespace, name);
		const before = this.#jobs.get(key)?.job;
		if (!before && this.#jobs.size >= maxJobs)
			throw new SlipwayError("THROTTLED", `There are ${maxJobs} jobs, which is the most`, {
				hint: "Delete one with `slipway job rm`",
			});
		const generation = (before?.metadata.generation ?? 0) + 1;
		const creator = before?.metadata.annotations["serving.knative.dev/creator"] ?? user;
		const now = time(this.#deps.clock.now());
		const job: Job = {
			apiVersion: "run.googleapis.com/v1",
			kind: "Job",
			metadata: {
				name,
				namespace,
				uid: before?.metadata.uid ?? this.#deps.ids.uuid(),
				resourceVersion: String(generation),
				generation,
				creationTimestamp: before?.metadata.creationTimestamp ?? now,
				labels,
				annotations: {
					...annotations,
					"serving.knative.dev/creator": creator,
					"serving.knative.dev/lastModifier": user,
				},
			},
			spec,
			status: {
				observedGeneration: generation,
				conditions: [{ type: "Ready", status: "True", lastTransitionTime: now }],
				executionCount: before?.status.executionCount ?? 0,
				imageDigests: imageDigests(images),
			},
		};
		await this.#put(key, { job, images });
	}

	job(namespace: string, name: string): Job {
		const { job } = this.#find(namespace, name);
		const latest = this.#executions.get(this.#byJob.get(keyOf(namespace, name))?.at(-1) ?? "")?.record;
		if (!latest) return job;
		return {
			...job,
			status: {
				...job.status,
				latestCreatedExecution: {
					name: latest.name,
					creationTimestamp: time(latest.createdMs),
					...(latest.endedMs !== undefined && { completionTimestamp: time(latest.endedMs) }),
				},
			},
		};
	}

	jobs(namespace?: string): Job[] {
		return [...this.#jobs.values()]
			.map(({ job }) => job.metadata)
			.filter((one) => namespace === undefined || one.namespace === namespace)
			.sort((a, b) => (keyOf(a.namespace, a.name) < keyOf(b.namespace, b.name) ? -1 : 1))
			.map((one) => this.job(one.namespace, one.name));
	}

	delete(namespace: string, name: string): Promise<void> {
		return this.#turn.run(() => this.#delete(namespace, name));
	}

	async #delete(namespace: string, name: string): Promise<void> {
		this.#find(namespace, name);
		const key = keyOf(namespace, name);
		const executions = (this.#byJob.get(key) ?? []).map((one) => this.#executions.get(one)!);
		const runs = executions.flatMap(({ run }) => (run ? [run] : []));
		await Promise.all(runs.map((run) => run.seal()));
		try {
			const changes: ResourceChange[] = executions.flatMap(({ record, tasks }) =>
				executionDeletion(record, tasks.values()),
			);
			await this.#deps.store.commit([{ change: "delete", kind: jobKind, namespace, name }, ...changes]);
		} catch (error) {
			// They are as they were in the store: they go on as after a restart.
			for (const run of runs) void run.stop().then(() => this.#take(run.record, run.tasks).run?.begin());
			throw error;
		}
		this.#jobs.delete(key);
		for (const { record } of executions) this.#forget(record);
		this.#byJob.delete(key);
		for (const run of runs) void run.stop();
	}

	run(namespace: string, name: string, overrides: RunOverrides = {}): Promise<Execution> {
		return this.#turn.run(() => this.#run(namespace, name, overrides));
	}

	async #run(namespace: string, name: string, overrides: RunOverrides): Promise<Execution> {
		const { job, images } = this.#find(namespace, name);
		const spec = applyOverrides(job.spec.template.spec, overrides);
		this.#checkRoom();
		const { clock, ids } = this.#deps;
		const record: ExecutionRecord = {
			namespace,
			name: `${name}-${ids.hex(3).slice(0, 5)}`,
			job: name,
			uid: ids.uuid(),
			labels: job.spec.template.metadata.labels,
			annotations: job.spec.template.metadata.annotations,
			spec,
			images,
			createdMs: clock.now(),
			startedMs: undefined,
			endedMs: undefined,
			phase: "running",
			message: undefined,
		};
		if (this.#executions.has(keyOf(namespace, record.name))) return this.#run(namespace, name, overrides);
		const counted: Job = { ...job, status: { ...job.status, executionCount: job.status.executionCount + 1 } };
		await this.#put(keyOf(namespace, name), { job: counted, images }, [putExecution(record)]);
		const { run } = this.#take(record, new Map());
		void run?.begin();
		await this.#trim(namespace, name);
		return run?.view() ?? this.execution(namespace, record.name);
	}

	execution(namespace: string, name: string): Execution {
		return view(this.#findExecution(namespace, name));
	}

	executions(namespace: string, job: string): Execution[] {
		this.#find(namespace, job);
		return (this.#byJob.get(keyOf(namespace, job)) ?? []).toReversed().map((key) => view(this.#executions.get(key)!));
	}

	tasks(namespace: string, execution: string): Task[] {
		const { record, tasks } = this.#findExecution(namespace, execution);
		return [...tasks.values()].sort((a, b) => a.index - b.index).map((task) => taskView(task, record));
	}

	async cancel(namespace: string, execution: string): Promise<Execution> {
		const { run } = this.#findExecution(namespace, execution);
		if (!run) throw new SlipwayError("CONFLICT", `Execution '${execution}' is over`);
		await run.cancel();
		return run.view();
	}

	async deleteExecution(namespace: string, execution: string): Promise<void> {
		const { record, tasks, run } = this.#findExecution(namespace, execution);
		if (run)
			throw new SlipwayError("CONFLICT", `Execution '${execution}' is still running`, {
				hint: `Cancel it first: slipway job cancel ${execution}`,
			});
		await this.#deps.store.commit(executionDeletion(record, tasks.values()));
		this.#forget(record);
	}

	watch(namespace: string, execution: string, signal: AbortSignal): AsyncIterable<Execution> {
		this.#findExecution(namespace, execution);
		return this.#watch(keyOf(namespace, execution), signal);
	}

	async instances(): Promise<InstanceOfWorkload[]> {
		const runs = [...this.#executions.values()].flatMap(({ run }) => (run ? [run] : []));
		return (await Promise.all(runs.map((run) => run.instances()))).flat();
	}

	/** Of jobs and of executions that are not over. */
	*imagesInUse(): Iterable<ImageInUse> {
		for (const [key, { images }] of this.#jobs) yield* imagesUsed(images, `job ${key}`);
		for (const { record } of this.#executions.values())
			if (!isOver(record)) yield* imagesUsed(record.images, `job ${keyOf(record.namespace, record.job)}`);
	}

	/** Ends what runs here, without a word in the store: it is taken up again by the next daemon. */
	async [Symbol.asyncDispose](): Promise<void> {
		this.#closed = true;
		const runs = [...this.#executions.values()].flatMap(({ run }) => (run ? [run] : []));
		await Promise.all(runs.map((run) => run.seal()));
		await Promise.all(runs.map((run) => run.stop()));
	}

	async *#watch(key: string, signal: AbortSignal): AsyncGenerator<Execution> {
		const current = () => {
			const known = this.#executions.get(key);
			return known && { execution: view(known), over: isOver(known.record) };
		};
		for await (const { execution, over } of this.#changes.watch(key, current, signal)) {
			yield execution;
			if (over) return;
		}
	}

	#find(namespace: string, name: string): JobRecord {
		const record = this.#jobs.get(keyOf(namespace, name));
		if (record) return record;
		throw new SlipwayError("NOT_FOUND", `Job '${name}' was not found in namespace '${namespace}'`, {
			hint: "`slipway job ls` lists the jobs",
		});
	}

	#findExecution(namespace: string, name: string): KnownExecution {
		const known = this.#executions.get(keyOf(namespace, name));
		if (known) return known;
		throw new SlipwayError("NOT_FOUND", `Execution '${name}' was not found in namespace '${namespace}'`, {
			hint: "`slipway job executions JOB` lists them",
		});
	}

	#checkRoom(): void {
		let running = 0;
		for (const { run } of this.#executions.values()) if (run) running++;
		if (running >= maxRunningExecutions)
			throw new SlipwayError("THROTTLED", `${running} executions are running, which is the most`);
		if (this.#closed) throw new SlipwayError("UNAVAILABLE", "The daemon is stopping");
	}

	async #put(key: string, record: JobRecord, more: ResourceChange[] = []): Promise<void> {
		const { namespace, name } = record.job.metadata;
		await this.#deps.store.commit([{ change: "put", kind: jobKind, namespace, name, document: record }, ...more]);
		this.#jobs.set(key, record);
	}

	#take(record: ExecutionRecord, tasks: Map<number, TaskRecord>): KnownExecution {
		const key = keyOf(record.namespace, record.name);
		const known: KnownExecution = { record, tasks, run: undefined };
		if (!isOver(record)) {
			const run = new ExecutionRun(this.#deps, record, tasks, () => {
				known.record = run.record;
				if (run.over) known.run = undefined;
				this.#changes.notify(key);
			});
			known.run = run;
		}
		if (!this.#executions.has(key))
			this.#byJob.getOrInsertComputed(keyOf(record.namespace, record.job), () => []).push(key);
		this.#executions.set(key, known);
		return known;
	}

	#forget({ namespace, name, job }: ExecutionRecord): void {
		const key = keyOf(namespace, name);
		this.#executions.delete(key);
		const keys = this.#byJob.get(keyOf(namespace, job)) ?? [];
		if (keys.includes(key)) keys.splice(keys.indexOf(key), 1);
		this.#changes.notify(key);
	}

	/** The oldest that are over go. A failure leaves them for the next time. */
	async #trim(namespace: string, name: string): Promise<void> {
		const over = (this.#byJob.get(keyOf(namespace, name)) ?? [])
			.map((key) => this.#executions.get(key)!)
			.filter(({ run }) => run === undefined);
		let tasks = over.reduce((sum, one) => sum + one.tasks.size, 0);
		for (let kept = over.length; kept > maxKeptExecutions || (tasks > maxKeptTasks && kept > 1); kept--) {
			const oldest = over.shift()!;
			tasks -= oldest.tasks.size;
			try {
				await this.#deps.store.commit(executionDeletion(oldest.record, oldest.tasks.values()));
			} catch (error) {
				this.#deps.log.warn("Old executions could not be deleted", { error, job: name });
				return;
			}
			this.#forget(oldest.record);
		}
	}
}

function view({ record, tasks, run }: KnownExecution): Execution {
	return run?.view() ?? executionView(record, stateOf(record, tasks));
}
