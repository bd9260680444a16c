/** A service as its clients see it: pools, queues and the autoscaler as they are, containers and time that are simulated. */
import assert from "node:assert/strict";
import { isSlipwayError } from "../../src/base/error.ts";
import { randomIds } from "../../src/base/ids.ts";
import { silentLog } from "../../src/base/log.ts";
import type { AdmittedRequest } from "../../src/core/service/request-admission.ts";
import { scalingSettings } from "../../src/core/service/scaling-annotations.ts";
import type { ServiceRevision } from "../../src/core/service/service-revision.ts";
import { type FakeInstance, FakeInstanceHost } from "../../src/core/workload/fake-instance-host.ts";
import { Autoscaler } from "../../src/engine/serving/autoscaler.ts";
import { BoundedSlots } from "../../src/engine/serving/instance-slots.ts";
import { Serving } from "../../src/engine/serving/serving.ts";
import { testRevision } from "../../src/engine/serving/testing/served-revision.ts";
import type { Random } from "./random.ts";
import { VirtualClock } from "./virtual-clock.ts";

export interface ServingModelOptions {
	random: Random;
	/** Of each instance; 0: no limit. */
	concurrency: number;
	slots: number;
	maxWaiting: number;
	annotations?: Record<string, string>;
	/** Percent of the starts that fail. */
	failingStarts: number;
}

/** The longest that a container takes to start, or to stop, and a request waits, milliseconds. */
const longest = { startMs: 8000, stopMs: 3000, waitMs: 60_000 };

/** Makes no mistake itself: what goes wrong in it is thrown by `verify`. */
export class ServingModel {
	readonly clock = new VirtualClock();
	readonly slots: BoundedSlots;
	readonly instances: FakeInstanceHost;
	readonly serving: Serving;
	readonly counts = {
		asked: 0,
		answered: 0,
		cut: 0,
		aborted: 0,
		refused: new Map<string, number>(),
		failedRollouts: 0,
	};
	readonly #options: ServingModelOptions;
	readonly #random: Random;
	readonly #scaler: Autoscaler;
	readonly #problems: string[] = [];
	/** By instance: requests that it has now. */
	readonly #inFlight = new Map<string, number>();
	readonly #crashed = new Set<string>();
	/** By revision: number of the last request that was admitted. */
	readonly #lastAdmitted = new Map<string, number>();
	#current: ServiceRevision | undefined;
	#revisions = 0;
	#rollingOut = false;

