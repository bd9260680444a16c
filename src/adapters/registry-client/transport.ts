import type { Agent, IncomingMessage } from "node:http";
import https from "node:https";
import type { Clock } from "../../base/clock.ts";
import { SlipwayError, systemCode } from "../../base/error.ts";
import { http } from "../../base/http.ts";
import type { RegistryLimits } from "./limits.ts";
import { TransientError } from "./retry.ts";

/** One HTTP exchange with its timeouts; knows nothing of registries. */
export class Transport implements Disposable {
	readonly #clock: Clock;
	readonly #limits: RegistryLimits;
	readonly #ca: string | undefined;
	readonly #agents: { http: Agent; https: https.Agent };

	constructor(options: { clock: Clock; limits: RegistryLimits; ca?: string | undefined }) {
		this.#clock = options.clock;
		this.#limits = options.limits;
		this.#ca = options.ca;
		const pool = { keepAlive: true, maxSockets: options.limits.sockets, maxFreeSockets: 2 };
		this.#agents = { http: new http.Agent(pool), https: new https.Agent(pool) };
	}

	/** Resolves with the response's header; its body flows when read, and must be read or destroyed. */
	get(url: URL, headers: Record<string, string>, signal?: AbortSignal): Promise<IncomingMessage> {
		return new Promise((resolve, reject) => {
			signal?.throwIfAborted();
			const isTls = url.protocol === "https:";
			const request = (isTls ? https : http).request(url, {
				headers: { ...headers, "user-agent": "slipway", "accept-encoding": "identity" },
				agent: isTls ? this.#agents.https : this.#agents.http,
				maxHeaderSize: this.#limits.headerBytes,
				...(isTls && this.#ca !== undefined ? { ca: this.#ca } : {}),
			});
			const late = (what: string) => () => request.destroy(new TransientError(`${url.host} ${what}`));
			const cancelResponse = this.#clock.after(this.#limits.responseMs, late("did not answer in time"));
			let cancelConnect = () => {};
			request.once("socket", (socket) => {
				if (!socket.connecting) return;
				cancelConnect = this.#clock.after(this.#limits.connectMs, late("did not accept the connection in time"));
				socket.once(isTls ? "secureConnect" : "connect", () => cancelConnect());
			});
			const onAbort = () => request.destroy(signal?.reason);
			signal?.addEventListener("abort", onAbort, { once: true });
			const settle = () => {
				cancelResponse();
				cancelConnect();
			};
			request.once("response", (response) => {
				settle();
				response.once("close", () => signal?.removeEventListener("abort", onAbort));
				resolve(response);
			});
			request.on("error", (error) => {
				settle();
				signal?.removeEventListener("abort", onAbort);
				reject(signal?.aborted ? signal.reason : explain(error, url));
			});
			request.end();
		});
	}

	/** The body's chunks, with the idle and the rate limit. Always closes the response. */
	async *body(response: IncomingMessage, signal?: AbortSignal): AsyncGenerator<Buffer, void> {
		const limits = this.#limits;
		const chunks = response[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
		let waitedMs = 0;
		let received = 0;
		try {
			for (;;) {
				const cancel = this.#clock.after(limits.idleMs, () => response.destroy(new TransientError("No data arrives")));
				const asked = this.#clock.monotonic();
				const chunk = await chunks.next().finally(cancel);
				if (chunk.done) break;
				waitedMs += this.#clock.monotonic() - asked;
				received += chunk.value.length;
				if (waitedMs >= limits.rateWindowMs) {
					if (received < limits.minBytesPerWindow) throw new TransientError("Data arrives too slowly");
					waitedMs = 0;
					received = 0;
				}
				yield chunk.value;
			}
			if (!response.complete) throw new TransientError("The connection broke off");
		} catch (error) {
			signal?.throwIfAborted();
			throw error;
		} finally {
			response.destroy();
		}
	}

	/** The whole body, when it is no longer than `limit`: TOO_LARGE otherwise. */
	async read(response: IncomingMessage, limit: number, signal?: AbortSignal): Promise<Buffer> {
		const chunks: Buffer[] = [];
		let size = 0;
		for await (const chunk of this.body(response, signal)) {
			size += chunk.length;
			if (size > limit) throw new SlipwayError("TOO_LARGE", `Response is larger than ${limit} bytes`);
			chunks.push(chunk);
		}
		return Buffer.concat(chunks);
	}

	[Symbol.dispose](): void {
		this.#agents.http.destroy();
		this.#agents.https.destroy();
	}
}

function explain(error: Error, url: URL): unknown {
	const code = systemCode(error);
	if (code === "ENOTFOUND")
		return new SlipwayError("UNAVAILABLE", `Registry host '${url.hostname}' can't be found`, { cause: error });
	if (code?.startsWith("HPE_"))
		return new SlipwayError("UNAVAILABLE", `${url.host} sent a response that is not HTTP (${code})`, { cause: error });
	if (code !== undefined && /CERT|SELF_SIGNED|UNABLE_TO_|ERR_TLS|ERR_SSL|EPROTO/.test(code))
		return new SlipwayError("UNAVAILABLE", `No trusted TLS connection to ${url.host} (${code}): ${error.message}`, {
			cause: error,
			hint: "A registry without TLS must be configured as insecure",
		});
	return error;
}
