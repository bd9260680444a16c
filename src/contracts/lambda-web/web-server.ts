/** The server inside of a sandbox: when it answers, and what. */
import type { ClientRequest, IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Clock } from "../../base/clock.ts";
import { http } from "../../base/http.ts";
import type { WebRequest } from "./event-request.ts";
import type { WebSettings } from "./settings.ts";

/** Milliseconds between two looks whether it listens: at first as fast as a static server comes up, then as the adapter. */
const firstWaitMs = 1;
const lastWaitMs = 10;
/** Milliseconds of looking at the shortest distance. */
const eagerMs = 100;
/** Milliseconds for the answer to one look; a server that hangs is asked again. */
const lookMs = 10_000;
/** Bytes of a response's head. */
const maxHeaderSize = 256 * 1024;

export interface WebServerDeps {
	connect(port: number): Promise<Socket>;
	clock: Clock;
}

export class WebServer {
	readonly #settings: WebSettings;
	readonly #deps: WebServerDeps;
	readonly #closed = new AbortController();

	constructor(settings: WebSettings, deps: WebServerDeps) {
		this.#settings = settings;
		this.#deps = deps;
	}

	/** Resolves as soon as it is ready; rejects when the server was closed before. */
	async ready(): Promise<void> {
		const { clock } = this.#deps;
		const since = clock.monotonic();
		for (;;) {
			this.#closed.signal.throwIfAborted();
			if (await this.#isReady()) return;
			const waitMs = clock.monotonic() - since < eagerMs ? firstWaitMs : lastWaitMs;
			await clock.sleep(waitMs, this.#closed.signal);
		}
	}

	async #isReady(): Promise<boolean> {
		const { port, path, protocol, healthy } = this.#settings.readiness;
		const socket = await this.#deps.connect(port).catch(() => undefined);
		if (!socket) return false;
		if (protocol === "tcp") {
			socket.destroy();
			return true;
		}
		const late = this.#deps.clock.after(lookMs, () => socket.destroy());
		try {
			const headers = { host: `127.0.0.1:${port}` };
			const response = await this.#ask(socket, { method: "GET", path, headers }, undefined);
			return healthy.has(response.statusCode ?? 0);
		} catch {
			return false;
		} finally {
			late();
			socket.destroy();
		}
	}

	/** The answer's head; its body is the caller's to read. Rejects with the system's or the parser's error. */
	async request({ method, path, headers, body }: WebRequest): Promise<IncomingMessage> {
		// A connection for each event: one that was kept while the sandbox was frozen is closed by the server when it thaws.
		const socket = await this.#deps.connect(this.#settings.port);
		const lines: Record<string, string | string[]> = {};
		for (const [name, values] of headers) lines[name] = values.length === 1 ? values[0]! : values;
		lines.host ??= `127.0.0.1:${this.#settings.port}`;
		if (body.length > 0 || ["POST", "PUT", "PATCH"].includes(method)) lines["content-length"] = String(body.length);
		return this.#ask(socket, { method, path, headers: lines }, body);
	}

	#ask(
		socket: Socket,
		head: { method: string; path: string; headers: Record<string, string | string[]> },
		body: Buffer | undefined,
	): Promise<IncomingMessage> {
		return new Promise((resolve, reject) => {
			const { signal } = this.#closed;
			if (signal.aborted) socket.destroy();
			const cut = () => socket.destroy();
			signal.addEventListener("abort", cut, { once: true });
			socket.once("close", () => signal.removeEventListener("abort", cut));
			let request: ClientRequest;
			try {
				request = http.request({
					...head,
					createConnection: () => socket,
					maxHeaderSize,
					setDefaultHeaders: false,
					headers: { ...head.headers, connection: "close" },
				});
			} catch (error) {
				// An event can name a method that is none.
				socket.destroy();
				throw error;
			}
			request.once("response", resolve);
			// Stays: what comes after the answer's head is seen by whoever reads its body.
			request.on("error", reject);
			// 101 with a protocol that no event can carry.
			request.once("upgrade", () => {
				socket.destroy();
				reject(new Error("The web server changed protocols"));
			});
			request.end(body);
		});
	}

	close(): void {
		this.#closed.abort(new Error("The sandbox ends"));
	}
}
