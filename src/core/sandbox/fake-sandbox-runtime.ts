import { createServer, type Server, type Socket } from "node:net";
import { SlipwayError } from "../../base/error.ts";
import { FakeNetwork } from "./fake-network.ts";
import { type FakeProgram, FakeSandboxProcess } from "./fake-process.ts";
import { checkedNames } from "./sandbox-names.ts";
import type {
	Sandbox,
	SandboxExit,
	SandboxProcess,
	SandboxRuntime,
	SandboxSpec,
	SandboxStats,
} from "./sandbox-runtime.ts";
import { checkSpec } from "./sandbox-spec.ts";

export type { FakeProcess, FakeProgram } from "./fake-process.ts";

type ProgramSpec = Pick<SandboxSpec, "args" | "env" | "cwd" | "user">;

export interface FakeSandboxRuntimeOptions {
	/** What runs where `programs` has nothing for it. */
	program: FakeProgram;
	/** By `args[0]`, for main processes and for those of `exec`. */
	programs?: Readonly<Record<string, FakeProgram>>;
	/** Called at each create; throw to have it fail. */
	onCreate?: (spec: SandboxSpec) => void | Promise<void>;
	/** Like `onCreate`, for start. */
	onStart?: (spec: SandboxSpec) => void | Promise<void>;
	/** Like `onCreate`, for exec. */
	onExec?: (program: ProgramSpec, spec: SandboxSpec) => void | Promise<void>;
	/** Like `onCreate`, for reset. */
	onReset?: (spec: SandboxSpec) => void | Promise<void>;
}

const MIB = 1 << 20;

/** Sandboxes that are functions in this process, for tests of what is above the port. They isolate nothing. */
export class FakeSandboxRuntime implements SandboxRuntime {
	readonly name = "fake";
	readonly version = "1.0.0";
	/** Every sandbox that was created and not disposed. */
	readonly sandboxes = new Map<string, FakeSandbox>();
	/** Specs of all creates, in order; resets are not among them. */
	readonly created: SandboxSpec[] = [];
	/** Ids of all resets, in order. */
	readonly resets: string[] = [];
	readonly prepared: { tmpMiB?: number; egress: boolean }[] = [];
	/** What was published last. */
	names: Readonly<Record<string, string>> = {};
	readonly #options: FakeSandboxRuntimeOptions;

	constructor(options: FakeSandboxRuntimeOptions) {
		this.#options = options;
	}

	async create(spec: SandboxSpec, signal?: AbortSignal): Promise<FakeSandbox> {
		signal?.throwIfAborted();
		if (this.sandboxes.has(spec.id)) throw new SlipwayError("ALREADY_EXISTS", `There is a sandbox ${spec.id} already`);
		checkSpec(spec);
		const { beside } = spec;
		if (beside && this.sandboxes.get(beside.id) !== beside)
			throw new SlipwayError("INVALID", `There is no sandbox ${beside.id} here to be beside of`);
		await this.#options.onCreate?.(spec);
		signal?.throwIfAborted();
		const sandbox = this.#add(spec, new Map());
		this.created.push(spec);
		await sandbox.listen();
		if (!signal?.aborted) return sandbox;
		await sandbox[Symbol.asyncDispose]();
		throw signal.reason;
	}

	#add(spec: SandboxSpec, tmp: Map<string, string>): FakeSandbox {
		const sandbox: FakeSandbox = new FakeSandbox(spec, tmp, this.#options, {
			disposed: () => {
				// After a reset the id is another's.
				if (this.sandboxes.get(spec.id) === sandbox) this.sandboxes.delete(spec.id);
			},
			anew: async () => {
				await this.#options.onReset?.(spec);
				const next = this.#add(spec, spec.readonlyRoot ? tmp : new Map());
				this.resets.push(spec.id);
				await next.listen();
				return next;
			},
		});
		this.sandboxes.set(spec.id, sandbox);
		return sandbox;
	}

	async reap(): Promise<number> {
		return 0;
	}

	prepare(shape: { tmpMiB?: number; egress: boolean }): void {
		this.prepared.push(shape);
	}

	publishNames(names: Readonly<Record<string, string>>): void {
		this.names = checkedNames(names);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await Promise.all([...this.sandboxes.values()].map((sandbox) => sandbox[Symbol.asyncDispose]()));
	}
}

interface FakeSandboxHooks {
	disposed: () => void;
	anew: () => Promise<FakeSandbox>;
}

export class FakeSandbox implements Sandbox {
	readonly id: string;
	readonly spec: SandboxSpec;
	readonly stdout: SandboxProcess["stdout"];
	readonly stderr: SandboxProcess["stderr"];
	readonly exited: Promise<SandboxExit>;
	/** What /tmp holds. */
	readonly tmp: Map<string, string>;
	readonly #options: FakeSandboxRuntimeOptions;
	readonly #hooks: FakeSandboxHooks;
	readonly #main: FakeSandboxProcess;
	readonly #processes: FakeSandboxProcess[] = [];
	readonly #connections = new Set<Socket>();
	/** Its own, or that of the sandbox that it is beside of. */
	readonly network: FakeNetwork;
	#server: Server | undefined;
	#address: string | undefined;
	#started: Promise<void> | undefined;
	#killed = false;
	#disposed = false;
	#reset: Promise<FakeSandbox> | undefined;
	#thawed: { promise: Promise<void>; resolve: () => void } | undefined;
	#memoryPeakBytes = 0;
	/** What holds now. */
	cpus: number;

