import type { Socket } from "node:net";
import { SlipwayError } from "../../base/error.ts";
import { Lifetime } from "../../base/lifetime.ts";
import type { Sandbox, SandboxMount } from "../../core/sandbox/sandbox-runtime.ts";
import type { Instance, InstanceEnd, InstanceOptions } from "../../core/workload/instance.ts";
import { failuresAfter, restartDelayMs } from "../../core/workload/restart-delay.ts";
import type { Volume, VolumeHost } from "../../core/workload/volume-host.ts";
import type { WorkloadContainer, WorkloadVolume } from "../../core/workload/workload.ts";
import { Container, type ContainerDeps, type ContainerEnd } from "./container.ts";
import { containerFailure } from "./container-failure.ts";
import { InstanceLife, type LifeEnd, mainContainer } from "./instance-life.ts";

export interface InstanceDeps extends ContainerDeps {
	volumes: VolumeHost;
	/** False: no instance reaches the outside, whatever its workload says. */
	egress: boolean;
}

/** Google's metadata server (metadata.google.internal). */
const metadataAddress = { host: "169.254.169.254", port: 80 };

/** One set of a workload's containers, made of sandboxes: life after life, until it is stopped or is not to be restarted. */
export class SandboxInstance implements Instance {
	readonly id: string;
	readonly ready: Promise<void>;
	readonly ended: Promise<InstanceEnd>;
	readonly #deps: InstanceDeps;
	readonly #options: InstanceOptions;
	readonly #main: WorkloadContainer;
	readonly #lifetime = new Lifetime();
	readonly #readiness = Promise.withResolvers<void>();
	readonly #gone = new AbortController();
	readonly #listeners: ((state: Instance["state"]) => void)[] = [];
	/** By container. */
	readonly #mounts = new Map<string, SandboxMount[]>();
	#state: Instance["state"] = "starting";
	#life: InstanceLife | undefined;
	#frozen = false;
	/** What runs now and needs the CPU. */
	#awake = 0;
	#restarts = 0;
	/** Of the container that ended the last life. */
	#lastEnd: ContainerEnd | undefined;
	/** When it was stopped before it had a life. */
	#stopping = false;

	constructor(deps: InstanceDeps, options: InstanceOptions) {
		this.id = options.id;
		this.#deps = deps;
		this.#options = options;
		this.#main = mainContainer(options.workload.containers);
		this.ready = this.#readiness.promise;
		// Whoever started it may only look at `ended`.
		this.ready.catch(() => {});
		this.ended = this.#run();
	}

	get state(): Instance["state"] {
		return this.#state;
	}

	get gone(): AbortSignal {
		return this.#gone.signal;
	}

	onState(listener: (state: Instance["state"]) => void): void {
		this.#listeners.push(listener);
	}

	async #run(): Promise<InstanceEnd> {
		try {
			await this.#makeVolumes();
			await this.#live();
		} catch (error) {
			this.#deps.log.error("An instance could not be run or not be freed", { error, instance: this.id });
			this.#failed({ error });
		}
		this.#gone.abort();
		try {
			await this.#lifetime[Symbol.asyncDispose]();
		} catch (error) {
			this.#deps.log.error("A volume of an instance could not be freed", { error, instance: this.id });
		}
		this.#readiness.reject(stopped());
		this.#become("ended");
		const { container = this.#main.name, code, signal, oomKilled = false } = this.#lastEnd ?? {};
		return { container, code, signal, oomKilled, stopped: this.#stopping, restarts: this.#restarts };
	}

	async #live(): Promise<void> {
		for (let failures = 0; !this.#stopping; ) {
			const startAt = this.#deps.clock.monotonic();
			this.#life = this.#newLife();
			const end = await this.#life.run();
			this.#life = undefined;
			this.#note(end);
			if (this.#stopping || end === "stopped") return;
			this.#failed(end);
			if (this.#options.restart !== "always") return;
			this.#restarts++;
			failures = failuresAfter(failures, this.#deps.clock.monotonic() - startAt);
			this.#onChange();
			await this.#deps.clock.sleep(restartDelayMs(failures), this.#gone.signal).catch(() => {});
		}
	}

	#newLife(): InstanceLife {
		const { clock } = this.#deps;
		return new InstanceLife({
			clock,
			containers: this.#options.workload.containers,
			restartsOthers: this.#options.restart !== "never",
			create: (spec, beside) => this.#create(spec, beside),
			onChange: () => this.#onChange(),
			onRestart: (cause) => {
				this.#restarts++;
				this.#failed(cause);
				this.#onChange();
			},
		});
	}

	#create(spec: WorkloadContainer, beside: Sandbox | undefined): Promise<Container> {
		const { log, environment, workload, onMetadata } = this.#options;
		const index = workload.containers.indexOf(spec);
		const listeners = onMetadata ? [{ ...metadataAddress, onConnection: onMetadata }] : [];
		return Container.create(this.#deps, spec, {
			id: spec === this.#main ? this.id : `${this.id}-${index}`,
			env: environment(spec.name),
			log: { group: log.group, stream: log.stream(spec.name) },
			network: {
				egress: workload.egress && this.#deps.egress,
				...(beside ? { beside } : listeners.length > 0 && { listeners }),
			},
			mounts: this.#mounts.get(spec.name) ?? [],
			withCpu: (task) => this.#withCpu(task),
			onChange: () => this.#onChange(),
		});
	}

