import assert from "node:assert/strict";
import http2 from "node:http2";
import { connect, createServer, type Server, type Socket } from "node:net";
import { describe, it } from "node:test";
import type { Probe } from "../../core/workload/workload.ts";
import { decodeStatus, encodeRequest } from "./grpc-health.ts";
import { NetworkProbes } from "./probes.ts";

const probes = new NetworkProbes();

function dial(port: number): Promise<Socket> {
	return new Promise((resolve, reject) => {
		const socket = connect(port, "127.0.0.1", () => resolve(socket));
		socket.once("error", reject);
	});
}

async function listening(t: { after: (fn: () => void) => void }, server: Server | http2.Http2Server): Promise<number> {
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	t.after(() => server.close());
	return (server.address() as { port: number }).port;
}

const run = (check: Probe["check"], { timeoutMs = 1000, signal = new AbortController().signal } = {}) =>
	probes.run(check, { connect: dial, exec: program, timeoutMs, signal });

/** Stands for a container's programs: `exit N` does so, what is not there fails, everything else runs until it is killed. */
async function program([name, code]: readonly string[], signal: AbortSignal): Promise<number | undefined> {
	if (name === "exit") return Number(code);
	if (name === "nothing") throw new Error("nothing: no such file or directory");
	await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
	killed++;
	return undefined;
}
let killed = 0;

/** Answers each connection with `bytes`, and notes what it was sent. */
function raw(answer: string, seen: string[] = []): Server {
	return createServer((socket) => {
		socket.on("error", () => {});
		socket.once("data", (data) => {
			seen.push(data.toString());
			if (answer) socket.end(answer);
		});
	});
}

describe("A probe that runs a program", () => {
	const ran = (...command: string[]) => run({ kind: "exec", command }, { timeoutMs: 50 });

	it("is well with exit code 0 alone", async () => {
		assert.equal(await ran("exit", "0"), undefined);
		assert.deepEqual(await ran("exit", "3"), { kind: "unwell", message: 'Program "exit" exited with 3' });
		assert.match((await ran("nothing"))?.message ?? "", /no such file/);
	});

	it("kills it when its time is over", async () => {
		assert.deepEqual(await ran("sleep"), { kind: "timeout", message: 'Program "sleep" took more than 50 ms' });
		assert.equal(killed, 1);
	});
});

describe("An HTTP probe", () => {
	const ok = (port: number): Probe["check"] => ({ kind: "http", port, path: "/ready?x=1", headers: [] });

	it("sends path and headers, and takes 2xx and 3xx", async (t) => {
		for (const [status, well] of [
			[200, true],
			[204, true],
			[302, true],
			[399, true],
			[400, false],
			[503, false],
		] as const) {
			const seen: string[] = [];
			const port = await listening(
				t,
				raw(`HTTP/1.1 ${status} X\r\nconnection: close\r\nlocation: /else\r\n\r\n`, seen),
			);
			const headers = [
				{ name: "Host", value: "my.host" },
				{ name: "X-Probe", value: "1" },
			];
			const failure = await run({ kind: "http", port, path: "/ready?x=1", headers });
			assert.equal(failure === undefined, well, `${status}: ${failure?.message}`);
			assert.match(seen[0] ?? "", /^GET \/ready\?x=1 HTTP\/1\.1\r\n/);
			assert.match(seen[0] ?? "", /host: my\.host\r\n/i);
			assert.match(seen[0] ?? "", /x-probe: 1\r\n/i);
			if (!well) assert.match(failure?.message ?? "", new RegExp(`answered ${status}`));
		}
	});

	it("fails on garbage, an early end, silence and an endless answer's head, and tells a closed port apart", async (t) => {
		const garbage = await listening(t, raw("SSH-2.0-x\r\n\r\n"));
		assert.equal((await run(ok(garbage)))?.kind, "unwell");
		const early = await listening(
			t,
			createServer((socket) => socket.on("error", () => {}).destroy()),
		);
		assert.equal((await run(ok(early)))?.kind, "unwell");
		const silent = await listening(t, raw(""));
		const late = await run(ok(silent), { timeoutMs: 30 });
		assert.deepEqual(
			[late?.kind, late?.message],
			["timeout", `HTTP GET /ready?x=1 on port ${silent} took more than 30 ms`],
		);
		const flood = await listening(t, raw(`HTTP/1.1 200 OK\r\nx: ${"y".repeat(100_000)}\r\n\r\n`));
		assert.equal((await run(ok(flood)))?.kind, "unwell");
		assert.equal((await run(ok(1)))?.kind, "refused");
	});

	it("reads no more than it needs of a body that never ends", async (t) => {
		const endless = createServer((socket) => {
			socket.on("error", () => {});
			socket.write("HTTP/1.1 200 OK\r\n\r\n");
			socket.write(Buffer.alloc(100_000));
		});
		assert.equal(await run(ok(await listening(t, endless))), undefined);
	});

	it("ends with an abort, and leaves no connection", async (t) => {
		let open = 0;
		const server = createServer((socket) => {
			open++;
			socket.on("error", () => {}).on("close", () => open--);
			socket.resume();
		});
		const port = await listening(t, server);
		const abort = new AbortController();
		const running = run(ok(port), { signal: abort.signal });
		setTimeout(() => abort.abort(), 20);
		assert.equal((await running)?.kind, "timeout");
		await new Promise((resolve) => setTimeout(resolve, 20));
		assert.equal(open, 0);
	});
});

