import type { IncomingMessage } from "node:http";
import { AwsError } from "./errors.ts";

/** A body is longer than its operation allows. */
export class BodyTooLargeError extends Error {
	/** Bytes announced, or read when reading stopped. */
	readonly size: number;
	readonly limit: number;

	constructor(size: number, limit: number) {
		super(`Body of ${size} bytes is longer than ${limit} bytes`);
		this.size = size;
		this.limit = limit;
	}
}

/** Bounds the bytes that all requests together hold in memory while they are read and served, and answers while they are taken. */
export class BodyBudget {
	#free: number;

	constructor(bytes: number) {
		this.#free = bytes;
	}

	take(bytes: number): void {
		if (bytes > this.#free)
			throw new AwsError("TooManyRequestsException", 429, "Too many request bodies are in flight; try again shortly", {
				retryAfterMs: 1000,
			});
		this.#free -= bytes;
	}

	/** Past the bound if need be: what is there already can't be refused. Whoever comes next is, until there is room. */
	hold(bytes: number): void {
		this.#free -= bytes;
	}

	give(bytes: number): void {
		this.#free += bytes;
	}
}

const empty = Buffer.alloc(0);

/** The announced length, checked against the limit before a byte is read. */
export function announcedLength(request: IncomingMessage, limit: number): number | undefined {
	const header = request.headers["content-length"];
	const length = header === undefined ? undefined : Number(header);
	if (length !== undefined && length > limit) throw new BodyTooLargeError(length, limit);
	return length;
}

/** Reads at most `limit` bytes; BodyTooLargeError past them. `taken` is told every byte before it is held. */
export async function collect(
	source: AsyncIterable<Uint8Array>,
	limit: number,
	taken: (bytes: number) => void,
): Promise<Buffer> {
	const chunks: Uint8Array[] = [];
	let size = 0;
	for await (const chunk of source) {
		size += chunk.length;
		if (size > limit) throw new BodyTooLargeError(size, limit);
		taken(chunk.length);
		chunks.push(chunk);
	}
	return chunks.length === 0
		? empty
		: chunks.length === 1
			? Buffer.from(chunks[0]!.buffer, chunks[0]!.byteOffset, size)
			: Buffer.concat(chunks, size);
}

/** As `collect` for a request, by events: an async iterator costs some 40 µs a request, which the warm path feels. */
export function readRequest(request: IncomingMessage, limit: number, taken: (bytes: number) => void): Promise<Buffer> {
	return new Promise((resolve, reject) => {
		// Gone while its service was being looked up: no event would ever come.
		if (request.destroyed && !request.readableEnded) return reject(new ClientGoneError());
		const chunks: Buffer[] = [];
		let size = 0;
		const fail = (error: unknown) => {
			request.pause();
			request.removeAllListeners("data");
			reject(error);
		};
		request.on("data", (chunk: Buffer) => {
			size += chunk.length;
			if (size > limit) return fail(new BodyTooLargeError(size, limit));
			try {
				taken(chunk.length);
			} catch (error) {
				return fail(error);
			}
			chunks.push(chunk);
		});
		let whole = false;
		request.once("end", () => {
			whole = true;
			resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size));
		});
		// An error costs its stack trace, and every request closes.
		request.once("close", () => whole || reject(new ClientGoneError()));
	});
}

/** The connection ended before the request did: there is nobody to answer. */
export class ClientGoneError extends Error {
	constructor() {
		super("The client went away before its request was complete");
	}
}
