/** WebSockets and other upgrades through the gateway. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { raw, testGateway, until } from "./testing-gateway.ts";

const upgrade =
	"GET /chat HTTP/1.1\r\nHost: hello.localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: raw\r\n\r\n";
const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\nX-A: b\r\n\r\n";

test("A WebSocket's messages go both ways, large ones too, and its close is clean", async (context) => {
	const server = createServer();
	const sockets = new WebSocketServer({ server });
	sockets.on("connection", (socket) =>
		socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary })),
	);
	const { listener, outcomes, records, front } = await testGateway(context, server);
	const client = new WebSocket(`ws://127.0.0.1:${listener.port}/chat`, { headers: { host: "hello.localhost" } });
	const got: Buffer[] = [];
	client.on("message", (data: Buffer) => got.push(data));
	await new Promise((resolve) => client.once("open", resolve));
	assert.equal(front.counters.openUpgrades, 1);
	client.send("hello");
	client.send(Buffer.alloc(5 * 1024 * 1024, 7));
	await until(() => got.length === 2, "both came back");
	assert.equal(String(got[0]), "hello");
	assert.equal(got[1]?.length, 5 * 1024 * 1024);
	client.close(1000);
	await until(() => outcomes.length === 1, "released");
	assert.equal(outcomes[0]?.status, 101);
	assert.equal(records[0]?.protocol, "websocket");
	assert(records[0]!.bytesIn > 5 * 1024 * 1024);
	await until(() => listener.openRequests === 0, "nothing is left open");
});

test("What comes with either head is not lost, and one direction may end before the other", async (context) => {
	const heard: string[] = [];
	const { listener, outcomes } = await testGateway(
		context,
		(socket) => {
			socket.once("data", () => {
				socket.write(`${switching}first`);
				socket.on("data", (chunk) => heard.push(String(chunk)));
				socket.on("end", () => setTimeout(() => socket.end("last"), 20));
			});
		},
		{ halfOpen: true },
	);
	const socket = connect({ port: listener.port, host: "127.0.0.1", allowHalfOpen: true });
	let got = "";
	socket.on("data", (chunk) => {
		got += chunk;
	});
	socket.end(`${upgrade}early`);
	await until(() => socket.readableEnded, "the end");
	assert.match(got, /^HTTP\/1\.1 101 Switching Protocols\r\n[\s\S]*X-A: b\r\n[\s\S]*\r\n\r\nfirstlast$/);
	assert.equal(heard.join(""), "early");
	await until(() => outcomes.length === 1, "released");
	assert.equal(outcomes[0]?.failure, undefined);
});

test("A container that does not switch answers as usual; one that closes is a 502", async (context) => {
	const no = await testGateway(
		context,
		(socket) => void socket.once("data", () => socket.write("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")),
	);
	const answer = await raw(no.listener.port, upgrade);
	assert.match(answer, /^HTTP\/1\.1 403 No\r\n[\s\S]*\r\n\r\nno$/);
	await until(() => no.outcomes.length === 1, "released");
	assert.equal(no.outcomes[0]?.status, 403);
	const closes = await testGateway(context, (socket) => void socket.once("data", () => socket.destroy()));
	assert.match(await raw(closes.listener.port, upgrade), /^HTTP\/1\.1 502[\s\S]*closed the connection/);
	const unknown = await raw(closes.listener.port, upgrade.replace("hello.", "nobody."));
	assert.match(unknown, /^HTTP\/1\.1 404[\s\S]*no service 'nobody'/);
});

test("Either side's break is the other's; the revision's time ends it; the end of the daemon too", async (context) => {
	const sockets: Socket[] = [];
	const container = (socket: Socket) => {
		sockets.push(socket);
		socket.once("data", () => socket.write(switching));
	};
	const open = async (port: number) => {
		const socket = connect(port, "127.0.0.1").on("error", () => {});
		socket.write(upgrade);
		await new Promise((resolve) => socket.once("data", resolve));
		return socket.resume();
	};
	const plain = await testGateway(context, container);
	const first = await open(plain.listener.port);
	first.destroy();
	await until(() => plain.upstream.open.size === 0 && plain.outcomes.length === 1, "the container's side is closed");
	const second = await open(plain.listener.port);
	sockets.at(-1)?.destroy();
	await until(() => second.closed && plain.outcomes.length === 2, "the client's side is closed");
	assert.equal(plain.listener.openRequests, 0);

	const limited = await testGateway(context, container, { revision: { timeoutMs: 60 } });
	const third = await open(limited.listener.port);
	await until(() => third.closed, "its time is over");
	assert.equal(limited.outcomes[0]?.failure, "timeout");

	const closing = new AbortController();
	const ending = await testGateway(context, container, { deps: { closing: closing.signal } });
	const fourth = await open(ending.listener.port);
	closing.abort();
	await until(() => fourth.closed && ending.upstream.open.size === 0, "the daemon stops");
});

test("An Upgrade to a name that is no service's is a request like any other", async (context) => {
	const { listener } = await testGateway(context, () => {});
	const answer = await raw(
		listener.port,
		upgrade.replace("hello.localhost", "localhost").replace("keep-alive", "close"),
	);
	assert.match(answer, /^HTTP\/1\.1 404/);
});
