import { connect, createServer, type Server, type Socket } from "node:net";
import type { SandboxSpec } from "./sandbox-runtime.ts";

type Listener = NonNullable<SandboxSpec["listeners"]>[number];

/** What fake sandboxes beside each other share: servers on the real loopback, under the addresses that they have in there. */
export class FakeNetwork {
	/** By port, of processes of the sandboxes. */
	readonly ports = new Map<number, Server>();
	readonly #listeners = new Map<string, Server>();

	/** `accept` is handed each connection's socket beside the listener itself. */
	async listen(listeners: readonly Listener[], accept: (socket: Socket) => void): Promise<void> {
		for (const { host, port, onConnection } of listeners) {
			const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
				accept(socket);
				onConnection(socket);
			});
			await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
			this.#listeners.set(`${host}:${port}`, server);
		}
	}

	/** Rejects with ECONNREFUSED. */
	connect(host: string, port: number): Promise<Socket> {
		const server = host === "127.0.0.1" ? this.ports.get(port) : this.#listeners.get(`${host}:${port}`);
		const address = server?.address();
		return new Promise((resolve, reject) => {
			if (typeof address !== "object" || address === null)
				return reject(
					Object.assign(new Error(`connect ECONNREFUSED ${host}:${port}`), {
						code: "ECONNREFUSED",
						syscall: "connect",
					}),
				);
			const socket = connect({ port: address.port, host: "127.0.0.1", noDelay: true });
			socket.once("error", reject);
			socket.once("connect", () => {
				socket.off("error", reject);
				resolve(socket);
			});
		});
	}

	close(): void {
		for (const server of this.#listeners.values()) server.close();
		this.#listeners.clear();
	}
}
