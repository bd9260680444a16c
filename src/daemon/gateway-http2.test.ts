/** HTTP/2 on either side of the gateway, and gRPC through it. */
import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import {
	type ClientHttp2Session,
	connect,
	constants,
	createServer as createHttp2,
	type OutgoingHttpHeaders,
	type ServerHttp2Stream,
} from "node:http2";
import { request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { createSecureContext } from "node:tls";
import { promisify } from "node:util";
import * as grpc from "@grpc/grpc-js";
import { raw, testGateway, until } from "./testing-gateway.ts";

const h2c = { protocol: "h2c" } as const;

function session(context: TestContext, url: string, options = {}): ClientHttp2Session {
	const client = connect(url, options);
	client.on("error", () => {});
	context.after(() => client.destroy());
	return client;
}

async function ask(client: ClientHttp2Session, headers: OutgoingHttpHeaders, body?: string) {
	const stream = client.request(
		{ ":authority": "hello.localhost", ":path": "/", ...headers },
		{ endStream: body === undefined },
	);
	let trailers: Record<string, unknown> = {};
	stream.on("trailers", (fields) => {
		trailers = fields;
	});
	const response = once(stream, "response");
	if (body !== undefined) stream.end(body);
	const [fields] = await response;
	return { headers: fields, body: await text(stream), trailers };
}

test("An HTTP/2 client with prior knowledge reaches a container that speaks HTTP/1.1", async (context) => {
	const server = createServer((request, response) => {
		response.setHeader("Trailer", "x-sum");
		void text(request).then((body) => {
			response.write(`${request.method} ${request.url} ${request.headers.host} ${request.headers.cookie} ${body}`);
			response.addTrailers({ "x-sum": "1" });
			response.end();
		});
	});
	const { listener, records } = await testGateway(context, server);
	const client = session(context, `http://127.0.0.1:${listener.port}`);
	const answer = await ask(client, { ":method": "POST", ":path": "/x?y", cookie: ["a=1", "b=2"] }, "body");
	assert.equal(answer.headers[":status"], 200);
	assert.equal(answer.body, "POST /x?y hello.localhost a=1; b=2 body");
	assert.equal(answer.trailers["x-sum"], "1");
	assert.equal(answer.headers.connection, undefined);
	assert.equal((await ask(client, { ":authority": "nobody.localhost" })).headers[":status"], 404);
	assert.equal((await ask(client, { ":authority": "127.0.0.1" })).headers[":status"], 421);
	await until(() => records.length === 2, "recorded");
	assert.equal(records[0]?.protocol, "HTTP/2");
	const many = await Promise.all(Array.from({ length: 100 }, (_, i) => ask(client, { ":path": `/${i}` })));
	assert(many.every(({ headers, body }, i) => headers[":status"] === 200 && body.includes(`/${i} `)));
	await until(() => listener.openRequests === 0, "nothing is left open");
});

test("curl --http2-prior-knowledge, with a body larger than a window", async (context) => {
	const server = createServer(
		(request, response) => void text(request).then((body) => response.end(String(body.length))),
	);
	const { listener } = await testGateway(context, server);
	const { stdout } = await promisify(execFile)("curl", [
		...["-s", "--http2-prior-knowledge", "-H", "Host: hello.localhost", "-d", "x".repeat(100_000)],
		...["-w", " %{http_version} %{http_code}", `http://127.0.0.1:${listener.port}/`],
	]);
	assert.equal(stdout, "100000 2 200");
});

test("A connection that began with HTTP/2 outlives the time that HTTP/1 gives a head", async (context) => {
	const server = createServer((_request, response) => response.end("ok"));
	const { listener } = await testGateway(context, server, { listener: { headersTimeoutMs: 200 } });
	const client = session(context, `http://127.0.0.1:${listener.port}`);
	assert.equal((await ask(client, {})).body, "ok");
	// Node looks once a second.
	await new Promise((resolve) => setTimeout(resolve, 1300));
	assert.equal((await ask(client, {})).body, "ok");
});

test("An h2c container is reached over both, on one connection, trailers included; its reset is the client's", async (context) => {
	const server = createHttp2();
	server.on("stream", (stream: ServerHttp2Stream, headers) => {
		stream.on("error", () => {});
		if (headers[":path"] === "/reset") return stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
		stream.respond({ ":status": 200, "x-te": String(headers.te) }, { waitForTrailers: true });
		stream.on("wantTrailers", () => stream.sendTrailers({ "x-end": "1" }));
		stream.end(`${headers[":method"]} ${headers[":authority"]} ${headers["x-forwarded-for"]}`);
	});
	const { listener, upstream, outcomes } = await testGateway(context, server, { revision: h2c });
	const client = session(context, `http://127.0.0.1:${listener.port}`);
	const answers = await Promise.all(Array.from({ length: 20 }, () => ask(client, { te: "trailers" })));
	for (const answer of answers) {
		assert.equal(answer.body, "GET hello.localhost 127.0.0.1");
		assert.equal(answer.headers["x-te"], "trailers");
		assert.equal(answer.trailers["x-end"], "1");
	}
	const plain = await raw(listener.port, "GET / HTTP/1.1\r\nHost: hello.localhost\r\nConnection: close\r\n\r\n");
	assert.match(plain, /^HTTP\/1\.1 200 OK\r\n[\s\S]*x-end: 1\r\n\r\n$/);
	assert.equal(upstream.made, 1);
	assert.equal((await ask(client, { ":path": "/reset" })).headers[":status"], 502);
	assert.equal(outcomes.at(-1)?.failure, "closed");
});

test("A client's reset reaches an h2c container", async (context) => {
	const server = createHttp2();
	const codes: number[] = [];
	server.on("stream", (stream: ServerHttp2Stream) => {
		stream.on("error", () => {});
		stream.on("close", () => codes.push(stream.rstCode ?? -1));
		stream.respond({ ":status": 200 });
		stream.write("x");
	});
	const { listener, outcomes } = await testGateway(context, server, { revision: h2c });
	const client = session(context, `http://127.0.0.1:${listener.port}`);
	const stream = client.request({ ":authority": "hello.localhost" });
	await once(stream, "data");
	stream.close(constants.NGHTTP2_CANCEL);
	await until(() => codes.length === 1 && outcomes.length === 1, "the container hears of it");
	assert.equal(codes[0], constants.NGHTTP2_CANCEL);
});

/** A gRPC service of bytes, without a file that describes it. */
const bytes = {
	requestSerialize: (b: Buffer) => b,
	requestDeserialize: (b: Buffer) => b,
	responseSerialize: (b: Buffer) => b,
	responseDeserialize: (b: Buffer) => b,
};
const service = {
	unary: { path: "/t.T/Unary", requestStream: false, responseStream: false, ...bytes },
	both: { path: "/t.T/Both", requestStream: true, responseStream: true, ...bytes },
} as const;

test("gRPC: unary, an error with details, both ways streamed, metadata, deadline", async (context) => {
	const server = new grpc.Server();
	server.addService(service, {
		unary(call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) {
			if (String(call.request) === "slow") return;
			if (String(call.request) === "fail") return done({ code: grpc.status.FAILED_PRECONDITION, details: "no \u00fc" });
			const trailer = new grpc.Metadata();
			trailer.set("x-trailer", "t");
			done(null, Buffer.from(`re: ${call.request}`), trailer);
		},
		both(call: grpc.ServerDuplexStream<Buffer, Buffer>) {
			call.on("data", (message: Buffer) => call.write(message));
			call.on("end", () => call.end());
		},
	});
	const port = await promisify(server.bindAsync.bind(server))("127.0.0.1:0", grpc.ServerCredentials.createInsecure());
	context.after(() => server.forceShutdown());
	const { connect: connectTcp } = await import("node:net");
	const { listener, outcomes } = await testGateway(
		context,
		(socket) => {
			const real = connectTcp(port as number, "127.0.0.1");
			socket.pipe(real).pipe(socket);
			real.on("error", () => socket.destroy());
			socket.once("close", () => real.destroy());
		},
		{ revision: h2c },
	);
	const Client = grpc.makeGenericClientConstructor(service, "T");
	const client = new Client(`127.0.0.1:${listener.port}`, grpc.credentials.createInsecure(), {
		"grpc.default_authority": "hello.localhost",
	}) as unknown as {
		unary(b: Buffer, o: object, done: (error: grpc.ServiceError | null, b?: Buffer) => void): grpc.ClientUnaryCall;
		both(): grpc.ClientDuplexStream<Buffer, Buffer>;
		close(): void;
	};
	context.after(() => client.close());
	const unary = (message: string, options = {}) =>
		new Promise<{ error: grpc.ServiceError | null; answer?: string; trailer: unknown }>((resolve) => {
			let trailer: unknown;
			const call = client.unary(Buffer.from(message), options, (error, answer) =>
				setImmediate(() => resolve({ error, trailer, ...(answer && { answer: String(answer) }) })),
			);
			call.on("status", ({ metadata }) => {
				trailer = metadata.get("x-trailer")[0];
			});
		});
	const fine = await unary("hi");
	assert.deepEqual([fine.error, fine.answer, fine.trailer], [null, "re: hi", "t"]);
	const { error } = await unary("fail");
	assert.deepEqual([error?.code, error?.details], [grpc.status.FAILED_PRECONDITION, "no \u00fc"]);
	assert.equal((await unary("slow", { deadline: Date.now() + 80 })).error?.code, grpc.status.DEADLINE_EXCEEDED);
	const call = client.both();
	const got: number[] = [];
	call.on("data", (message: Buffer) => got.push(message.length));
	// Of each message the answer is waited for before the next.
	for (const size of [1, 100_000, 3_000_000]) {
		call.write(Buffer.alloc(size));
		await until(() => got.at(-1) === size, `${size} bytes came back`);
	}
	call.end();
	await once(call, "end");
	await until(() => outcomes.length === 4, "all released");
});

test("TLS: HTTP/2 and 1.1 by ALPN, a certificate by name, HTTP/2 for services only", async (context) => {
	const folder = mkdtempSync(join(tmpdir(), "slipway-tls-"));
	context.after(() => rmSync(folder, { recursive: true }));
	const certificate = (name: string) => {
		const files = ["-keyout", join(folder, `${name}.key`), "-out", join(folder, `${name}.crt`)];
		const kind = [
			"-newkey",
			"ec",
			"-pkeyopt",
			"ec_paramgen_curve:prime256v1",
			"-nodes",
			"-days",
			"1",
			"-subj",
			`/CN=${name}`,
		];
		execFileSync("openssl", ["req", "-x509", ...kind, ...files], { stdio: "ignore" });
		return {
			key: readFileSync(join(folder, `${name}.key`), "utf8"),
			cert: readFileSync(join(folder, `${name}.crt`), "utf8"),
		};
	};
	const own = createSecureContext(certificate("hello.localhost"));
	const server = createServer((request, response) => response.end(`${request.headers["x-forwarded-proto"]}`));
	const { listener } = await testGateway(context, server, {
		listener: {
			tls: { ...certificate("localhost"), certificateFor: (name) => (name === "hello.localhost" ? own : undefined) },
		},
	});
	assert.match(listener.url, /^https:/);
	const client = session(context, listener.url, { servername: "hello.localhost", rejectUnauthorized: false });
	await once(client, "connect");
	assert.equal(
		(client.socket as unknown as { getPeerCertificate(): { subject: { CN: string } } }).getPeerCertificate().subject.CN,
		"hello.localhost",
	);
	assert.equal((await ask(client, {})).body, "https");
	const plain = (servername: string, ALPNProtocols: string[]) =>
		new Promise<string>((resolve, reject) => {
			const options = {
				port: listener.port,
				host: "127.0.0.1",
				servername,
				ALPNProtocols,
				rejectUnauthorized: false,
				agent: false as const,
			};
			const call = httpsRequest({ ...options, path: "/healthz", headers: { host: servername } }, async (response) => {
				const { alpnProtocol } = response.socket as unknown as { alpnProtocol: string };
				resolve(`${alpnProtocol} ${response.statusCode} ${(await text(response)).trim()}`);
			});
			call.once("error", reject).end();
		});
	assert.equal(await plain("hello.localhost", ["http/1.1"]), "http/1.1 200 https");
	assert.match(await plain("localhost", ["h2", "http/1.1"]), /^http\/1\.1 200[\s\S]*"ok"/);
});

test("Closing ends HTTP/2 connections: what is under way first, what is late is cut", async (context) => {
	const server = createServer((request, response) => {
		if (request.url === "/never") return;
		setTimeout(() => response.end("late"), 60);
	});
	const { listener } = await testGateway(context, server);
	const client = session(context, `http://127.0.0.1:${listener.port}`);
	const late = ask(client, {});
	const never = ask(client, { ":path": "/never" }).catch(() => {});
	await until(() => listener.openRequests === 2, "both are open");
	const closed = listener.close(AbortSignal.timeout(200));
	assert.equal((await late).body, "late");
	assert.equal(await closed, 1);
	assert(never);
});
