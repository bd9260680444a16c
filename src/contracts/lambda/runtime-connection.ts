/**
 * The warm path of a runtime's connection, without node:http: its two requests, which are the same bytes again and again but
 * for an id and a length, cost a third so. Only what is plain and whole is read here: a request in one piece, of the two
 * kinds, whose headers say nothing special. With the first that is anything else the connection becomes node:http's, from
 * that request's first byte on and for good, so that nothing is ever read by two different rules.
 */
import type { Socket } from "node:net";
import type { Clock } from "../../base/clock.ts";
import type { Reply } from "./api-http.ts";
import type { RuntimeCalls } from "./runtime-calls.ts";

/** The runtime's side, for requests that came whole. */
export interface PlainRuntime extends Pick<RuntimeCalls, "next" | "takesWhole" | "whole"> {}

export interface RuntimeConnectionDeps {
	clock: Pick<Clock, "now">;
	/** Takes over the connection, with what it has sent and nobody has read put back. */
	otherwise: (socket: Socket) => void;
	/** Answers a request that we failed at: it costs this one its answer and nobody else anything. */
	failed: (error: unknown, reply: Reply) => void;
}

const nextLine = Buffer.from("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n");
const answerStart = Buffer.from("POST /2018-06-01/runtime/invocation/");
const answerEnd = "/response HTTP/1.1\r\n";
/** Characters of an id: longer ones are nobody's. */
const maxIdLength = 64;
/** Bytes of a head that is read here; real ones have some 200. */
const maxHeadBytes = 4096;
const emptyLine = Buffer.from("\r\n\r\n");
/** Bytes of an event or an answer that go into one string with their head: copying them is cheaper than a second buffer. */
const maxJoinedBytes = 8 * 1024;

export class RuntimeConnection {
	readonly #socket: Socket;
	readonly #runtime: PlainRuntime;
	readonly #deps: RuntimeConnectionDeps;
	/** The headers that were read last, of either kind, and the length of the body that they announce. */
	#nextHeaders = "";
	#answerHeaders = "";
	#answerLength = 0;
	#reply: PlainReply | undefined;

