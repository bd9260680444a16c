import { closeSync } from "node:fs";
import { createServer, type Server, Socket } from "node:net";
import { SlipwayError } from "../../base/error.ts";
import type { SandboxListener } from "../../core/sandbox/sandbox-runtime.ts";
import type { Door } from "./door.ts";
import type { Egress, EgressLink } from "./egress.ts";
import type { Holder, Holders } from "./holders.ts";
import type { KernelThread } from "./kernel-thread.ts";
import { closeSocketLookup, routeToSocket } from "./socket-lookup.ts";

/**
 * Where a sandbox finds its endpoint. The socket listens inside the sandbox's own network namespace, on its own loopback:
 * no packet leaves the namespace, and nobody outside of it can connect. The port is the cloud's own emulator's.
 */
export const ENDPOINT_HOST = "127.0.0.1";
export const ENDPOINT_PORT = 9001;

/**
 * That a sandbox may have open to the daemon at once, over all its listeners: their descriptors are the daemon's. More than a busy
 * server keeps open to other services.
 */
const MAX_CONNECTIONS = 1_024;

type Receiver = (socket: Socket) => void;

/** One network namespace with the listening socket in it, or a share of another's, and the process namespace that goes with it. */
export class SandboxNetwork implements AsyncDisposable {
	/** A file that names the namespace. */
	readonly path: string;
	readonly holder: Holder;
	readonly #thread: KernelThread;
	#listener: number | undefined;
	#door: Door | undefined;
	/** Why it has none. */
	#noDoor: string | undefined;
	/** By address and port, of what comes by the door. */
	readonly #receivers = new Map<string, Receiver>();
	readonly #servers: Server[] = [];
	readonly #connections = new Set<Socket>();
	#egress: { egress: Egress; link: EgressLink } | undefined;
	/** Whose network it is, when it is another's. */
	readonly #owner: SandboxNetwork | undefined;
	#disposed: Promise<void> | undefined;

	/** `path` is the file to make. Without a door each listener is a socket of its own, made when it is asked for. */
	static async create(
		thread: KernelThread,
		holders: Holders,
		{ path, withDoor }: { path: string; withDoor: boolean },
	): Promise<SandboxNetwork> {
		const input = { path, port: ENDPOINT_PORT, holder: holders.input, withDoor };
		const { fd, holderPid, door } = await thread.run("createNetwork", input);
		const network = new SandboxNetwork(thread, path, holders.adopt(holderPid), fd);
		try {
			if (typeof door === "string") network.#noDoor = door;
			else await network.#openDoor(door);
			return network;
		} catch (error) {
			await network[Symbol.asyncDispose]();
			throw error;
		}
	}

	/** The other's network, with a process namespace of its own. SANDBOX_FAILED when the other is gone. */
	static async beside(thread: KernelThread, holders: Holders, other: SandboxNetwork): Promise<SandboxNetwork> {
		const { path } = other;
		try {
			const { holderPid } = await thread.run("startHolder", { path, holder: holders.input });
			return new SandboxNetwork(thread, path, holders.adopt(holderPid), undefined, other);
		} catch (error) {
			if (!other.#disposed) throw error;
			throw new SlipwayError("SANDBOX_FAILED", "The sandbox to be beside of has ended", { cause: error });
		}
	}

	private constructor(
		thread: KernelThread,
		path: string,
		holder: Holder,
		listener: number | undefined,
		owner?: SandboxNetwork,
	) {
		this.#thread = thread;
		this.path = path;
		this.holder = holder;
		this.#listener = listener;
		this.#owner = owner;
	}

	get hasEgress(): boolean {
		return this.#owner?.hasEgress ?? this.#egress !== undefined;
	}

	/** Gives the namespace a way out. */
	async connect(egress: Egress): Promise<void> {
		this.#egress = { egress, link: await egress.connect(this.path) };
	}

	/** Hands over every connection made inside the sandbox from now on; without a receiver the port is closed. */
	async serve(onConnection: Receiver | undefined): Promise<void> {
		if (!onConnection) return this.#closeListener();
		const listener = this.#listener;
		if (listener === undefined) throw new Error("This network's endpoint is not its own, or is served already");
		this.#listener = undefined;
		await this.#accept(listener, onConnection);
	}

	/** From now on a program inside may listen on any port, whoever its user is. */
	async openLowPorts(): Promise<void> {
		await this.#thread.run("openLowPorts", { path: this.path });
	}

	/** The kernel's reason why programs inside can't listen on 0.0.0.0 on the ports of listeners; undefined where they can. */
	get noDoor(): string | undefined {
		return this.#noDoor;
	}

	async #openDoor(door: Door): Promise<void> {
		this.#door = door;
		await this.#accept(door.listener, (socket) => {
			const receiver = this.#receivers.get(`${socket.localAddress}:${socket.localPort}`);
			if (receiver) receiver(socket);
			else socket.destroy();
		});
	}

	/** Further addresses inside, of which every connection is handed over. */
	async listen(addresses: readonly SandboxListener[]): Promise<void> {
		const door = this.#door;
		if (!door) return this.#listenPlainly(addresses);
		for (const { host, port, onConnection } of addresses) {
			this.#receivers.set(`${host}:${port}`, onConnection);
			routeToSocket(door.lookup, host, port, door.listener);
		}
	}

	async #listenPlainly(addresses: readonly SandboxListener[]): Promise<void> {
		const plain = addresses.map(({ host, port }) => ({ host, port }));
		const { fds } = await this.#thread.run("listen", { path: this.path, addresses: plain });
		await Promise.all(fds.map((fd, at) => this.#accept(fd, addresses[at]!.onConnection)));
	}

	/** The descriptor is the server's from now on. */
	async #accept(fd: number, onConnection: Receiver): Promise<void> {
		// Half-open, because HTTP clients may close their side after the request (as Node's own HTTP server has it).
		const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
			this.#connections.add(socket);
			socket.once("close", () => this.#connections.delete(socket));
			onConnection(socket);
		});
		server.maxConnections = MAX_CONNECTIONS;
		await new Promise<void>((resolve, reject) => {
			server.once("error", reject);
			server.listen({ fd }, () => {
				server.off("error", reject);
				resolve();
			});
		});
		this.#servers.push(server);
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
		if (this.#door) closeSocketLookup(this.#door.lookup);
		for (const server of this.#servers) server.close();
		// The namespace lives as long as a socket of it does.
		for (const socket of this.#connections) socket.destroy();
		await this.holder.end();
		if (this.#owner) return;
		if (this.#egress) this.#egress.egress.disconnect(this.#egress.link);
		await this.#thread.run("removeNetwork", { path: this.path });
	}
}
