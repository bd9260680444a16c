/** A sandbox runtime and a contract without processes, sockets or time of their own: what happens in them is told by a script. */
import { PassThrough } from "node:stream";
import { SlipwayError } from "../../src/base/error.ts";
import type {
	ContractSession,
	DeliveredEvent,
	FunctionContract,
	FunctionRevision,
	InitializationType,
	SessionListener,
	SessionSetup,
} from "../../src/core/invocation/function-contract.ts";
import type { Sandbox, SandboxExit, SandboxRuntime, SandboxSpec } from "../../src/core/sandbox/sandbox-runtime.ts";
import type { VirtualClock } from "./virtual-clock.ts";

/** What a program does: the times are milliseconds. `hang` never ends by itself. */
export type Act = { ms: number; ends: "well" | "error" | "exit" | "hang" };

export interface Script {
	/** For the sandbox to be made. */
	createMs: number;
	init: (revision: FunctionRevision, type: InitializationType) => Act;
	event: (event: DeliveredEvent, revision: FunctionRevision) => Act;
	/** After its answer, until it asks for the next event. */
	finishMs: (event: DeliveredEvent) => number;
}

export class SimulatedPlatform {
	readonly clock: VirtualClock;
	readonly script: Script;
	/** Of the sandboxes that stand, by id. */
	readonly sessions = new Map<string, SimulatedSession>();
	readonly sandboxes = new Set<SimulatedSandbox>();
	created = 0;
	freezes = 0;

	constructor(clock: VirtualClock, script: Script) {
		this.clock = clock;
		this.script = script;
	}

	readonly runtime = {
		name: "simulated",
		version: "1",
		create: async (spec: SandboxSpec) => {
			await this.clock.sleep(this.script.createMs);
			this.created++;
			return new SimulatedSandbox(this, spec);
		},
		reap: async () => 0,
		prepare: () => {},
		[Symbol.asyncDispose]: async () => {},
	} satisfies SandboxRuntime;

	readonly contract: FunctionContract = {
		process: (_revision, { id }) => ({ args: ["/f"], env: { ID: id }, cwd: "/", user: { uid: 1, gid: 1 } }),
		companionFolder: undefined,
		companionsDisabledBy: undefined,
		companions: () => [],
		companionProcess: () => ({ args: [], env: {}, cwd: "/", user: { uid: 1, gid: 1 } }),
		endpointVariable: "API",
		openSession: (listener, setup) => new SimulatedSession(this, listener, setup),
		failurePayload: (failure) => Buffer.from(failure.kind),
		failureType: (failure) => failure.kind,
		logLines: () => [],
		applicationLine: (line) => line,
	};
}

class SimulatedSession implements ContractSession {
	readonly shutdownMs = 0;
	readonly setup: SessionSetup;
	readonly #platform: SimulatedPlatform;
	readonly #listener: SessionListener;
	sandbox: SimulatedSandbox | undefined;
	#cancel: () => void = () => {};
	/** Never two at a time: what the cloud promises functions. */
	#event: DeliveredEvent | undefined;

	constructor(platform: SimulatedPlatform, listener: SessionListener, setup: SessionSetup) {
		this.#platform = platform;
		this.#listener = listener;
		this.setup = setup;
		platform.sessions.set(setup.id, this);
	}

	start(): void {
		const act = this.#platform.script.init(this.setup.revision, this.setup.initializationType);
		this.#do(act, () => {
			if (act.ends === "error")
				this.#listener.onInitError({ errorType: "Runtime.Unknown", payload: Buffer.from("init") });
			else this.#listener.onReady();
		});
	}

	deliver(event: DeliveredEvent): void {
		if (this.#event) throw new Error("Two events at a time in one sandbox");
		if (this.sandbox?.frozen) throw new Error("An event for a frozen sandbox");
		this.#event = event;
		const { script, clock } = this.#platform;
		const act = script.event(event, this.setup.revision);
		this.#do(act, () => {
			if (act.ends === "error") this.#listener.onError({ errorType: "E", payload: Buffer.from("error") });
			else this.#listener.onResponse(event.payload);
			this.#cancel = clock.after(script.finishMs(event), () => {
				this.#event = undefined;
				this.#listener.onReady();
			});
		});
	}

	#do(act: Act, then: () => void): void {
		if (act.ends === "hang") return;
		this.#cancel = this.#platform.clock.after(act.ms, () => {
			if (act.ends === "exit") this.sandbox?.exit({ code: 1, oomKilled: false });
			else then();
		});
	}

	abandon(): void {
		this.#cancel();
	}
	close(): void {
		this.#cancel();
	}
	shutdown(): string[] {
		return [];
	}
	onConnection(): void {}
	onLifecycle(): void {}
	onLog(): void {}
}

class SimulatedSandbox implements Sandbox {
	readonly id: string;
	readonly stdout = new PassThrough();
	readonly stderr = new PassThrough();
	readonly exited: Promise<SandboxExit>;
	readonly #platform: SimulatedPlatform;
	readonly #spec: SandboxSpec;
	#settle: (exit: SandboxExit) => void = () => {};
	frozen = false;
	started = false;

	constructor(platform: SimulatedPlatform, spec: SandboxSpec) {
		this.#platform = platform;
		this.#spec = spec;
		this.id = spec.id;
		this.exited = new Promise((resolve) => {
			this.#settle = resolve;
		});
		platform.sandboxes.add(this);
	}

	exit(exit: SandboxExit): void {
		this.stdout.end();
		this.stderr.end();
		this.#settle(exit);
	}

	async start(): Promise<void> {
		const session = this.#platform.sessions.get(this.id);
		if (!session) throw new SlipwayError("SANDBOX_FAILED", "No session was opened for the sandbox");
		session.sandbox = this;
		this.started = true;
		session.start();
	}

	async freeze(): Promise<void> {
		this.frozen = true;
		this.#platform.freezes++;
	}
	async thaw(): Promise<void> {
		this.frozen = false;
	}
	async kill(): Promise<SandboxExit> {
		this.exit({ signal: "SIGKILL", oomKilled: false });
		return this.exited;
	}
	async reset(): Promise<Sandbox> {
		await this[Symbol.asyncDispose]();
		await this.#platform.clock.sleep(this.#platform.script.createMs);
		return new SimulatedSandbox(this.#platform, this.#spec);
	}
	signal(): void {}
	exec(): Promise<never> {
		return Promise.reject(new SlipwayError("UNSUPPORTED", "No companions here"));
	}
	connect(): Promise<never> {
		return Promise.reject(new SlipwayError("UNSUPPORTED", "No servers here"));
	}
	async stats() {
		return { memoryBytes: 0, memoryPeakBytes: 0, cpuUs: 0, pids: 1 };
	}
	async memoryPeak(): Promise<number> {
		return 0;
	}
	async [Symbol.asyncDispose](): Promise<void> {
		await this.kill();
		this.#platform.sandboxes.delete(this);
	}
}
