import assert from "node:assert/strict";
import { once } from "node:events";
import { ServerResponse } from "node:http";
import net from "node:net";
import { describe, it } from "node:test";
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import { TestSession, testEvent } from "./testing/test-session.ts";

const nextRequest =
	"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: 127.0.0.1:9001\r\nUser-Agent: test/1.0\r\n\r\n";

function answerRequest(id: string, body: string, headers = ""): string {
	const length = Buffer.byteLength(body);
	return `POST /2018-06-01/runtime/invocation/${id}/response HTTP/1.1\r\nHost: 127.0.0.1:9001\r\nContent-Length: ${length}\r\n${headers}\r\n${body}`;
}

/** A client that writes bytes as it is told and keeps what comes. */
class Client {
	readonly socket: net.Socket;
	received = "";
	closed = false;

	private constructor(socket: net.Socket) {
		this.socket = socket;
		socket.setNoDelay(true);
		socket.on("data", (chunk: Buffer) => {
			this.received += chunk.toString("latin1");
		});
		socket.on("error", () => {});
		socket.on("close", () => {
			this.closed = true;
		});
	}

	static async open(port: number): Promise<Client> {
		const socket = net.connect(port, "127.0.0.1");
		await once(socket, "connect");
		return new Client(socket);
	}

	/** Resolves with all that came when `count` answers are whole, and forgets them. */
	async answers(count: number): Promise<string[]> {
		const found: string[] = [];
		await until(() => {
			const answer = takeAnswer(this.received);
			if (answer !== undefined) {
				found.push(answer);
				this.received = this.received.slice(answer.length);
			}
			return found.length === count;
		});
		return found;
	}
}

function takeAnswer(text: string): string | undefined {
	const head = text.indexOf("\r\n\r\n");
	if (head < 0) return undefined;
	const length = Number(/^content-length: *(\d+)/im.exec(text.slice(0, head))?.[1] ?? 0);
	return text.length >= head + 4 + length ? text.slice(0, head + 4 + length) : undefined;
}

async function until(condition: () => boolean): Promise<void> {
	for (const end = Date.now() + 5000; !condition(); await turn())
		assert.ok(Date.now() < end, "it did not come to that");
}

/** How many of the runtime's requests came the plain way, and how many through node:http. */
function watch({ session }: TestSession): { plain: number; other: number } {
	const seen = { plain: 0, other: 0 };
	const { runtime } = session;
	const next = runtime.next.bind(runtime);
	runtime.next = (reply) => {
		if (reply instanceof ServerResponse) seen.other++;
		else seen.plain++;
		next(reply);
	};
	const whole = runtime.whole.bind(runtime);
	runtime.whole = (body, reply) => {
		seen.plain++;
		whole(body, reply);
	};
	const response = runtime.response.bind(runtime);
	runtime.response = (id, request, reply) => {
		seen.other++;
		return response(id, request, reply);
	};
	return seen;
}

/** A runtime that waits for its first event. */
async function waiting(test: TestSession): Promise<Client> {
	const client = await Client.open(test.port);
	client.socket.write(nextRequest);
	await until(() => test.seen.ready === 1);
	return client;
}

function statusOf(answer: string | undefined): number {
	return Number(answer?.slice(9, 12));
}

