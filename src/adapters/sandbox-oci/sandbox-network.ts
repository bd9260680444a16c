import { closeSync } from "node:fs";
import { createServer, type Server, Socket } from "node:net";
import { join } from "node:path";
import { SlipwayError } from "../../base/error.ts";
import type { Egress, EgressLink } from "./egress.ts";
import type { Holder, Holders } from "./holders.ts";
import type { KernelThread } from "./kernel-thread.ts";

/**
 * Where a sandbox finds its endpoint. The socket listens inside the sandbox's own network namespace, on its own loopback:
 * no packet leaves the namespace, and nobody outside of it can connect. The port is the cloud's own emulator's.
 */
export const ENDPOINT_HOST = "127.0.0.1";
export const ENDPOINT_PORT = 9001;

/** One network namespace with the listening socket in it, and the process namespace that goes with it. */
export class SandboxNetwork implements AsyncDisposable {
	/** A file that names the namespace. */
	readonly path: string;
	readonly holder: Holder;
	readonly #thread: KernelThread;
	#listener: number | undefined;
	#server: Server | undefined;
	readonly #connections = new Set<Socket>();
	#egress: { egress: Egress; link: EgressLink } | undefined;
	#disposed: Promise<void> | undefined;

	static async create(thread: KernelThread, holders: Holders, folder: string, name: string): Promise<SandboxNetwork> {
		const path = join(folder, name);
		const input = { path, port: ENDPOINT_PORT, holder: holders.input };
		const { fd, holderPid } = await thread.run("createNetwork", input);
		return new SandboxNetwork(thread, path, holders.adopt(holderPid), fd);
	}

	private constructor(thread: KernelThread, path: string, holder: Holder, listener: number) {
		this.#thread = thread;
		this.path = path;
		this.holder = holder;
		this.#listener = listener;
	}

	/** Gives the namespace a way out. */
	async connect(egress: Egress): Promise<void> {
		this.#egress = { egress, link: await egress.connect(this.path) };
	}

	/** Hands over every connection made inside the sandbox from now on; without a receiver the port is closed. */
	async serve(onConnection: ((socket: Socket) => void) | undefined): Promise<void> {
		if (!onConnection) return this.#closeListener();
		// Half-open, because HTTP clients may close their side after the request (as Node's own HTTP server has it).
		const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
			this.#connections.add(socket);
			socket.once("close", () => this.#connections.delete(socket));
			onConnection(socket);
		});
		await new Promise<void>((resolve, reject) => {
			server.once("error", reject);
			server.listen({ fd: this.#listener }, () => {
				server.off("error", reject);
				resolve();
			});
		});
		this.#listener = undefined;
		this.#server = server;
	}

	/** A connection to a port inside, as a process in there would make it. Rejects with the system's own error. */
	async connectTo(port: number): Promise<Socket> {
		const { fd } = await this.#thread.run("openSocket", { path: this.path });
		const gone = () => new SlipwayError("SANDBOX_FAILED", "The sandbox has ended before it was connected to");
		if (this.#disposed) {
			closeSync(fd);
			throw gone();
		}
		const socket = new Socket({ fd });
		this.#connections.add(socket);
		socket.once("close", () => this.#connections.delete(socket));
		return new Promise((resolve, reject) => {
			// A server that accepts nothing leaves it waiting; then the end of the sandbox ends it, without an error.
			socket.once("close", () => reject(gone()));
			socket.once("error", reject);
			socket.connect({ port, host: ENDPOINT_HOST }, () => {
				socket.setNoDelay(true);
				socket.off("error", reject);
				resolve(socket);
			});
		});
	}

	#closeListener(): void {
		if (this.#listener !== undefined) closeSync(this.#listener);
		this.#listener = undefined;
	}

	[Symbol.asyncDispose](): Promise<void> {
		this.#disposed ??= this.#dispose();
		return this.#disposed;
	}

	async #dispose(): Promise<void> {
		this.#closeListener();
		this.#server?.close();
		// The namespace lives as long as a socket of it does.
		for (const socket of this.#connections) socket.destroy();
		await this.holder.end();
		if (this.#egress) this.#egress.egress.disconnect(this.#egress.link);
		await this.#thread.run("removeNetwork", { path: this.path });
	}
}