	constructor(socket: Socket, runtime: PlainRuntime, deps: RuntimeConnectionDeps) {
		this.#socket = socket;
		this.#runtime = runtime;
		this.#deps = deps;
		socket.on("data", this.#onData);
		socket.on("end", this.#onEnd);
		socket.on("error", this.#onError);
		socket.once("close", this.#onClose);
	}

	#onData = (chunk: Buffer): void => {
		const reply = this.#reply;
		// It sends its next request before it has its answer, …
		if (reply && !reply.headersSent) this.#putBack(chunk, (goOn) => reply.whenSent(goOn));
		// … or asks again and again and reads nothing: what it does not take would pile up here.
		else if (this.#socket.writableNeedDrain) this.#putBack(chunk, (goOn) => this.#socket.once("drain", goOn));
		else if (!this.#isNext(chunk) && !this.#isAnswer(chunk)) this.#handOver(chunk);
	};

	/** GET /runtime/invocation/next */
	#isNext(chunk: Buffer): boolean {
		if (!startsWith(chunk, nextLine) || chunk.length > maxHeadBytes) return false;
		const headers = chunk.toString("latin1", nextLine.length, chunk.length);
		if (headers !== this.#nextHeaders) {
			// Its end is the chunk's end: there is no body, and nothing behind it.
			if (bodyLength(headers) !== 0) return false;
			this.#nextHeaders = headers;
		}
		this.#serve((reply) => this.#runtime.next(reply));
		return true;
	}

	/** POST /runtime/invocation/{id}/response */
	#isAnswer(chunk: Buffer): boolean {
		if (!startsWith(chunk, answerStart)) return false;
		const head = chunk.subarray(0, maxHeadBytes);
		const headEnd = head.indexOf(emptyLine, answerStart.length) + emptyLine.length;
		if (headEnd < emptyLine.length) return false;
		const text = chunk.toString("latin1", answerStart.length, headEnd);
		const idEnd = text.indexOf("/");
		if (idEnd < 1 || idEnd > maxIdLength || !text.startsWith(answerEnd, idEnd)) return false;
		const headers = text.slice(idEnd + answerEnd.length);
		if (headers !== this.#answerHeaders) {
			const length = bodyLength(headers);
			if (length === undefined) return false;
			this.#answerHeaders = headers;
			this.#answerLength = length;
		}
		const id = text.slice(0, idEnd);
		if (chunk.length !== headEnd + this.#answerLength || !this.#runtime.takesWhole(id)) return false;
		this.#serve((reply) => this.#runtime.whole(chunk.subarray(headEnd), reply));
		return true;
	}

	#serve(answer: (reply: Reply) => void): void {
		const reply = new PlainReply(this.#socket, this.#deps.clock);
		this.#reply = reply;
		try {
			answer(reply);
		} catch (error) {
			this.#deps.failed(error, reply);
		}
	}

	#putBack(chunk: Buffer, when: (goOn: () => void) => void): void {
		this.#socket.pause();
		this.#socket.unshift(chunk);
		when(() => this.#socket.resume());
	}

	#handOver(chunk: Buffer): void {
		const socket = this.#socket;
		socket.off("data", this.#onData);
		socket.off("end", this.#onEnd);
		socket.off("error", this.#onError);
		socket.off("close", this.#onClose);
		socket.pause();
		socket.unshift(chunk);
		this.#deps.otherwise(socket);
		socket.resume();
	}

	/** As node:http does: who ends its side has lost interest in its answer. */
	#onEnd = (): void => {
		this.#socket.end();
	};

	/** `close` follows. */
	#onError = (): void => {
		this.#socket.destroy();
	};

	#onClose = (): void => {
		this.#reply?.lost();
	};
}

/** An answer to one plain request. */
class PlainReply implements Reply {
	headersSent = false;
	destroyed = false;
	readonly #socket: Socket;
	readonly #clock: Pick<Clock, "now">;
	#head = "";
	#onClose: (() => void) | undefined;
	#onSent: (() => void) | undefined;

	constructor(socket: Socket, clock: Pick<Clock, "now">) {
		this.#socket = socket;
		this.#clock = clock;
	}

	/** One listener, for the connection's end before the answer. */
	once(_event: "close", listener: () => void): void {
		this.#onClose = listener;
	}

	whenSent(listener: () => void): void {
		this.#onSent = listener;
	}

	writeHead(status: number, headers: Readonly<Record<string, string | number>>): this {
		this.headersSent = true;
		let head = `HTTP/1.1 ${status} ${reasons[status] ?? "Unknown"}\r\n`;
		for (const name in headers) head += `${name}: ${headers[name]}\r\n`;
		this.#head = `${head}Date: ${httpDate(this.#clock.now())}\r\nConnection: keep-alive\r\n\r\n`;
		return this;
	}

	/** `headers` had its length. */
	end(body: Uint8Array): void {
		const socket = this.#socket;
		const bytes = Buffer.from(body.buffer, body.byteOffset, body.length);
		if (bytes.length <= maxJoinedBytes) socket.write(this.#head + bytes.toString("latin1"), "latin1");
		else {
			socket.cork();
			socket.write(this.#head, "latin1");
			socket.write(bytes);
			socket.uncork();
		}
		this.#onClose = undefined;
		this.#onSent?.();
	}

	lost(): void {
		this.destroyed = true;
		this.#onClose?.();
	}
}

const reasons: Readonly<Record<number, string>> = {
	200: "OK",
	202: "Accepted",
	400: "Bad Request",
	403: "Forbidden",
	413: "Payload Too Large",
	500: "Internal Server Error",
};

/** IMF-fixdate (RFC 9110, 5.6.7), made once a second. */
let dateSecond = Number.NaN;
let dateText = "";
function httpDate(nowMs: number): string {
	const second = Math.floor(nowMs / 1000);
	if (second !== dateSecond) {
		dateSecond = second;
		dateText = new Date(second * 1000).toUTCString();
	}
	return dateText;
}

function startsWith(chunk: Buffer, start: Buffer): boolean {
	return chunk.length > start.length && start.compare(chunk, 0, start.length) === 0;
}

/** Every line a name, a colon and visible characters (RFC 9112, 5); then an empty one. */
const headerLines = /^(?:[\w!#$%&'*+.^`|~-]+:[\t\x20-\x7e]*\r\n)+\r\n$/;
/** These change what a message means or where it ends, or what is to be done before its body or with its content. */
const special =
	/^(?:transfer-encoding|trailer|te|expect|upgrade|connection|proxy-connection|keep-alive|lambda-runtime-function-response-mode):/im;
const keepAlive = /^connection:[\t ]*keep-alive[\t ]*\r\n/im;

/** Bytes of the body that these headers announce; undefined when they are not plain. */
function bodyLength(headers: string): number | undefined {
	if (!headerLines.test(headers)) return undefined;
	// Clients say it though it is what HTTP/1.1 does anyway.
	if (special.test(headers.replace(keepAlive, ""))) return undefined;
	if ([...headers.matchAll(/^host:/gim)].length !== 1) return undefined;
	const lengths = [...headers.matchAll(/^content-length:(.*)\r$/gim)];
	if (lengths.length > 1) return undefined;
	const [, length = "0"] = lengths[0] ?? [];
	return /^[\t ]*\d{1,9}[\t ]*$/.test(length) ? Number(length) : undefined;
}
