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
import type {
	Sandbox,
	SandboxExit,
	SandboxProcess,
	SandboxRuntime,
	SandboxSpec,
} from "../../src/core/sandbox/sandbox-runtime.ts";
import type { VirtualClock } from "./virtual-clock.ts";

/** What a program does: the times are milliseconds. `hang` never ends by itself. */
export type Act = { ms: number; ends: "well" | "error" | "exit" | "hang" };

/** What a companion does, milliseconds; undefined is never. */
export interface CompanionAct {
	registersMs: number | undefined;
	/** After its start. */
	crashesMs: number | undefined;
	/** After it was told that the sandbox ends. */
	leavesMs: number | undefined;
}

export interface Script {
	/** For the sandbox to be made. */
	createMs: number;
	init: (revision: FunctionRevision, type: InitializationType) => Act;
	event: (event: DeliveredEvent, revision: FunctionRevision) => Act;
	/** After its answer, until it asks for the next event. */
	finishMs: (event: DeliveredEvent) => number;
	/** Paths, the same for every function. */
	companions: readonly string[];
	companion: (path: string) => CompanionAct;
	/** Whether a create or a reset fails, by no fault of the function's. */
	breaks: () => boolean;
	thawMs: () => number;
	/** For a sandbox to be removed. */
	disposeMs: () => number;
}

/** What processes with companions get for their end, and what those without get. */
const shutdownMs = 2000;

export class SimulatedPlatform {
	readonly clock: VirtualClock;
	readonly script: Script;
	/** Of the sandboxes that stand, by id. */
	readonly sessions = new Map<string, SimulatedSession>();
	readonly sandboxes = new Set<SimulatedSandbox>();
	created = 0;
	freezes = 0;
	/** By request id, of every event that a process saw: its deadline, milliseconds since the epoch. */
	readonly deadlines = new Map<string, number>();
	/** Of main processes, in sandboxes whose end had begun. */
	lateStarts = 0;
	/** Of processes that were told before. */
	repeatedShutdowns = 0;

	constructor(clock: VirtualClock, script: Script) {
		this.clock = clock;
		this.script = script;
	}

	readonly runtime = {
		name: "simulated",
		version: "1",
		create: async (spec: SandboxSpec) => {
			await this.clock.sleep(this.script.createMs);
			if (this.script.breaks()) throw new SlipwayError("SANDBOX_FAILED", "A create that fails");
			this.created++;
			return new SimulatedSandbox(this, spec);
		},
		reap: async () => 0,
		prepare: () => {},
		publishNames: () => {},
		[Symbol.asyncDispose]: async () => {},
	} satisfies SandboxRuntime;

	readonly contract: FunctionContract = {
		process: (_revision, { id }) => ({ args: ["/f"], env: { ID: id }, cwd: "/", user: { uid: 1, gid: 1 } }),
		companionFolder: "/companions",
		companionsDisabledBy: undefined,
		companions: (files) => [...files],
		companionProcess: (path) => ({ args: [path], env: {}, cwd: "/", user: { uid: 1, gid: 1 } }),
		endpointVariable: "API",
		openSession: (listener, setup) => new SimulatedSession(this, listener, setup),
		failurePayload: (failure) => Buffer.from(failure.kind),
		failureType: (failure) => failure.kind,
		logLines: () => [],
		applicationLine: (message, _revision, timestamp) => ({ message, timestamp }),
	};
}

class SimulatedSession implements ContractSession {
	readonly setup: SessionSetup;
	readonly #platform: SimulatedPlatform;
	readonly #listener: SessionListener;
	sandbox: SimulatedSandbox | undefined;
	readonly #unregistered: Set<string>;
	#closed = false;
	#told = false;
	#cancel: () => void = () => {};
	/** Never two at a time: what the cloud promises functions. */
	#event: DeliveredEvent | undefined;

	constructor(platform: SimulatedPlatform, listener: SessionListener, setup: SessionSetup) {
		this.#platform = platform;
		this.#listener = listener;
		this.setup = setup;
		this.#unregistered = new Set(setup.companions);
		platform.sessions.set(setup.id, this);
	}

	get shutdownMs(): number {
		return this.setup.companions.length > 0 ? shutdownMs : 0;
	}

