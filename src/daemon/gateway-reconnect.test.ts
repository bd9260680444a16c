/** Containers that have gone, or closed a connection, just when a request comes for them. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { raw, type TestGatewayOptions, testGateway } from "./testing-gateway.ts";

const close = "Connection: close\r\n\r\n";
const get = `GET / HTTP/1.1\r\nHost: hello.localhost\r\n${close}`;
const post = (body: string) =>
	`POST / HTTP/1.1\r\nHost: hello.localhost\r\nContent-Length: ${body.length}\r\n${close}${body}`;
const echo = () => createServer((request, response) => void text(request).then((body) => response.end(`got ${body}`)));

/** Refuses the first connections. */
function refusing(count: number): NonNullable<TestGatewayOptions["connect"]> {
	let left = count;
	return async (open) => {
		if (left-- > 0) throw Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
		return open();
	};
}

for (const protocol of ["http1", "h2c"] as const)
	test(`A request whose instance is gone is admitted again, its body whole (${protocol})`, async (context) => {
		const server = protocol === "http1" ? echo() : process.getBuiltinModule("node:http2").createServer();
		if (protocol === "h2c")
			server.on("request", (request, response) => void text(request).then((body) => response.end(`got ${body}`)));
		const { listener, outcomes, records } = await testGateway(context, server, {
			connect: refusing(2),
			revision: { protocol },
		});
		assert.match(await raw(listener.port, post("abc")), /^HTTP\/1\.1 200[\s\S]*got abc/);
		assert.deepEqual(
			outcomes.map(({ status, failure }) => [status, failure]),
			[
				[undefined, "connect"],
				[undefined, "connect"],
				[200, undefined],
			],
		);
		assert.equal(records.length, 1);
		assert.equal(records[0]?.status, 200);
	});

test("An instance that nobody can connect to is a 502 in the end, and each room is released", async (context) => {
	const { listener, outcomes } = await testGateway(context, echo(), { connect: refusing(100) });
	assert.match(await raw(listener.port, get), /^HTTP\/1\.1 502[\s\S]*could not be connected to \(ECONNREFUSED\)/);
	assert.deepEqual(
		outcomes.map(({ status }) => status),
		[undefined, undefined, undefined, 502],
	);
});

test("An upgrade is admitted again too, and refused by the gateway when there is nobody left", async (context) => {
	const upgrade = `GET / HTTP/1.1\r\nHost: hello.localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n`;
	const { listener } = await testGateway(
		context,
		(socket) => {
			socket.once("data", () => {
				socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello");
				socket.end();
			});
		},
		{ connect: refusing(1) },
	);
	assert.match(await raw(listener.port, upgrade), /^HTTP\/1\.1 101[\s\S]*hello$/);
	const none = await testGateway(context, echo(), { connect: refusing(100) });
	assert.match(await raw(none.listener.port, upgrade), /^HTTP\/1\.1 502[\s\S]*could not be connected to/);
});

test("A POST does not go on a connection that the container has closed, told or not", async (context) => {
	let requests = 0;
	// Answers one request of a connection as if there were to be more, and closes.
	const { listener, upstream } = await testGateway(context, (socket) => {
		socket.once("data", () => {
			requests++;
			socket.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
		});
	});
	for (let i = 0; i < 30; i++) assert.match(await raw(listener.port, post("x")), /^HTTP\/1\.1 200/);
	assert.equal(requests, 30);
	assert.equal(upstream.made, 30);
});

test("A connection is kept for as long as the container says, less a second, and not after Connection: close", async (context) => {
	for (const [headers, made] of [
		["Keep-Alive: timeout=1", 2],
		["Keep-Alive: timeout=5", 1],
		["Connection: close", 2],
	] as const) {
		const { listener, upstream } = await testGateway(context, (socket) => {
			socket.on("data", () => socket.write(`HTTP/1.1 200 OK\r\n${headers}\r\nContent-Length: 2\r\n\r\nok`));
		});
		for (let i = 0; i < 2; i++) assert.match(await raw(listener.port, get), /^HTTP\/1\.1 200/);
		assert.equal(upstream.made, made, headers);
	}
});

test("An answer that comes without a request ends the connection", async (context) => {
	const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
	const { listener, upstream } = await testGateway(context, (socket) => {
		socket.on("data", () => {
			socket.write(`${answer}ok`);
			setTimeout(() => socket.write(`${answer}no`), 20);
		});
	});
	for (let i = 0; i < 3; i++) {
		assert.match(await raw(listener.port, get), /ok$/);
		await sleep(40);
	}
	assert.equal(upstream.made, 3);
});

test("Cloud Run's answers are 32 MiB at most unless they are sent in chunks, and private with a cookie", async (context) => {
	const large = 33 * 1024 * 1024;
	const answers: Record<string, string> = {
		large: `Content-Length: ${large}\r\n\r\n`,
		chunks: "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		cookie: "Set-Cookie: a=1\r\nCache-Control: public, max-age=9\r\nContent-Length: 0\r\n\r\n",
		"no-store": "Set-Cookie: a=1\r\nCache-Control: no-store\r\nContent-Length: 0\r\n\r\n",
	};
	const container: Parameters<typeof testGateway>[1] = (socket) =>
		void socket.on("data", (head) => {
			const [, name = ""] = /^GET \/(\S*)/.exec(String(head)) ?? [];
			socket.write(`HTTP/1.1 200 OK\r\n${answers[name]}`);
		});
	const path = (name: string) => get.replace("/", `/${name}`);
	const cloudrun = await testGateway(context, container, { revision: { profile: "cloudrun" } });
	const ask = (name: string) => raw(cloudrun.listener.port, path(name));
	assert.match(await ask("large"), /^HTTP\/1\.1 500[\s\S]*more than 32 MiB/);
	assert.match(await ask("chunks"), /^HTTP\/1\.1 200/);
	assert.match(await ask("cookie"), /Cache-Control: private\r\n/);
	assert.doesNotMatch(await ask("cookie"), /public/);
	assert.match(await ask("no-store"), /Cache-Control: no-store\r\n/);
	const knative = await testGateway(context, container);
	assert.match(await raw(knative.listener.port, path("cookie")), /Cache-Control: public, max-age=9\r\n/);
});

test("A POST goes on a kept connection that is open", async (context) => {
	const { listener, upstream } = await testGateway(context, echo());
	for (let i = 0; i < 3; i++) assert.match(await raw(listener.port, post("x")), /got x/);
	assert.equal(upstream.made, 1);
});
