/** A revision with a simple pool of instances, its load, and a timeline of how the autoscaler scales it, on virtual time. */
import { test } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import type { ScalableRevision, ScaleObservation } from "../../src/core/scaling/scalable-revision.ts";
import { type ScalingOptions, scalingSettings } from "../../src/core/service/scaling-annotations.ts";
import type { ScalingSettings } from "../../src/core/service/scaling-settings.ts";
import { Autoscaler, type ScaleEvent } from "../../src/engine/serving/autoscaler.ts";
import { Random } from "./random.ts";
import { VirtualClock } from "./virtual-clock.ts";

interface ModelInstance {
	ready: boolean;
	busy: number;
	draining: boolean;
}

interface ModelRequest {
	arrivedMs: number;
	ms: number;
	done: (() => void) | undefined;
}

export interface ModelOptions {
	/** autoscaling.knative.dev/… */
	annotations?: Record<string, string>;
	scaling?: Partial<ScalingOptions>;
	/** Milliseconds until an instance is ready. */
	startMs?: number | "never";
	seed?: number;
}

/** Instances with strict concurrency, requests in order. Nothing is cut. */
export class ModelRevision implements ScalableRevision {
	readonly settings: ScalingSettings;
	reachable = true;
	onWaiting: () => void = () => {};
	/** Milliseconds that each finished request waited for an instance. */
	readonly waits: number[] = [];
	arrived = 0;
	peak = 0;
	readonly #clock: VirtualClock;
	readonly #startMs: number | "never";
	readonly #room: number;
	#instances: ModelInstance[] = [];
	readonly #queue: ModelRequest[] = [];
	#running = 0;
	#integral = 0;
	#changedMs = 0;
	#observedMs = 0;
	#requests = 0;

	constructor(clock: VirtualClock, { annotations = {}, scaling = {}, startMs = 200 }: ModelOptions) {
		const options: ScalingOptions = { containerConcurrency: 1, profile: "knative", ...scaling };
		const named = Object.entries(annotations).map(([name, value]) => [`autoscaling.knative.dev/${name}`, value]);
		const { settings, problems } = scalingSettings(Object.fromEntries(named), options);
		if (problems.length > 0) throw new Error(JSON.stringify(problems));
		this.settings = settings;
		this.#clock = clock;
		this.#startMs = startMs;
		this.#room = options.containerConcurrency || Number.POSITIVE_INFINITY;
	}

	get ready(): number {
		return this.#instances.filter(({ ready, draining }) => ready && !draining).length;
	}

	get count(): number {
		return this.#instances.filter(({ draining }) => !draining).length;
	}

	get concurrency(): number {
		return this.#running + this.#queue.length;
	}

	observe(): ScaleObservation {
		this.#integrate();
		const nowMs = this.#clock.monotonic();
		const ms = nowMs - this.#observedMs;
		const observation = {
			ready: this.ready,
			starting: this.count - this.ready,
			concurrency: ms === 0 ? this.concurrency : this.#integral / ms,
			requests: this.#requests,
			waiting: this.#queue.length,
		};
		this.#observedMs = nowMs;
		this.#integral = 0;
		this.#requests = 0;
		return observation;
	}

	scaleTo(count: number): void {
		for (let more = count - this.count; more > 0; more--) this.#start();
		const idleFirst = this.#instances.filter(({ draining }) => !draining).sort((a, b) => a.busy - b.busy);
		for (const instance of idleFirst.slice(0, Math.max(0, this.count - count))) {
			instance.draining = true;
			this.#reap(instance);
		}
		this.peak = Math.max(this.peak, this.#instances.length);
	}

	/** One request that takes so long. */
	request(ms: number, done?: () => void): void {
		this.#integrate();
		this.arrived++;
		this.#requests++;
		this.#queue.push({ arrivedMs: this.#clock.monotonic(), ms, done });
		this.#serve();
		if (this.#queue.length > 0) this.onWaiting();
	}

	#start(): void {
		const instance = { ready: false, busy: 0, draining: false };
		this.#instances.push(instance);
		if (this.#startMs === "never") return;
		this.#clock.after(this.#startMs, () => {
			instance.ready = true;
			this.#serve();
		});
	}

	#serve(): void {
		while (this.#queue.length > 0) {
			const instance = this.#instances.find(({ ready, draining, busy }) => ready && !draining && busy < this.#room);
			if (!instance) return;
			this.#integrate();
			const request = this.#queue.shift()!;
			instance.busy++;
			this.#running++;
			this.waits.push(this.#clock.monotonic() - request.arrivedMs);
			this.#clock.after(request.ms, () => {
				this.#integrate();
				instance.busy--;
				this.#running--;
				this.#reap(instance);
				this.#serve();
				request.done?.();
			});
		}
	}

	#reap(instance: ModelInstance): void {
		if (instance.draining && instance.busy === 0) this.#instances = this.#instances.filter((one) => one !== instance);
	}

	#integrate(): void {
		const nowMs = this.#clock.monotonic();
		this.#integral += this.concurrency * (nowMs - this.#changedMs);
		this.#changedMs = nowMs;
	}
}

