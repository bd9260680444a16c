import { createServer, type Server, type Socket } from "node:net";
import { PassThrough, type Readable, type Writable } from "node:stream";
import { type Clock, systemClock } from "../../base/clock.ts";
import { SlipwayError } from "../../base/error.ts";
import type { Sandbox, SandboxExit, SandboxRuntime, SandboxSpec, SandboxStats } from "./sandbox-runtime.ts";

/** What a program inside of a fake sandbox is given. */
export interface FakeProcess {
	args: readonly string[];
	/** With the endpoint's variable in it. */
	env: Readonly<Record<string, string>>;
	cwd: string;
	user: { uid: number; gid: number };
	/** `host:port` of the sandbox's endpoint on the real loopback, or undefined when it has none. */
	endpoint: string | undefined;
	stdout: Writable;
	stderr: Writable;
	/** Aborted by stop (reason "SIGTERM"), and at the latest when the sandbox has ended (reason "SIGKILL"). */
	signal: AbortSignal;
	/** Aborted when the sandbox has ended, by whatever cause: a program that ignores SIGTERM returns here. */
	ended: AbortSignal;
	/** Resolves at once, or when the sandbox is thawed: a fake program that honours freezing awaits it between its steps. */
	whenThawed(): Promise<void>;
	/** Pretends to use memory; past the limit the sandbox is killed, as the kernel would. */
	useMemory(bytes: number): void;
}

/** Resolves to the exit code. A rejection ends the sandbox with code 1 and its message on stderr. */
export type FakeProgram = (process: FakeProcess) => Promise<number>;

export interface FakeSandboxRuntimeOptions {
	program: FakeProgram;
	/** For the grace of stop. */
	clock?: Clock;
	/** Called at each create; throw to have it fail. */
	onCreate?: (spec: SandboxSpec) => void | Promise<void>;
	/** Like `onCreate`, for start. */
	onStart?: (spec: SandboxSpec) => void | Promise<void>;
}

const MIB = 1 << 20;

/** Sandboxes that are functions in this process, for tests of what is above the port. They isolate nothing. */
export class FakeSandboxRuntime implements SandboxRuntime {
	readonly name = "fake";
	readonly version = "1.0.0";
	/** Every sandbox that was created and not disposed. */
	readonly sandboxes = new Map<string, FakeSandbox>();
	/** Specs of all creates, in order. */
	readonly created: SandboxSpec[] = [];
	readonly prepared: { tmpMiB: number; egress: boolean }[] = [];
	readonly #options: FakeSandboxRuntimeOptions;

	constructor(options: FakeSandboxRuntimeOptions) {
		this.#options = options;
	}

	async create(spec: SandboxSpec, signal?: AbortSignal): Promise<FakeSandbox> {
		signal?.throwIfAborted();
		if (this.sandboxes.has(spec.id)) throw new SlipwayError("ALREADY_EXISTS", `There is a sandbox ${spec.id} already`);
		await this.#options.onCreate?.(spec);
		signal?.throwIfAborted();
		const sandbox = new FakeSandbox(spec, this.#options, () => this.sandboxes.delete(spec.id));
		this.sandboxes.set(spec.id, sandbox);
		this.created.push(spec);
		await sandbox.listen();
		if (!signal?.aborted) return sandbox;
		await sandbox[Symbol.asyncDispose]();
		throw signal.reason;
	}

	async reap(): Promise<number> {
		return 0;
	}

	prepare(shape: { tmpMiB: number; egress: boolean }): void {
		this.prepared.push(shape);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await Promise.all([...this.sandboxes.values()].map((sandbox) => sandbox[Symbol.asyncDispose]()));
	}
}

export class FakeSandbox implements Sandbox {
	readonly id: string;
	readonly spec: SandboxSpec;
	readonly stdout: Readable;
	readonly stderr: Readable;
	readonly exited: Promise<SandboxExit>;
	readonly #options: FakeSandboxRuntimeOptions;
	readonly #output = { stdout: new PassThrough(), stderr: new PassThrough() };
	readonly #signals = new AbortController();
	readonly #ending = new AbortController();
	readonly #connections = new Set<Socket>();
	readonly #onDisposed: () => void;
	#server: Server | undefined;
	#address: string | undefined;
	#started: Promise<void> | undefined;
	#ended: SandboxExit | undefined;
	#settleExit: (exit: SandboxExit) => void = () => {};
	#thawed: { promise: Promise<void>; resolve: () => void } | undefined;
	#memoryBytes = 0;
	#memoryPeakBytes = 0;

