/**
 * Requests of the daemon's own to services, by the whole way that a container's request takes: HTTP/1.1 into the gateway's internal
 * server, over a pair of streams in this process. No port is opened and none is needed, so neither TLS nor credentials of the
 * gateway's listeners matter, and services whose ingress is internal are reached as they are by other containers.
 */
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { type Duplex, duplexPair } from "node:stream";
import type { Clock } from "../base/clock.ts";
import { SlipwayError } from "../base/error.ts";
import { http } from "../base/http.ts";
import { Semaphore } from "../base/semaphore.ts";
import { type HttpAnswer, type HttpCall, type HttpCaller, maxAnswerBytes } from "../core/delivery/http-caller.ts";
import type { InternalServer } from "../front/gateway/internal-server.ts";

export interface GatewayCallerOptions {
	/** The gateway's internal server's (front/gateway/internal-server.ts); what is open ends with it. */
	accept: InternalServer["accept"];
	clock: Clock;
}

/** Below it are the names of services inside (docs/adr/0014-names-inside.md). */
const domain = "internal";
/** Calls at once, of all deliverers: each holds an event and a request in memory. Those beyond wait. */
const maxCalls = 1000;
/** Calls that wait; their own deliverers bound them long before. */
const maxWaitingCalls = 10_000;

export class GatewayCaller implements HttpCaller {
	readonly #options: GatewayCallerOptions;
	readonly #calls = new Semaphore(maxCalls, maxWaitingCalls);

	constructor(options: GatewayCallerOptions) {
		this.#options = options;
	}

	call(request: HttpCall, signal: AbortSignal): Promise<HttpAnswer> {
		return this.#calls.run(() => this.#call(request, signal), signal);
	}

	async #call(call: HttpCall, signal: AbortSignal): Promise<HttpAnswer> {
		const ended = new AbortController();
		const late = new SlipwayError("DEADLINE", `${nameOf(call)} did not answer within ${call.timeoutMs} ms`);
		const cancel = this.#options.clock.after(call.timeoutMs, () => ended.abort(late));
		const onAbort = () => ended.abort(signal.reason);
		signal.addEventListener("abort", onAbort, { once: true });
		const [ours, theirs] = duplexPair();
		// The gateway writes to a connection that may be gone; nobody else listens for that.
		theirs.on("error", () => theirs.destroy());
		// One that is cut off has no end, which on a real connection would be heard.
		theirs.once("close", () => {
			if (!theirs.writableFinished) ours.destroy(new Error("The connection was closed"));
		});
		try {
			this.#options.accept(asSocket(theirs));
			return await exchange(call, ours, ended.signal);
		} catch (error) {
			ended.signal.throwIfAborted();
			if (error instanceof SlipwayError) throw error;
			throw new SlipwayError("UNAVAILABLE", `${nameOf(call)} broke the connection off`, { cause: error });
		} finally {
			cancel();
			signal.removeEventListener("abort", onAbort);
			ours.destroy();
			theirs.destroy();
		}
	}
}

/** Node's server takes any Duplex as a connection (https://nodejs.org/api/http.html#event-connection); its type says Socket. */
function asSocket(duplex: Duplex): Socket {
	return duplex as Socket;
}

function nameOf({ namespace, name }: HttpCall): string {
	return `The service ${namespace}/${name}`;
}

async function exchange(call: HttpCall, connection: Duplex, signal: AbortSignal): Promise<HttpAnswer> {
	const { namespace, name, method, path, headers, body } = call;
	const host = `${name}.${namespace}.${domain}`;
	const answer = await new Promise<IncomingMessage>((resolve, reject) => {
		const request = http.request({
			method,
			path,
			headers: { ...headers, host, "content-length": body.length },
			createConnection: () => connection,
			setDefaultHeaders: false,
			signal,
		});
		request.once("response", resolve);
		// Also after the answer has begun: a request that fails then has failed its answer, which tells it.
		request.on("error", reject);
		request.end(body);
	});
	return { status: answer.statusCode ?? 0, headers: headersOf(answer), body: await bodyOf(answer, call) };
}

async function bodyOf(answer: IncomingMessage, call: HttpCall): Promise<Buffer> {
	const chunks: Buffer[] = [];
	let length = 0;
	for await (const chunk of answer as AsyncIterable<Buffer>) {
		length += chunk.length;
		if (length > maxAnswerBytes)
			throw new SlipwayError("TOO_LARGE", `${nameOf(call)} answered with more than ${maxAnswerBytes} bytes`);
		chunks.push(chunk);
	}
	return Buffer.concat(chunks, length);
}

function headersOf({ headers }: IncomingMessage): Record<string, string> {
	const joined: Record<string, string> = {};
	for (const [name, value] of Object.entries(headers))
		if (value !== undefined) joined[name] = Array.isArray(value) ? value.join(", ") : value;
	return joined;
}
