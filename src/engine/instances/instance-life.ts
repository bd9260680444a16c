import type { Socket } from "node:net";
import { type Clock, settledWithin } from "../../base/clock.ts";
import type { Sandbox, SandboxStats } from "../../core/sandbox/sandbox-runtime.ts";
import { failuresAfter, restartDelayMs } from "../../core/workload/restart-delay.ts";
import type { WorkloadContainer } from "../../core/workload/workload.ts";
import type { Container, ContainerEnd } from "./container.ts";

/** What one life of an instance is given by it. */
export interface LifeHost {
	clock: Clock;
	/** In the manifest's order. */
	containers: readonly WorkloadContainer[];
	/** Whether containers beside the first are started again when they end. */
	restartsOthers: boolean;
	/** Makes one, `beside` the one whose network it shares. */
	create: (spec: WorkloadContainer, beside: Sandbox | undefined) => Promise<Container>;
	/** `isReady` may have changed. */
	onChange: () => void;
	/** A container beside the first has ended, or could not be made again, and is restarted. */
	onRestart: (cause: ContainerEnd | { error: unknown }) => void;
}

/** Why a life is over: a container's end, or an error that kept it from running. */
export type LifeEnd = ContainerEnd | { error: unknown } | "stopped";

/**
 * An instance's containers on one network, from their making to the end of the main one: the ingress container, or else
 * the first. The network is the main container's sandbox's: when it ends, all end. The others may be restarted in place.
 */
export class InstanceLife {
	readonly #host: LifeHost;
	readonly #main: WorkloadContainer;
	/** Those that are there now. */
	readonly #containers = new Map<string, Container>();
	/** By container: resolves when it is started for the first time. */
	readonly #started = new Map<string, PromiseWithResolvers<void>>();
	readonly #over = Promise.withResolvers<LifeEnd>();
	readonly #ending = new AbortController();
	/** Loops that have restarted containers; they end with the life. */
	readonly #keeping: Promise<void>[] = [];
	/** On the monotonic clock, when what has been told to end is killed; undefined while nothing was. */
	#killAt: number | undefined;
	#hurried = Promise.withResolvers<void>();

	constructor(host: LifeHost) {
		this.#host = host;
		const main = mainContainer(host.containers);
		this.#main = main;
		for (const { name } of host.containers) this.#started.set(name, Promise.withResolvers<void>());
	}

	get isReady(): boolean {
		const { containers } = this.#host;
		return !this.#ending.signal.aborted && containers.every(({ name }) => this.#containers.get(name)?.isReady);
	}