describe("a runtime's connection", () => {
	it("takes events and gives answers without node:http", async () => {
		await using test = await new TestSession().listen();
		const seen = watch(test);
		const client = await waiting(test);
		for (const [index, payload] of ['{"n":1}', '{"text":"äöü €"}', "x".repeat(20_000)].entries()) {
			const id = `request-${index}`;
			test.session.deliver(testEvent(id, payload));
			const [event] = await client.answers(1);
			assert.match(event ?? "", new RegExp(`^HTTP/1.1 200 OK\r\n(.+\r\n)*Lambda-Runtime-Aws-Request-Id: ${id}\r\n`));
			assert.match(
				event ?? "",
				/\r\nDate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\nConnection: keep-alive\r\n\r\n/,
			);
			assert.equal(Buffer.from(event?.split("\r\n\r\n")[1] ?? "", "latin1").toString(), payload);
			client.socket.write(answerRequest(id, payload.slice(0, 1000)));
			const [accepted] = await client.answers(1);
			assert.match(accepted ?? "", /^HTTP\/1.1 202 Accepted\r\n(.+\r\n)+\r\n\{"status":"OK"\}\n$/);
			client.socket.write(nextRequest);
			await until(() => test.seen.ready === index + 2);
		}
		assert.equal(test.seen.responses.length, 3);
		assert.deepEqual(seen, { plain: 7, other: 0 });
	});

	it("answers what is not a runtime's next as node:http does, on the same connection", async () => {
		await using test = await new TestSession().listen();
		const seen = watch(test);
		const client = await waiting(test);
		test.session.deliver(testEvent("one"));
		await client.answers(1);
		client.socket.write(answerRequest("another", "{}"));
		assert.equal(statusOf((await client.answers(1))[0]), 400);
		client.socket.write(answerRequest("one", "{}"));
		assert.equal(statusOf((await client.answers(1))[0]), 202);
		client.socket.write("GET /2018-06-01/ping HTTP/1.1\r\nHost: x\r\n\r\n");
		await until(() => /\r\npong\r\n/.test(client.received));
		assert.deepEqual(test.seen.responses, ["{}"]);
		assert.deepEqual(seen, { plain: 1, other: 2 });
	});

	const unusual: Record<string, string> = {
		"in chunks": "POST ID HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"in chunks with a trailer":
			"POST ID HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n2\r\n{}\r\n0\r\nA: b\r\n\r\n",
		"with an error in its trailer, streamed":
			"POST ID HTTP/1.1\r\nHost: x\r\nLambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"that expects to be told to go on":
			"POST ID HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
		"with names of headers in any letters": "POST ID HTTP/1.1\r\nhOsT: x\r\ncontent-LENGTH:2\r\n\r\n{}",
		"with a header that has no value": "POST ID HTTP/1.1\r\nHost: x\r\nX-Empty:\r\nContent-Length: 2\r\n\r\n{}",
		"with headers past what is read here": `POST ID HTTP/1.1\r\nHost: x\r\nX-Long: ${"x".repeat(8000)}\r\nContent-Length: 2\r\n\r\n{}`,
		"with letters past ASCII in a header": "POST ID HTTP/1.1\r\nHost: x\r\nX-A: \xe4\r\nContent-Length: 2\r\n\r\n{}",
		"that says keep-alive": "POST ID HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}",
	};
	for (const [what, text] of Object.entries(unusual))
		it(`takes an answer ${what}, in one piece and split at every byte`, async () => {
			const request = Buffer.from(text.replace("ID", "/2018-06-01/runtime/invocation/r/response"), "latin1");
			const step = Math.max(1, Math.floor(request.length / 200));
			for (let split = 0; split < request.length; split += step) {
				await using test = await new TestSession().listen();
				const client = await waiting(test);
				test.session.deliver(testEvent("r"));
				await client.answers(1);
				if (split > 0) {
					client.socket.write(request.subarray(0, split));
					await sleep(1);
				}
				client.socket.write(request.subarray(split));
				const answers = await client.answers(/100-continue/.test(text) ? 2 : 1);
				assert.equal(statusOf(answers.at(-1)), 202, `split at ${split}: ${answers}`);
				assert.deepEqual(test.seen.responses, ["{}"]);
				client.socket.write(nextRequest);
				await until(() => test.seen.ready === 2);
			}
		});

	const refused: Record<string, string> = {
		"two lengths": "POST ID HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
		"a length and chunks": "POST ID HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
		"a length that is no number": "POST ID HTTP/1.1\r\nHost: x\r\nContent-Length: 0x2\r\n\r\n{}",
		"a space before a colon": "POST ID HTTP/1.1\r\nHost: x\r\nContent-Length : 2\r\n\r\n{}",
		"a folded header": "POST ID HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c: d\r\nContent-Length: 2\r\n\r\n{}",
		"a line feed alone": "POST ID HTTP/1.1\r\nHost: x\nX-A: b\r\nContent-Length: 2\r\n\r\n{}",
		"no host": "POST ID HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
		"a zero byte": "POST ID HTTP/1.1\r\nHost: x\r\nX-A: \0\r\nContent-Length: 2\r\n\r\n{}",
		"no HTTP at all": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
	};
	for (const [what, text] of Object.entries(refused))
		it(`leaves it to node:http to refuse ${what}`, async () => {
			await using test = await new TestSession().listen();
			const seen = watch(test);
			const client = await waiting(test);
			test.session.deliver(testEvent("r"));
			await client.answers(1);
			client.socket.write(Buffer.from(text.replace("ID", "/2018-06-01/runtime/invocation/r/response"), "latin1"));
			await until(() => client.received !== "" || client.closed);
			if (client.received !== "") assert.equal(statusOf(client.received), 400);
			assert.deepEqual(test.seen.responses, []);
			assert.equal(seen.plain, 1);
		});

	it("takes requests that come before their answers, one after the other", async () => {
		await using test = await new TestSession().listen();
		const client = await Client.open(test.port);
		client.socket.write(nextRequest);
		await until(() => test.seen.ready === 1);
		// The answer to an event that it has not got yet, and the next poll.
		client.socket.write(answerRequest("early", "{}"));
		await sleep(20);
		client.socket.write(nextRequest);
		await sleep(20);
		assert.equal(client.received, "");
		test.session.deliver(testEvent("early"));
		const [event, accepted] = await client.answers(2);
		assert.equal(statusOf(event), 200);
		assert.equal(statusOf(accepted), 202);
		await until(() => test.seen.ready === 2);
		assert.deepEqual(test.seen.responses, ["{}"]);
	});

	it("forgets a poll whose client has gone, and gives the event to the next one", async () => {
		await using test = await new TestSession().listen();
		const gone = await waiting(test);
		gone.socket.destroy();
		await sleep(20);
		test.session.deliver(testEvent("r"));
		const client = await Client.open(test.port);
		client.socket.write(nextRequest);
		assert.match((await client.answers(1))[0] ?? "", /Lambda-Runtime-Aws-Request-Id: r\r\n/);
	});

	it("reads on only as fast as its answers are taken", async () => {
		await using test = await new TestSession().listen();
		const seen = watch(test);
		const client = await waiting(test);
		const bytes = 1024 * 1024;
		const polls = 30;
		client.socket.pause();
		test.session.deliver(testEvent("r", "x".repeat(bytes)));
		for (let poll = 1; poll < polls; poll++) {
			client.socket.write(nextRequest);
			await sleep(2);
		}
		// What the system's own buffers take of them.
		assert.ok(seen.plain + seen.other < polls / 2, `${seen.plain} and ${seen.other} polls were answered unread`);
		let received = client.received.length;
		client.socket.removeAllListeners("data").on("data", (chunk: Buffer) => {
			received += chunk.length;
		});
		client.socket.resume();
		await until(() => received > polls * bytes);
		await until(() => seen.plain + seen.other === polls);
	});

	/** Not plain, and means nothing. */
	const viaHttp = nextRequest.replace("\r\n\r\n", "\r\nTE: trailers\r\n\r\n");
	const undated = (answer: string | undefined) => answer?.replace(/^Date: .*$/m, "Date: …");

	it("gives an event, a refusal and a failure byte for byte as node:http does", async () => {
		await using test = await new TestSession().listen();
		const seen = watch(test);
		const plain = await waiting(test);
		test.session.deliver(testEvent("r", '{"ä":1}'));
		const event = (await plain.answers(1))[0];
		const other = await Client.open(test.port);
		other.socket.write(viaHttp);
		assert.equal(undated((await other.answers(1))[0]), undated(event));

		test.session.runtime.next = () => assert.fail("a mistake of ours");
		plain.socket.write(nextRequest);
		other.socket.write(viaHttp);
		const [failed] = await plain.answers(1);
		assert.equal(statusOf(failed), 500);
		assert.equal(undated((await other.answers(1))[0]), undated(failed));
		assert.deepEqual(seen, { plain: 1, other: 1 });

		await using broken = await new TestSession().listen();
		await broken.runtime("POST", "init/error", "{}");
		const answers = [];
		for (const request of [nextRequest, viaHttp]) {
			const client = await Client.open(broken.port);
			client.socket.write(request);
			answers.push(undated((await client.answers(1))[0]));
		}
		assert.equal(statusOf(answers[0]), 403);
		assert.equal(answers[0], answers[1]);
	});

	it("a mistake of ours in an answer costs that answer, not the daemon", async () => {
		for (const headers of ["", "TE: trailers\r\n"]) {
			await using test = await new TestSession().listen();
			const client = await waiting(test);
			test.session.deliver(testEvent("r"));
			await client.answers(1);
			test.seen.responses.push = () => assert.fail("a mistake of ours");
			client.socket.write(answerRequest("r", "{}", headers));
			assert.equal(statusOf((await client.answers(1))[0]), 500);
		}
	});

	it("survives seeded nonsense on a hundred connections", async () => {
		await using test = await new TestSession().listen();
		const seed = 20261121;
		let state = seed;
		const random = (below: number) => {
			state = (Math.imul(state, 1103515245) + 12345) >>> 0;
			return (state >>> 8) % below;
		};
		for (let round = 0; round < 100; round++) {
			const client = await Client.open(test.port);
			const bytes = Buffer.from(nextRequest + answerRequest("r", "{}"), "latin1");
			for (let change = random(4); change >= 0; change--) bytes[random(bytes.length)] = random(256);
			client.socket.write(bytes.subarray(0, 1 + random(bytes.length)));
			if (random(2) === 0) client.socket.end();
			else client.socket.destroy();
			await once(client.socket, "close").catch(() => {});
		}
		assert.deepEqual(test.seen.responses, [], `seed ${seed}`);
	});
});
