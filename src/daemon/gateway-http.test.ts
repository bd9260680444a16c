/** What passes between a client and a container over HTTP/1.1. */
import assert from "node:assert/strict";
import { createServer, request, type ServerResponse } from "node:http";
import { connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { raw, type TestGatewayOptions, testGateway, until } from "./testing-gateway.ts";

/** A container that answers every request on a connection with these bytes, as soon as its head is there. */
const answers =
	(...parts: string[]) =>
	(socket: Socket) =>
		void socket.on("data", (chunk) => {
			if (chunk.includes("\r\n\r\n")) for (const part of parts) socket.write(part);
		});
const close = "Connection: close\r\n\r\n";
const get = (path: string, headers = "", version = "1.1") =>
	`GET ${path} HTTP/${version}\r\nHost: hello.localhost\r\n${headers}${close}`;

/** What a container of Node's sees. */
async function seen(context: TestContext, options: TestGatewayOptions = {}) {
	const server = createServer((request, response) => {
		const { method, url, rawHeaders } = request;
		void text(request).then((body) =>
			response.end(JSON.stringify({ method, url, rawHeaders, body, trailers: request.rawTrailers })),
		);
	});
	const gateway = await testGateway(context, server, options);
	return {
		...gateway,
		ask: async (bytes: string) => {
			const answer = await raw(gateway.listener.port, bytes);
			const { rawHeaders, ...rest } = JSON.parse(answer.slice(answer.indexOf("{"), answer.lastIndexOf("}") + 1));
			const headers: Record<string, string> = {};
			for (let i = 0; i < rawHeaders.length; i += 2) {
				const name = rawHeaders[i].toLowerCase();
				headers[name] = name in headers ? `${headers[name]} | ${rawHeaders[i + 1]}` : rawHeaders[i + 1];
			}
			return { ...rest, headers, answer };
		},
	};
}

test("The container gets Host, the forwarding headers and the trace, and none that are for this connection only", async (context) => {
	const { ask } = await seen(context);
	const { headers, url } = await ask(
		`GET /a/../%2e?x=1 HTTP/1.1\r\nHost: hello.localhost:80\r\nX-Forwarded-For: 1.2.3.4\r\nConnection: close, X-Hop, Host\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nX-End: a\r\nX-End: b\r\n\r\n`,
	);
	assert.equal(url, "/a/../%2e?x=1");
	assert.equal(headers.host, "hello.localhost:80");
	assert.equal(headers["x-end"], "a | b");
	for (const name of ["x-hop", "keep-alive", "proxy-connection", "via"]) assert.equal(headers[name], undefined, name);
	assert.equal(headers.connection, "keep-alive");
	assert.equal(headers["x-forwarded-for"], "1.2.3.4, 127.0.0.1");
	assert.equal(headers["x-forwarded-proto"], "http");
	assert.equal(headers.forwarded, 'for=127.0.0.1;host="hello.localhost:80";proto=http');
	assert.match(headers.traceparent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
	const [, traceId, span] = headers.traceparent.split("-");
	assert.equal(headers["x-cloud-trace-context"], `${traceId}/${BigInt(`0x${span}`)};o=0`);
	assert.match(headers["x-request-id"], /^[0-9a-f]{32}$/);
});

test("Bodies come as they were framed, with their trailers; a method without one has length 0", async (context) => {
	const { ask } = await seen(context);
	const sized = await ask(`POST / HTTP/1.1\r\nHost: hello.localhost\r\nContent-Length: 3\r\n${close}abc`);
	assert.equal(sized.body, "abc");
	assert.equal(sized.headers["content-length"], "3");
	const chunked = await ask(
		`POST / HTTP/1.1\r\nHost: hello.localhost\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n${close}3\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n`,
	);
	assert.equal(chunked.body, "abc");
	assert.equal(chunked.headers["transfer-encoding"], "chunked");
	assert.deepEqual(chunked.trailers, ["X-Sum", "9"]);
	const none = await ask(`DELETE / HTTP/1.1\r\nHost: hello.localhost\r\n${close}`);
	assert.equal(none.headers["content-length"], "0");
});

test("Status text, several Set-Cookie, trailers and unknown statuses reach the client", async (context) => {
	const head =
		"HTTP/1.1 299 Quite Fine\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nTrailer: X-T\r\nConnection: X-Gone\r\nX-Gone: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
	const { listener, outcomes } = await testGateway(context, answers(head, "2\r\nhi\r\n0\r\nX-T: end\r\n\r\n"));
	const answer = await raw(listener.port, get("/"));
	assert.match(answer, /^HTTP\/1\.1 299 Quite Fine\r\n/);
	assert.match(answer, /Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n/);
	assert.doesNotMatch(answer, /X-Gone: 1/);
	assert.match(answer, /\r\n\r\n2\r\nhi\r\n0\r\nX-T: end\r\n\r\n$/);
	assert.equal(outcomes[0]?.status, 299);
	assert.equal(outcomes[0]?.failure, undefined);
	const old = await raw(listener.port, get("/", "", "1.0"));
	assert.match(old, /\r\n\r\nhi$/, "HTTP/1.0 gets no chunks");
});

for (const [status, method, expected] of [
	["200 OK", "HEAD", /Content-Length: 5\r\n[\s\S]*\r\n\r\n$/i],
	["304 Not Modified", "GET", /Content-Length: 5\r\n[\s\S]*\r\n\r\n$/i],
	["204 No Content", "GET", /^(?![\s\S]*content-length)[\s\S]*\r\n\r\n$/i],
] as const)
	test(`${status} to ${method} has no body`, async (context) => {
		const length = status.startsWith("204") ? "" : "Content-Length: 5\r\n";
		const { listener } = await testGateway(context, answers(`HTTP/1.1 ${status}\r\n${length}\r\n`));
		const answer = await raw(listener.port, `${method} / HTTP/1.1\r\nHost: hello.localhost\r\n${close}`);
		assert.match(answer, new RegExp(`^HTTP/1.1 ${status}`));
		assert.match(answer, expected);
	});

test("A 100 is the container's, and so is a 103", async (context) => {
	const { listener, upstream } = await testGateway(context, (socket) => {
		socket.once("data", (head) => {
			assert.match(String(head), /expect: 100-continue/i);
			socket.write("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n");
			setTimeout(() => socket.write("HTTP/1.1 100 Continue\r\n\r\n"), 30);
			socket.once("data", (body) => socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`));
		});
	});
	const socket = connect(listener.port, "127.0.0.1");
	socket.write(
		"POST / HTTP/1.1\r\nHost: hello.localhost\r\nExpect: 100-continue\r\nContent-Length: 4\r\nConnection: close\r\n\r\n",
	);
	let answer = "";
	socket.on("data", (chunk) => {
		answer += chunk;
		if (String(chunk).includes("100 Continue")) socket.write("body");
	});
	await until(() => answer.endsWith("body"), "the answer");
	assert.match(
		answer,
		/^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a\.css>; rel=preload\r\n\r\nHTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK/i,
	);
	assert.equal(upstream.made, 1);
});

test("Server-sent events arrive when they are sent, their head before the first of them", async (context) => {
	const open = Promise.withResolvers<ServerResponse>();
	const server = createServer((_request, response) => {
		response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
		open.resolve(response);
	});
	const { listener } = await testGateway(context, server);
	let got = "";
	const socket = connect(listener.port, "127.0.0.1").on("data", (bytes) => {
		got += bytes;
	});
	socket.write(get("/"));
	const stream = await open.promise;
	// Each part is sent when the one before has arrived: what is held back never comes.
	await until(() => got.includes("\r\n\r\n"), "the head");
	stream.write("data: 1\n\n");
	await until(() => got.includes("data: 1\n\n"), "the first event");
	stream.end("data: 2\n\n");
	await until(() => got.includes("data: 2\n\n"), "the second event");
	socket.destroy();
});

test("An answer before the end of the upload stops it, and is whole", async (context) => {
	const { listener, upstream, outcomes } = await testGateway(context, (socket) => {
		socket.once("data", () => socket.write("HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno"));
	});
	const upload = request({
		port: listener.port,
		host: "127.0.0.1",
		method: "POST",
		headers: { host: "hello.localhost" },
	});
	upload.on("error", () => {});
	const feed = setInterval(() => upload.write(Buffer.alloc(16_384)), 2);
	const status = await new Promise<number>((resolve) =>
		upload.once("response", async (response) => {
			assert.equal(await text(response), "no");
			resolve(response.statusCode ?? 0);
		}),
	);
	assert.equal(status, 413);
	await until(() => upstream.open.size === 0 && listener.openRequests === 0, "both connections are closed");
	clearInterval(feed);
	upload.destroy();
	assert.equal(outcomes.length, 1);
});

test("A kept connection that the container has closed is not noticed by a GET, and 502 for a POST at worst", async (context) => {
	let requests = 0;
	// Answers the first request of a connection, and closes at the second.
	const { listener, upstream } = await testGateway(context, (socket) => {
		let first = true;
		socket.on("data", () => {
			requests++;
			if (!first) return socket.destroy();
			first = false;
			socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
		});
	});
	for (let i = 0; i < 4; i++) assert.match(await raw(listener.port, get("/")), /^HTTP\/1\.1 200/);
	assert(requests > 4 && upstream.made > 1);
	let failed = 0;
	for (let i = 0; i < 4; i++) {
		const answer = await raw(
			listener.port,
			`POST / HTTP/1.1\r\nHost: hello.localhost\r\nContent-Length: 1\r\n${close}x`,
		);
		if (answer.startsWith("HTTP/1.1 502")) failed++;
	}
	assert(failed > 0, "a POST is never sent twice");
});

const garbage: [string, string[], RegExp][] = [
	["garbage", ["\x00\x01\x02 hello\r\n\r\n"], /502[\s\S]*not HTTP\/1\.1/],
	["SSH", ["SSH-2.0-OpenSSH_9\r\n"], /502/],
	["two lengths", ["HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"], /502/],
	["length and chunks", ["HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"], /502/],
	[
		"a flood of headers",
		[`HTTP/1.1 200 OK\r\n${"X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(2000)}\r\n`],
		/502[\s\S]*more than 32 KiB/,
	],
	["a control character", ["HTTP/1.1 200 OK\r\nX-A: a\x01b\r\nContent-Length: 0\r\n\r\n"], /502/],
	["status 99", ["HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n"], /502/],
	["101 for nothing", ["HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"], /502/],
];
for (const [name, parts, expected] of garbage)
	test(`A container that answers with ${name} is a 502`, async (context) => {
		const { listener, upstream, outcomes } = await testGateway(context, answers(...parts));
		const answer = await raw(listener.port, get("/"));
		assert.match(answer, /^HTTP\/1\.1 502 Bad Gateway/);
		assert.match(answer, expected);
		assert(outcomes[0]?.failure);
		await until(() => upstream.open.size === 0, "its connection is closed");
	});

test("A container that closes, or that nobody hears, is a 502 in JSON for who wants it", async (context) => {
	const { listener } = await testGateway(context, (socket) => void socket.once("data", () => socket.destroy()));
	const answer = await raw(listener.port, get("/", "Accept: application/json\r\n"));
	assert.match(
		answer,
		/^HTTP\/1\.1 502[\s\S]*\{"error":"The container of service 'hello' closed the connection[^"]*","reason":"closed"\}/,
	);
});

test("A second answer that nobody asked for goes to nobody", async (context) => {
	const one = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
	let count = 0;
	const { listener } = await testGateway(context, (socket) => {
		socket.on("data", () => socket.write(`${one}${String(++count).padStart(3, "a")}${one}bad`));
	});
	for (let i = 0; i < 5; i++) {
		const answer = await raw(listener.port, get("/"));
		assert.doesNotMatch(answer, /bad$/);
	}
});

for (const [framing, head, body] of [
	["chunks", "Transfer-Encoding: chunked", "5\r\nhello\r\n"],
	["a length", "Content-Length: 50", "hello"],
] as const)
	test(`An answer in ${framing} that breaks off is never a whole one`, async (context) => {
		const { listener, outcomes } = await testGateway(context, (socket) => {
			socket.once("data", () => {
				socket.write(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n${body}`);
				setTimeout(() => socket.destroy(), 20);
			});
		});
		const failed = await new Promise<unknown>((resolve) => {
			const call = request(
				{ port: listener.port, host: "127.0.0.1", headers: { host: "hello.localhost" } },
				(response) => {
					response
						.resume()
						.once("error", resolve)
						.once("end", () => resolve(undefined));
				},
			);
			call.once("error", resolve).end();
		});
		assert(failed instanceof Error, "the client sees that it is not the end");
		await until(() => outcomes.length === 1, "released");
		assert.equal(outcomes[0]?.failure, "closed");
	});

test("A client that goes away cancels what it asked for, waiting or under way", async (context) => {
	const { listener, upstream, outcomes, records } = await testGateway(context, (socket) => void socket.resume());
	const socket = connect(listener.port, "127.0.0.1");
	socket.write(get("/"));
	await until(() => upstream.open.size === 1, "it is at the container");
	socket.destroy();
	await until(() => upstream.open.size === 0 && outcomes.length === 1, "it has gone from there");
	assert.equal(outcomes[0]?.status, undefined);
	await until(() => records.length === 1, "recorded");
	assert.equal(records[0]?.failure, "client-gone");
	assert.equal(listener.openRequests, 0);
});

test("A client that goes away while it waits for an instance leaves the queue", async (context) => {
	let aborted = false;
	const { listener, records } = await testGateway(context, () => {}, {
		admit: (_revision, { signal }) =>
			new Promise((_resolve, reject) =>
				signal.addEventListener("abort", () => {
					aborted = true;
					reject(signal.reason);
				}),
			),
	});
	const socket = connect(listener.port, "127.0.0.1");
	socket.write(get("/"));
	await until(() => listener.openRequests === 1, "it waits");
	socket.destroy();
	await until(() => aborted && records.length === 1, "it has left");
});

test("Nothing within the time is a 504 with Knative's words; the instance's other requests go on", async (context) => {
	const { listener, outcomes } = await testGateway(context, (socket) => void socket.resume(), {
		revision: { timeoutMs: 60 },
	});
	assert.match(await raw(listener.port, get("/")), /^HTTP\/1\.1 504 Gateway Timeout[\s\S]*request timeout\n$/);
	assert.equal(outcomes[0]?.failure, "timeout");
});

test("Past its time, an answer that has begun ends with Knative's words, and is cut for Cloud Run", async (context) => {
	const begins = answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
	const knative = await testGateway(context, begins, { revision: { timeoutMs: 60 } });
	assert.match(
		await raw(knative.listener.port, get("/")),
		/^HTTP\/1\.1 200 OK[\s\S]*3\r\nabc\r\nf\r\nrequest timeout\r\n0\r\n\r\n$/,
	);
	const cloudrun = await testGateway(context, begins, { revision: { timeoutMs: 60, profile: "cloudrun" } });
	assert.match(await raw(cloudrun.listener.port, get("/")), /^HTTP\/1\.1 200 OK[\s\S]*3\r\nabc\r\n$/);
});

test("The first byte and the time between two have limits of their own", async (context) => {
	const start = await testGateway(context, (socket) => void socket.resume(), {
		revision: { responseStartTimeoutMs: 40 },
	});
	assert.match(await raw(start.listener.port, get("/")), /^HTTP\/1\.1 504[\s\S]*response start timeout/);
	const idle = await testGateway(
		context,
		answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
		{
			revision: { responseStartTimeoutMs: 40, idleTimeoutMs: 80 },
		},
	);
	const startedAt = performance.now();
	assert.match(await raw(idle.listener.port, get("/")), /idle timeout/);
	assert(performance.now() - startedAt >= 75);
});

test("32 MiB are the limit over HTTP/1 for Cloud Run's profile, announced or not", async (context) => {
	const { listener, outcomes } = await testGateway(context, (socket) => void socket.resume(), {
		revision: { profile: "cloudrun" },
	});
	const large = 33 * 1024 * 1024;
	const announced = `POST / HTTP/1.1\r\nHost: hello.localhost\r\nContent-Length: ${large}\r\n${close}`;
	assert.match(await raw(listener.port, announced), /^HTTP\/1\.1 413[\s\S]*larger than 32 MiB/);
	const upload = request({
		port: listener.port,
		host: "127.0.0.1",
		method: "POST",
		headers: { host: "hello.localhost" },
	});
	upload.on("error", () => {});
	const status = new Promise((resolve) => upload.once("response", (response) => resolve(response.resume().statusCode)));
	const piece = Buffer.alloc(1024 * 1024);
	for (let i = 0; i < 33; i++) upload.write(piece);
	assert.equal(await status, 413);
	upload.destroy();
	await until(() => outcomes.length === 2, "released");
});

test("A slow reader holds the container up, a slow container the client: memory stays flat", async (context) => {
	const total = 256 * 1024 * 1024;
	const piece = Buffer.alloc(256 * 1024);
	const server = createServer((request, response) => {
		if (request.method === "POST") {
			let bytes = 0;
			request.on("data", (chunk: Buffer) => {
				bytes += chunk.length;
				request.pause();
				setImmediate(() => request.resume());
			});
			return void request.on("end", () => response.end(String(bytes)));
		}
		let sent = 0;
		const more = () => {
			while (sent < total) {
				sent += piece.length;
				if (!response.write(piece)) return void response.once("drain", more);
			}
			response.end();
		};
		more();
	});
	const { listener } = await testGateway(context, server);
	let peak = 0;
	const before = process.memoryUsage.rss();
	const watch = setInterval(() => {
		peak = Math.max(peak, process.memoryUsage.rss());
	}, 10);
	const options = { port: listener.port, host: "127.0.0.1", headers: { host: "hello.localhost" } };
	const got = await new Promise<number>((resolve) =>
		request(options, async (response) => {
			await sleep(200);
			let bytes = 0;
			for await (const chunk of response) bytes += (chunk as Buffer).length;
			resolve(bytes);
		}).end(),
	);
	assert.equal(got, total);
	const upload = request({ ...options, method: "POST" });
	const answer = new Promise<string>((resolve) => upload.once("response", (response) => resolve(text(response))));
	for (let sent = 0; sent < total; sent += piece.length)
		if (!upload.write(piece)) await new Promise((resolve) => upload.once("drain", resolve));
	upload.end();
	assert.equal(await answer, String(total));
	clearInterval(watch);
	// Of 512 MiB that go through three parts of this one process, most of it buffers that wait for their collection.
	assert(peak - before < 180 * 1024 * 1024, `${Math.round((peak - before) / 2 ** 20)} MiB more at the peak`);
});

test("An instance that stops closes its idle connections and keeps those at work", async (context) => {
	const { listener, upstream, gone, connections } = await testGateway(context, (socket) => {
		socket.on("data", (head) =>
			setTimeout(
				() => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
				String(head).includes("/slow") ? 80 : 0,
			),
		);
	});
	await raw(listener.port, get("/"));
	await raw(listener.port, get("/"));
	assert.equal(upstream.made, 1, "the connection is kept");
	const slow = raw(listener.port, get("/slow"));
	await sleep(30);
	gone.abort();
	assert.match(await slow, /^HTTP\/1\.1 200/);
	await until(() => upstream.open.size === 0, "none is kept");
	assert.equal(connections.size, 0);
});