	get sandboxes(): Sandbox[] {
		return [...this.#containers.values()].map(({ sandbox }) => sandbox);
	}

	/** Runs it from beginning to end; nothing of it is left then. Rejects only when something could not be freed. */
	async run(): Promise<LifeEnd> {
		try {
			await this.#create();
			for (const container of this.#containers.values()) this.#launch(container);
		} catch (error) {
			this.#over.resolve({ error });
		}
		const end = await this.#over.promise;
		await this.#free();
		return end;
	}

	async #create(): Promise<void> {
		const main = await this.#add(this.#main, undefined);
		void main.ended.then((end) => this.#over.resolve(end));
		const others = this.#host.containers.filter((spec) => spec !== this.#main);
		const made = await Promise.allSettled(others.map((spec) => this.#add(spec, main.sandbox)));
		for (const [index, result] of made.entries()) {
			if (result.status === "rejected") throw result.reason;
			const keeping = this.#keep(others[index]!, result.value, main.sandbox);
			// What could not be freed ends the life, and is told when all of it is over.
			keeping.catch((error) => this.#over.resolve({ error }));
			this.#keeping.push(keeping);
		}
	}

	async #add(spec: WorkloadContainer, beside: Sandbox | undefined): Promise<Container> {
		const container = await this.#host.create(spec, beside);
		this.#containers.set(spec.name, container);
		return container;
	}

	/** When all that it depends on are started. */
	#launch(container: Container): void {
		const { name, dependsOn } = container.spec;
		void container.started.then(() => this.#started.get(name)?.resolve());
		Promise.all(dependsOn.map((other) => this.#started.get(other)?.promise))
			.then(() => (this.#ending.signal.aborted ? undefined : container.start()))
			.catch((error) => this.#over.resolve({ error }));
	}

	/** Restarts a container whenever it has ended, with a back-off, for as long as this life lasts. */
	async #keep(spec: WorkloadContainer, first: Container, beside: Sandbox): Promise<void> {
		const { clock, restartsOthers, onRestart } = this.#host;
		let container: Container | undefined = first;
		for (let failures = 0; ; ) {
			const end: ContainerEnd | undefined = await container?.ended;
			await container?.[Symbol.asyncDispose]();
			if (this.#ending.signal.aborted) return;
			if (end && !restartsOthers) {
				// One that is done has done what it was there for.
				if (end.code !== 0 || end.probe) this.#over.resolve(end);
				return;
			}
			failures = failuresAfter(failures, end?.ranMs ?? 0);
			if (end) onRestart(end);
			await clock.sleep(restartDelayMs(failures), this.#ending.signal).catch(() => {});
			if (this.#ending.signal.aborted) return;
			try {
				container = await this.#add(spec, beside);
				if (this.#ending.signal.aborted) return await container[Symbol.asyncDispose]();
				this.#launch(container);
			} catch (error) {
				container = undefined;
				onRestart({ error });
			}
		}
	}

	connect(port: number): Promise<Socket> {
		const container = this.#containers.get(this.#main.name);
		if (container) return container.sandbox.connect(port);
		return Promise.reject(Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" }));
	}

	async stats(): Promise<SandboxStats[]> {
		return Promise.all(this.sandboxes.map((sandbox) => sandbox.stats()));
	}

	/** SIGTERM to the main container, then to the others; SIGKILL after `graceMs` in all. A later call may only hurry it. */
	stop(graceMs: number): void {
		const killAt = this.#host.clock.monotonic() + graceMs;
		if (this.#killAt === undefined) {
			this.#killAt = killAt;
			this.#ending.abort();
			for (const container of this.#containers.values()) container.endProbes();
			void this.#terminate().finally(() => this.#over.resolve("stopped"));
		} else if (killAt < this.#killAt) {
			this.#killAt = killAt;
			this.#hurried.resolve();
			this.#hurried = Promise.withResolvers<void>();
		}
	}

	async #terminate(): Promise<void> {
		const main = this.#containers.get(this.#main.name);
		const others = [...this.#containers.values()].filter((container) => container !== main);
		if (main) await this.#terminated([main]);
		await this.#terminated(others);
	}

	async #terminated(containers: readonly Container[]): Promise<void> {
		const running = containers.filter(({ wasStarted }) => wasStarted);
		for (const { sandbox } of running) sandbox.signal("SIGTERM");
		let ended = false;
		const all = Promise.all(running.map(({ sandbox }) => sandbox.exited)).then(() => {
			ended = true;
		});
		await Promise.resolve();
		for (let leftMs = this.#leftMs(); running.length > 0 && !ended && leftMs > 0; leftMs = this.#leftMs())
			await settledWithin(Promise.race([all, this.#hurried.promise]), leftMs, this.#host.clock);
	}

	#leftMs(): number {
		return (this.#killAt ?? 0) - this.#host.clock.monotonic();
	}

	/** The main container's last, whose network the others are in. */
	async #free(): Promise<void> {
		this.#ending.abort();
		const main = this.#containers.get(this.#main.name);
		const others = [...this.#containers.values()].filter((container) => container !== main);
		const results = await Promise.allSettled([
			...others.map((container) => container[Symbol.asyncDispose]()),
			...this.#keeping,
		]);
		await main?.[Symbol.asyncDispose]();
		await main?.ended;
		for (const result of results) if (result.status === "rejected") throw result.reason;
	}
}

/** The one with the port, or the first. */
export function mainContainer(containers: readonly WorkloadContainer[]): WorkloadContainer {
	const main = containers.find(({ port }) => port) ?? containers[0];
	if (!main) throw new Error("A workload has no container");
	return main;
}
