/** A request to a container that speaks HTTP/1.1. */
import { systemCode } from "../../base/error.ts";
import type { InstanceConnections } from "./upstream-connections.ts";
import type { ConnectionUser, Http1Connection } from "./upstream-http1-connection.ts";
import type { UpstreamEvents, UpstreamFailure, UpstreamHead, UpstreamRequest } from "./upstream-request.ts";

/** What may be asked again when nobody knows whether it was heard (RFC 9110, 9.2.2; RFC 9112, 9.3.1). */
const idempotent = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"]);

export class Http1Request implements UpstreamRequest, ConnectionUser {
	readonly #connections: InstanceConnections;
	readonly #events: UpstreamEvents;
	readonly #head: UpstreamHead;
	readonly #method: string;
	readonly #body: UpstreamHead["body"];
	#text = "";
	#connection: Http1Connection | undefined;
	#onDrained: (() => void) | undefined;
	#sent = false;
	#paused = false;
	#over = false;

	constructor(connections: InstanceConnections, head: UpstreamHead, events: UpstreamEvents) {
		this.#connections = connections;
		this.#head = head;
		this.#events = events;
		this.#method = head.method;
		this.#body = head.body;
	}

	/** Without a body it can be sent twice, if it may: then a kept connection need not be looked at. */
	get #replayable(): boolean {
		return this.#body === undefined && idempotent.has(this.#method);
	}

	start(): void {
		try {
			this.#text = headText(this.#head);
		} catch (error) {
			this.#over = true;
			return this.#events.refused(String(error));
		}
		const kept = this.#connections.takeIdle(!this.#replayable);
		if (kept) this.#send(kept);
		else void this.#connect();
	}

	async #connect(): Promise<void> {
		let connection: Http1Connection;
		try {
			connection = await this.#connections.connect();
		} catch (error) {
			return this.#fail("connect", `could not be connected to (${systemCode(error) ?? String(error)})`);
		}
		if (this.#over) return connection.destroy();
		this.#send(connection);
	}

	#send(connection: Http1Connection): void {
		this.#connection = connection;
		connection.begin(this.#method, this);
		if (this.#body === undefined) {
			this.#sent = true;
			connection.socket.write(this.#text, "latin1");
			return;
		}
		// In one piece with what has come of the body.
		connection.socket.cork();
		connection.socket.write(this.#text, "latin1");
		process.nextTick(uncork, connection);
		this.#events.ready();
	}

	write(chunk: Buffer): boolean {
		const socket = this.#connection?.socket;
		if (this.#over || !socket || chunk.length === 0) return true;
		if (this.#body !== "chunked") return socket.write(chunk);
		socket.cork();
		socket.write(`${chunk.length.toString(16)}\r\n`, "latin1");
		socket.write(chunk);
		const goesOn = socket.write("\r\n", "latin1");
		process.nextTick(uncork, this.#connection);
		return goesOn;
	}

	onceDrained(callback: () => void): void {
		this.#onDrained = callback;
	}

	end(trailers: [string, string][]): void {
		if (this.#over) return;
		this.#sent = true;
		if (this.#body !== "chunked") return;
		let text = "0\r\n";
		for (const [name, value] of trailers) text += `${name}: ${value}\r\n`;
		this.#connection?.socket.write(`${text}\r\n`, "latin1");
	}

	cancel(): void {
		this.#over = true;
		this.#connection?.destroy();
	}

	onDrain(): void {
		const callback = this.#onDrained;
		this.#onDrained = undefined;
		callback?.();
	}

	informational(status: number, raw: readonly string[]): void {
		if (!this.#over) this.#events.informational(status, raw);
	}

	head(status: number, reason: string, raw: readonly string[], length: number | undefined): void {
		if (!this.#over) this.#events.head(status, reason, raw, length);
	}

	data(chunk: Buffer): void {
		if (this.#over || this.#events.data(chunk) || this.#paused) return;
		this.#paused = true;
		const { socket } = this.#connection!;
		socket.pause();
		this.#events.onceDrained(() => {
			this.#paused = false;
			if (!this.#over) socket.resume();
		});
	}

	complete(trailers: readonly string[]): void {
		if (this.#over) return;
		this.#over = true;
		// It has answered and does not want the rest of the body: this connection is of no more use.
		if (this.#sent) this.#connections.release(this.#connection!);
		else this.#connection!.destroy();
		this.#events.end(trailers);
	}

	broken(failure: "closed" | "malformed", message: string, heard: boolean): void {
		if (this.#over) return;
		const stale = failure === "closed" && !heard && this.#connection?.used === true;
		this.#connection = undefined;
		// The next one is new, and its end is that of the request.
		if (stale && this.#replayable) void this.#connect();
		else this.#fail(failure, message);
	}

	#fail(failure: UpstreamFailure, message: string): void {
		if (this.#over) return;
		this.#over = true;
		this.#connection?.destroy();
		this.#events.failed(failure, message);
	}
}

const tokenPattern = /^[\w!#$%&'*+.^`|~-]+$/;
const forbiddenInValue = /[^\t\x20-\x7e\x80-\xff]/;
const forbiddenInPath = /[^\x21-\x7e\x80-\xff]/;

/** Nothing in it can end a line or be more than one header, wherever it comes from. */
function headText({ method, path, body, headers, takesTrailers }: UpstreamHead): string {
	if (!tokenPattern.test(method)) throw new TypeError("Its method is not a token");
	if (forbiddenInPath.test(path)) throw new TypeError("Its path has a character that no path has");
	let text = `${method} ${path} HTTP/1.1\r\n`;
	for (let i = 0; i + 1 < headers.length; i += 2) {
		const name = headers[i]!;
		const value = headers[i + 1]!;
		if (!tokenPattern.test(name)) throw new TypeError("A header's name is not a token");
		if (forbiddenInValue.test(value)) throw new TypeError(`The header '${name}' has a control character`);
		text += `${name}: ${value}\r\n`;
	}
	if (takesTrailers) text += "TE: trailers\r\n";
	if (body === "chunked") text += "Transfer-Encoding: chunked\r\n";
	else if (body !== undefined) text += `Content-Length: ${body}\r\n`;
	else if (method !== "GET" && method !== "HEAD") text += "Content-Length: 0\r\n";
	return `${text}Connection: keep-alive\r\n\r\n`;
}

function uncork(connection: Http1Connection | undefined): void {
	connection?.socket.uncork();
}
