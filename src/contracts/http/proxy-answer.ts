/** The client's side of a forwarded request: where its answer is written, in HTTP/1.1 or HTTP/2. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { http } from "../../base/http.ts";
import type { ForwardOptions } from "../../core/service/forward.ts";
import { forwardedResponseHeaders, forwardedTrailers, rawHeader } from "./forwarding-headers.ts";

/** Of a body's bytes that go into one write with the head: copying them is cheaper than a second buffer. */
const maxJoinedBytes = 8 * 1024;
export type ClientMessage =
	| { kind: "http1"; request: IncomingMessage; response: ServerResponse }
	| { kind: "http2"; request: Http2ServerRequest; response: Http2ServerResponse };

export class ProxyAnswer {
	/** Of the body. */
	bytes = 0;
	status: number | undefined;
	#ended = false;
	readonly #client: ClientMessage;
	readonly #added: ForwardOptions["responseHeaders"];
	/** Bytes that the head promised and that have not come. */
	#missing: number | undefined;
	#chunked = false;
	#continued = false;

	constructor(client: ClientMessage, added: ForwardOptions["responseHeaders"]) {
		this.#client = client;
		this.#added = added;
	}

	get ended(): boolean {
		return this.#ended;
	}

	/** Whether it is sent in chunks or frames, so that its end can be told from a cut at any byte. */
	get chunked(): boolean {
		return this.#chunked;
	}

	/** 100 and 103 (RFC 9110, 15.2), each where it is of use. Others have a meaning between two neighbours only, or none that Node can send. */
	informational(status: number, raw: readonly string[]): void {
		if (this.status !== undefined || this.#ended) return;
		const { request, response } = this.#client;
		// It knows none of them.
		if (request.httpVersion === "1.0") return;
		if (status === 100) {
			if (request.headers.expect === undefined || this.#continued) return;
			this.#continued = true;
			response.writeContinue();
		} else if (status === 103) {
			const link: string[] = [];
			for (let i = 0; i + 1 < raw.length; i += 2) if (raw[i]!.toLowerCase() === "link") link.push(raw[i + 1]!);
			if (link.length > 0) hint(response, link);
		}
	}

	/** Throws what Node says of a head that must not be sent (a control character in a value). `length`: of its body, when it is known. */
	begin(status: number, reason: string, raw: readonly string[], length: number | undefined): void {
		const { kind, request, response } = this.#client;
		const bodyless = request.method === "HEAD" || status === 204 || status === 304;
		this.#chunked = length === undefined && !bodyless && (kind === "http2" || request.httpVersion === "1.1");
		const headers = forwardedResponseHeaders(raw, this.#added, this.#chunked);
		// That of an answer to HEAD and of a 304 is what it would have been (RFC 9110, 8.6).
		if (status !== 204 && length !== undefined) headers.push("Content-Length", String(length));
		this.#missing = bodyless ? 0 : length;
		if (kind === "http1") {
			// Nobody will read the rest of a request that is still coming when its answer is over: the connection ends with it.
			if (!request.complete) response.shouldKeepAlive = false;
			if (rawHeader(raw, "date") !== undefined) response.sendDate = false;
			response.writeHead(status, reason, headers);
			this.status = status;
			process.nextTick(flushHead, response);
		} else {
			response.sendDate = false;
			// A head that is all ends the stream by itself: without a status in trailers gRPC has it here or nowhere.
			if (bodyless || length === 0) return this.#endWithHead(response, status, headers);
			response.writeHead(status, lowerCased(headers));
			this.status = status;
		}
	}

	#endWithHead(response: Http2ServerResponse, status: number, headers: readonly string[]): void {
		const fields = lowerCased(headers);
		// It has no body at all, not one of no length.
		if ("grpc-status" in fields) delete fields["content-length"];
		for (const name in fields) response.setHeader(name, fields[name]!);
		response.statusCode = status;
		this.status = status;
		this.#end();
	}

	/** False: wait for `onDrain`. */
	write(chunk: Buffer): boolean {
		if (this.#ended) return true;
		const { kind, response } = this.#client;
		this.bytes += chunk.length;
		if (this.#missing !== undefined) {
			this.#missing -= chunk.length;
			if (this.#missing <= 0) {
				this.#end(chunk);
				return true;
			}
		}
		return kind === "http1" ? response.write(chunk) : response.write(chunk);
	}

	onDrain(callback: () => void): void {
		const { response } = this.#client as { response: ServerResponse };
		response.once("drain", callback);
	}

	/** All of it has been written. False: there was less than the head promised, and the client has been cut off. */
	finish(trailers: readonly string[]): boolean {
		if (this.#ended) return true;
		if (this.#missing !== undefined && this.#missing > 0) {
			this.cut();
			return false;
		}
		const fields = this.#chunked && trailers.length > 0 ? forwardedTrailers(trailers) : [];
		if (fields.length > 0) {
			const { kind, response } = this.#client;
			if (kind === "http1") response.addTrailers(fields);
			else response.addTrailers(lowerCased(fields.flat()) as Record<string, string>);
		}
		this.#end();
		return true;
	}

	/** A whole answer of ours, when none has begun. */
	text(status: number, body: string, contentType: string): void {
		if (this.status !== undefined || this.#ended) return;
		const bytes = Buffer.from(body);
		const raw = ["Content-Type", contentType];
		this.begin(status, http.STATUS_CODES[status] ?? "", raw, bytes.length);
		if (!this.#ended) this.write(bytes);
		if (!this.#ended) this.#end();
	}

	/** Without a clean end: nobody can take what has been sent for the whole. `code`: HTTP/2's. */
	cut(code = 2 /* INTERNAL_ERROR */): void {
		if (this.#ended) return;
		this.#ended = true;
		const { kind, request, response } = this.#client;
		if (kind === "http2") response.stream.close(code);
		// For HTTP/1.0 the connection's end is the answer's; a reset is not.
		else if (request.httpVersion === "1.0" && !("encrypted" in request.socket)) request.socket.resetAndDestroy();
		else response.destroy();
	}

	#end(chunk?: Buffer): void {
		const { kind, request, response } = this.#client;
		if (chunk === undefined) response.end();
		else if (kind === "http1" && chunk.length <= maxJoinedBytes) response.end(chunk.toString("latin1"), "latin1");
		else response.end(chunk);
		this.#ended = true;
		if (!request.complete) endLate(this.#client);
	}
}

/** A hint is nobody's loss: what Node does not take for a link (its pattern is narrower than RFC 8288) is left out. */
function hint(response: ClientMessage["response"], link: string[]): void {
	try {
		response.writeEarlyHints({ link });
	} catch {}
}

/** For an answer whose first byte is not there yet (server-sent events). */
function flushHead(response: ServerResponse): void {
	if (!response.writableEnded && !response.destroyed) response.flushHeaders();
}

/** The rest of a body that nobody wants: the connection (which `begin` has made the answer's last) or the stream ends with the answer. */
function endLate({ kind, request, response }: ClientMessage): void {
	if (kind === "http2") response.once("finish", () => response.stream.close(0 /* NO_ERROR: RFC 9113, 8.1 */));
	request.resume();
}

function lowerCased(raw: readonly string[]): Record<string, string | string[]> {
	// "constructor" is a header's name like any other.
	const headers: Record<string, string | string[]> = Object.create(null);
	for (let i = 0; i + 1 < raw.length; i += 2) {
		const name = raw[i]!.toLowerCase();
		const before = headers[name];
		const value = raw[i + 1]!;
		headers[name] = before === undefined ? value : Array.isArray(before) ? [...before, value] : [before, value];
	}
	return headers;
}
