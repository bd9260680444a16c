/** What a listener is at work on: for its end, and for clients that hold it up. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerResponse } from "node:http2";
import type { Duplex } from "node:stream";

/** A body that brings no byte for this long is cut; the whole request has no limit, since functions run up to 15 minutes and pushes longer. */
const bodyStallMs = 60_000;
/**
 * An answer of which a client takes nothing for this long is cut: it holds up to 6 MB of memory, and whoever may call a
 * function URL could hold as much with every connection. The system tells of a piece only when all of it has gone, so that
 * this is also the slowest client: 6 MB in five minutes are 20 KB/s.
 */
const answerStallMs = 300_000;
const sweepMs = 5_000;
/** Requests of one HTTP/1 connection that are served behind its first: as many as streams of HTTP/2. Node itself has no bound. */
export const maxPipelined = 250;

export class OpenRequests {
	/** Since the start. */
	total = 0;
	readonly #requests = new Map<ServerResponse, OpenRequest>();
	readonly #streams = new Map<Http2ServerResponse, StreamProgress>();
	/** Connections that Node has given away after an Upgrade, and that nobody else would cut. */
	readonly #upgraded = new Set<Duplex>();
	readonly #pipelined = new WeakMap<Duplex, number>();
	#closing = false;

	get size(): number {
		return this.#requests.size + this.#streams.size + this.#upgraded.size;
	}

	add(request: IncomingMessage, response: ServerResponse): OpenRequest {
		this.total++;
		const entry: OpenRequest = { request, response, bytes: 0, stalledMs: 0, unlimited: false };
		this.#requests.set(response, entry);
		response.once("close", () => this.#requests.delete(response));
		if (this.#closing) response.setHeader("connection", "close");
		return entry;
	}

	/** Whether its connection has too many before it, so that it is cut. */
	isFlood({ socket }: IncomingMessage, response: ServerResponse): boolean {
		// The first one has the connection.
		if (response.socket !== null) return false;
		const count = (this.#pipelined.get(socket) ?? 0) + 1;
		if (count > maxPipelined) return true;
		this.#pipelined.set(socket, count);
		response.once("close", () => this.#pipelined.set(socket, (this.#pipelined.get(socket) ?? 1) - 1));
		return false;
	}

	addStream(response: Http2ServerResponse): void {
		this.total++;
		this.#streams.set(response, { waiting: 0, stalledMs: 0 });
		response.once("close", () => this.#streams.delete(response));
	}

	addUpgraded(socket: Duplex): void {
		this.total++;
		this.#upgraded.add(socket);
		socket.once("close", () => this.#upgraded.delete(socket));
	}

	/** Every answer from now on is its connection's last. */
	close(): void {
		this.#closing = true;
		for (const response of this.#requests.keys()) if (!response.headersSent) response.setHeader("connection", "close");
	}

	cutUpgraded(): void {
		for (const socket of this.#upgraded) socket.destroy();
	}

	/** Cuts those that stand still, from time to time. The returned function ends it. */
	sweep(): () => void {
		const timer = setInterval(() => {
			cutStalled(this.#requests.values());
			for (const [response, progress] of this.#streams) cutStalledStream(response, progress);
		}, sweepMs);
		timer.unref();
		return () => clearInterval(timer);
	}
}

export interface OpenRequest {
	request: Pick<IncomingMessage, "complete" | "socket">;
	response: Pick<ServerResponse, "writableLength" | "writableEnded">;
	/** Bytes that had come or gone when it was last looked at. */
	bytes: number;
	stalledMs: number;
	/** Somebody else cuts it, until its answer is over. */
	unlimited: boolean;
}

interface StreamProgress {
	/** Bytes that the client had not taken when it was last looked at. */
	waiting: number;
	stalledMs: number;
}

/** To be called every `sweepMs`. Cuts what waits for a client that neither sends nor takes anything. */
export function cutStalled(open: Iterable<OpenRequest>): void {
	for (const entry of open) {
		const { request, response } = entry;
		// Who has written the last of it looks no more whether it is taken.
		if (entry.unlimited && !response.writableEnded) continue;
		const { socket, complete } = request;
		// A function that is at work has nothing waiting: only what the client is slow to take counts.
		const bytes = !complete ? socket.bytesRead : response.writableLength > 0 ? goneBytes(entry) : undefined;
		if (bytes === undefined || bytes !== entry.bytes) {
			entry.bytes = bytes ?? 0;
			entry.stalledMs = 0;
			continue;
		}
		entry.stalledMs += sweepMs;
		if (entry.stalledMs >= (complete ? answerStallMs : bodyStallMs)) socket.destroy();
	}
}

/** HTTP/2 is served for services alone: as for an unlimited request. */
export function cutStalledStream(
	{ stream, writableEnded }: Pick<Http2ServerResponse, "stream" | "writableEnded">,
	progress: StreamProgress,
): void {
	const waiting = writableEnded ? stream.writableLength : 0;
	progress.stalledMs = waiting > 0 && waiting === progress.waiting ? progress.stalledMs + sweepMs : 0;
	progress.waiting = waiting;
	if (progress.stalledMs >= answerStallMs) stream.close(8 /* CANCEL */);
}

function goneBytes({ request: { socket }, response }: OpenRequest): number {
	return socket.bytesWritten - response.writableLength;
}
