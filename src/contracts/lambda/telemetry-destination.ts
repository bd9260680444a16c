import { once } from "node:events";
import type { ClientRequest, IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { http } from "../../base/http.ts";
import type { Subscription } from "./telemetry-subscription.ts";

type Connect = (port: number) => Promise<Socket>;

/** A server inside of the sandbox that takes telemetry. Batches come one at a time. */
export interface Destination {
	/** Resolves when the server has taken it; rejects when it can't be had or refuses. A frozen sandbox takes it when it thaws. */
	send(records: readonly string[]): Promise<void>;
	close(): void;
}

export function openDestination(destination: Subscription["destination"], connect: Connect): Destination {
	return destination.protocol === "HTTP"
		? new HttpDestination(destination, connect)
		: new TcpDestination(destination.port, connect);
}

/** A POST of a JSON array for each batch, on a connection of its own: one that idles over a freeze may be gone. */
class HttpDestination implements Destination {
	readonly #port: number;
	readonly #path: string;
	readonly #connect: Connect;
	#request: ClientRequest | undefined;

	constructor({ port, path }: { port: number; path: string }, connect: Connect) {
		this.#port = port;
		this.#path = path;
		this.#connect = connect;
	}

	async send(records: readonly string[]): Promise<void> {
		const socket = await this.#connect(this.#port);
		const body = Buffer.from(`[${records.join(",")}]`);
		const request = http.request({
			method: "POST",
			path: this.#path,
			headers: {
				Host: `sandbox.localdomain:${this.#port}`,
				"Content-Type": "application/json",
				"Content-Length": body.length,
				Connection: "close",
			},
			createConnection: () => socket,
		});
		this.#request = request;
		// What breaks after the answer changes nothing.
		request.on("error", () => {});
		request.end(body);
		const [response] = (await once(request, "response")) as [IncomingMessage];
		response.resume();
		await once(response, "end");
		socket.destroy();
		const status = response.statusCode ?? 0;
		if (status >= 400) throw new Error(`The subscriber answered with status ${status}`);
	}

	close(): void {
		this.#request?.destroy();
	}
}

/** One connection, and a line of JSON for each record. */
class TcpDestination implements Destination {
	readonly #port: number;
	readonly #connect: Connect;
	#socket: Socket | undefined;

	constructor(port: number, connect: Connect) {
		this.#port = port;
		this.#connect = connect;
	}

	async send(records: readonly string[]): Promise<void> {
		const socket = this.#socket ?? (await this.#open());
		const text = `${records.join("\n")}\n`;
		await new Promise<void>((resolve, reject) => {
			const onClose = () => reject(new Error("The subscriber closed its connection"));
			socket.once("close", onClose);
			socket.write(text, (error) => {
				socket.off("close", onClose);
				if (error) reject(error);
				else resolve();
			});
		});
	}

	close(): void {
		this.#socket?.destroy();
	}

	async #open(): Promise<Socket> {
		const socket = await this.#connect(this.#port);
		this.#socket = socket;
		const forget = () => {
			if (this.#socket === socket) this.#socket = undefined;
		};
		socket.on("error", forget);
		socket.once("close", forget);
		socket.resume();
		return socket;
	}
}