	constructor(
		spec: SandboxSpec,
		tmp: Map<string, string>,
		options: FakeSandboxRuntimeOptions,
		hooks: FakeSandboxHooks,
	) {
		this.id = spec.id;
		this.spec = spec;
		this.cpus = spec.limits.startCpus ?? spec.limits.cpus;
		this.tmp = tmp;
		this.network = spec.beside instanceof FakeSandbox ? spec.beside.network : new FakeNetwork();
		this.#options = options;
		this.#hooks = hooks;
		this.#main = this.#process(spec);
		this.stdout = this.#main.stdout;
		this.stderr = this.#main.stderr;
		this.exited = this.#main.exited;
	}

	get isFrozen(): boolean {
		return this.#thawed !== undefined;
	}

	async listen(): Promise<void> {
		const { endpoint, listeners = [] } = this.spec;
		await this.network.listen(listeners, (socket) => this.#keep(socket));
		if (!endpoint) return;
		const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
			this.#keep(socket);
			endpoint.onConnection(socket);
		});
		await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
		const address = server.address();
		if (address === null || typeof address === "string") throw new Error("A TCP server has no port");
		this.#server = server;
		this.#address = `127.0.0.1:${address.port}`;
	}

	#keep(socket: Socket): void {
		this.#connections.add(socket);
		socket.once("close", () => this.#connections.delete(socket));
	}

	start(): Promise<void> {
		this.#started ??= this.#start();
		return this.#started;
	}

	async #start(): Promise<void> {
		this.#mustBeThere("start");
		await this.#options.onStart?.(this.spec);
		this.#mustBeThere("start");
		void this.#main.run(this.#program(this.spec));
	}

	async exec(program: ProgramSpec): Promise<SandboxProcess> {
		this.#mustBeThere("exec");
		await this.#options.onExec?.(program, this.spec);
		this.#mustBeThere("exec");
		const process = this.#process(program);
		void process.run(this.#program(program));
		return process;
	}

	#mustBeThere(what: string): void {
		if (this.#killed || this.#main.exit)
			throw new SlipwayError("SANDBOX_FAILED", `Sandbox ${this.id} has ended before its ${what}`);
	}

	#program({ args }: ProgramSpec): FakeProgram {
		return this.#options.programs?.[args[0] ?? ""] ?? this.#options.program;
	}

	#process(spec: ProgramSpec): FakeSandboxProcess {
		const sandbox = this;
		const process = new FakeSandboxProcess({
			spec,
			get endpoint() {
				const { endpoint } = sandbox.spec;
				return endpoint && sandbox.#address ? { envName: endpoint.envName, address: sandbox.#address } : undefined;
			},
			tmp: this.tmp,
			ports: this.network.ports,
			connect: (host, port) => this.network.connect(host, port),
			whenThawed: () => this.#thawed?.promise ?? Promise.resolve(),
			fits: () => this.#fits(),
		});
		this.#processes.push(process);
		void process.exited.then(() => this.#closeWhenEmpty());
		return process;
	}

	#fits(): boolean {
		const bytes = this.#memoryBytes();
		this.#memoryPeakBytes = Math.max(this.#memoryPeakBytes, bytes);
		return bytes <= this.spec.limits.memoryMiB * MIB;
	}

	#memoryBytes(): number {
		return this.#processes.reduce((total, { memoryBytes }) => total + memoryBytes, 0);
	}

	/** A real process takes its connections with it; here nobody knows whose they are, until nobody is left. */
	#closeWhenEmpty(): void {
		if (!this.#killed && (!this.#main.exit || this.#processes.some(({ running }) => running))) return;
		this.#server?.close();
		for (const socket of this.#connections) socket.destroy();
	}

	signal(name: "SIGTERM" | "SIGKILL"): void {
		this.#main.signal(name);
	}

	connect(port: number): Promise<Socket> {
		return this.network.connect("127.0.0.1", port);
	}

	async freeze(): Promise<void> {
		if (this.#killed || this.#thawed) return;
		const { promise, resolve } = Promise.withResolvers<void>();
		this.#thawed = { promise, resolve };
	}

	async thaw(): Promise<void> {
		this.#thaw();
	}

	#thaw(): void {
		this.#thawed?.resolve();
		this.#thawed = undefined;
	}

	async kill(): Promise<SandboxExit> {
		this.#killed = true;
		for (const process of this.#processes) process.end({ signal: "SIGKILL", oomKilled: false });
		this.#thaw();
		this.#closeWhenEmpty();
		return this.exited;
	}

	reset(): Promise<FakeSandbox> {
		this.#reset ??= this.#anew();
		return this.#reset;
	}

	async #anew(): Promise<FakeSandbox> {
		if (this.#disposed)
			throw new SlipwayError("SANDBOX_FAILED", `Sandbox ${this.id} has been disposed before its reset`);
		await this.#end();
		try {
			return await this.#hooks.anew();
		} catch (error) {
			this.#hooks.disposed();
			throw error;
		}
	}

	async endStart(): Promise<void> {
		this.cpus = this.spec.limits.cpus;
	}

	async memoryPeak(): Promise<number> {
		return this.#memoryPeakBytes;
	}

	async stats(): Promise<SandboxStats> {
		return {
			memoryBytes: this.#memoryBytes(),
			memoryPeakBytes: this.#memoryPeakBytes,
			cpuUs: 0,
			pids: this.#processes.filter(({ running }) => running).length,
		};
	}

	async #end(): Promise<void> {
		this.#disposed = true;
		await this.kill();
		if (!this.spec.beside) this.network.close();
		for (const { stdout, stderr } of this.#processes) {
			stdout.destroy();
			stderr.destroy();
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#end();
		this.#hooks.disposed();
	}
}
