/** Whatever a runtime sends, plain or spoilt: what it gets and what the engine sees are the same as through node:http. */
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { TestSession, testEvent } from "./testing/test-session.ts";

const ping = "GET /2018-06-01/ping HTTP/1.1\r\nHost: x\r\n\r\n";
const next = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n";
const usual = answer(
	"User-Agent: a/1\r\nConnection: keep-alive\r\nContent-Type: application/json\r\nContent-Length: 2",
);
/** Milliseconds after which what comes has come. */
const settleMs = 40;
const mutations = 200;
const atOnce = 10;

function answer(
	headers: string,
	line = "POST /2018-06-01/runtime/invocation/r/response HTTP/1.1",
	body = "{}",
): string {
	return `${line}\r\nHost: x\r\n${headers}\r\n\r\n${body}`;
}

const requests = [
	usual,
	answer("Content-Length: 2\r\nConnection: close"),
	answer("Content-Length: 2\r\nConnection: keep-alive, close"),
	answer("Content-Length: 2\r\nConnection: keep-alive\r\nConnection: close"),
	answer("Content-Length: 2\r\nUpgrade: h2c"),
	answer("Content-Length: 2\r\nExpect: nonsense"),
	answer("Content-Length: 2\r\nHost: y"),
	answer("Content-Length: 2,2"),
	answer("Content-Length: 02"),
	answer("Content-Length:\t2\t"),
	answer("Content-Length: 999999999999"),
	answer("Transfer-Encoding: identity\r\nContent-Length: 2"),
	answer("Transfer-Encoding : chunked\r\nContent-Length: 2"),
	answer("Lambda-Runtime-Function-Response-Mode: weird\r\nContent-Length: 2"),
	answer("Content-Length: 2", "POST /2018-06-01/runtime/invocation/r/response HTTP/1.0"),
	answer("Content-Length: 2", "POST http://x/2018-06-01/runtime/invocation/r/response HTTP/1.1"),
	answer("Content-Length: 2", "POST /2018-06-01/runtime/invocation/%72/response HTTP/1.1"),
	answer("Content-Length: 2", "POST /2018-06-01/runtime/invocation/r/response?a=b HTTP/1.1"),
	answer("Content-Length: 3"),
	answer("Content-Length: 1"),
	answer("Accept: */*"),
	usual + next,
	usual + usual,
	next,
	next + next,
	`\r\n${next}`,
	`${next}\r\n`,
	next.replace("Host: x\r\n", ""),
	`${next.replace("Host: x", "Host: x\r\nContent-Length: 2")}{}`,
	next.replace("Host: x", "Host: x\r\nConnection: close"),
	next.replaceAll("\r\n", "\n"),
].map((text) => Buffer.from(text));

interface Sent extends AsyncDisposable {
	/** What has come of it so far. */
	outcome(): object;
}

/** These bytes from a runtime that has an event; `plain` or after a request that made the connection node:http's. */
async function send(bytes: Buffer, { plain, ends }: { plain: boolean; ends: boolean }): Promise<Sent> {
	const test = await new TestSession().listen();
	const socket = net.connect({ port: test.port, host: "127.0.0.1", allowHalfOpen: true });
	await once(socket, "connect");
	let [received, ended] = ["", false];
	socket.on("data", (chunk: Buffer) => {
		received += chunk.toString("latin1");
	});
	socket.on("end", () => {
		ended = true;
	});
	socket.on("error", () => {});
	const until = async (condition: () => boolean) => {
		for (const end = Date.now() + 5000; !condition(); await sleep(1)) assert.ok(Date.now() < end, received);
	};
	if (!plain) {
		socket.write(ping);
		await until(() => received.endsWith("pong\r\n0\r\n\r\n"));
	}
	socket.write(next);
	await until(() => test.seen.ready === 1);
	test.session.deliver(testEvent("r", "{}"));
	await until(() => received.endsWith("{}"));
	received = "";
	if (ends) socket.end(bytes);
	else socket.write(bytes);
	return {
		outcome() {
			const { responses, errors, ready } = test.seen;
			const text = received.replaceAll(/^Date: .*$/gm, "Date: …");
			return { received: text, ended, responses, errors: errors.length, ready };
		},
		async [Symbol.asyncDispose]() {
			socket.destroy();
			await test[Symbol.asyncDispose]();
		},
	};
}

/** Both have the time to settle, and the slower one of a loaded machine the time to catch up. */
async function assertSame(bytes: Buffer, ends: boolean): Promise<void> {
	const sent = Promise.all([send(bytes, { plain: true, ends }), send(bytes, { plain: false, ends })]);
	const [plain, other] = await sent;
	await using _plain = plain;
	await using _other = other;
	await sleep(settleMs);
	const same = () => isDeepStrictEqual(plain.outcome(), other.outcome());
	for (const end = Date.now() + 5000; !same() && Date.now() < end; ) await sleep(settleMs);
	assert.deepEqual(plain.outcome(), other.outcome(), JSON.stringify(bytes.toString("latin1")));
}

function mutated(seed: number): Buffer[] {
	let state = seed;
	const random = (below: number) => {
		state = (Math.imul(state, 1103515245) + 12345) >>> 0;
		return (state >>> 8) % below;
	};
	const telling = [0, 9, 10, 13, 32, 44, 48, 57, 58, 127, 128, 255];
	return Array.from({ length: mutations }, () => {
		const bytes = Buffer.from(usual);
		for (let change = random(2); change >= 0; change--)
			bytes[random(bytes.length)] = telling[random(telling.length)] ?? 0;
		return bytes;
	});
}

const seed = 20261121;
for (const ends of [false, true])
	test(`as through node:http, of a client that ${ends ? "ends its side behind it" : "stays"} (seed ${seed})`, async () => {
		const all = ends ? requests : [...requests, ...mutated(seed)];
		for (let from = 0; from < all.length; from += atOnce)
			await Promise.all(all.slice(from, from + atOnce).map((bytes) => assertSame(bytes, ends)));
	});