	constructor(options: ServingModelOptions) {
		const { clock } = this;
		this.#options = options;
		this.#random = options.random;
		this.slots = new BoundedSlots(options.slots);
		this.instances = new FakeInstanceHost({
			start: (instance) => this.#start(instance),
			stop: (instance) => this.#stop(instance),
		});
		this.#scaler = new Autoscaler({ clock, log: silentLog });
		const contract = { environment: () => ({}), onMetadata: () => undefined };
		const { instances, slots } = this;
		this.serving = new Serving(
			{ clock, ids: randomIds, log: silentLog, instances, slots, scaler: this.#scaler, contract },
			{ freezeAfterMs: 100, maxWaitMs: longest.waitMs, maxWaiting: options.maxWaiting },
		);
	}

	get revision(): ServiceRevision | undefined {
		return this.#current;
	}

	async #start(instance: FakeInstance): Promise<void> {
		const fails = this.#random.chance(this.#options.failingStarts);
		await this.clock.sleep(this.#random.below(longest.startMs), instance.gone).catch(() => {});
		if (fails) throw new Error("the container exited");
	}

	async #stop({ id }: FakeInstance): Promise<void> {
		if ((this.#inFlight.get(id) ?? 0) > 0) this.#problems.push(`instance ${id} was stopped with requests`);
		await this.clock.sleep(this.#random.below(longest.stopMs));
	}

	/** A new revision, brought to ready as engine/services does it, and the traffic goes to it. The old one stays where it fails. */
	async rollOut(): Promise<void> {
		if (this.#rollingOut) return;
		this.#rollingOut = true;
		const number = ++this.#revisions;
		const { concurrency, annotations = {} } = this.#options;
		const scaling = scalingSettings(annotations, { containerConcurrency: concurrency, profile: "knative" }).settings;
		const next = testRevision({ name: `web-${number}`, uid: `uid-${number}`, concurrency, scaling, cpu: "request" });
		this.serving.addRevision(next, { reachable: false });
		try {
			await this.serving.check(next);
			const before = this.#current;
			this.serving.setReachable(next, true);
			this.#current = next;
			if (before) this.#retire(before);
		} catch {
			this.counts.failedRollouts++;
			void this.serving.removeRevision(next);
		} finally {
			this.#rollingOut = false;
		}
	}

	/** No request comes to it any more, and after a while it is collected, with the requests that it still has. */
	#retire(before: ServiceRevision): void {
		this.serving.setReachable(before, false);
		const collect = () => {
			if (this.serving.scale(before)?.waiting) this.clock.after(longest.waitMs, collect);
			else void this.serving.removeRevision(before);
		};
		this.clock.after(this.#random.below(5000), collect);
	}

	/** One request, which takes `ms` in the container; its client leaves after `patienceMs`. */
	ask(ms: number, patienceMs = Number.POSITIVE_INFINITY): void {
		const revision = this.#current;
		if (!revision) return;
		const number = this.counts.asked++;
		const abort = new AbortController();
		const since = this.clock.monotonic();
		const leave =
			patienceMs === Number.POSITIVE_INFINITY ? () => {} : this.clock.after(patienceMs, () => abort.abort());
		this.serving.admit(revision, { signal: abort.signal }).then(
			(request) => {
				leave();
				this.#serve(request, number, ms);
			},
			(error: unknown) => {
				leave();
				this.#refused(error, abort.signal.aborted, this.clock.monotonic() - since);
			},
		);
	}

	#serve(request: AdmittedRequest, number: number, ms: number): void {
		const { instance, revision } = request;
		const { id } = instance;
		const { concurrency } = this.#options;
		const before = this.#lastAdmitted.get(revision.name) ?? -1;
		if (number < before) this.#problems.push(`request ${number} was served after ${before}`);
		this.#lastAdmitted.set(revision.name, number);
		const inFlight = (this.#inFlight.get(id) ?? 0) + 1;
		this.#inFlight.set(id, inFlight);
		if (concurrency > 0 && inFlight > concurrency) this.#problems.push(`instance ${id} has ${inFlight} requests`);
		if (this.instances.instances.get(id)?.state !== "ready") this.#problems.push(`instance ${id} was not ready`);
		let open = true;
		const end = (answered: boolean) => {
			if (!open) return;
			open = false;
			this.#inFlight.set(id, (this.#inFlight.get(id) ?? 0) - 1);
			if (answered) this.counts.answered++;
			else if (this.#crashed.has(id)) this.counts.cut++;
			else this.#problems.push(`a request was cut off by the end of ${id}`);
			const status = answered ? 200 : 502;
			request.release({ status, durationMs: ms, failure: answered ? undefined : "closed" });
		};
		const cancel = this.clock.after(ms, () => end(true));
		const cut = () => {
			cancel();
			end(false);
		};
		if (instance.gone.aborted) cut();
		else instance.gone.addEventListener("abort", cut, { once: true });
	}

	#refused(error: unknown, aborted: boolean, waitedMs: number): void {
		if (aborted) {
			this.counts.aborted++;
			return;
		}
		const reason = isSlipwayError(error) ? (error.reason ?? error.code) : String(error);
		this.counts.refused.set(reason, (this.counts.refused.get(reason) ?? 0) + 1);
		if (reason === "QueueFull") return;
		if (!["NoInstanceInTime", "NoInstanceSlot", "RevisionFailed"].includes(reason) || waitedMs < longest.waitMs)
			this.#problems.push(`a request was refused after ${waitedMs} ms: ${String(error)}`);
	}

	/** One container ends by itself. */
	crash(): void {
		const running = [...this.instances.instances.values()].filter(({ state }) => state === "ready");
		const victim = running[this.#random.below(running.length)];
		if (!victim) return;
		this.#crashed.add(victim.id);
		victim.exit(137);
	}

	get inFlight(): number {
		return [...this.#inFlight.values()].reduce((sum, count) => sum + count, 0);
	}

	verify(): void {
		const { maxWaiting, slots } = this.#options;
		for (const revision of this.serving.revisions()) {
			const waiting = this.serving.scale(revision)?.waiting ?? 0;
			if (waiting > maxWaiting) this.#problems.push(`${waiting} requests wait`);
		}
		if (this.slots.taken > slots || this.instances.instances.size > slots)
			this.#problems.push(`${this.instances.instances.size} instances, ${this.slots.taken} slots`);
		assert.deepEqual(this.#problems, []);
	}

	/** Every request that was made has got an answer, or was told why not. */
	get settled(): number {
		const refused = [...this.counts.refused.values()].reduce((sum, count) => sum + count, 0);
		return this.counts.answered + this.counts.cut + this.counts.aborted + refused;
	}

	async end(): Promise<void> {
		const closed = this.serving[Symbol.asyncDispose]();
		await this.clock.advance(longest.stopMs);
		await closed;
		await this.#scaler[Symbol.asyncDispose]();
	}
}
