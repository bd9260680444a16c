/** The daemon's AWS APIs with as little as they need, so that thousands of calls a second cost the run little: the token of `slipway env`. */
import { Agent, request } from "node:http";
import type { LocalDaemon } from "../../../tools/local-daemon.ts";

export interface Reply {
	status: number;
	/** JSON, or undefined for an empty body. */
	body: unknown;
}

const timeoutMs = 60_000;

export class Api {
	readonly #agent = new Agent({ keepAlive: true, maxSockets: 256 });
	readonly #url: URL;
	readonly #token: string;

	constructor(daemon: Pick<LocalDaemon, "url" | "credentials">) {
		this.#url = new URL(daemon.url);
		this.#token = daemon.credentials.token;
	}

	/** Rejects when no whole answer comes. */
	call(method: string, path: string, body: unknown, headers: Record<string, string> = {}): Promise<Reply> {
		const { hostname, port } = this.#url;
		const text = body === undefined ? "" : JSON.stringify(body);
		return new Promise((resolve, reject) => {
			const sent = request(
				{
					agent: this.#agent,
					hostname,
					port,
					method,
					path,
					timeout: timeoutMs,
					headers: {
						authorization: `Bearer ${this.#token}`,
						"content-type": "application/json",
						"content-length": Buffer.byteLength(text),
						...headers,
					},
				},
				(response) => {
					const parts: Buffer[] = [];
					response.on("data", (part: Buffer) => parts.push(part));
					response.on("error", reject);
					response.on("end", () => {
						const answer = Buffer.concat(parts).toString();
						try {
							resolve({ status: response.statusCode ?? 0, body: answer === "" ? undefined : JSON.parse(answer) });
						} catch {
							reject(new Error(`${method} ${path}: ${response.statusCode} ${answer}`));
						}
					});
				},
			);
			sent.on("timeout", () => sent.destroy(new Error("No answer")));
			sent.on("error", reject);
			sent.end(text);
		});
	}

	/** An operation of an aws-json service: "AmazonSQS.SendMessage". Throws what is not 200. */
	async operation<T>(target: string, input: unknown): Promise<T> {
		const version = target.startsWith("AmazonSQS") ? "1.0" : "1.1";
		const headers = { "x-amz-target": target, "content-type": `application/x-amz-json-${version}` };
		return accepted(await this.call("POST", "/", input, headers), target) as T;
	}

	close(): void {
		this.#agent.destroy();
	}
}

/** An answer that says no. */
export class Refusal extends Error {
	readonly what: string;
	readonly status: number;
	/** Such as "ServiceUnavailable". */
	readonly code: string;

	constructor(what: string, { status, body }: Reply) {
		super(`${what}: ${status} ${JSON.stringify(body)}`);
		this.what = what;
		this.status = status;
		const { __type, code, Type } = (body ?? {}) as { __type?: string; code?: string; Type?: string };
		this.code = (__type ?? code ?? Type ?? "").replace(/^.*#/, "");
	}

	/** Every AWS SDK tries again after a fault of the server and after throttling. */
	get isRetryable(): boolean {
		return this.status >= 500 || this.status === 429;
	}
}

/** The body of an answer from 200 to 299. */
export function accepted(reply: Reply, what: string): unknown {
	if (reply.status >= 200 && reply.status < 300) return reply.body;
	throw new Refusal(what, reply);
}
