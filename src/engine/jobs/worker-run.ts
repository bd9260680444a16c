import { untilAborted } from "../../base/abort.ts";
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import { type JobImage, workloadOf } from "../../core/job/container-workload.ts";
import {
	type ImageProgress,
	type WorkerInstanceStatus,
	type WorkerPoolSpec,
	workerLogGroup,
} from "../../core/job/job.ts";
import type { Instance } from "../../core/workload/instance.ts";
import { time } from "./execution-record.ts";
import { prepareImages } from "./resolve-images.ts";
import { startInstance, viewInstance } from "./start-instance.ts";
import type { InstanceOfWorkload, JobsDeps } from "./types.ts";

/** Cloud Run's for a start (http-contracts 1.1); after it a new revision has failed and the old one stays. */
const startLimitMs = 240_000;
/** Between two starts of an instance that cannot be made; Kubernetes' back-off for containers. */
const firstRetryMs = 1000;
const longestRetryMs = 300_000;
/** The same when it is the machine that has no room. */
const longestRoomWaitMs = 30_000;

export interface WorkerRevision {
	/** CLOUD_RUN_REVISION */
	name: string;
	spec: WorkerPoolSpec;
	images: Record<string, JobImage>;
}

export interface WorkerTarget {
	namespace: string;
	pool: string;
	instances: number;
	latest: WorkerRevision;
	/** That was ready last; it runs until the latest is. */
	ready: WorkerRevision | undefined;
}

interface Slot {
	id: string;
	revision: string;
	instance: Instance;
	startedMs: number;
	/** From SIGTERM to SIGKILL. */
	graceMs: number;
}

export interface WorkerRunEvents {
	onChange: () => void;
	/** An instance of the latest revision is ready for the first time. */
	onReady: (revision: WorkerRevision) => Promise<void>;
	/** Nothing starts before: what ran under the same name has ended, and with it whoever wrote to the same volumes. */
	after: Promise<unknown>;
}

/**
 * Keeps a worker pool's instances running. A new revision replaces one instance after the other: the new one has to be ready
 * before an old one goes, but where a persistent volume has room for one writer only, the old one goes first.
 */
export class WorkerRun {
	readonly #deps: JobsDeps;
	readonly #events: WorkerRunEvents;
	#target: WorkerTarget;
	#slots: Slot[] = [];
	readonly #closing = new AbortController();
	/** Of the latest revision: aborted when there is a newer one. */
	#superseded = new AbortController();
	#wake = Promise.withResolvers<void>();
	#retryMs = firstRetryMs;
	#progress: ImageProgress | undefined;
	/** Why the latest revision, or any instance, is not there; `revision` when it is to blame. */
	#problem: { revision: string | undefined; reason: string; message: string } | undefined;
	readonly ended: Promise<void>;

	constructor(deps: JobsDeps, target: WorkerTarget, events: WorkerRunEvents) {
		this.#deps = deps;
		this.#target = target;
		this.#events = events;
		this.ended = this.#work();
	}

	/** Of the image that is being made ready. */
	get progress(): ImageProgress | undefined {
		return this.#progress;
	}

	get problem(): { reason: string; message: string } | undefined {
		return this.#problem && { reason: this.#problem.reason, message: this.#problem.message };
	}