export interface Moment {
	second: number;
	concurrency: number;
	ready: number;
	desired: number;
	panicking: boolean;
	phase: string;
	reason: string;
}

export class ScalingSimulation implements AsyncDisposable {
	readonly clock = new VirtualClock();
	readonly random: Random;
	readonly autoscaler: Autoscaler;
	readonly revision: ModelRevision;
	readonly moments: Moment[] = [];
	readonly events: (ScaleEvent & { ms: number })[] = [];
	/** Closed-loop clients: each sends its next request when the last one was answered. */
	#clients = 0;
	#wanted = 0;

	constructor(options: ModelOptions, initialized: boolean) {
		this.random = new Random(options.seed ?? 1);
		this.autoscaler = new Autoscaler({ clock: this.clock, log: silentLog });
		this.autoscaler.onScale((event) => this.events.push({ ...event, ms: this.clock.monotonic() }));
		this.revision = this.addRevision("r", options, initialized);
	}

	addRevision(id: string, options: ModelOptions, initialized = false): ModelRevision {
		const revision = new ModelRevision(this.clock, options);
		revision.onWaiting = () => this.autoscaler.poke(id);
		this.autoscaler.add(id, revision, { initialized });
		return revision;
	}

	/** So many closed-loop clients from now on; those too many leave when they are answered. */
	clients(count: number, requestMs: number): void {
		this.#wanted = count;
		const next = () => {
			if (this.#clients > this.#wanted) this.#clients--;
			else this.revision.request(requestMs, next);
		};
		while (this.#clients < this.#wanted) {
			this.#clients++;
			this.revision.request(requestMs, next);
		}
	}

	/** Requests at random times, so many a second on average, for as long. */
	arrivals(perSecond: number, requestMs: number, forMs: number): void {
		const untilMs = this.clock.monotonic() + forMs;
		const next = () => {
			if (this.clock.monotonic() >= untilMs) return;
			this.revision.request(requestMs * (0.5 + this.random.below(1000) / 1000));
			this.clock.after(wait(), next);
		};
		const wait = () => Math.ceil((-Math.log((this.random.below(1_000_000) + 1) / 1_000_001) * 1000) / perSecond);
		this.clock.after(wait(), next);
	}

	/** Lets time pass, second by second, and writes down what is seen in the middle of each. */
	async run(ms: number, check?: (moment: Moment) => void): Promise<void> {
		for (let leftMs = ms; leftMs > 0; leftMs -= 500) {
			await this.clock.advance(Math.min(500, leftMs));
			if (Math.floor(this.clock.monotonic() / 500) % 2 === 0) continue;
			const moment = this.moment();
			this.moments.push(moment);
			check?.(moment);
		}
	}

	moment(): Moment {
		const status = this.autoscaler.status("r");
		return {
			second: this.clock.monotonic() / 1000,
			concurrency: this.revision.concurrency,
			ready: this.revision.ready,
			desired: status?.desired ?? 0,
			panicking: status?.panicking ?? false,
			phase: status?.phase ?? "",
			reason: status?.reason ?? "",
		};
	}

	/** One line for each change. */
	timeline(): string {
		const shown = ({ ready, desired, panicking, phase, reason }: Moment) =>
			`ready ${String(ready).padStart(4)}  desired ${String(desired).padStart(4)}  ${panicking ? "panic " : "stable"}  ${phase} (${reason})`;
		const lines = this.moments.flatMap((moment, index) => {
			const before = this.moments[index - 1];
			if (before && shown(before) === shown(moment)) return [];
			return [
				`${moment.second.toFixed(1).padStart(7)} s  load ${String(moment.concurrency).padStart(4)}  ${shown(moment)}`,
			];
		});
		return lines.slice(-80).join("\n");
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.autoscaler[Symbol.asyncDispose]();
	}
}

/** A test of one simulation, which shows its timeline (and seed) when it fails. */
export function scenario(
	name: string,
	options: ModelOptions & { initialized?: boolean },
	body: (simulation: ScalingSimulation) => Promise<void>,
): void {
	test(name, async () => {
		await using simulation = new ScalingSimulation(options, options.initialized ?? true);
		try {
			await body(simulation);
		} catch (error) {
			const where = `(seed ${simulation.random.seed}, at ${simulation.clock.monotonic()} ms)`;
			throw new Error(`${error}\n${simulation.timeline()}\n${where}`, { cause: error });
		}
	});
}
