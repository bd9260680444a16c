/**
 * Reads HTTP/1 answers (RFC 9112) as they come from a container, strictly: what two readers may take for different messages is
 * refused, not guessed at. Node's own parser is to be had only with its client, whose objects cost more than all of the gateway.
 */

export interface AnswerEvents {
	/** 1xx */
	informational(status: number, raw: readonly string[]): void;
	/** `length`: of the body, when it is announced. Names and values of `raw` are as they came. */
	head(status: number, reason: string, raw: readonly string[], length: number | undefined): void;
	data(chunk: Buffer): void;
	/** The answer is whole. */
	complete(trailers: readonly string[]): void;
}

/** Of a head, and of trailers, bytes: as much as we take from a client. */
export const maxAnswerHeadBytes = 32 * 1024;
/** Characters of a chunk's size with its extensions, which mean nothing to anybody. */
const maxChunkLine = 256;
/** Answers before the answer (RFC 9110, 15.2): there is no reason for more than a few. */
const maxInformational = 16;

/** The message says what is wrong, for people. */
export class MalformedAnswer extends Error {}

const statusLine = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?$/;
const token = /^[\w!#$%&'*+.^`|~-]+$/;
const forbidden = /[^\t\x20-\x7e\x80-\xff]/;
const chunkSize = /^([\da-f]{1,13})(?:;[\t\x20-\x7e\x80-\xff]*)?$/i;
const beforeBodies: ReadonlySet<string> = new Set(["content-length", "transfer-encoding"]);
const keepAliveTimeout = /(?:^|[ ,])timeout=(\d{1,6})\b/i;
const start = "HTTP/1.";
const [lineFeed, carriageReturn] = [10, 13];

type State = "head" | "length" | "size" | "chunk" | "chunk end" | "trailers" | "until close" | "done";

export class AnswerParser {
	#state: State = "done";
	#events: AnswerEvents | undefined;
	#isHead = false;
	/** The beginning of a head, or of a line, that has not come whole. */
	#pending: Buffer | undefined;
	/** Bytes of the body, or of the chunk, that are to come. */
	#left = 0;
	#informational = 0;
	#trailers: string[] = [];
	#trailerBytes = 0;
	/** Whether the connection may be used again after it, and for how long it is kept by the container (Keep-Alive), milliseconds. */
	persistent = false;
	keptMs = Number.POSITIVE_INFINITY;
	/** Whether a byte of the answer has come. */
	heard = false;
	/** Whether more has come than the answer. */
	surplus = false;

	/** For the next answer. `method` is its request's: the answer to HEAD has no body. */
	begin(method: string, events: AnswerEvents): void {
		this.#state = "head";
		this.#events = events;
		this.#isHead = method === "HEAD";
		this.#informational = 0;
		this.#trailers = [];
		this.#trailerBytes = 0;
		this.heard = false;
		this.surplus = false;
	}

	/** Throws MalformedAnswer. */
	read(chunk: Buffer): void {
		this.heard = true;
		let rest = chunk;
		if (this.#pending) {
			rest = Buffer.concat([this.#pending, chunk]);
			this.#pending = undefined;
		}
		let at = 0;
		while (at < rest.length) {
			if (this.#state === "done") {
				this.surplus = true;
				return;
			}
			const next = this.#step(rest, at);
			if (next < 0) {
				this.#pending = at === 0 ? rest : rest.subarray(at);
				return;
			}
			at = next;
		}
	}

	/** The connection has ended. False: in the middle of an answer. */
	close(): boolean {
		this.persistent = false;
		if (this.#state === "until close") this.#end();
		return this.#state === "done";
	}

	/** Where the next step begins; -1: more has to come first. */
	#step(bytes: Buffer, at: number): number {
		switch (this.#state) {
			case "head":
				return this.#readHead(bytes, at);
			case "length":
			case "chunk":
				return this.#readBody(bytes, at);
			case "until close":
				this.#events?.data(at === 0 ? bytes : bytes.subarray(at));
				return bytes.length;
			default:
				return this.#readLine(bytes, at);
		}
	}

	#readHead(bytes: Buffer, at: number): number {
		const end = bytes.indexOf("\r\n\r\n", at, "latin1");
		if ((end < 0 ? bytes.length : end) - at > maxAnswerHeadBytes) throw tooLarge();
		if (end < 0) {
			refuseEarly(bytes, at);
			return -1;
		}
		const lines = bytes.toString("latin1", at, end).split("\r\n");
		const [, version, code, reason = ""] = statusLine.exec(lines[0]!) ?? [];
		if (code === undefined) throw new MalformedAnswer("answered with what is not HTTP/1.1 (its first line)");
		const status = Number(code);
		const framing = readFields(lines, version === "1");
		this.persistent = framing.persistent;
		this.keptMs = framing.keptMs;
		if (status < 200 && version === "0") throw new MalformedAnswer("answered HTTP/1.0 with a status of 1xx");
		if (status < 200) this.#onInformational(status, framing.raw);
		else this.#onHead(status, reason, framing);
		return end + 4;
	}

	#onInformational(status: number, raw: readonly string[]): void {
		if (status === 101) throw new MalformedAnswer("switched the protocol without being asked to");
		if (++this.#informational > maxInformational)
			throw new MalformedAnswer(`sent more than ${maxInformational} answers with a status of 1xx`);
		this.#events?.informational(status, raw);
	}

	#onHead(status: number, reason: string, { raw, length, chunked }: Fields): void {
		const bodyless = this.#isHead || status === 204 || status === 304;
		if (bodyless || length === 0) this.#state = "done";
		else if (chunked) this.#state = "size";
		else if (length !== undefined) {
			this.#state = "length";
			this.#left = length;
		} else {
			this.#state = "until close";
			this.persistent = false;
		}
		this.#events?.head(status, reason, raw, length);
		if (this.#state === "done") this.#end();
	}

	#readBody(bytes: Buffer, at: number): number {
		const end = Math.min(bytes.length, at + this.#left);
		this.#left -= end - at;
		const isWhole = this.#left === 0;
		const chunk = at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end);
		if (this.#state === "chunk") {
			if (isWhole) this.#state = "chunk end";
			this.#events?.data(chunk);
		} else {
			if (isWhole) this.#state = "done";
			this.#events?.data(chunk);
			if (isWhole) this.#end();
		}
		return end;
	}

	#readLine(bytes: Buffer, at: number): number {
		const end = bytes.indexOf(lineFeed, at);
		const most = this.#state === "trailers" ? maxAnswerHeadBytes : maxChunkLine;
		if ((end < 0 ? bytes.length : end) - at > most) throw new MalformedAnswer("answered with a chunk that has no end");
		if (end < 0) return -1;
		if (end === at || bytes[end - 1] !== carriageReturn)
			throw new MalformedAnswer("answered with a line that ends in LF alone");
		this.#onLine(bytes.toString("latin1", at, end - 1));
		return end + 1;
	}

	#onLine(line: string): void {
		if (this.#state === "trailers") return this.#onTrailer(line);
		if (this.#state === "chunk end") {
			if (line !== "") throw new MalformedAnswer("answered with a chunk that is longer than its size");
			this.#state = "size";
			return;
		}
		const [, digits] = chunkSize.exec(line) ?? [];
		if (digits === undefined) throw new MalformedAnswer("answered with a chunk that has no size");
		this.#left = Number.parseInt(digits, 16);
		this.#state = this.#left === 0 ? "trailers" : "chunk";
	}

	#onTrailer(line: string): void {
		if (line === "") return this.#end();
		this.#trailerBytes += line.length;
		if (this.#trailerBytes > maxAnswerHeadBytes) throw tooLarge();
		if (beforeBodies.has(readField(line, this.#trailers).toLowerCase()))
			throw new MalformedAnswer("answered with a length behind its body");
	}

	#end(): void {
		this.#state = "done";
		const events = this.#events;
		this.#events = undefined;
		events?.complete(this.#trailers);
	}
}

interface Fields {
	raw: string[];
	length: number | undefined;
	chunked: boolean;
	persistent: boolean;
	/** Said once, it holds (RFC 9112, 9.3). */
	closes: boolean;
	keptMs: number;
}

/** All lines but the first. */
function readFields(lines: readonly string[], isHttp11: boolean): Fields {
	const raw: string[] = [];
	const fields: Fields = {
		raw,
		length: undefined,
		chunked: false,
		persistent: isHttp11,
		closes: false,
		keptMs: Number.POSITIVE_INFINITY,
	};
	for (let i = 1; i < lines.length; i++) {
		const name = readField(lines[i]!, raw);
		// Most are none of these, which their length tells.
		if (name.length === 14 && name.toLowerCase() === "content-length") readLength(fields, raw.at(-1)!);
		else if (name.length === 17 && name.toLowerCase() === "transfer-encoding")
			readCoding(fields, raw.at(-1)!, isHttp11);
		else if (name.length === 10) readConnection(fields, name.toLowerCase(), raw.at(-1)!.toLowerCase());
	}
	// RFC 9112, 6.3: "ought to be handled as an error".
	if (fields.chunked && fields.length !== undefined)
		throw new MalformedAnswer("answered with what is not HTTP/1.1 (Content-Length and Transfer-Encoding)");
	return fields;
}

/** Appends name and value; returns the name. A line that goes on in the next one (obs-fold) has a space for a name. */
function readField(line: string, raw: string[]): string {
	const colon = line.indexOf(":");
	const name = line.slice(0, Math.max(0, colon));
	if (!token.test(name)) throw new MalformedAnswer("answered with what is not HTTP/1.1 (a header's name)");
	let from = colon + 1;
	let to = line.length;
	while (from < to && isBlank(line.charCodeAt(from))) from++;
	while (to > from && isBlank(line.charCodeAt(to - 1))) to--;
	const value = line.slice(from, to);
	if (forbidden.test(value)) throw new MalformedAnswer("answered with what is not HTTP/1.1 (a control character)");
	raw.push(name, value);
	return name;
}

function readLength(fields: Fields, value: string): void {
	if (fields.length !== undefined || !/^\d{1,15}$/.test(value))
		throw new MalformedAnswer("answered with what is not HTTP/1.1 (its Content-Length)");
	fields.length = Number(value);
}

function readCoding(fields: Fields, value: string, isHttp11: boolean): void {
	if (fields.chunked || !isHttp11 || value.toLowerCase() !== "chunked")
		throw new MalformedAnswer("answered with what is not HTTP/1.1 (its Transfer-Encoding)");
	fields.chunked = true;
}

function readConnection(fields: Fields, name: string, value: string): void {
	if (name === "keep-alive") {
		const [, seconds] = keepAliveTimeout.exec(value) ?? [];
		if (seconds !== undefined) fields.keptMs = Number(seconds) * 1000;
	} else if (name === "connection") {
		if (/(?:^|[ ,\t])close(?:$|[ ,\t])/.test(value)) fields.closes = true;
		fields.persistent = !fields.closes && (fields.persistent || value === "keep-alive");
	}
}

/** Whoever speaks something else altogether may never come to the end of a head. */
function refuseEarly(bytes: Buffer, at: number): void {
	const seen = bytes.toString("latin1", at, Math.min(bytes.length, at + start.length));
	if (!start.startsWith(seen)) throw new MalformedAnswer("answered with what is not HTTP/1.1 (its first bytes)");
	for (let i = bytes.indexOf(lineFeed, at); i >= 0; i = bytes.indexOf(lineFeed, i + 1))
		if (i === at || bytes[i - 1] !== carriageReturn)
			throw new MalformedAnswer("answered with what is not HTTP/1.1 (a line that ends in LF alone)");
}

function tooLarge(): MalformedAnswer {
	return new MalformedAnswer(`answered with a head of more than ${maxAnswerHeadBytes / 1024} KiB`);
}

function isBlank(code: number): boolean {
	return code === 32 || code === 9;
}