describe("A TCP probe", () => {
	it("asks for a connection and nothing else", async (t) => {
		const port = await listening(
			t,
			createServer((socket) => void socket.resume()),
		);
		assert.equal(await run({ kind: "tcp", port }), undefined);
		assert.deepEqual(await run({ kind: "tcp", port: 1 }), { kind: "refused", message: "nobody listens on port 1" });
	});
});

describe("A gRPC probe", () => {
	/** A grpc.health.v1 server for one service. */
	function health(t: { after: (fn: () => void) => void }, service: string, status: number): Promise<number> {
		const server = http2.createServer();
		server.on("stream", (stream: http2.ServerHttp2Stream, headers) => {
			assert.equal(headers[":path"], "/grpc.health.v1.Health/Check");
			const chunks: Buffer[] = [];
			stream.on("data", (chunk: Buffer) => chunks.push(chunk));
			stream.on("end", () => {
				if (!Buffer.concat(chunks).equals(encodeRequest(service)))
					return stream.respond({ ":status": 200, "grpc-status": "5" }, { endStream: true });
				stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
				stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
				stream.end(Buffer.from([0, 0, 0, 0, 2, 8, status]));
			});
		});
		return listening(t, server);
	}

	it("is well when the service serves", async (t) => {
		const port = await health(t, "my.Service", 1);
		assert.equal(await run({ kind: "grpc", port, service: "my.Service" }), undefined);
		const other = await run({ kind: "grpc", port, service: "other" });
		assert.match(other?.message ?? "", /gRPC status 5/);
		const not = await run({ kind: "grpc", port: await health(t, "", 2), service: "" });
		assert.match(not?.message ?? "", /answered NOT_SERVING/);
	});

	it("fails where HTTP/1.1 or nobody answers", async (t) => {
		const port = await listening(t, raw("HTTP/1.1 400 Bad Request\r\n\r\n"));
		assert.equal((await run({ kind: "grpc", port, service: "" }))?.kind, "unwell");
		assert.equal((await run({ kind: "grpc", port: 1, service: "" }))?.kind, "refused");
	});

	it("writes and reads the two messages", () => {
		assert.deepEqual([...encodeRequest("")], [0, 0, 0, 0, 0]);
		assert.deepEqual([...encodeRequest("ab")], [0, 0, 0, 0, 4, 10, 2, 97, 98]);
		assert.deepEqual([...encodeRequest("x".repeat(200)).subarray(0, 8)], [0, 0, 0, 0, 203, 10, 200, 1]);
		assert.deepEqual(
			[
				[0, 0, 0, 0, 0],
				[0, 0, 0, 0, 2, 8, 1],
				[0, 0],
				[1, 0, 0, 0, 2, 8, 1],
				[0, 0, 0, 0, 2, 16, 1],
			].map((bytes) => decodeStatus(Buffer.from(bytes))),
			[0, 1, undefined, undefined, undefined],
		);
	});
});
