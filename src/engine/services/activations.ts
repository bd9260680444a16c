import { untilAborted } from "../../base/abort.ts";
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import { Semaphore } from "../../base/semaphore.ts";
import { imagesOf, type RevisionImage } from "../../core/service/revision-from-template.ts";
import { deploymentCheckDisabled, progressDeadlineMs } from "../../core/service/service-annotations.ts";
import { defaultPort, isIngress } from "../../core/service/service-defaults.ts";
import type { ServiceRevision } from "../../core/service/service-revision.ts";
import type { PrepareProgress } from "../functions/function-images.ts";
import { failureOf } from "./failures.ts";
import type { ServicesDeps } from "./ports.ts";
import { keyOf, type RevisionProgress, type RevisionRecord } from "./records.ts";
import type { DeploymentProgress } from "./types.ts";

/** Revisions that are made ready at once: each pulls, unpacks and starts. */
const maxAtOnce = 8;
/** How long a registry that does not answer is asked again, and between two times, milliseconds (Knative's digest-resolution-timeout). */
const [resolveForMs, resolveAgainMs] = [10_000, 1000];
/** Between two attempts to save what has come out, milliseconds: doubled up to the longest. */
const [saveAgainMs, saveAgainMostMs] = [1000, 60_000];

export interface ActivationsDeps extends Pick<ServicesDeps, "images" | "serving" | "architecture" | "clock" | "log"> {
	/** Undefined: it is gone. Rejects when it could not be saved. */
	save: (namespace: string, name: string, change: Partial<RevisionRecord>) => Promise<RevisionRecord | undefined>;
	/** Throws INVALID_IMAGE. Undefined: it is gone. */
	revisionOf: (record: RevisionRecord) => ServiceRevision | undefined;
}

/** Brings new revisions to Ready, or finds out why not: digest, files, first instance. */
export class Activations {
	readonly #deps: ActivationsDeps;
	readonly #running = new Map<string, { uid: string; stop: AbortController; done: Promise<void> }>();
	readonly #progress = new Map<string, DeploymentProgress>();
	readonly #limit = new Semaphore(maxAtOnce);

	constructor(deps: ActivationsDeps) {
		this.#deps = deps;
	}

