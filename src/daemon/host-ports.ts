import { connect, type Socket } from "node:net";
import type { Log } from "../base/log.ts";
import type { SandboxListener } from "../core/sandbox/sandbox-runtime.ts";

/** Of host.internal, inside every sandbox (docs/adr/0014-names-inside.md). */
export const hostAddress = "169.254.170.2";
/** What is allowed listens here, and need not be open to the machine's network. */
const loopback = "127.0.0.1";
/** Two descriptors each, of the 1,000,000 that the daemon asks for at the most; a database takes some hundred clients. */
const maxConnections = 4096;
/** So that no sandbox keeps the others out. */
const maxConnectionsPerSandbox = 512;
/** Between two complaints about the same. */
const complainEveryMs = 60_000;

interface HostPortsOptions {
	ports: readonly number[];
	log: Log;
	/** For tests; the bounds above by default. */
	bounds?: { total: number; perSandbox: number };
}

/** The ports of this machine's loopback that sandboxes may reach: each connection is piped to one of ours, byte by byte. */
export class HostPorts implements Disposable {
	readonly #ports: readonly number[];
	readonly #log: Log;
	readonly #bounds: { total: number; perSandbox: number };
	readonly #open = new Set<Socket>();
	/** By message. */
	readonly #complainedMs = new Map<string, number>();

	constructor({ ports, log, bounds }: HostPortsOptions) {
		this.#ports = [...new Set(ports)];
		this.#log = log;
		this.#bounds = bounds ?? { total: maxConnections, perSandbox: maxConnectionsPerSandbox };
	}

	/** Of one sandbox. */
	listeners(): SandboxListener[] {
		const own = new Set<Socket>();
		return this.#ports.map((port) => ({
			host: hostAddress,
			port,
			onConnection: (socket) => this.#accept(socket, port, own),
		}));
	}

	/** Connections that are piped now. */
	get connections(): number {
		return this.#open.size;
	}

	#accept(inside: Socket, port: number, own: Set<Socket>): void {
		// Without a listener for its errors a socket takes the process with it.
		inside.on("error", () => {});
		if (this.#open.size >= this.#bounds.total || own.size >= this.#bounds.perSandbox) {
			this.#complain("A sandbox's connection to the host was refused: too many are open", {
				port,
				open: this.#open.size,
			});
			inside.resetAndDestroy();
			return;
		}
		for (const set of [this.#open, own]) {
			set.add(inside);
			inside.once("close", () => set.delete(inside));
		}
		const outside = connect({ host: loopback, port, allowHalfOpen: true, noDelay: true });
		outside.on("error", (error) => {
			if (outside.bytesRead === 0) this.#complain("A port of the host does not answer its sandbox", { port, error });
			// A reset, or it would look like an answer that ended well.
			inside.resetAndDestroy();
		});
		pipeBothWays(inside, outside);
	}

	#complain(message: string, fields: Record<string, unknown>): void {
		const now = performance.now();
		if (now - (this.#complainedMs.get(message) ?? Number.NEGATIVE_INFINITY) < complainEveryMs) return;
		this.#complainedMs.set(message, now);
		this.#log.warn(message, fields);
	}

	[Symbol.dispose](): void {
		for (const socket of this.#open) socket.destroy();
	}
}

/** One side's end is passed on as an end, while the other may go on to write; one side that breaks off ends both. */
function pipeBothWays(inside: Socket, outside: Socket): void {
	inside.pipe(outside);
	outside.pipe(inside);
	inside.once("close", () => (inside.readableEnded ? outside.destroySoon() : outside.resetAndDestroy()));
	outside.once("close", () => inside.destroySoon());
}
