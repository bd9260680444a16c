import { createWriteStream } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { fromSystemError, SlipwayError } from "../../base/error.ts";

/** The API's JSON bodies are a function's configuration at most: 4 KB of environment and some names. */
export const maxJsonBytes = 1024 * 1024;

/** TOO_LARGE before a byte is read where the length is announced, else as soon as it is passed. */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
	refuseLong(request, maxBytes);
	const chunks: Buffer[] = [];
	let size = 0;
	for await (const chunk of chunksOf(request)) {
		size += chunk.length;
		if (size > maxBytes) throw tooLarge(maxBytes);
		chunks.push(chunk);
	}
	return Buffer.concat(chunks);
}

export async function readJson(request: IncomingMessage): Promise<unknown> {
	const bytes = await readBody(request, maxJsonBytes);
	try {
		return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
	} catch (error) {
		throw new SlipwayError("INVALID", `The body is not JSON: ${(error as Error).message}`, { cause: error });
	}
}

/** Streams the body to a file of its own, which is gone when `use` has ended. EXHAUSTED on a full disk. */
export async function withBodyFile<T>(
	request: IncomingMessage,
	options: { folder: string; name: string; maxBytes: number; onBytes: (done: number) => void },
	use: (path: string) => Promise<T>,
): Promise<T> {
	const { folder, maxBytes } = options;
	refuseLong(request, maxBytes);
	const path = join(folder, options.name);
	let size = 0;
	try {
		await mkdir(folder, { recursive: true, mode: 0o700 });
		await pipeline(
			async function* () {
				for await (const chunk of chunksOf(request)) {
					size += chunk.length;
					if (size > maxBytes) throw tooLarge(maxBytes);
					options.onBytes(size);
					yield chunk;
				}
			},
			createWriteStream(path, { flags: "wx", mode: 0o600 }),
		);
		return await use(path);
	} catch (error) {
		throw fromSystemError(error, "receiving the archive");
	} finally {
		await rm(path, { force: true });
	}
}

/** Leaves the request open when the reader gives up, so that the refusal still reaches the client. */
function chunksOf(request: IncomingMessage): AsyncIterable<Buffer> {
	return { [Symbol.asyncIterator]: () => request.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer> };
}

/** Content-Length, or 0 when it was not announced. */
export function announcedLength(request: IncomingMessage): number {
	return Number(request.headers["content-length"] ?? 0);
}

function refuseLong(request: IncomingMessage, maxBytes: number): void {
	if (announcedLength(request) > maxBytes) throw tooLarge(maxBytes);
}

function tooLarge(maxBytes: number): SlipwayError {
	return new SlipwayError("TOO_LARGE", `The body is larger than the limit of ${maxBytes} bytes`);
}
