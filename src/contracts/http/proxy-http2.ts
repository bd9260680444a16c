/** A request to a container that speaks HTTP/2 with prior knowledge (port name h2c), as gRPC servers do. */
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders, IncomingHttpStatusHeader } from "node:http2";
import { systemCode } from "../../base/error.ts";
import { http } from "../../base/http.ts";
import { rawHeader } from "./forwarding-headers.ts";
import type { InstanceConnections } from "./upstream-connections.ts";
import type { UpstreamEvents, UpstreamFailure, UpstreamHead, UpstreamRequest } from "./upstream-request.ts";

/** RFC 9113, 7 */
const cancelCode = 8;
const refusedCode = 7;
/** RFC 9113, 6.2 */
const endStream = 1;

export class Http2Request implements UpstreamRequest {
	readonly #connections: InstanceConnections;
	readonly #head: UpstreamHead;
	readonly #events: UpstreamEvents;
	#stream: ClientHttp2Stream | undefined;
	#trailersOut: [string, string][] = [];
	#trailersIn: readonly string[] = [];
	#heard = false;
	#over = false;

	constructor(connections: InstanceConnections, head: UpstreamHead, events: UpstreamEvents) {
		this.#connections = connections;
		this.#head = head;
		this.#events = events;
	}

	start(): void {
		void this.#send(false);
	}

	async #send(retried: boolean): Promise<void> {
		let session: ClientHttp2Session;
		try {
			session = await this.#connections.session();
		} catch (error) {
			return this.#fail("connect", `could not be connected to (${systemCode(error) ?? String(error)})`);
		}
		if (this.#over) return;
		const { body } = this.#head;
		let stream: ClientHttp2Stream;
		try {
			stream = session.request(http2Headers(this.#head), { endStream: body === undefined, waitForTrailers: true });
		} catch (error) {
			// It has ended since; else it is the request that HTTP/2 cannot say.
			if (session.closed || session.destroyed)
				return this.#fail("connect", `could not be connected to (${systemCode(error) ?? String(error)})`);
			this.#over = true;
			return this.#events.refused(String(error));
		}
		this.#stream = stream;
		this.#listen(stream, () => {
			// Nothing of it was processed (RFC 9113, 8.7): it may be sent again, once.
			if (retried || this.#heard || body !== undefined) return false;
			this.#stream = undefined;
			void this.#send(true);
			return true;
		});
		if (body !== undefined) this.#events.ready();
	}

	write(chunk: Buffer): boolean {
		return this.#over || !this.#stream || this.#stream.write(chunk);
	}

	onceDrained(callback: () => void): void {
		this.#stream?.once("drain", callback);
	}

	end(trailers: [string, string][]): void {
		this.#trailersOut = trailers;
		this.#stream?.end();
	}

	cancel(code = cancelCode): void {
		this.#over = true;
		this.#stream?.close(code);
	}

	#listen(stream: ClientHttp2Stream, retry: () => boolean): void {
		const events = this.#events;
		stream.on("wantTrailers", () => {
			const trailers: Record<string, string> = Object.create(null);
			for (const [name, value] of this.#trailersOut) trailers[name.toLowerCase()] = value;
			stream.sendTrailers(trailers);
		});
		stream.on("headers", (headers: IncomingHttpHeaders & IncomingHttpStatusHeader) => {
			this.#heard = true;
			if (!this.#over) events.informational(headers[":status"] ?? 0, flat(headers));
		});
		stream.on("response", (headers, flags, raw: readonly string[] = flat(headers)) => {
			this.#heard = true;
			if (this.#over) return;
			const status = headers[":status"] ?? 0;
			events.head(status, http.STATUS_CODES[status] ?? "", raw, this.#lengthOf(raw, (flags & endStream) !== 0));
		});
		stream.on("trailers", (headers, _flags, raw: readonly string[] = flat(headers)) => {
			this.#trailersIn = raw;
		});
		stream.on("data", (chunk: Buffer) => {
			if (this.#over || events.data(chunk)) return;
			stream.pause();
			events.onceDrained(() => stream.resume());
		});
		stream.on("end", () => {
			if (this.#over || stream.rstCode !== 0) return;
			if (!this.#heard) return this.#fail("closed", "ended the stream before it answered");
			this.#over = true;
			events.end(this.#trailersIn);
			// It has answered and does not want the rest of the body.
			if (!stream.writableEnded) stream.close(0);
		});
		// `close` follows, with the code.
		stream.on("error", () => {});
		stream.on("close", () => {
			const code = stream.rstCode ?? 0;
			if (this.#over || (code === refusedCode && retry())) return;
			this.#fail("closed", `reset the stream (HTTP/2 code ${code})${this.#heard ? "" : " before it answered"}`, code);
		});
	}

	#lengthOf(raw: readonly string[], isAll: boolean): number | undefined {
		const announced = rawHeader(raw, "content-length");
		// Only in HTTP/2 an answer can have both a length and trailers (Go's servers announce both): in HTTP/1 the length would cost them.
		if (!isAll && rawHeader(raw, "trailer") !== undefined) return undefined;
		if (announced !== undefined) return Number(announced);
		return isAll ? 0 : undefined;
	}

	#fail(failure: UpstreamFailure, message: string, code?: number): void {
		if (this.#over) return;
		this.#over = true;
		this.#stream?.close(cancelCode);
		this.#events.failed(failure, message, code);
	}
}

function http2Headers({ method, path, headers, body, takesTrailers }: UpstreamHead) {
	// "constructor" is a header's name like any other.
	const fields: Record<string, string | string[]> = Object.create(null);
	fields[":method"] = method;
	fields[":path"] = path;
	fields[":scheme"] = "http";
	fields[":authority"] = headers[1] ?? "";
	for (let i = 2; i + 1 < headers.length; i += 2) {
		const name = headers[i]!.toLowerCase();
		const before = fields[name];
		fields[name] = before === undefined ? headers[i + 1]! : [before, headers[i + 1]!].flat();
	}
	if (typeof body === "number") fields["content-length"] = String(body);
	if (takesTrailers) fields.te = "trailers";
	return fields;
}

function flat(headers: IncomingHttpHeaders): string[] {
	const raw: string[] = [];
	for (const [name, value] of Object.entries(headers))
		for (const each of [value ?? []].flat()) raw.push(name, String(each));
	return raw;
}
