/** Two ways to make a sandbox's requests in a test: through the router with stand-ins, or over real HTTP. */
import assert from "node:assert/strict";
import diagnostics from "node:diagnostics_channel";
import { EventEmitter } from "node:events";
import http from "node:http";
import { Readable } from "node:stream";
import { route } from "../sandbox-api.ts";
import type { SandboxSession } from "../sandbox-session.ts";
import type { TestSession } from "./test-session.ts";

export interface WalkRequest {
	method: string;
	path: string;
	headers: Record<string, string>;
	body: string | Buffer;
	/** The body's last byte is held back until `finish`. */
	slow: boolean;
}

/** A request under way. */
export interface WalkCall {
	status: number | undefined;
	body: string;
	/** Sends the rest of a slow body. */
	finish(): void;
	/** The client breaks the connection. */
	abort(): void;
}

export interface Transport {
	/** Resolves when the session has seen the request, and has answered it where `answers`. */
	send(request: WalkRequest, answers: boolean): Promise<WalkCall>;
	/** Resolves when everything that was sent has been dealt with. */
	settle(call?: WalkCall): Promise<void>;
	close(): void;
}

/** No sockets: a hundred thousand steps in seconds. */
export class DirectTransport implements Transport {
	readonly #session: SandboxSession;

	constructor(session: SandboxSession) {
		this.#session = session;
	}

	async send({ method, path, headers, body, slow }: WalkRequest): Promise<WalkCall> {
		const lower = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]);
		const request = Object.assign(new Readable({ read() {} }), {
			method,
			url: path,
			headers: Object.fromEntries(lower),
			trailers: {},
			socket: { destroy: () => request.destroy() },
		});
		request.on("error", () => {});
		const bytes = Buffer.from(body);
		const call: WalkCall = {
			status: undefined,
			body: "",
			finish() {
				request.push(bytes.subarray(-1));
				request.push(null);
			},
			abort() {
				request.destroy();
				response.emit("close");
			},
		};
		const response = Object.assign(new EventEmitter(), {
			headersSent: false,
			destroyed: false,
			writeHead(status: number) {
				assert.equal(call.status, undefined, "one answer to a request");
				call.status = status;
				response.headersSent = true;
				return response;
			},
			end(answer?: Uint8Array) {
				call.body = Buffer.from(answer ?? "").toString();
				return response;
			},
		});
		if (slow) request.push(bytes.subarray(0, -1));
		else {
			request.push(bytes);
			request.push(null);
		}
		const work = route(
			this.#session,
			request as unknown as http.IncomingMessage,
			response as unknown as http.ServerResponse,
		);
		work?.catch((error: unknown) => {
			throw error;
		});
		await this.settle();
		return call;
	}

	async settle(): Promise<void> {
		for (let turn = 0; turn < 2; turn++) await new Promise(setImmediate);
	}

	close(): void {}
}

export class HttpTransport implements Transport {
	readonly #test: TestSession;
	readonly #agent = new http.Agent({ keepAlive: true });
	#arrived = 0;
	#sent = 0;
	readonly #onRequest = (message: unknown) => {
		const { request } = message as { request: http.IncomingMessage };
		if (request.headers["x-walk"] === String(this.#test.port)) this.#arrived++;
	};

	constructor(test: TestSession) {
		this.#test = test;
		diagnostics.subscribe("http.server.request.start", this.#onRequest);
		this.#countPlain(test.session.runtime);
	}

	/** Plain requests of a runtime never are node:http's. */
	#countPlain(runtime: SandboxSession["runtime"]): void {
		const next = runtime.next.bind(runtime);
		runtime.next = (reply) => {
			if (!(reply instanceof http.ServerResponse)) this.#arrived++;
			next(reply);
		};
		const whole = runtime.whole.bind(runtime);
		runtime.whole = (body, reply) => {
			this.#arrived++;
			whole(body, reply);
		};
	}

	async send({ method, path, headers, body, slow }: WalkRequest, answers: boolean): Promise<WalkCall> {
		const bytes = Buffer.from(body);
		const { port } = this.#test;
		const request = http.request({
			host: "127.0.0.1",
			port,
			method,
			path,
			headers: { ...headers, "X-Walk": port, "Content-Length": bytes.length },
			agent: this.#agent,
		});
		const call: WalkCall = {
			status: undefined,
			body: "",
			finish: () => void request.end(bytes.subarray(-1)),
			abort: () => void request.destroy(),
		};
		request.on("error", () => {});
		request.on("response", (response) => {
			response.on("error", () => {});
			response.on("data", (chunk: Buffer) => (call.body += chunk));
			response.on("end", () => (call.status = response.statusCode));
		});
		if (slow) request.write(bytes.subarray(0, -1));
		else request.end(bytes);
		this.#sent++;
		await this.#turns(() => this.#arrived === this.#sent && (!answers || call.status !== undefined));
		return call;
	}

	/** A broken connection is seen some turns of the event loop later. */
	async settle(call?: WalkCall): Promise<void> {
		if (call) await this.#turns(() => call.status !== undefined);
		else for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
	}

	close(): void {
		diagnostics.unsubscribe("http.server.request.start", this.#onRequest);
		this.#agent.destroy();
	}

	async #turns(condition: () => boolean): Promise<void> {
		const end = Date.now() + 5000;
		while (!condition()) {
			assert.ok(Date.now() < end, "the session did not answer");
			await new Promise(setImmediate);
		}
	}
}
