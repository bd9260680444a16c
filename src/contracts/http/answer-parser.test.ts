import assert from "node:assert/strict";
import { test } from "node:test";
import { AnswerParser, MalformedAnswer, maxAnswerHeadBytes } from "./answer-parser.ts";

interface Seen {
	heads: [number, string, string[], number | undefined][];
	informational: number[];
	body: string;
	trailers: readonly string[] | undefined;
	persistent: boolean;
	surplus: boolean;
	/** What the end of the connection means to it. */
	whole: boolean;
}

function parse(pieces: readonly string[], method = "GET"): Seen {
	const seen: Seen = {
		heads: [],
		informational: [],
		body: "",
		trailers: undefined,
		persistent: false,
		surplus: false,
		whole: false,
	};
	const parser = new AnswerParser();
	parser.begin(method, {
		informational: (status) => seen.informational.push(status),
		head: (status, reason, raw, length) => seen.heads.push([status, reason, [...raw], length]),
		data: (chunk) => {
			seen.body += chunk.toString("latin1");
		},
		complete: (trailers) => {
			assert.equal(seen.trailers, undefined, "it ends once");
			seen.trailers = trailers;
		},
	});
	for (const piece of pieces) parser.read(Buffer.from(piece, "latin1"));
	seen.persistent = parser.persistent;
	seen.surplus = parser.surplus;
	seen.whole = parser.close();
	return seen;
}

const answers: [string, string, Partial<Seen>][] = [
	[
		"a length",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A:  a b\t\r\nx-e:\r\n\r\nhello",
		{ heads: [[200, "OK", ["Content-Length", "5", "X-A", "a b", "x-e", ""], 5]], body: "hello", persistent: true },
	],
	[
		"chunks, extensions and trailers",
		"HTTP/1.1 200\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=b\r\nhello\r\n00B\r\n, my world!\r\n0\r\nX-T: 1\r\n\r\n",
		{ body: "hello, my world!", trailers: ["X-T", "1"], persistent: true },
	],
	["the end of the connection", "HTTP/1.1 200 OK\r\n\r\nhello", { body: "hello", persistent: false, trailers: [] }],
	["HTTP/1.0", "HTTP/1.0 404 Not here\r\nContent-Length: 0\r\n\r\n", { body: "", persistent: false }],
	[
		"HTTP/1.0, kept",
		"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na",
		{ body: "a", persistent: true },
	],
	[
		"Connection: close",
		"HTTP/1.1 200 OK\r\nConnection: upgrade, Close\r\nContent-Length: 1\r\n\r\na",
		{ persistent: false },
	],
	[
		"Connection: close and keep-alive",
		"HTTP/1.1 200 OK\r\nConnection: close\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na",
		{ persistent: false },
	],
	["no content", "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n", { body: "", persistent: true }],
	[
		"others before it",
		"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
		{ informational: [103, 100], body: "a" },
	],
	["more than was asked for", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab", { body: "a", surplus: true }],
];
for (const [name, bytes, expected] of answers)
	test(`An answer with ${name} reads the same however it is cut`, () => {
		const check = (pieces: string[]) => {
			const { whole, ...seen } = parse(pieces);
			assert(whole);
			for (const [key, value] of Object.entries(expected)) assert.deepEqual(seen[key as keyof typeof seen], value, key);
			assert.equal(seen.heads.length, 1);
		};
		check([bytes]);
		check([...bytes]);
		for (let at = 1; at < bytes.length; at++) check([bytes.slice(0, at), bytes.slice(at)]);
	});

test("The answer to HEAD has no body, whatever its length says", () => {
	const { heads, whole, surplus } = parse(["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"], "HEAD");
	assert.equal(heads[0]?.[3], 5);
	assert(whole && !surplus);
});

test("An answer that breaks off is not whole", () => {
	for (const bytes of [
		"",
		"HTTP/1.1 200 OK\r\nX",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
	])
		assert.equal(parse(bytes === "" ? [] : [bytes]).whole, false, JSON.stringify(bytes));
});

const ok = "HTTP/1.1 200 OK\r\n";
const chunked = `${ok}Transfer-Encoding: chunked\r\n\r\n`;
const malformed: [string, string][] = [
	["another protocol", "SSH-2.0-x\r\n"],
	["HTTP/2", "HTTP/2 200\r\n\r\n"],
	["a status of two digits", "HTTP/1.1 20 OK\r\n\r\n"],
	["a status of four", "HTTP/1.1 2000 OK\r\n\r\n"],
	["a status below 100", "HTTP/1.1 099 Odd\r\n\r\n"],
	["bare LF", "HTTP/1.1 200 OK\nX: y\n\n"],
	["bare LF in a head", `${ok}X: y\nContent-Length: 0\r\n\r\n`],
	["bare CR in a head", `${ok}X: y\rContent-Length: 0\r\n\r\n`],
	["a folded line", `${ok}X: y\r\n z\r\n\r\n`],
	["a space before the colon", `${ok}Content-Length : 1\r\n\r\na`],
	["no colon", `${ok}Content-Length\r\n\r\n`],
	["no name", `${ok}: 1\r\n\r\n`],
	["NUL", `${ok}X: \0\r\n\r\n`],
	["two lengths", `${ok}Content-Length: 1\r\nContent-Length: 1\r\n\r\na`],
	["a list of lengths", `${ok}Content-Length: 1, 1\r\n\r\na`],
	["a length below zero", `${ok}Content-Length: -1\r\n\r\n`],
	["a signed length", `${ok}Content-Length: +1\r\n\r\na`],
	["a length and chunks", `${ok}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
	["another coding", `${ok}Transfer-Encoding: gzip, chunked\r\n\r\n`],
	["two codings", `${ok}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n`],
	["chunks in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
	["1xx in HTTP/1.0", "HTTP/1.0 100 Continue\r\n\r\n"],
	["a chunk's size and a space", `${chunked}5 \r\nhello\r\n`],
	["101", "HTTP/1.1 101 Switching Protocols\r\n\r\n"],
	["no end of 1xx", "HTTP/1.1 102 Processing\r\n\r\n".repeat(17)],
	["a chunk without a size", `${chunked}\r\nhello`],
	["a chunk with a hexadecimal prefix", `${chunked}0x5\r\nhello\r\n`],
	["a chunk with a huge size", `${chunked}${"f".repeat(14)}\r\n`],
	["a chunk whose line ends in LF", `${chunked}5\nhello\r\n`],
	["a chunk that is longer than its size", `${chunked}3\r\nhello\r\n`],
	["a chunk's line without end", `${chunked}5;${"a".repeat(300)}`],
	["a control character in a trailer", `${chunked}0\r\nX: \x01\r\n\r\n`],
	["a length in a trailer", `${chunked}0\r\nContent-Length: 3\r\n\r\n`],
	["trailers without end", `${chunked}0\r\n${"X: aaaaaaaaaaaaaaaa\r\n".repeat(3000)}`],
	["a head without end", `${ok}${"X: aaaaaaaaaaaaaaaa\r\n".repeat(3000)}`],
	["a line without end", `${ok}X: ${"a".repeat(maxAnswerHeadBytes)}`],
];
for (const [name, bytes] of malformed)
	test(`Refused: ${name}`, () => {
		assert.throws(() => parse([bytes]), MalformedAnswer);
		assert.throws(() => parse(bytes.match(/[\s\S]{1,7}/g) ?? []), MalformedAnswer);
	});