	/** Once: what is in them outlives the restart of a container, as Kubernetes has it. */
	async #makeVolumes(): Promise<void> {
		const { workload } = this.#options;
		const volumes = new Map<string, Volume>();
		for (const volume of workload.volumes) volumes.set(volume.name, this.#lifetime.use(await this.#makeVolume(volume)));
		for (const { name, mounts } of workload.containers) {
			const made: SandboxMount[] = [];
			for (const { volume, path, subPath, readOnly } of mounts) {
				const source = volumes.get(volume);
				if (!source) throw new SlipwayError("INVALID", `Container "${name}" mounts "${volume}", which is no volume`);
				await source.ensure(subPath);
				made.push({ source: source.path, subPath, target: path, readOnly });
			}
			this.#mounts.set(name, made);
		}
	}

	#makeVolume(volume: WorkloadVolume): Promise<Volume> {
		const { volumes } = this.#deps;
		const { workload } = this.#options;
		if (volume.kind === "persistent") return volumes.persistent(volume.claim);
		const id = `${this.id}-${workload.volumes.indexOf(volume)}`;
		if (volume.kind === "files") return volumes.files(id, volume.files, volume.mode);
		// Pages count against the containers anyway: more than all of these may have would never fit.
		const limitMiB = workload.containers.reduce((total, { limits }) => total + limits.memoryMiB, 0);
		return volumes.emptyDir(id, Math.min(volume.sizeMiB ?? limitMiB, limitMiB));
	}

	/** Fails a readiness that somebody waits for. */
	#failed(cause: Exclude<LifeEnd, "stopped">): void {
		this.#readiness.reject("error" in cause ? cause.error : containerFailure(cause));
	}

	/** What `ended` tells. */
	#note(end: LifeEnd): void {
		if (end !== "stopped" && !("error" in end)) this.#lastEnd = end;
	}

	#onChange(): void {
		if (this.#stopping) return;
		if (this.#life?.isReady) {
			this.#readiness.resolve();
			this.#become("ready");
		} else if (this.#state === "ready") this.#become("unready");
	}

	#become(state: Instance["state"]): void {
		if (this.#state === state) return;
		this.#state = state;
		for (const listener of this.#listeners) listener(state);
	}

	connect(): Promise<Socket> {
		const { port } = this.#main;
		if (port && this.#life) return this.#life.connect(port.number);
		return Promise.reject(Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" }));
	}

	async freeze(): Promise<void> {
		if (this.#frozen || this.#stopping) return;
		this.#frozen = true;
		if (this.#awake === 0) await this.#setCpu("freeze");
	}

	async thaw(): Promise<void> {
		if (!this.#frozen) return;
		this.#frozen = false;
		await this.#setCpu("thaw");
	}

	async #withCpu<T>(task: () => Promise<T>): Promise<T> {
		this.#awake++;
		try {
			if (this.#frozen && this.#awake === 1) await this.#tryCpu("thaw");
			return await task();
		} finally {
			this.#awake--;
			if (this.#frozen && this.#awake === 0) await this.#tryCpu("freeze");
		}
	}

	/** What the task itself comes to is told by the task. */
	async #tryCpu(what: "freeze" | "thaw"): Promise<void> {
		try {
			await this.#setCpu(what);
		} catch (error) {
			this.#deps.log.error(`An instance could not ${what} around a probe`, { error, instance: this.id });
		}
	}

	async #setCpu(what: "freeze" | "thaw"): Promise<void> {
		await Promise.all((this.#life?.sandboxes ?? []).map((sandbox) => sandbox[what]()));
	}

	stop(graceMs = this.#options.workload.graceMs): Promise<InstanceEnd> {
		if (!this.#stopping && this.#state !== "ended") {
			this.#stopping = true;
			this.#become("stopping");
			this.#gone.abort();
		}
		// Frozen processes hear of nothing.
		const thawed = this.thaw().catch((error) =>
			this.#deps.log.error("An instance could not be thawed for its end", { error, instance: this.id }),
		);
		void thawed.then(() => this.#life?.stop(graceMs));
		return this.ended;
	}

	async stats(): Promise<{ memoryBytes: number; cpuUs: number }> {
		const all = (await this.#life?.stats()) ?? [];
		return {
			memoryBytes: all.reduce((total, { memoryBytes }) => total + memoryBytes, 0),
			cpuUs: all.reduce((total, { cpuUs }) => total + cpuUs, 0),
		};
	}
}

function stopped(): SlipwayError {
	return new SlipwayError("UNAVAILABLE", "The instance was stopped before it was ready", { reason: "InstanceStopped" });
}