	/** Nothing happens twice. */
	start(record: RevisionRecord): void {
		const { namespace, name, uid } = record.object.metadata;
		const key = keyOf(namespace, name);
		const running = this.#running.get(key);
		if (running?.uid === uid) return;
		running?.stop.abort(gone());
		const stop = new AbortController();
		this.#progress.set(key, { stage: "queue", done: 0, total: 0 });
		const done = this.#limit
			.run(() => this.#activate(record, stop.signal), stop.signal)
			.catch((error: unknown) => {
				if (!stop.signal.aborted)
					this.#deps.log.error("A revision could not be brought to ready", { error, revision: key });
			})
			.finally(() => {
				if (this.#running.get(key)?.stop !== stop) return;
				this.#running.delete(key);
				this.#progress.delete(key);
			});
		this.#running.set(key, { uid, stop, done });
	}

	/** It is deleted. */
	cancel(namespace: string, name: string): void {
		this.#running.get(keyOf(namespace, name))?.stop.abort(gone());
	}

	progress(namespace: string, name: string): DeploymentProgress | undefined {
		return this.#progress.get(keyOf(namespace, name));
	}

	/** When nothing is in progress. */
	async settled(): Promise<void> {
		while (this.#running.size > 0) await Promise.all([...this.#running.values()].map(({ done }) => done));
	}

	/** The daemon ends: what is in progress goes on when it starts again. */
	async stop(): Promise<void> {
		for (const { stop } of this.#running.values()) stop.abort(gone());
		await this.settled();
	}

	async #activate(record: RevisionRecord, stopped: AbortSignal): Promise<void> {
		const { namespace, name, annotations } = record.object.metadata;
		const { clock, serving } = this.#deps;
		const late = new AbortController();
		const deadlineMs = progressDeadlineMs(annotations);
		const cancel = clock.after(deadlineMs, () => late.abort(tooLate(record, deadlineMs)));
		const signal = AbortSignal.any([stopped, late.signal]);
		let progress: RevisionProgress = { state: "ready" };
		try {
			await untilAborted(this.#bringUp(record, signal), signal);
		} catch (error) {
			if (stopped.aborted) return;
			progress = { state: "failed", ...failureOf(error) };
			const log = isSlipwayError(error) ? this.#deps.log.warn : this.#deps.log.error;
			log("A revision did not become ready", { error, namespace, revision: name });
		} finally {
			cancel();
		}
		if (progress.state === "failed") serving.removeRevision({ namespace, name });
		await this.#save(record, { progress }, stopped);
	}

	async #bringUp(record: RevisionRecord, signal: AbortSignal): Promise<void> {
		const { serving } = this.#deps;
		let deploying: RevisionRecord | undefined = record;
		if (record.progress.state === "resolving") {
			const resolved = await this.#resolveAll(record, signal);
			// Whoever deletes a revision does not wait: what comes back late must not touch its namesake.
			signal.throwIfAborted();
			deploying = await this.#save(record, { images: resolved, progress: { state: "deploying" } }, signal);
		}
		if (!deploying) throw gone();
		for (const { imageDigest } of Object.values(deploying.images ?? {}))
			await this.#prepare(record, imageDigest, signal);
		signal.throwIfAborted();
		this.#report(record, signal, { stage: "start", done: 0, total: 0 });
		const revision = this.#deps.revisionOf(deploying);
		if (!revision) throw gone();
		serving.addRevision(revision);
		if (!deploymentCheckDisabled(deploying.object.metadata.annotations)) await serving.check(revision, signal);
	}

	async #resolveAll(record: RevisionRecord, signal: AbortSignal): Promise<Record<string, RevisionImage>> {
		const resolved: [string, RevisionImage][] = [];
		for (const { container, image } of imagesOf(record.object.spec)) {
			this.#report(record, signal, { stage: "resolve", image, done: 0, total: 0 });
			resolved.push([container, await missing(image, this.#resolve(image, signal))]);
		}
		return Object.fromEntries(resolved);
	}

	async #prepare(record: RevisionRecord, image: string, signal: AbortSignal): Promise<void> {
		const { images, architecture } = this.#deps;
		const onProgress = ({ stage, done, total }: PrepareProgress) =>
			this.#report(record, signal, { stage, image, done, total });
		await missing(image, images.prepare(image, architecture, { onProgress }));
		signal.throwIfAborted();
	}

	/** What comes late, of a revision that is gone, is not told of its namesake. */
	#report({ object }: RevisionRecord, signal: AbortSignal, progress: DeploymentProgress): void {
		if (!signal.aborted) this.#progress.set(keyOf(object.metadata.namespace, object.metadata.name), progress);
	}

	/** A registry that can't be reached for a moment fails no deployment. */
	async #resolve(reference: string, signal: AbortSignal): Promise<RevisionImage> {
		const { clock, images, architecture } = this.#deps;
		const deadline = clock.monotonic() + resolveForMs;
		for (;;) {
			try {
				const { resolvedImageUri, image } = await images.resolve(reference, architecture, { fromIndex: true });
				return { imageDigest: resolvedImageUri, image };
			} catch (error) {
				if (!isSlipwayError(error, "UNAVAILABLE") || clock.monotonic() >= deadline) throw error;
			}
			await clock.sleep(resolveAgainMs, signal);
		}
	}

	/** A full disk does not make a revision stay in progress for ever: it is tried again until it is saved. */
	async #save(
		record: RevisionRecord,
		change: Partial<RevisionRecord>,
		signal: AbortSignal,
	): Promise<RevisionRecord | undefined> {
		const { namespace, name } = record.object.metadata;
		for (let pauseMs = saveAgainMs; ; pauseMs = Math.min(2 * pauseMs, saveAgainMostMs)) {
			try {
				return await this.#deps.save(namespace, name, change);
			} catch (error) {
				this.#deps.log.error("What became of a revision could not be saved", { error, namespace, revision: name });
			}
			await this.#deps.clock.sleep(pauseMs, signal);
		}
	}
}

/** Whatever goes wrong with an image is told with its reference. */
async function missing<T>(reference: string, work: Promise<T>): Promise<T> {
	try {
		return await work;
	} catch (error) {
		if (!isSlipwayError(error) || error.code === "EXHAUSTED") throw error;
		throw new SlipwayError(error.code, `Unable to fetch image "${reference}": ${error.message}`, {
			reason: "ContainerMissing",
			cause: error,
		});
	}
}

function gone(): SlipwayError {
	return new SlipwayError("NOT_FOUND", "The revision is gone");
}

function tooLate({ object }: RevisionRecord, deadlineMs: number): SlipwayError {
	const { containers } = object.spec;
	const port = containers.find((container) => isIngress(container, containers))?.ports?.[0]?.containerPort;
	return new SlipwayError("DEADLINE", "Initial scale was never achieved", {
		reason: "ProgressDeadlineExceeded",
		hint: `Within ${deadlineMs / 1000} s an instance has to listen on port ${port || defaultPort} of every address, $PORT`,
	});
}