	register(path: string): void {
		if (this.#closed || !this.#unregistered.delete(path) || this.#unregistered.size > 0) return;
		this.#listener.onCompanionsReady();
	}

	companionFails(path: string): void {
		if (!this.#closed) this.#listener.onCompanionError(path, "Extension.ExitError");
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
		if (this.#closed) throw new Error("An event for processes that are over");
		if (this.#event) throw new Error("Two events at a time in one sandbox");
		if (this.sandbox?.frozen) throw new Error("An event for a frozen sandbox");
		this.#event = event;
		this.#platform.deadlines.set(event.requestId, event.deadlineMs);
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
		this.#closed = true;
		this.#cancel();
	}
	shutdown(): string[] {
		if (this.#told) this.#platform.repeatedShutdowns++;
		this.#told = true;
		return this.sandbox?.tellCompanions() ?? [];
	}
	onConnection(): void {}
	onLifecycle(): void {}
	onLog(): void {}
}

class SimulatedProcess implements SandboxProcess {
	readonly stdout = new PassThrough();
	readonly stderr = new PassThrough();
	readonly exited: Promise<SandboxExit>;
	#settle: (exit: SandboxExit) => void = () => {};
	#cancels: (() => void)[] = [];

	constructor() {
		this.exited = new Promise((resolve) => {
			this.#settle = resolve;
		});
	}

	/** What it does later, unless it has ended. */
	later(clock: VirtualClock, ms: number | undefined, action: () => void): void {
		if (ms !== undefined) this.#cancels.push(clock.after(ms, action));
	}

	exit(exit: SandboxExit): void {
		for (const cancel of this.#cancels.splice(0)) cancel();
		this.stdout.end();
		this.stderr.end();
		this.#settle(exit);
	}

	signal(name: "SIGTERM" | "SIGKILL"): void {
		if (name === "SIGKILL") this.exit({ signal: "SIGKILL", oomKilled: false });
	}
}

class SimulatedSandbox extends SimulatedProcess implements Sandbox {
	readonly id: string;
	readonly #platform: SimulatedPlatform;
	readonly #spec: SandboxSpec;
	readonly companions = new Map<string, SimulatedProcess>();
	frozen = false;
	started = false;
	/** It was told to end: nothing of it is started from now on. */
	ending = false;

	constructor(platform: SimulatedPlatform, spec: SandboxSpec) {
		super();
		this.#platform = platform;
		this.#spec = spec;
		this.id = spec.id;
		platform.sandboxes.add(this);
	}

	/** Paths of the companions, which leave in their own time. */
	tellCompanions(): string[] {
		this.ending = true;
		const { clock, script } = this.#platform;
		for (const [path, process] of this.companions)
			process.later(clock, script.companion(path).leavesMs, () => process.exit({ code: 0, oomKilled: false }));
		return [...this.companions.keys()];
	}

	async start(): Promise<void> {
		const session = this.#platform.sessions.get(this.id);
		if (!session) throw new SlipwayError("SANDBOX_FAILED", "No session was opened for the sandbox");
		if (this.ending) this.#platform.lateStarts++;
		session.sandbox = this;
		this.started = true;
		session.start();
	}

	async endStart(): Promise<void> {}

	async freeze(): Promise<void> {
		this.frozen = true;
		this.#platform.freezes++;
	}
	override signal(name: "SIGTERM" | "SIGKILL"): void {
		this.ending = true;
		super.signal(name);
	}
	async thaw(): Promise<void> {
		const ms = this.#platform.script.thawMs();
		if (ms > 0) await this.#platform.clock.sleep(ms);
		this.frozen = false;
	}
	async kill(): Promise<SandboxExit> {
		for (const process of this.companions.values()) process.signal("SIGKILL");
		this.exit({ signal: "SIGKILL", oomKilled: false });
		return this.exited;
	}
	async reset(): Promise<Sandbox> {
		await this[Symbol.asyncDispose]();
		await this.#platform.clock.sleep(this.#platform.script.createMs);
		if (this.#platform.script.breaks()) throw new SlipwayError("SANDBOX_FAILED", "A reset that fails");
		return new SimulatedSandbox(this.#platform, this.#spec);
	}
	async exec({ args }: Pick<SandboxSpec, "args">): Promise<SandboxProcess> {
		const { clock, script, sessions } = this.#platform;
		const [path = ""] = args;
		const process = new SimulatedProcess();
		this.companions.set(path, process);
		const session = sessions.get(this.id);
		if (session) session.sandbox = this;
		const { registersMs, crashesMs } = script.companion(path);
		process.later(clock, registersMs, () => session?.register(path));
		process.later(clock, crashesMs, () => process.exit({ code: 1, oomKilled: false }));
		return process;
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
		const ms = this.#platform.script.disposeMs();
		if (ms > 0) await this.#platform.clock.sleep(ms);
		this.#platform.sandboxes.delete(this);
	}
}
