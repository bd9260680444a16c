/** Containers and clients that mean harm: nothing of it ends the daemon, mixes up answers, or stays open. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect as connectHttp2, createServer as createHttp2, type ServerHttp2Stream } from "node:http2";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import { raw, testGateway, until } from "./testing-gateway.ts";

const host = "Host: hello.localhost\r\n";
const get = `GET / HTTP/1.1\r\n${host}Connection: close\r\n\r\n`;
const ok = "HTTP/1.1 200 OK\r\n";
const whole = `${ok}Content-Length: 2\r\n\r\nhi`;

function askHttp2(
	context: TestContext,
	port: number,
): Promise<{ headers: Record<string, unknown>; trailers: unknown }> {
	const session = connectHttp2(`http://127.0.0.1:${port}`);
	session.on("error", () => {});
	context.after(() => session.destroy());
	const stream = session.request({ ":authority": "hello.localhost" });
	return new Promise((resolve, reject) => {
		let headers = {};
		let trailers: unknown;
		stream.on("response", (seen) => {
			headers = seen;
		});
		stream.on("trailers", (seen) => {
			trailers = seen["x-t"];
		});
		stream.on("error", reject);
		stream.on("close", () => resolve({ headers, trailers }));
		stream.resume();
	});
}

const answers: [string, string, number][] = [
	["a hint that is no link", `HTTP/1.1 103 Early Hints\r\nLink: garbage\r\n\r\n${whole}`, 200],
	["a hundred nobody waits for", `${"HTTP/1.1 100 Continue\r\n\r\n".repeat(3)}${whole}`, 200],
	["two dates", `${ok}Date: a\r\nDate: b\r\nContent-Length: 2\r\n\r\nhi`, 200],
	["two types and no body", `${ok}Content-Type: a/b\r\nContent-Type: c/d\r\nContent-Length: 0\r\n\r\n`, 200],
	["names of JavaScript's", `${ok}constructor: x\r\n__proto__: y\r\ntoString: z\r\nContent-Length: 2\r\n\r\nhi`, 200],
	[
		"trailers that come twice",
		`${ok}Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nETag: 1\r\netag: 2\r\nX-T: 1\r\n\r\n`,
		200,
	],
	["a status that HTTP/2 does not have", "HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", 502],
];
for (const [name, bytes, status] of answers)
	test(`A container that answers with ${name} is passed on to both protocols`, async (context) => {
		const { listener } = await testGateway(context, (socket) => {
			socket.once("data", () => socket.end(bytes));
		});
		assert.match(await raw(listener.port, get), /^HTTP\/1\.1 (200|999)/);
		const { headers, trailers } = await askHttp2(context, listener.port);
		assert.equal(headers[":status"], status);
		if (name.startsWith("names")) assert.equal(headers.constructor, "x");
		if (name.startsWith("trailers")) assert.equal(trailers, "1");
	});

test("A length of HTTP/2 does not cost an HTTP/1.1 client the trailers", async (context) => {
	const server = createHttp2();
	server.on("stream", (stream: ServerHttp2Stream) => {
		stream.on("wantTrailers", () => stream.sendTrailers({ "x-sum": "5" }));
		stream.respond({ ":status": 200, "content-length": "5", trailer: "X-Sum" }, { waitForTrailers: true });
		stream.end("hello");
	});
	const { listener } = await testGateway(context, server, { revision: { protocol: "h2c" } });
	assert.match(await raw(listener.port, get), /\r\n5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n$/);
});

test("A container that answers twice has no kept connections any more", async (context) => {
	let count = 0;
	const { listener, upstream } = await testGateway(context, (socket) => {
		socket.on("data", () => {
			const answer = `${ok}Content-Length: 3\r\n\r\n${String(++count).padStart(3, "0")}`;
			socket.write(answer);
			setTimeout(() => socket.write(answer), 5);
		});
	});
	for (let i = 1; i <= 6; i++) {
		assert.equal((await raw(listener.port, get)).slice(-3), String(i).padStart(3, "0"));
		if (i === 1) await new Promise((resolve) => setTimeout(resolve, 30));
	}
	assert.equal(upstream.made, 6);
});

test("To HTTP/1.0, for which a connection's end is the answer's, a break is a reset", async (context) => {
	const { listener } = await testGateway(context, (socket) => {
		socket.once("data", () => {
			socket.write(
				`${ok}Content-Length: 50\r\n\r\nhi`.replace("Content-Length: 50", "Transfer-Encoding: chunked\r\nX: 1"),
			);
			setTimeout(() => socket.destroy(), 20);
		});
	});
	const socket = connect(listener.port, "127.0.0.1");
	socket.resume().write(`GET / HTTP/1.0\r\n${host}\r\n`);
	const [error] = (await once(socket, "error")) as [NodeJS.ErrnoException];
	assert.equal(error.code, "ECONNRESET");
});

test("An Upgrade with a body, or in HTTP/1.0, is a request like any other", async (context) => {
	const seen: string[] = [];
	const server = createServer((request, response) => {
		let body = "";
		request.setEncoding("utf8").on("data", (chunk) => {
			body += chunk;
		});
		request.on("end", () => {
			seen.push(`${request.headers.upgrade} ${body}`);
			response.end("ok");
		});
	});
	const { listener } = await testGateway(context, server);
	const upgrade = `${host}Connection: Upgrade\r\nUpgrade: x\r\n`;
	for (const text of [
		`POST / HTTP/1.1\r\n${upgrade}Content-Length: 5\r\n\r\nhello`,
		`POST / HTTP/1.1\r\n${upgrade}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
		`POST / HTTP/1.0\r\n${upgrade}Content-Length: 5\r\n\r\nhello`,
	]) {
		const socket = connect(listener.port, "127.0.0.1");
		socket.write(text);
		assert.match(String((await once(socket, "data"))[0]), /^HTTP\/1\.1 200/);
		socket.destroy();
	}
	assert.deepEqual(seen, Array(3).fill("undefined hello"));
});

test("A connection that asks for more at once than HTTP/2 may is cut, and what it had asked for with it", async (context) => {
	const server = createServer((request, response) => {
		if (request.url === "/") response.end("ok");
	});
	const { listener, front } = await testGateway(context, server);
	const text = (path: string, times: number) => `GET ${path} HTTP/1.1\r\n${host}\r\n`.repeat(times);
	const fair = await raw(listener.port, text("/", 250), get);
	assert.equal(fair.match(/HTTP\/1\.1 200/g)?.length, 251);
	const socket = connect(listener.port, "127.0.0.1");
	const closed = new Promise((resolve) => socket.once("close", resolve));
	socket.resume().on("error", () => {});
	socket.write(text("/never", 2000));
	await closed;
	assert(front.counters.requests["2xx"] === 251 && front.counters.requests.gone <= 251);
	await until(() => front.counters.openRequests === 0 && listener.openRequests === 0, "nothing is left open");
});

test("An HTTP/2 client that goes away takes its request out of the queue, or from its container", async (context) => {
	let waiting = 0;
	const server = createServer(() => {});
	const { listener, front, upstream, records } = await testGateway(context, server);
	const queued = await testGateway(context, server, {
		admit: (_revision, { signal }) =>
			new Promise((_resolve, reject) => {
				waiting++;
				signal.addEventListener("abort", () => {
					waiting--;
					reject(signal.reason);
				});
			}),
	});
	const leave = async (port: number, when: () => boolean) => {
		const session = connectHttp2(`http://127.0.0.1:${port}`);
		session.on("error", () => {});
		session.request({ ":authority": "hello.localhost", ":method": "POST" }).on("error", () => {});
		await until(when, "the request has come");
		session.destroy();
	};
	await leave(queued.listener.port, () => waiting === 1);
	await until(() => waiting === 0, "nobody waits");
	await leave(listener.port, () => upstream.open.size === 1);
	await until(() => upstream.open.size === 0 && front.counters.openRequests === 0, "its container is told");
	assert.equal(records[0]?.failure, "client-gone");
});

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", "latin1");
function frame(type: number, flags: number, id: number, payload: Buffer): Buffer {
	const head = Buffer.alloc(9);
	head.writeUIntBE(payload.length, 0, 3);
	head.writeUInt8(type, 3);
	head.writeUInt8(flags, 4);
	head.writeUInt32BE(id, 5);
	return Buffer.concat([head, payload]);
}
/** RFC 7541, 6.2.2, without Huffman codes. */
function fields(...pairs: [string, string][]): Buffer {
	const text = (value: string) => Buffer.concat([Buffer.from([value.length]), Buffer.from(value, "latin1")]);
	return Buffer.concat(pairs.flatMap(([name, value]) => [Buffer.from([0x10]), text(name), text(value)]));
}
const post: [string, string][] = [
	[":method", "POST"],
	[":path", "/"],
	[":scheme", "http"],
	[":authority", "hello.localhost"],
];
const [dataType, headersType, resetType, continuationType] = [0, 1, 3, 9];
const [endStream, endHeaders] = [1, 4];
const floods: [string, Buffer[]][] = [
	[
		"a body that is shorter than its length",
		[
			frame(headersType, endHeaders, 1, fields(...post, ["content-length", "10"])),
			frame(dataType, endStream, 1, Buffer.from("abc")),
		],
	],
	[
		"a body that is longer than its length",
		[
			frame(headersType, endHeaders, 1, fields(...post, ["content-length", "1"])),
			frame(dataType, endStream, 1, Buffer.from("abc")),
		],
	],
	[
		"a reset for each of 2,000 requests",
		Array.from({ length: 2000 }, (_, index) =>
			Buffer.concat([
				frame(headersType, endHeaders | endStream, 2 * index + 1, fields(...post)),
				frame(resetType, 0, 2 * index + 1, Buffer.from([0, 0, 0, 8])),
			]),
		),
	],
	[
		"continuations without end",
		[
			frame(headersType, endStream, 1, fields(...post)),
			...Array.from({ length: 500 }, () => frame(continuationType, 0, 1, fields(["x-a", "b"]))),
		],
	],
	[
		"more streams than it may have",
		Array.from({ length: 400 }, (_, index) => frame(headersType, endHeaders, 2 * index + 1, fields(...post))),
	],
];
for (const [name, frames] of floods)
	test(`HTTP/2 with ${name} leaves nothing open`, async (context) => {
		const server = createServer((request, response) => void request.resume().on("end", () => response.end("ok")));
		const { listener, front, upstream } = await testGateway(context, server);
		const socket = connect(listener.port, "127.0.0.1");
		socket.on("error", () => {}).resume();
		socket.write(Buffer.concat([preface, ...frames]));
		await new Promise((resolve) => setTimeout(resolve, 150));
		socket.destroy();
		await until(() => front.counters.openRequests === 0 && listener.openRequests === 0, "its requests have ended");
		assert.match(await raw(listener.port, get), /^HTTP\/1\.1 200/);
		await until(() => upstream.open.size <= 64, "the container's connections are given back");
	});
