/** Every protocol that goes through the gateway to a container, with clients that other people wrote. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { request } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import WebSocket from "ws";
import { findBuilder } from "../../tools/builder.ts";
import type { LocalDaemon } from "../../tools/local-daemon.ts";
import { attempt, run } from "../../tools/run.ts";
import { buildImage, pushImage } from "../runtimes/image.ts";
import { buildGo } from "./go-program.ts";
import { expressImage, grpcImage } from "./images.ts";
import { ask, deploy, hostOf, logOf, startTestDaemon, told, until } from "./service-client.ts";
import { pushSubject } from "./subject.ts";

const skip = process.getuid?.() === 0 ? false : "sandboxes and base images need root";
const buildTimeoutMs = 10 * 60_000;
const say = (line: string) => process.stderr.write(`${line}\n`);

/** https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md, all that need neither TLS nor OAuth. */
const interopCases = [
	"empty_unary",
	"large_unary",
	"client_streaming",
	"server_streaming",
	"ping_pong",
	"empty_stream",
	"timeout_on_sleeping_server",
	"cancel_after_begin",
	"cancel_after_first_response",
	"status_code_and_message",
	"special_status_message",
	"custom_metadata",
	"unimplemented_method",
	"unimplemented_service",
];

let daemon: LocalDaemon;

describe("protocols", { skip }, () => {
	before(
		async () => {
			daemon = await startTestDaemon();
			const builder = await findBuilder();
			const express = await pushImage(daemon, builder, await buildImage(expressImage, builder, say), "express");
			await deploy(daemon, "express", express);
			const grpc = await pushImage(daemon, builder, await buildImage(grpcImage, builder, say), "grpc");
			await deploy(daemon, "grpc", grpc, "--h2c");
			const subject = await pushSubject(daemon);
			await deploy(daemon, "subject", subject);
			await deploy(daemon, "subject-h2c", subject, "--h2c");
		},
		{ timeout: buildTimeoutMs },
	);
	after(() => daemon?.[Symbol.asyncDispose]());

	describe("WebSocket", webSocket);
	describe("server-sent events", serverSentEvents);
	describe("gRPC", grpc);
	describe("HTTP", http);
});

function webSocket(): void {
	const open = (headers = {}, protocols: string[] = []) =>
		new WebSocket(`${daemon.url.replace("http", "ws")}/chat`, protocols, {
			headers: { host: hostOf(daemon, "express"), ...headers },
		});

	test("texts and bytes come back, with the subprotocol that the server chose", async () => {
		const socket = open({ "x-user": "ada" }, ["chat.v2", "chat.v1"]);
		const [hello] = await once(socket, "message");
		assert.deepEqual(JSON.parse(hello), { hello: hostOf(daemon, "express"), user: "ada" });
		assert.equal(socket.protocol, "chat.v1");
		const big = Buffer.alloc(1_000_000, 5);
		for (const sent of ["grüße", big]) {
			socket.send(sent);
			const [got] = await once(socket, "message");
			assert.ok(Buffer.from(sent).equals(got));
		}
		socket.send("bye");
		const [code, reason] = await once(socket, "close");
		assert.deepEqual([code, reason.toString()], [4001, "you said bye"]);
	});

	test("a client that breaks off is gone for the server, too", async () => {
		const socket = open();
		await once(socket, "message");
		socket.terminate();
		await until("its end in the log", 10, async () =>
			(await logOf(daemon, "express")).includes("socket closed 1006") ? true : undefined,
		);
	});

	test("fifty at once", async () => {
		const sockets = await Promise.all(
			Array.from({ length: 50 }, async () => {
				const socket = open();
				await once(socket, "message");
				return socket;
			}),
		);
		const answers = await Promise.all(
			sockets.map(async (socket, index) => {
				socket.send(`number ${index}`);
				return (await once(socket, "message"))[0].toString();
			}),
		);
		assert.deepEqual(
			answers,
			sockets.map((_, index) => `number ${index}`),
		);
		for (const socket of sockets) socket.close();
	});

	test("a path that is no WebSocket's answers as it does without", async () => {
		const socket = new WebSocket(daemon.url, { headers: { host: hostOf(daemon, "express") } });
		const [error] = await once(socket, "error");
		assert.match(error.message, /Unexpected server response: [24]0\d/);
	});
}

