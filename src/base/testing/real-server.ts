/** Programs that a test starts by itself: other people's servers, on loopback, in a folder of their own. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Milliseconds for a server to accept connections: RabbitMQ takes up to ten seconds on a busy machine. */
const startTimeoutMs = 60_000;
const pollMs = 50;
/** Characters of output kept for the error of one that does not start. */
const keptOutput = 4000;
/** Debian keeps servers where only root's PATH looks. */
const systemFolders = ["/usr/sbin", "/usr/local/sbin", "/sbin"];

/** The path of a program, or undefined. */
export function findProgram(name: string): string | undefined {
	const folders = [...(process.env.PATH ?? "").split(delimiter), ...systemFolders];
	return folders.map((folder) => join(folder, name)).find(isExecutable);
}

export function isExecutable(path: string): boolean {
	try {
		accessSync(path, constants.X_OK);
		return true;
	} catch {
		return false;
	}
}

/** Ports that nobody listens on now. */
export async function freePorts(count: number): Promise<number[]> {
	const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
	await Promise.all(servers.map((server) => once(server, "listening")));
	const ports = servers.map((server) => {
		const address = server.address();
		return typeof address === "object" && address ? address.port : 0;
	});
	await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
	return ports;
}

export interface RealServerOptions {
	program: string;
	args: readonly string[];
	env?: Readonly<Record<string, string>>;
	port: number;
	uid?: number;
	gid?: number;
	cwd?: string;
	/** Resolves when it serves; by default: when it accepts connections. */
	ready?: () => Promise<boolean>;
}

/** One program in its own process group, so that what it starts ends with it. Can be killed and started again. */
export class RealServer implements AsyncDisposable {
	readonly options: RealServerOptions;
	#child: ChildProcess | undefined;
	#output = "";

	constructor(options: RealServerOptions) {
		this.options = options;
	}

	get port(): number {
		return this.options.port;
	}

	async start(): Promise<this> {
		const { program, args, env, uid, gid, cwd = "/", ready } = this.options;
		const child = spawn(program, args, {
			env: { PATH: "/usr/local/bin:/usr/bin:/bin:/usr/sbin", LANG: "C.UTF-8", ...env },
			stdio: ["ignore", "pipe", "pipe"],
			detached: true,
			cwd,
			...(uid !== undefined && { uid }),
			...(gid !== undefined && { gid }),
		});
		this.#child = child;
		for (const stream of [child.stdout, child.stderr])
			stream?.on("data", (chunk) => {
				this.#output = `${this.#output}${chunk}`.slice(-keptOutput);
			});
		const deadline = Date.now() + startTimeoutMs;
		while (!(await (ready ? ready() : accepts(this.port)))) {
			const gone = child.exitCode !== null || child.signalCode !== null;
			if (gone || Date.now() > deadline) {
				await this.kill();
				throw new Error(`${program} did not start:\n${this.#output}`);
			}
			await sleep(pollMs);
		}
		return this;
	}

	/** SIGKILL by default, to all of it; resolves when it is gone. */
	async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
		const child = this.#child;
		this.#child = undefined;
		if (child?.pid === undefined) return;
		const ended = child.exitCode === null && child.signalCode === null ? once(child, "exit") : undefined;
		try {
			process.kill(-child.pid, signal);
		} catch {
			// It ended by itself.
		}
		await ended;
		// What it started ends a moment later, and holds the port until then.
		for (const deadline = Date.now() + startTimeoutMs; groupLives(child.pid); await sleep(10))
			if (Date.now() > deadline) throw new Error(`Processes of ${this.options.program} do not end`);
	}

	async restart(): Promise<void> {
		await this.kill();
		await this.start();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.kill();
	}
}

function groupLives(pid: number): boolean {
	try {
		process.kill(-pid, 0);
		return true;
	} catch {
		return false;
	}
}

export function accepts(port: number): Promise<boolean> {
	return new Promise((resolve) => {
		const socket = connect(port, "127.0.0.1");
		const end = (answer: boolean) => {
			socket.destroy();
			resolve(answer);
		};
		socket.once("connect", () => end(true));
		socket.once("error", () => end(false));
	});
}

/** A folder that is gone at the end. */
export async function temporaryFolder(): Promise<{ path: string } & AsyncDisposable> {
	const path = await mkdtemp(join(tmpdir(), "slipway-server-"));
	return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) };
}