	constructor(spec: SandboxSpec, options: FakeSandboxRuntimeOptions, onDisposed: () => void) {
		this.id = spec.id;
		this.spec = spec;
		this.stdout = this.#output.stdout;
		this.stderr = this.#output.stderr;
		this.#options = options;
		this.#onDisposed = onDisposed;
		this.exited = new Promise((resolve) => {
			this.#settleExit = resolve;
		});
	}

	get isFrozen(): boolean {
		return this.#thawed !== undefined;
	}

	async listen(): Promise<void> {
		const { endpoint } = this.spec;
		if (!endpoint) return;
		const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
			this.#connections.add(socket);
			socket.once("close", () => this.#connections.delete(socket));
			endpoint.onConnection(socket);
		});
		await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
		const address = server.address();
		if (address === null || typeof address === "string") throw new Error("A TCP server has no port");
		this.#server = server;
		this.#address = `127.0.0.1:${address.port}`;
	}

	start(): Promise<void> {
		this.#started ??= this.#start();
		return this.#started;
	}

	async #start(): Promise<void> {
		if (this.#ended) throw new SlipwayError("SANDBOX_FAILED", `Sandbox ${this.id} has ended before its start`);
		await this.#options.onStart?.(this.spec);
		void this.#run();
	}

	async #run(): Promise<void> {
		try {
			this.#end({ code: await this.#options.program(this.#process()), oomKilled: false });
		} catch (error) {
			if (!this.#ended) this.#output.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
			this.#end({ code: 1, oomKilled: false });
		}
	}

	#process(): FakeProcess {
		const { args, cwd, user, endpoint } = this.spec;
		return {
			args,
			env: { ...this.spec.env, ...(endpoint && this.#address ? { [endpoint.envName]: this.#address } : {}) },
			cwd,
			user,
			endpoint: this.#address,
			stdout: this.#output.stdout,
			stderr: this.#output.stderr,
			signal: this.#signals.signal,
			ended: this.#ending.signal,
			whenThawed: () => this.#thawed?.promise ?? Promise.resolve(),
			useMemory: (bytes) => this.#useMemory(bytes),
		};
	}

	#useMemory(bytes: number): void {
		this.#memoryBytes = bytes;
		this.#memoryPeakBytes = Math.max(this.#memoryPeakBytes, bytes);
		if (bytes > this.spec.limits.memoryMiB * MIB) this.#end({ signal: "SIGKILL", oomKilled: true });
	}

	/** Ends the sandbox once; a program that still runs is told by its signal and its writes go nowhere. */
	#end(exit: SandboxExit): void {
		if (this.#ended) return;
		this.#ended = exit;
		this.#signals.abort("SIGKILL");
		this.#ending.abort("SIGKILL");
		this.#thaw();
		this.#server?.close();
		for (const socket of this.#connections) socket.destroy();
		for (const stream of [this.#output.stdout, this.#output.stderr]) {
			stream.end();
			stream.write = () => true;
		}
		this.#settleExit(exit);
	}

	async freeze(): Promise<void> {
		if (this.#ended || this.#thawed) return;
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

	async stop(graceMs: number): Promise<SandboxExit> {
		if (!this.#started) return this.kill();
		this.#thaw();
		if (!this.#ended) this.#signals.abort("SIGTERM");
		const cancel = (this.#options.clock ?? systemClock).after(graceMs, () =>
			this.#end({ signal: "SIGKILL", oomKilled: false }),
		);
		return this.exited.finally(cancel);
	}

	async kill(): Promise<SandboxExit> {
		this.#end({ signal: "SIGKILL", oomKilled: false });
		return this.exited;
	}

	async memoryPeak(): Promise<number> {
		return this.#memoryPeakBytes;
	}

	async stats(): Promise<SandboxStats> {
		return {
			memoryBytes: this.#ended ? 0 : this.#memoryBytes,
			memoryPeakBytes: this.#memoryPeakBytes,
			cpuUs: 0,
			pids: this.#started && !this.#ended ? 1 : 0,
		};
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.kill();
		this.stdout.destroy();
		this.stderr.destroy();
		this.#onDisposed();
	}
}