	views(): Promise<InstanceOfWorkload[]> {
		const { namespace, pool } = this.#target;
		return Promise.all(
			this.#slots.map(({ instance, revision, startedMs }) =>
				viewInstance(instance, { namespace, name: pool, part: revision, startedMs }),
			),
		);
	}

	instances(): WorkerInstanceStatus[] {
		return this.#slots.map(({ id, revision, instance, startedMs }) => ({
			id,
			revision,
			state: instance.state,
			startTime: time(startedMs),
			logStream: `${revision}/${id}`,
		}));
	}

	/** What is wanted from now on. */
	change(target: WorkerTarget): void {
		const isNewer = target.latest.name !== this.#target.latest.name;
		if (isNewer) this.#problem = undefined;
		this.#target = target;
		if (isNewer) {
			this.#superseded.abort(superseded);
			this.#superseded = new AbortController();
		}
		this.#retryMs = firstRetryMs;
		this.#wake.resolve();
	}

	/** Ends every instance, within `maxGraceMs` if its own time is longer. Resolves when nothing is left. A second call hurries the first. */
	async stop(maxGraceMs = Number.POSITIVE_INFINITY): Promise<void> {
		this.#closing.abort();
		for (const { instance, graceMs } of this.#slots) void instance.stop(Math.min(graceMs, maxGraceMs)); // Awaited with `ended`.
		this.#wake.resolve();
		await this.ended;
	}

	async #work(): Promise<void> {
		await this.#events.after;
		while (!this.#closing.signal.aborted) {
			this.#wake = Promise.withResolvers<void>();
			try {
				if (await this.#step()) continue;
				await this.#wake.promise;
			} catch (error) {
				await this.#failed(error);
			}
		}
		await Promise.all(this.#slots.map(({ instance }) => instance.ended));
		this.#slots = [];
	}

	/** One instance more, or less, or another: true when there may be more to do. */
	async #step(): Promise<boolean> {
		const { instances, latest, ready } = this.#target;
		this.#slots = this.#slots.filter(({ instance }) => instance.state !== "ended");
		if (this.#slots.length > instances) return this.#remove(this.#leaving());
		if (this.#slots.length < instances) return this.#add(this.#hasFailed(latest) && ready ? ready : this.#filling());
		const old = this.#slots.find(({ revision }) => revision !== latest.name);
		if (!old || this.#hasFailed(latest)) return false;
		if (hasPersistentVolume(latest)) {
			await this.#remove(old);
			return this.#add(latest);
		}
		await this.#add(latest);
		return this.#remove(old);
	}

	/** While the latest has not proved itself, what is missing is made of the one that has. */
	#filling(): WorkerRevision {
		const { latest, ready } = this.#target;
		return ready && this.#slots.some(({ revision }) => revision === ready.name) ? ready : latest;
	}

	#hasFailed({ name }: WorkerRevision): boolean {
		return this.#problem?.revision === name;
	}

	#leaving(): Slot {
		return this.#slots.find(({ revision }) => revision !== this.#target.latest.name) ?? this.#slots.at(-1)!;
	}

	async #remove(slot: Slot): Promise<boolean> {
		await slot.instance.stop();
		this.#slots = this.#slots.filter((one) => one !== slot);
		this.#events.onChange();
		return true;
	}

	/** Resolves when the instance is ready; rejects when it does not get so, and nothing is left of it then. */
	async #add(revision: WorkerRevision): Promise<boolean> {
		// Nobody waits for an image or a probe of a revision that there is a newer one of; the one that was ready is still wanted.
		const isLatest = revision.name === this.#target.latest.name;
		const left = isLatest ? AbortSignal.any([this.#closing.signal, this.#superseded.signal]) : this.#closing.signal;
		const slot = await this.#start(revision, left);
		this.#slots.push(slot);
		this.#events.onChange();
		const { clock } = this.#deps;
		const over = new AbortController();
		const signal = AbortSignal.any([over.signal, left]);
		const late = clock.sleep(startLimitMs, signal).then(() => {
			throw new Error(`It was not ready after ${startLimitMs / 1000} s`);
		});
		try {
			await Promise.race([slot.instance.ready, late]);
		} catch (error) {
			await slot.instance.stop();
			this.#slots = this.#slots.filter((one) => one !== slot);
			throw new StartFailure(revision.name, error);
		} finally {
			over.abort();
		}
		void slot.instance.ended.then(() => this.#wake.resolve());
		slot.instance.onState(() => this.#events.onChange());
		this.#retryMs = firstRetryMs;
		if (this.#problem?.revision === undefined || this.#problem.revision === revision.name) this.#problem = undefined;
		if (revision.name === this.#target.latest.name && revision.name !== this.#target.ready?.name)
			await this.#events.onReady(revision);
		this.#events.onChange();
		return true;
	}

	async #start(revision: WorkerRevision, left: AbortSignal): Promise<Slot> {
		const { clock, ids } = this.#deps;
		const { namespace, pool } = this.#target;
		const { containers, volumes = [], terminationGracePeriodSeconds } = revision.spec.template.spec;
		try {
			await untilAborted(this.#prepare(revision, left), left);
			this.#progress = undefined;
			const graceMs = terminationGracePeriodSeconds * 1000;
			const id = `worker-${ids.hex(10)}`;
			const single = containers.length === 1;
			const instance = startInstance(this.#deps, {
				id,
				workload: workloadOf({ containers, volumes, images: revision.images, graceMs }),
				environment: () => ({ CLOUD_RUN_WORKER_POOL: pool, CLOUD_RUN_REVISION: revision.name }),
				log: {
					group: workerLogGroup({ namespace, name: pool }),
					stream: (container) => `${revision.name}/${id}${single ? "" : `/${container}`}`,
				},
				restart: "always",
			});
			if (!instance) throw new SlipwayError("EXHAUSTED", "The machine has as many instances as it may have");
			return { id, revision: revision.name, instance, startedMs: clock.now(), graceMs };
		} catch (error) {
			throw new StartFailure(revision.name, error);
		}
	}

	#prepare({ images }: WorkerRevision, left: AbortSignal): Promise<void> {
		return prepareImages(this.#deps, images, (progress) => {
			if (left.aborted) return;
			this.#progress = progress;
			this.#events.onChange();
		});
	}

	/** A broken revision is tried again when it is all there is; while an older one runs it waits for the next `change`. */
	async #failed(error: unknown): Promise<void> {
		this.#progress = undefined;
		if (this.#closing.signal.aborted) return;
		const { clock, log } = this.#deps;
		const { revision, cause } = error instanceof StartFailure ? error : new StartFailure(undefined, error);
		if (cause === superseded) return;
		const noRoom = isSlipwayError(cause, "EXHAUSTED") || isSlipwayError(cause, "THROTTLED");
		log.warn("An instance of a worker could not be started", { error: cause, worker: this.#target.pool, revision });
		const message = isSlipwayError(cause) || cause instanceof Error ? cause.message : String(cause);
		this.#problem = {
			revision: noRoom ? undefined : revision,
			reason: noRoom ? "ResourcesUnavailable" : "HealthCheckContainerError",
			message,
		};
		this.#events.onChange();
		const changed = new AbortController();
		const signal = AbortSignal.any([changed.signal, this.#closing.signal]);
		const later = clock.sleep(this.#retryMs, signal).catch(() => {}); // Woken or closed: the loop looks again.
		this.#retryMs = Math.min(this.#retryMs * 2, noRoom ? longestRoomWaitMs : longestRetryMs);
		await Promise.race([later, this.#wake.promise]);
		changed.abort();
	}
}

/** The reason of an abort, and nothing else. */
const superseded = new Error("There is a newer revision");

class StartFailure extends Error {
	readonly revision: string | undefined;

	constructor(revision: string | undefined, cause: unknown) {
		super("An instance could not be started", { cause });
		this.revision = revision;
	}
}

function hasPersistentVolume({ spec }: WorkerRevision): boolean {
	return spec.template.spec.volumes?.some(({ persistentVolumeClaim }) => persistentVolumeClaim) === true;
}
