/** The parser beside Node's own: what it takes, both take for the same; what Node refuses, it refuses. */
import assert from "node:assert/strict";
import { request } from "node:http";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { AnswerParser, MalformedAnswer } from "./answer-parser.ts";

interface Read {
	status: number;
	raw: string[];
	informational: number[];
	body: string;
	trailers: string[];
}

/** Undefined: it was refused, did not come whole, or more came than it: then the connection has no next answer. */
type Verdict = Read | undefined;

/** xorshift32: the same cases at each run. */
function numbers(seed: number): (below: number) => number {
	let state = seed;
	return (below) => {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		return (state >>> 0) % below;
	};
}

type Random = ReturnType<typeof numbers>;
const pick = <T>(random: Random, from: readonly T[]): T => from[random(from.length)]!;

function answer(random: Random, method: string, extensions = ["", ";a", ";b=c"]): string {
	let text = "";
	while (random(4) === 0)
		text += pick(random, ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 X\r\nLink: </a>\r\n\r\n"]);
	const body = pick(random, ["", "a", "hello", "\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "0\r\n\r\n", "x".repeat(300)]);
	const status = pick(random, [200, 204, 304, 404, 500]);
	const isBodyless = method === "HEAD" || status === 204 || status === 304;
	const framing = random(4);
	text += `HTTP/1.${framing === 3 ? 1 : random(2)} ${status} ${pick(random, ["OK", "", "a b\xff"])}\r\n`;
	for (let left = random(4); left > 0; left--)
		text += `${pick(random, ["X-A", "connection", "Keep-Alive", "via"])}:${pick(random, [" ", "", "\t "])}${pick(random, ["close", "keep-alive", "b c", "\xe4", ""])}${pick(random, ["", " "])}\r\n`;
	if (framing === 0) return `${text}\r\n${isBodyless ? "" : body}`;
	if (framing < 3) return `${text}Content-Length: ${body.length}\r\n\r\n${isBodyless ? "" : body}`;
	text += "Transfer-Encoding: chunked\r\n\r\n";
	if (isBodyless) return text;
	for (let at = 0; at < body.length; ) {
		const size = 1 + random(body.length - at);
		text += `${size.toString(16)}${pick(random, extensions)}\r\n${body.slice(at, at + size)}\r\n`;
		at += size;
	}
	return `${text}0\r\n${pick(random, ["", "X-T: 1\r\n", "X-T: 1\r\nX-U:\r\n"])}\r\n`;
}

/** Not what begins a chunk's extension: of these, which are dropped, Node's parser is particular about the words; nor a tab, which it does not see as blank after "chunked". */
const shards = ["\r", "\n", "\r\n", " ", ":", "\0", "0", "f", ",", "-", "\x7f", "\xff", "Content-Length: 3\r\n"];
const more = [
	...shards,
	"Transfer-Encoding: chunked\r\n",
	"Transfer-Encoding: x\r\n",
	"HTTP/1.1 200 OK\r\n\r\n",
	"chunked",
];

function mutated(random: Random, text: string): string {
	let changed = text;
	for (let times = 1 + random(2); times > 0; times--) {
		const at = random(changed.length + 1);
		const left = changed.slice(0, at);
		if (random(3) === 0) changed = left + changed.slice(at + 1 + random(3));
		else if (random(2) === 0) changed = left + pick(random, more) + changed.slice(at);
		else changed = left + pick(random, more) + changed.slice(at + 1);
	}
	return changed;
}

function ours(random: Random, text: string, method: string): Verdict {
	const read: Read = { status: 0, raw: [], informational: [], body: "", trailers: [] };
	let isWhole = false;
	const parser = new AnswerParser();
	parser.begin(method, {
		informational: (status) => read.informational.push(status),
		head: (status, _reason, raw) => Object.assign(read, { status, raw: [...raw] }),
		data: (chunk) => {
			read.body += chunk.toString("latin1");
		},
		complete: (trailers) => {
			assert(!isWhole, "it ends once");
			isWhole = true;
			read.trailers = [...trailers];
		},
	});
	const bytes = Buffer.from(text, "latin1");
	try {
		for (let at = 0; at < bytes.length; ) {
			const end = at + 1 + random(pick(random, [3, 40, 500]));
			parser.read(bytes.subarray(at, end));
			at = end;
		}
	} catch (error) {
		assert(error instanceof MalformedAnswer, String(error));
		return undefined;
	}
	return parser.close() && !parser.surplus ? read : undefined;
}

function nodes(text: string, method: string): Promise<Verdict> {
	const connection = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
	return new Promise((resolve) => {
		const read: Read = { status: 0, raw: [], informational: [], body: "", trailers: [] };
		const sent = request({ method, createConnection: () => connection, setHost: false });
		sent.on("information", ({ statusCode }) => read.informational.push(statusCode));
		sent.on("error", () => resolve(undefined));
		sent.on("response", (response) => {
			Object.assign(read, { status: response.statusCode, raw: response.rawHeaders });
			response.setEncoding("latin1").on("data", (chunk) => {
				read.body += chunk;
			});
			response.on("error", () => resolve(undefined));
			response.on("close", () => resolve(undefined));
			response.on("end", () => {
				read.trailers = response.rawTrailers;
				resolve(response.complete ? read : undefined);
			});
		});
		sent.on("close", () => setImmediate(() => read.status === 0 && resolve(undefined)));
		sent.end();
		connection.push(Buffer.from(text, "latin1"));
		connection.push(null);
	});
}

test("Valid answers read as with Node's parser, however they are cut", async () => {
	const random = numbers(20_261_121);
	for (let index = 0; index < 400; index++) {
		const method = pick(random, ["GET", "GET", "HEAD"]);
		const text = answer(random, method);
		const expected = await nodes(text, method);
		assert.deepEqual(ours(random, text, method), expected, JSON.stringify([method, text]));
	}
});

test("What is taken of damaged answers is what Node's parser takes", async () => {
	const random = numbers(4_747);
	let taken = 0;
	for (let index = 0; index < 1500; index++) {
		const method = pick(random, ["GET", "GET", "HEAD"]);
		const text = mutated(random, answer(random, method, [""]));
		const verdict = ours(random, text, method);
		if (!verdict) continue;
		taken++;
		assert.deepEqual(verdict, await nodes(text, method), JSON.stringify([method, text]));
	}
	assert(taken > 200, `${taken} were taken`);
});
