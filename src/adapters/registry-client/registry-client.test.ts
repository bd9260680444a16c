import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { systemClock } from "../../base/clock.ts";
import { SlipwayError } from "../../base/error.ts";
import { silentLog } from "../../base/log.ts";
import type { Digest } from "../../core/image/digest.ts";
import { mediaTypes } from "../../core/image/manifest.ts";
import { parseReference } from "../../core/image/reference.ts";
import { RegistryClient, type RegistryClientOptions } from "./registry-client.ts";

const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociManifest }));
const blob = randomBytes(300_000);

function digestOf(bytes: Uint8Array): Digest {
	return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

async function serve(t: TestContext, listener: RequestListener): Promise<string> {
	const server = createServer(listener);
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	t.after(() => {
		server.closeAllConnections();
		server.close();
	});
	return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function client(t: TestContext, options: Partial<RegistryClientOptions> = {}): RegistryClient {
	const { limits, ...others } = options;
	const made = new RegistryClient({
		clock: systemClock,
		log: silentLog,
		random: () => 0.5,
		...others,
		limits: { backoffMs: 2, responseMs: 400, idleMs: 150, connectMs: 400, ...limits },
	});
	t.after(() => made[Symbol.dispose]());
	return made;
}

async function readAll(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
	const chunks: Uint8Array[] = [];
	for await (const chunk of stream) chunks.push(chunk);
	return Buffer.concat(chunks);
}

function code(expected: string, message?: RegExp) {
	return (error: unknown) => {
		assert.ok(error instanceof SlipwayError, String(error));
		assert.equal(error.code, expected, error.message);
		if (message) assert.match(error.message, message);
		return true;
	};
}

function sendManifest(response: ServerResponse, bytes = manifest): void {
	response.writeHead(200, { "content-type": mediaTypes.ociManifest, "docker-content-digest": digestOf(bytes) });
	response.end(bytes);
}

function sendRange(request: IncomingMessage, response: ServerResponse): void {
	const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
	response.writeHead(request.headers.range ? 206 : 200, {
		"content-length": blob.length - start,
		...(request.headers.range ? { "content-range": `bytes ${start}-${blob.length - 1}/${blob.length}` } : {}),
	});
	response.end(blob.subarray(start));
}

test("reads a manifest by tag and by digest, and a blob", async (t) => {
	const asked: string[] = [];
	const host = await serve(t, (request, response) => {
		asked.push(`${request.method} ${request.url}`);
		if (request.url?.includes("/manifests/")) {
			assert.match(request.headers.accept ?? "", /vnd\.oci\.image\.index/);
			sendManifest(response);
		} else sendRange(request, response);
	});
	const remote = client(t);
	const byTag = await remote.fetchManifest(parseReference(`${host}/team/app:v1`));
	assert.deepEqual(byTag, { bytes: manifest, mediaType: mediaTypes.ociManifest, digest: digestOf(manifest) });
	await remote.fetchManifest(parseReference(`${host}/team/app@${digestOf(manifest)}`));
	const bytes = await readAll(await remote.fetchBlob(parseReference(`${host}/team/app`), digestOf(blob), blob.length));
	assert.ok(bytes.equals(blob));
	assert.deepEqual(asked, [
		"GET /v2/team/app/manifests/v1",
		`GET /v2/team/app/manifests/${digestOf(manifest)}`,
		`GET /v2/team/app/blobs/${digestOf(blob)}`,
	]);
});

test("refuses a manifest that is not the one it was announced as", async (t) => {
	const host = await serve(t, (_request, response) => {
		response.writeHead(200, { "docker-content-digest": digestOf(blob), "content-type": mediaTypes.ociManifest });
		response.end(manifest);
	});
	const remote = client(t);
	await assert.rejects(remote.fetchManifest(parseReference(`${host}/a:1`)), code("DIGEST_MISMATCH"));
	await assert.rejects(remote.fetchManifest(parseReference(`${host}/a@${digestOf(blob)}`)), code("DIGEST_MISMATCH"));
});

test("refuses a manifest without end and a header without end", async (t) => {
	const host = await serve(t, async (request, response) => {
		if (request.url?.endsWith("/header")) return response.writeHead(200, { "x-long": "x".repeat(60_000) }).end();
		response.writeHead(200, { "content-type": mediaTypes.ociManifest });
		while (!response.destroyed) {
			response.write(Buffer.alloc(64 * 1024, 32));
			await sleep(0);
		}
	});
	const remote = client(t);
	await assert.rejects(remote.fetchManifest(parseReference(`${host}/a:1`)), code("TOO_LARGE"));
	await assert.rejects(remote.fetchManifest(parseReference(`${host}/a:header`)), code("UNAVAILABLE", /not HTTP/));
});

test("takes a broken transfer up where it stopped, and copes with a server that ignores ranges", async (t) => {
	for (const ranges of [true, false]) {
		const offsets: string[] = [];
		const host = await serve(t, (request, response) => {
			offsets.push(request.headers.range ?? "all");
			if (offsets.length > 3) return ranges ? sendRange(request, response) : response.writeHead(200).end(blob);
			const start = ranges ? Number(/=(\d+)/.exec(request.headers.range ?? "=0")?.[1]) : 0;
			const until = offsets.length * 50_000;
			response.writeHead(start > 0 ? 206 : 200, {
				"content-length": blob.length - start,
				"content-range": `bytes ${start}-${blob.length - 1}/${blob.length}`,
			});
			response.write(blob.subarray(start, until), () => setTimeout(() => response.destroy(), 10));
		});
		const stream = await client(t).fetchBlob(parseReference(`${host}/a`), digestOf(blob), blob.length);
		assert.ok((await readAll(stream)).equals(blob), `ranges: ${ranges}`);
		assert.deepEqual(offsets, ["all", "bytes=50000-", "bytes=100000-", "bytes=150000-"]);
	}
});

test("gives a blob up that never gets further, and one of the wrong size at once", async (t) => {
	let requests = 0;
	const host = await serve(t, (_request, response) => {
		requests++;
		response.writeHead(200, { "content-length": blob.length });
		response.write(blob.subarray(0, 1000), () => setTimeout(() => response.destroy(), 5));
	});
	const remote = client(t, { limits: { attempts: 3 } });
	const stream = await remote.fetchBlob(parseReference(`${host}/a`), digestOf(blob), blob.length);
	await assert.rejects(readAll(stream), code("UNAVAILABLE"));
	assert.ok(requests <= 5, `${requests} requests`);
	await assert.rejects(
		remote.fetchBlob(parseReference(`${host}/a`), digestOf(blob), 10),
		code("DIGEST_MISMATCH", /300000 bytes to come, and not 10/),
	);
	const chunked = await serve(t, (_request, response) => response.writeHead(200).end(blob));
	const long = await remote.fetchBlob(parseReference(`${chunked}/a`), digestOf(blob), 10);
	await assert.rejects(readAll(long), code("DIGEST_MISMATCH", /larger/));
});

test("ends a transfer that stalls or trickles", async (t) => {
	const host = await serve(t, async (request, response) => {
		response.writeHead(200, { "content-length": blob.length });
		response.flushHeaders();
		if (request.url?.includes("/trickle/"))
			while (!response.destroyed) {
				response.write("x");
				await sleep(20);
			}
	});
	const remote = client(t, { limits: { attempts: 2, rateWindowMs: 100, minBytesPerWindow: 1000, resumes: 2 } });
	for (const repository of ["stall", "trickle"]) {
		const stream = await remote.fetchBlob(parseReference(`${host}/${repository}/a`), digestOf(blob), blob.length);
		await assert.rejects(readAll(stream), code("UNAVAILABLE", /No data|too slowly/), repository);
	}
	const silent = await serve(t, () => {});
	await assert.rejects(remote.fetchManifest(parseReference(`${silent}/a:1`)), code("UNAVAILABLE", /in time/));
});

test("waits as long as it is asked to, and not for ever", async (t) => {
	let requests = 0;
	let retryAfter = "1";
	const host = await serve(t, (_request, response) => {
		requests++;
		if (requests === 1 || retryAfter === "3600") return response.writeHead(429, { "retry-after": retryAfter }).end();
		if (requests === 2) return response.writeHead(503).end();
		sendManifest(response);
	});
	const slept: number[] = [];
	const clock = { ...systemClock, sleep: async (ms: number) => void slept.push(ms) };
	const remote = client(t, { clock });
	await remote.fetchManifest(parseReference(`${host}/a:1`));
	assert.deepEqual(slept, [1000, 2], "the server's second, then half of the second step of 4 ms");
	retryAfter = "3600";
	await assert.rejects(remote.fetchManifest(parseReference(`${host}/a:1`)), (error: SlipwayError) => {
		assert.equal(error.retryAfterMs, 3_600_000);
		return code("UNAVAILABLE", /429/)(error);
	});
});

test("answers a token challenge once for a repository, and renews a token that ended", async (t) => {
	const tokens: string[] = [];
	let valid = "";
	const host = await serve(t, (request, response) => {
		const url = new URL(request.url ?? "", `http://${request.headers.host}`);
		if (url.pathname === "/token") {
			assert.equal(request.headers.authorization, `Basic ${Buffer.from("me:secret").toString("base64")}`);
			assert.equal(url.searchParams.get("service"), "here");
			tokens.push(url.searchParams.get("scope") ?? "");
			valid = `token${tokens.length}`;
			return response.end(JSON.stringify({ token: valid, expires_in: 300 }));
		}
		if (request.headers.authorization === `Bearer ${valid}`) return sendManifest(response);
		const challenge = `Bearer realm="http://${request.headers.host}/token",service="here"`;
		response.writeHead(401, { "www-authenticate": challenge }).end();
	});
	const remote = client(t, { credentials: () => ({ username: "me", password: "secret" }) });
	await Promise.all([1, 2, 3].map((tag) => remote.fetchManifest(parseReference(`${host}/a:${tag}`))));
	await remote.fetchManifest(parseReference(`${host}/a:4`));
	assert.ok(tokens.length <= 3, `${tokens.length} tokens`);
	const before = tokens.length;
	valid = "revoked";
	await remote.fetchManifest(parseReference(`${host}/a:5`));
	assert.equal(tokens.length, before + 1);
	assert.equal(tokens[0], "repository:a:pull");
});

test("answers a basic challenge, and does not loop on one that never ends", async (t) => {
	let requests = 0;
	let accept = true;
	const host = await serve(t, (request, response) => {
		requests++;
		if (accept && request.headers.authorization?.startsWith("Basic ")) return sendManifest(response);
		response.writeHead(401, { "www-authenticate": 'Basic realm="x"' }).end();
	});
	const reference = parseReference(`${host}/a:1`);
	await client(t, { credentials: () => ({ username: "u", password: "p" }) }).fetchManifest(reference);
	accept = false;
	requests = 0;
	const refused = client(t, { credentials: () => ({ username: "u", password: "p" }) }).fetchManifest(reference);
	await assert.rejects(refused, code("UNAUTHENTICATED", /refused the credentials/));
	assert.equal(requests, 2);
	await assert.rejects(client(t).fetchManifest(reference), code("UNAUTHENTICATED", /asks for a login/));

	const looping = await serve(t, (request, response) => {
		requests++;
		if (request.url?.startsWith("/token")) return response.end('{"token":"t"}');
		response.writeHead(401, { "www-authenticate": `Bearer realm="http://${request.headers.host}/token"` }).end();
	});
	requests = 0;
	await assert.rejects(client(t).fetchManifest(parseReference(`${looping}/a:1`)), code("UNAUTHENTICATED"));
	assert.ok(requests <= 5, `${requests} requests`);
});

test("refuses tokens that would break the header", async (t) => {
	const host = await serve(t, (request, response) => {
		if (request.url?.startsWith("/token")) return response.end(JSON.stringify({ token: "a\r\nx: y" }));
		response.writeHead(401, { "www-authenticate": `Bearer realm="http://${request.headers.host}/token"` }).end();
	});
	await assert.rejects(client(t).fetchManifest(parseReference(`${host}/a:1`)), code("UNAVAILABLE", /no usable token/));
});

test("follows redirects to storage without the registry's credentials", async (t) => {
	const seen: (string | undefined)[] = [];
	const storage = await serve(t, (request, response) => {
		seen.push(request.headers.authorization);
		sendRange(request, response);
	});
	const host = await serve(t, (request, response) => {
		if (request.headers.authorization === undefined)
			return response.writeHead(401, { "www-authenticate": 'Basic realm="x"' }).end();
		response.writeHead(307, { location: `http://${storage}/signed?key=1` }).end();
	});
	const remote = client(t, { credentials: () => ({ username: "u", password: "p" }) });
	const stream = await remote.fetchBlob(parseReference(`${host}/a`), digestOf(blob), blob.length);
	assert.ok((await readAll(stream)).equals(blob));
	assert.deepEqual(seen, [undefined]);
});

test("refuses redirect loops and links it must not follow", async (t) => {
	let requests = 0;
	let location = "";
	const host = await serve(t, (request, response) => {
		requests++;
		response.writeHead(307, { location: location || (request.url ?? "/") }).end();
	});
	const remote = client(t);
	await assert.rejects(remote.fetchManifest(parseReference(`${host}/a:1`)), code("UNAVAILABLE", /redirects more than/));
	assert.equal(requests, 6);
	for (location of ["file:///etc/passwd", "http://plain.example/x", "http://user:p@127.0.0.1/", "http://["])
		await assert.rejects(
			remote.fetchManifest(parseReference(`${host}/a:1`)),
			code("UNAVAILABLE", /is refused/),
			location,
		);
});

test("says what is missing, forbidden or out of reach", async (t) => {
	let status = 404;
	const host = await serve(t, (_request, response) => {
		response.writeHead(status, { "content-type": "application/json" });
		response.end(JSON.stringify({ errors: [{ code: "MANIFEST_UNKNOWN", message: "manifest unknown" }] }));
	});
	const remote = client(t, { limits: { attempts: 2 } });
	const fetch = () => remote.fetchManifest(parseReference(`${host}/a:1`));
	await assert.rejects(fetch(), code("NOT_FOUND", /manifest unknown/));
	status = 403;
	await assert.rejects(fetch(), code("FORBIDDEN"));
	status = 500;
	await assert.rejects(fetch(), code("UNAVAILABLE", /500/));
	status = 418;
	await assert.rejects(fetch(), code("UNAVAILABLE", /418/));
	await assert.rejects(remote.fetchManifest(parseReference("127.0.0.1:1/a:1")), code("UNAVAILABLE", /ECONNREFUSED/));
});

test("an abort ends a request, a wait and a transfer, and closes the connection", async (t) => {
	let closed = 0;
	const host = await serve(t, (request, response) => {
		response.once("close", () => closed++);
		if (request.url?.includes("/blobs/"))
			response.writeHead(200, { "content-length": blob.length }).write(blob.subarray(0, 10));
	});
	const remote = client(t, { limits: { idleMs: 10_000, responseMs: 10_000 } });
	const reason = new Error("enough");
	const aborted = (error: unknown) => error === reason;
	const request = new AbortController();
	const manifestRead = remote.fetchManifest(parseReference(`${host}/a:1`), request.signal);
	setTimeout(() => request.abort(reason), 20);
	await assert.rejects(manifestRead, aborted);
	const transfer = new AbortController();
	const stream = await remote.fetchBlob(parseReference(`${host}/a`), digestOf(blob), blob.length, transfer.signal);
	setTimeout(() => transfer.abort(reason), 20);
	await assert.rejects(readAll(stream), aborted);
	const dropped = await remote.fetchBlob(parseReference(`${host}/a`), digestOf(blob), blob.length);
	dropped.destroy();
	for (let tries = 0; closed < 3 && tries < 100; tries++) await sleep(5);
	assert.equal(closed, 3);
});