function serverSentEvents(): void {
	test("each event arrives when it is sent, and the server hears of the client's end", async () => {
		const { hostname, port } = new URL(daemon.url);
		const headers = { host: hostOf(daemon, "express"), "last-event-id": "41" };
		const sent = request({ hostname, port, path: "/events", headers, agent: false }).end();
		const [answer] = await once(sent, "response");
		assert.equal(answer.headers["content-type"], "text/event-stream");
		const arrivals: number[] = [];
		let text = "";
		for await (const part of answer) {
			text += part;
			arrivals.push(performance.now());
			if (arrivals.length === 4) break; // ends the request as well
		}
		assert.match(text, /^id: 42\nevent: tick\ndata: {"id":42}\n\nid: 43\n/);
		const [first = 0, last = 0] = [arrivals[0], arrivals.at(-1)];
		assert.ok(last - first > 400, `events came at ${arrivals.map((time) => Math.round(time - first)).join(", ")} ms`);
		await until("the end in the log", 10, async () =>
			(await logOf(daemon, "express")).includes("events closed, finished false") ? true : undefined,
		);
	});

	test("curl shows events as they come", async () => {
		const words = ["-sSN", "--max-time", "1", `http://${hostOf(daemon, "express")}/events`];
		const { stdout, code } = await attempt("curl", words);
		assert.equal(code, 28); // its own time limit
		assert.ok(stdout.split("\n\n").length >= 4, stdout);
	});
}

function grpc(): void {
	let folder: string;
	let program: string;
	before(async () => {
		folder = await mkdtemp(join(tmpdir(), "slipway-grpc-"));
		program = join(folder, "client");
		await buildGo(join(import.meta.dirname, "grpc"), "./client", program);
	});
	after(() => rm(folder, { recursive: true, force: true }));

	for (const name of interopCases)
		test(`grpc-go's interoperability case ${name}`, async () => {
			await run(program, [new URL(daemon.url).host, hostOf(daemon, "grpc"), name], { timeoutMs: 40_000 });
		});

	const pass = (value: Buffer) => value;
	const client = () =>
		new Client(new URL(daemon.url).host, credentials.createInsecure(), {
			"grpc.default_authority": hostOf(daemon, "grpc"),
		});

	test("grpc-js: the health service says SERVING", async () => {
		using closing = closed(client());
		const answer = await new Promise<Buffer>((resolve, reject) =>
			closing.client.makeUnaryRequest("/grpc.health.v1.Health/Check", pass, pass, Buffer.alloc(0), (error, value) =>
				error ? reject(error) : resolve(value as Buffer),
			),
		);
		assert.deepEqual([...answer], [8, 1]); // status = 1, SERVING
	});

	test("grpc-js: status, message and metadata come in trailers", async () => {
		using closing = closed(client());
		const metadata = new Metadata();
		metadata.set("x-grpc-test-echo-initial", "first");
		metadata.set("x-grpc-test-echo-trailing-bin", Buffer.from([1, 2, 255]));
		// SimpleRequest.response_status = { code: 2, message: "no luck" }
		const status = Buffer.concat([Buffer.from([8, 2, 0x12, 7]), Buffer.from("no luck")]);
		const body = Buffer.concat([Buffer.from([0x3a, status.length]), status]);
		const path = "/grpc.testing.TestService/UnaryCall";
		const error = await new Promise<ServiceError | null>((resolve) => {
			closing.client.makeUnaryRequest(path, pass, pass, body, metadata, resolve);
		});
		assert.deepEqual([error?.code, error?.details], [2, "no luck"]);
	});

	test("grpc-js: a stream's messages arrive one by one, and its trailers after them", async () => {
		using closing = closed(client());
		// StreamingOutputCallRequest: three response_parameters of { size: 10, interval_us: 200000 }
		const parameters = Buffer.from([0x12, 6, 8, 10, 16, 0xc0, 0x9a, 0x0c]);
		const path = "/grpc.testing.TestService/StreamingOutputCall";
		const body = Buffer.concat([parameters, parameters, parameters]);
		const stream = closing.client.makeServerStreamRequest(path, pass, pass, body);
		const ended = once(stream, "status");
		const arrivals: number[] = [];
		for await (const message of stream) {
			assert.equal((message as Buffer).length, 14);
			arrivals.push(performance.now());
		}
		assert.equal((await ended)[0].code, 0);
		assert.equal(arrivals.length, 3);
		assert.ok((arrivals[2] ?? 0) - (arrivals[0] ?? 0) > 300, "they came together");
	});
}

