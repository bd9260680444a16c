import { createServer, type Server, type Socket } from "node:net";
import { PassThrough, type Writable } from "node:stream";
import type { SandboxExit, SandboxProcess, SandboxSpec } from "./sandbox-runtime.ts";

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
	/** Files of /tmp: what every process of the sandbox shares, and what a reset keeps. */
	tmp: Map<string, string>;
	/**
	 * Aborted by SIGTERM (reason "SIGTERM"), and at the latest when the process has ended (reason "SIGKILL"). A program
	 * that never looks at this has no handler, and SIGTERM ends it as the kernel would.
	 */
	readonly signal: AbortSignal;
	/** Aborted when the process has ended, by whatever cause: a program that ignores SIGTERM returns here. */
	ended: AbortSignal;
	/** Resolves at once, or when the sandbox is thawed: a fake program that honours freezing awaits it between its steps. */
	whenThawed(): Promise<void>;
	/** Pretends to use memory; when the sandbox is past its limit by it, this process is killed, as the kernel would. */
	useMemory(bytes: number): void;
	/**
	 * As a program of the sandbox would: to one of the sandbox's listeners, or on 127.0.0.1 to a port that is served in here or
	 * in a sandbox beside it. Rejects with ECONNREFUSED where there is none.
	 */
	connect(host: string, port: number): Promise<Socket>;
	/** Serves a port of the sandbox, for `Sandbox.connect`, until the process has ended. Rejects with EADDRINUSE. */
	listen(port: number, onConnection: (socket: Socket) => void): Promise<void>;
}

/** Resolves to the exit code. A rejection ends the process with code 1 and its message on stderr. */
export type FakeProgram = (process: FakeProcess) => Promise<number>;

/** What a process shares with the others of its sandbox. */
export interface FakeSurroundings {
	spec: Pick<SandboxSpec, "args" | "env" | "cwd" | "user">;
	endpoint: { envName: string; address: string } | undefined;
	tmp: Map<string, string>;
	whenThawed(): Promise<void>;
	/** Servers on the real loopback by the port that they have in the sandbox. */
	ports: Map<number, Server>;
	connect(host: string, port: number): Promise<Socket>;
	/** False when the sandbox now uses more than its limit. */
	fits(): boolean;
}

/** A function of this process that behaves like a process of a sandbox. */
export class FakeSandboxProcess implements SandboxProcess {
	readonly stdout = new PassThrough();
	readonly stderr = new PassThrough();
	readonly exited: Promise<SandboxExit>;
	readonly #surroundings: FakeSurroundings;
	readonly #sigterm = new AbortController();
	readonly #ending = new AbortController();
	readonly #settleExit: (exit: SandboxExit) => void;
	#handlesSigterm = false;
	#started = false;
	#exit: SandboxExit | undefined;
	memoryBytes = 0;

	constructor(surroundings: FakeSurroundings) {
		this.#surroundings = surroundings;
		const { promise, resolve } = Promise.withResolvers<SandboxExit>();
		this.exited = promise;
		this.#settleExit = resolve;
	}

	get running(): boolean {
		return this.#started && !this.#exit;
	}

	get exit(): SandboxExit | undefined {
		return this.#exit;
	}

	async run(program: FakeProgram): Promise<void> {
		this.#started = true;
		try {
			this.end({ code: await program(this.#process()), oomKilled: false });
		} catch (error) {
			if (!this.#exit) this.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
			this.end({ code: 1, oomKilled: false });
		}
	}

	#process(): FakeProcess {
		const { spec, endpoint, tmp } = this.#surroundings;
		const sigterm = () => {
			this.#handlesSigterm = true;
			return this.#sigterm.signal;
		};
		return {
			args: spec.args,
			env: { ...spec.env, ...(endpoint && { [endpoint.envName]: endpoint.address }) },
			cwd: spec.cwd,
			user: spec.user,
			endpoint: endpoint?.address,
			stdout: this.stdout,
			stderr: this.stderr,
			tmp,
			get signal() {
				return sigterm();
			},
			ended: this.#ending.signal,
			whenThawed: () => this.#surroundings.whenThawed(),
			useMemory: (bytes) => {
				this.memoryBytes = bytes;
				if (!this.#surroundings.fits()) this.end({ signal: "SIGKILL", oomKilled: true });
			},
			connect: (host, port) => this.#connect(host, port),
			listen: (port, onConnection) => this.#listen(port, onConnection),
		};
	}

	async #connect(host: string, port: number): Promise<Socket> {
		const socket = await this.#surroundings.connect(host, port);
		this.#ending.signal.addEventListener("abort", () => socket.destroy());
		return socket;
	}

	async #listen(port: number, onConnection: (socket: Socket) => void): Promise<void> {
		const { ports } = this.#surroundings;
		if (ports.has(port))
			throw Object.assign(new Error(`listen EADDRINUSE: address already in use 127.0.0.1:${port}`), {
				code: "EADDRINUSE",
			});
		const server = createServer({ noDelay: true }, (socket) => {
			this.#ending.signal.addEventListener("abort", () => socket.destroy());
			onConnection(socket);
		});
		ports.set(port, server);
		this.#ending.signal.addEventListener("abort", () => {
			ports.delete(port);
			server.close();
		});
		await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	}

	signal(name: "SIGTERM" | "SIGKILL"): void {
		void this.#surroundings.whenThawed().then(() => {
			if (!this.running) return;
			if (name === "SIGTERM" && this.#handlesSigterm) this.#sigterm.abort("SIGTERM");
			else this.end({ signal: name, oomKilled: false });
		});
	}

	/** Ends the process once; a program that still runs is told by its signals, and its writes go nowhere. */
	end(exit: SandboxExit): void {
		if (this.#exit) return;
		this.#exit = exit;
		this.memoryBytes = 0;
		this.#sigterm.abort("SIGKILL");
		this.#ending.abort("SIGKILL");
		for (const stream of [this.stdout, this.stderr]) {
			stream.end();
			stream.write = () => true;
		}
		this.#settleExit(exit);
	}
}
