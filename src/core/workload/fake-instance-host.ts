import { connect, createServer, type Server, type Socket } from "node:net";
import { SlipwayError } from "../../base/error.ts";
import type { Instance, InstanceEnd, InstanceHost, InstanceOptions } from "./instance.ts";

export interface FakeInstanceHostOptions {
	/** How long or whether an instance takes to its readiness; it is ready at once without. Throw to have its start fail. */
	start?: (instance: FakeInstance) => Promise<void> | void;
	/** Between `stop` and its end; ended at once without. */
	stop?: (instance: FakeInstance) => Promise<void>;
	/** What it serves for `connect`; nobody listens without. */
	onConnection?: (socket: Socket, instance: FakeInstance) => void;
}

/** Instances that are objects of this process, for tests of what is above the port. */
export class FakeInstanceHost implements InstanceHost {
	/** Every one that has not ended, in the order of their starts. */
	readonly instances = new Map<string, FakeInstance>();
	readonly started: InstanceOptions[] = [];
	readonly #options: FakeInstanceHostOptions;

	constructor(options: FakeInstanceHostOptions = {}) {
		this.#options = options;
	}

	start(options: InstanceOptions): FakeInstance {
		if (this.instances.has(options.id)) throw new Error(`There is an instance ${options.id} already`);
		this.started.push(options);
		const instance = new FakeInstance(options, this.#options);
		this.instances.set(options.id, instance);
		void instance.ended.then(() => this.instances.delete(options.id));
		return instance;
	}
}

export class FakeInstance implements Instance {
	readonly id: string;
	readonly options: InstanceOptions;
	readonly ready: Promise<void>;
	readonly ended: Promise<InstanceEnd>;
	state: Instance["state"] = "starting";
	frozen = false;
	/** Milliseconds of the last `stop`. */
	graceMs: number | undefined;
	readonly #behavior: FakeInstanceHostOptions;
	readonly #gone = new AbortController();
	readonly #end = Promise.withResolvers<InstanceEnd>();
	readonly #readiness = Promise.withResolvers<void>();
	readonly #listeners: ((state: Instance["state"]) => void)[] = [];
	#server: Promise<Server> | undefined;

	constructor(options: InstanceOptions, behavior: FakeInstanceHostOptions) {
		this.id = options.id;
		this.options = options;
		this.#behavior = behavior;
		this.ended = this.#end.promise;
		this.ready = this.#readiness.promise;
		this.ready.catch(() => {});
		void this.#start();
	}

	get gone(): AbortSignal {
		return this.#gone.signal;
	}

	async #start(): Promise<void> {
		try {
			await this.#behavior.start?.(this);
		} catch (error) {
			this.#readiness.reject(error);
			return this.exit(1);
		}
		if (this.state !== "starting") return;
		this.#readiness.resolve();
		this.become("ready");
	}

	/** As a readiness probe would have it. */
	become(state: Instance["state"]): void {
		if (this.state === state || this.state === "ended") return;
		this.state = state;
		for (const listener of this.#listeners) listener(state);
	}

	/** As if its process had ended by itself. */
	exit(code: number): void {
		this.#finish({ code, stopped: false });
	}

	#finish({ code, stopped }: { code: number | undefined; stopped: boolean }): void {
		if (this.state === "ended") return;
		this.#gone.abort();
		this.#readiness.reject(
			new SlipwayError("UNAVAILABLE", `Container "main" exited with code ${code}`, { reason: "ContainerExited" }),
		);
		this.become("ended");
		void this.#server?.then((server) => server.close());
		const end = { container: "main", code, signal: undefined, oomKilled: false, stopped, restarts: 0 };
		// After whoever waits for its readiness has heard of it.
		queueMicrotask(() => this.#end.resolve(end));
	}

	onState(listener: (state: Instance["state"]) => void): void {
		this.#listeners.push(listener);
	}

	async connect(): Promise<Socket> {
		const { onConnection } = this.#behavior;
		if (!onConnection || this.state === "ended")
			throw Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
		this.#server ??= new Promise((resolve) => {
			const server = createServer({ allowHalfOpen: true }, (socket) => onConnection(socket, this));
			server.unref().listen(0, "127.0.0.1", () => resolve(server));
		});
		const address = (await this.#server).address();
		if (address === null || typeof address === "string") throw new Error("A TCP server has no port");
		return new Promise((resolve, reject) => {
			const socket = connect({ port: address.port, host: "127.0.0.1", noDelay: true }, () => resolve(socket));
			socket.once("error", reject);
		});
	}

	async freeze(): Promise<void> {
		this.frozen = true;
	}

	async thaw(): Promise<void> {
		this.frozen = false;
	}

	async stop(graceMs = this.options.workload.graceMs): Promise<InstanceEnd> {
		this.graceMs = graceMs;
		if (this.state !== "ended" && this.state !== "stopping") {
			this.become("stopping");
			this.#gone.abort();
			void Promise.resolve(this.#behavior.stop?.(this)).then(() => this.#finish({ code: 0, stopped: true }));
		}
		return this.ended;
	}

	async stats(): Promise<{ memoryBytes: number; cpuUs: number }> {
		return { memoryBytes: 0, cpuUs: 0 };
	}
}
