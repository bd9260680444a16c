/**
 * `aws-chunked` bodies: chunks that each carry a signature chained to the one before, or unsigned chunks with a checksum
 * trailer (https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html and …/sigv4-streaming-trailers.html).
 * A chunk is yielded only after its signature has been verified.
 */
import { timingSafeEqual } from "node:crypto";
import { AwsError } from "../errors.ts";
import type { Authorization } from "./authorization.ts";
import { emptySha256, sha256Hex } from "./canonical.ts";
import type { HmacKey } from "./hmac-key.ts";
import { TrailerChecksum } from "./trailer-checksum.ts";

export interface ChunkedOptions {
	/** Undefined for unsigned chunks. */
	signing: { key: HmacKey; authorization: Authorization } | undefined;
	/** X-Amz-Trailer: the name of the checksum trailer, if one is announced. */
	trailer: string | undefined;
	/** X-Amz-Decoded-Content-Length. */
	decodedLength: number | undefined;
}

/** A chunk has to be held until its signature is known; clients send 64 KiB to 1 MiB. */
const maxChunkBytes = 16 * 1024 * 1024;
/** Chunk size, signature, and no more. */
const maxLineBytes = 1024;

export async function* decodeAwsChunked(
	source: AsyncIterable<Uint8Array>,
	options: ChunkedOptions,
): AsyncGenerator<Buffer> {
	const reader = new LineReader(source);
	const chain = options.signing && new SignatureChain(options.signing.key, options.signing.authorization);
	const checksum =
		options.trailer === undefined ? undefined : new TrailerChecksum(options.trailer.trim().toLowerCase());
	let total = 0;
	for (;;) {
		const { size, signature } = parseChunkHeader(await reader.line());
		const data = size === 0 ? Buffer.alloc(0) : await reader.bytes(size);
		chain?.verifyChunk(data, signature);
		if (size === 0) break;
		if ((await reader.line()) !== "") throw malformed("a chunk is longer than its header says");
		total += size;
		if (options.decodedLength !== undefined && total > options.decodedLength)
			throw malformed("it is longer than X-Amz-Decoded-Content-Length");
		checksum?.update(data);
		yield data;
	}
	if (options.decodedLength !== undefined && total !== options.decodedLength)
		throw malformed("it is shorter than X-Amz-Decoded-Content-Length");
	await readTrailers(reader, checksum, chain);
}

async function readTrailers(
	reader: LineReader,
	checksum: TrailerChecksum | undefined,
	chain: SignatureChain | undefined,
): Promise<void> {
	const trailers = new Map<string, string>();
	for (let line = await reader.lastLines(); line; line = await reader.lastLines()) {
		const colon = line.indexOf(":");
		if (colon < 1 || trailers.size >= 8) throw malformed("its trailer is not valid");
		trailers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
	}
	if (!checksum) return;
	const value = trailers.get(checksum.name);
	if (value === undefined) throw malformed(`the trailer '${checksum.name}' is missing`);
	chain?.verifyTrailer(`${checksum.name}:${value}\n`, trailers.get("x-amz-trailer-signature"));
	checksum.verify(value);
}

class SignatureChain {
	readonly #key: HmacKey;
	readonly #prefix: string;
	#previous: string;

	constructor(key: HmacKey, { scope, timestamp, signature }: Authorization) {
		this.#key = key;
		this.#prefix = `${timestamp}\n${scope.date}/${scope.region}/${scope.service}/aws4_request`;
		this.#previous = signature;
	}

	verifyChunk(data: Buffer, signature: string | undefined): void {
		this.#verify(
			`AWS4-HMAC-SHA256-PAYLOAD\n${this.#prefix}\n${this.#previous}\n${emptySha256}\n${sha256Hex(data)}`,
			signature,
		);
	}

	verifyTrailer(canonical: string, signature: string | undefined): void {
		this.#verify(`AWS4-HMAC-SHA256-TRAILER\n${this.#prefix}\n${this.#previous}\n${sha256Hex(canonical)}`, signature);
	}

	#verify(stringToSign: string, signature: string | undefined): void {
		const expected = this.#key.sign(stringToSign);
		const given = /^[0-9a-f]{64}$/.test(signature ?? "") ? Buffer.from(signature!, "hex") : undefined;
		if (!given || !timingSafeEqual(expected, given))
			throw new AwsError(
				"InvalidSignatureException",
				403,
				"The chunk signature we calculated does not match the signature you provided.",
			);
		this.#previous = signature!;
	}
}

function parseChunkHeader(line: string): { size: number; signature: string | undefined } {
	const match = /^([0-9a-fA-F]{1,8})(?:;chunk-signature=([0-9a-f]+))?$/.exec(line);
	if (!match) throw malformed("a chunk header is not valid");
	const size = Number.parseInt(match[1]!, 16);
	if (size > maxChunkBytes) throw malformed(`a chunk is larger than ${maxChunkBytes} bytes`);
	return { size, signature: match[2] };
}

function malformed(why: string): AwsError {
	return new AwsError("InvalidChunkException", 400, `The aws-chunked body is not valid: ${why}`);
}

class LineReader {
	readonly #source: AsyncIterator<Uint8Array>;
	#buffer: Buffer = Buffer.alloc(0);

	constructor(source: AsyncIterable<Uint8Array>) {
		this.#source = source[Symbol.asyncIterator]();
	}

	/** Up to CRLF, without it. */
	async line(): Promise<string> {
		const line = await this.#line();
		if (line === undefined) throw malformed("it ends too early");
		return line;
	}

	/** As `line`, but undefined at the end of the body: clients differ in whether they send the last empty line. */
	async lastLines(): Promise<string | undefined> {
		return this.#line();
	}

	async #line(): Promise<string | undefined> {
		for (;;) {
			const end = this.#buffer.indexOf("\r\n");
			if (end > maxLineBytes || (end === -1 && this.#buffer.length > maxLineBytes))
				throw malformed("a line is too long");
			if (end !== -1) {
				const line = this.#buffer.toString("latin1", 0, end);
				this.#buffer = this.#buffer.subarray(end + 2);
				return line;
			}
			if (!(await this.#more())) {
				if (this.#buffer.length > 0) throw malformed("it ends in the middle of a line");
				return undefined;
			}
		}
	}

	async bytes(size: number): Promise<Buffer> {
		const parts: Buffer[] = [];
		for (let missing = size; missing > 0; ) {
			if (this.#buffer.length === 0 && !(await this.#more())) throw malformed("it ends too early");
			const part = this.#buffer.subarray(0, missing);
			this.#buffer = this.#buffer.subarray(part.length);
			missing -= part.length;
			parts.push(part);
		}
		return Buffer.concat(parts, size);
	}

	async #more(): Promise<boolean> {
		const { value, done } = await this.#source.next();
		if (done) return false;
		this.#buffer = this.#buffer.length === 0 ? Buffer.from(value) : Buffer.concat([this.#buffer, value]);
		return true;
	}
}