function closed(client: Client) {
	return { client, [Symbol.dispose]: () => client.close() };
}

function http(): void {
	for (const [name, proto] of [
		["subject", "HTTP/1.1"],
		["subject-h2c", "HTTP/2.0"],
	] as const) {
		test(`HTTP/2 without TLS from the client; the container of ${name} is asked in ${proto}`, async () => {
			const session = connectHttp2(daemon.url);
			const stream = session.request({ ":path": "/x?y=1", ":authority": hostOf(daemon, name) });
			const [headers] = await once(stream, "response");
			assert.equal(headers[":status"], 200);
			const answer = JSON.parse(Buffer.concat(await Array.fromAsync(stream)).toString());
			session.close();
			assert.deepEqual([answer.proto, answer.path, answer.host], [proto, "/x?y=1", hostOf(daemon, name)]);
		});

		test(`${name}: request and answer stream at the same time`, async () => {
			const session = connectHttp2(daemon.url);
			const stream = session.request({ ":path": "/echo", ":method": "POST", ":authority": hostOf(daemon, name) });
			await once(stream, "response");
			for (const word of ["one", "two", "three"]) {
				stream.write(word);
				assert.equal((await once(stream, "data"))[0].toString(), word);
			}
			stream.end();
			await once(stream, "end");
			session.close();
		});

		test(`${name}: trailers go both ways`, async () => {
			const { hostname, port } = new URL(daemon.url);
			const headers = { host: hostOf(daemon, name), te: "trailers", trailer: "X-Mine", "transfer-encoding": "chunked" };
			const sent = request({ hostname, port, path: "/trailers", method: "POST", headers, agent: false });
			sent.addTrailers({ "X-Mine": "here" });
			sent.end("12345");
			const [answer] = await once(sent, "response");
			for await (const _ of answer);
			assert.equal(answer.trailers["x-sum"], "5");
		});
	}

	test("curl waits for 100 Continue and gets it", async () => {
		const words = ["-sS", "-v", "-H", "Expect: 100-continue", "--expect100-timeout", "20", "-d", "body"];
		const started = performance.now();
		const { stdout, stderr } = await attempt("curl", [...words, `http://${hostOf(daemon, "subject")}/`]);
		assert.equal(JSON.parse(stdout).body, "body");
		assert.match(stderr, /< HTTP\/1\.1 100 Continue/);
		assert.ok(performance.now() - started < 10_000);
	});

	test("100 MiB come through whole", async () => {
		const { stdout } = await attempt("sh", [
			"-c",
			`curl -sSN http://${hostOf(daemon, "subject")}/flood?mib=100 | sha256sum`,
		]);
		const expected = await run("sh", ["-c", "yes 0123456789abcdef | tr -d '\\n' | head -c 104857600 | sha256sum"]);
		assert.equal(stdout, expected);
	});

	test("a client that leaves is noticed by the container", async () => {
		await attempt("curl", ["-sS", "--max-time", "0.3", `http://${hostOf(daemon, "subject")}/sleep?ms=20000`]);
		await until("it in the log", 5, async () =>
			(await logOf(daemon, "subject")).includes("the client left") ? true : undefined,
		);
		await sleep(100);
		assert.equal((await told(daemon, "subject")).active, 1);
	});

	test("forwarding and trace headers", async () => {
		const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
		const { headers } = await told(daemon, "subject", "/", { headers: { traceparent: trace } });
		assert.equal(headers["X-Forwarded-Proto"]?.[0], "http");
		assert.match(String(headers["X-Forwarded-For"]), /127\.0\.0\.1/);
		assert.match(String(headers.Forwarded), /for="?127\.0\.0\.1.*proto=http/);
		assert.match(String(headers.Traceparent), /^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$/);
		assert.match(String(headers["X-Cloud-Trace-Context"]), /^0af7651916cd43dd8448eb211c80319c\/\d+;o=1$/);
	});

	test("a service that does not exist is a 404 that says so", async () => {
		const answer = await ask(daemon, "nobody");
		assert.equal(answer.status, 404);
		assert.match(answer.text, /nobody/);
	});
}
