import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";

/** A resolver gives up after 5 s (resolv.conf(5)). */
const ANSWER_MS = 5_000;
/** Each waiting question holds a socket. */
const MAX_WAITING = 512;
const DNS_PORT = 53;

/**
 * Passes questions of sandboxes on to a name server that only the host can reach (one on its loopback). It reads nothing
 * of what it passes. Bound to one address that only sandboxes with egress have a way to.
 */
export class DnsForwarder implements AsyncDisposable {
	readonly #upstream: { host: string; port: number };
	readonly #clock: Clock;
	readonly #log: Log;
	readonly #udp: UdpSocket;
	readonly #tcp: Server;
	readonly #waiting = new Set<UdpSocket>();
	readonly #connections = new Set<Socket>();

	static async open(options: {
		address: string;
		port?: number;
		upstream: { host: string; port?: number };
		clock: Clock;
		log: Log;
	}): Promise<DnsForwarder> {
		const forwarder = new DnsForwarder(
			{ host: options.upstream.host, port: options.upstream.port ?? DNS_PORT },
			options.clock,
			options.log,
		);
		await forwarder.#listen(options.address, options.port ?? DNS_PORT);
		return forwarder;
	}

	private constructor(upstream: { host: string; port: number }, clock: Clock, log: Log) {
		this.#upstream = upstream;
		this.#clock = clock;
		this.#log = log;
		this.#udp = createSocket("udp4", (question, from) => this.#ask(question, from));
		this.#tcp = createServer((socket) => this.#pass(socket));
	}

	get port(): number {
		return this.#udp.address().port;
	}

	async #listen(address: string, port: number): Promise<void> {
		await new Promise<void>((resolve, reject) => {
			this.#udp.once("error", reject);
			this.#udp.bind(port, address, resolve);
		});
		await new Promise<void>((resolve, reject) => {
			this.#tcp.once("error", reject);
			this.#tcp.listen(this.port, address, resolve);
		});
		for (const server of [this.#udp, this.#tcp])
			server
				.removeAllListeners("error")
				.on("error", (error) => this.#log.warn("The sandboxes' name server failed", { error }));
	}

	#ask(question: Buffer, from: { address: string; port: number }): void {
		if (this.#waiting.size === MAX_WAITING) return; // The resolver asks again.
		const socket = createSocket("udp4");
		this.#waiting.add(socket);
		const done = () => {
			cancel();
			if (this.#waiting.delete(socket)) socket.close();
		};
		const cancel = this.#clock.after(ANSWER_MS, done);
		socket.on("error", done);
		socket.once("message", (answer) => {
			this.#udp.send(answer, from.port, from.address);
			done();
		});
		// Connected, so that only the name server's own answer comes in.
		socket.connect(this.#upstream.port, this.#upstream.host, () => socket.send(question));
	}

	#pass(client: Socket): void {
		if (this.#connections.size >= MAX_WAITING) return void client.destroy();
		const server = connect(this.#upstream.port, this.#upstream.host);
		for (const socket of [client, server]) {
			this.#connections.add(socket);
			socket.setTimeout(ANSWER_MS, () => socket.destroy());
			socket.on("error", () => socket.destroy());
			socket.once("close", () => {
				this.#connections.delete(socket);
				client.destroy();
				server.destroy();
			});
		}
		client.pipe(server).pipe(client);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		for (const socket of this.#waiting) socket.close();
		this.#waiting.clear();
		for (const socket of this.#connections) socket.destroy();
		await Promise.all([
			new Promise<void>((resolve) => this.#udp.close(() => resolve())),
			new Promise<void>((resolve) => this.#tcp.close(() => resolve())),
		]);
	}
}
