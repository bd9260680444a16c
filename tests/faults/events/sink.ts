/** Where the fault run's function tells of each event: it lives in the run's own process, which no fault touches. */
import { createServer, type Server, type Socket } from "node:net";

/** One event as a function got it. */
export interface Received {
	requestId: string;
	text: string;
}

/** The function's answer, JSON text, and whether it is an error. */
export interface Verdict {
	isError: boolean;
	answer: string;
}

export class Sink implements AsyncDisposable {
	readonly #server: Server;
	readonly #sockets = new Set<Socket>();

	private constructor(server: Server) {
		this.#server = server;
	}

	static async open(verdict: (received: Received) => Verdict): Promise<Sink> {
		const server = createServer();
		const sink = new Sink(server);
		server.on("connection", (socket) => sink.#serve(socket, verdict));
		await new Promise<void>((resolve) => server.listen({ host: "127.0.0.1", port: 0 }, resolve));
		return sink;
	}

	get port(): number {
		const address = this.#server.address();
		if (address === null || typeof address === "string") throw new Error("The sink has no port");
		return address.port;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		for (const socket of this.#sockets) socket.destroy();
		await new Promise((resolve) => this.#server.close(resolve));
	}

	#serve(socket: Socket, verdict: (received: Received) => Verdict): void {
		this.#sockets.add(socket);
		socket.setNoDelay(true);
		let held: Buffer = Buffer.alloc(0);
		socket.on("data", (bytes: Buffer) => {
			held = held.length === 0 ? bytes : Buffer.concat([held, bytes]);
			for (;;) {
				const end = held.indexOf(10);
				if (end < 0) return;
				const [requestId = "", length] = held.toString("latin1", 0, end).split(" ");
				const until = end + 1 + Number(length);
				if (held.length < until) return;
				const text = held.toString("utf8", end + 1, until);
				held = held.subarray(until);
				const { isError, answer } = verdict({ requestId, text });
				const size = Buffer.byteLength(answer).toString(16).padStart(8, "0");
				socket.write(`${isError ? "!" : "."}${size}${answer}`);
			}
		});
		// A killed daemon takes its sandboxes with it.
		socket.on("error", () => {});
		socket.on("close", () => this.#sockets.delete(socket));
	}
}
