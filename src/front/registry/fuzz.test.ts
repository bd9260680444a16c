/** Requests straight at the handler, from a seed that is printed: none may hang, crash, or be the front's fault (5xx). */
import assert from "node:assert/strict";
import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import { it } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { FakeBlobStore } from "../../core/image/fake-blob-store.ts";
import { mediaTypes } from "../../core/image/manifest.ts";
import { FakeRepositoryStore } from "../../core/repository/fake-repository-store.ts";
import { createRegistryFront } from "./registry-front.ts";

const requests = 4000;
const seed = Date.now() % 2 ** 31;

/** mulberry32: small, and the same sequence for the same seed everywhere. */
function random(state: number): () => number {
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let t = Math.imul(state ^ (state >>> 15), 1 | state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
	};
}

const digest = `sha256:${"a".repeat(64)}`;
const pieces = [
	...["v2", "v2", "v2", "a", "b/c", "blobs", "uploads", "manifests", "tags", "list", "referrers", "_catalog", "latest"],
	...[
		"..",
		".",
		"",
		"%2f",
		"%2e%2e",
		"%00",
		"%",
		"%zz",
		"%ff%fe",
		"\\",
		"A",
		"ü",
		"🚢",
		"\u0001",
		digest,
		digest.replace(":", "%3A"),
	],
	...[
		"sha256:",
		"sha512:x",
		"__proto__",
		"constructor",
		"toString",
		"x".repeat(300),
		"-",
		"_",
		"a:b",
		"a@b",
		";",
		"#",
		"*",
	],
];
const methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "__proto__", "constructor", "get", ""];
const values = [
	"",
	"0",
	"-1",
	"0-0",
	"0-4",
	"5-1",
	"bytes=0-",
	"bytes=-1",
	"99999999999999999999",
	"NaN",
	"*",
	"\u0000",
	"a,b",
	`"${digest}"`,
	digest,
];
const queryNames = ["digest", "mount", "from", "n", "last", "tag", "artifactType", "digest-algorithm", "__proto__"];
const headerNames = [
	"content-range",
	"range",
	"if-none-match",
	"if-range",
	"content-type",
	"authorization",
	"expect",
	"accept",
];
const bodies = [
	"",
	"{}",
	"[]",
	"null",
	'{"schemaVersion":2}',
	'{"layers":[],"manifests":[]}',
	"\u0000",
	"x".repeat(5000),
	"[".repeat(3000),
];

function makeRequest(next: () => number): { request: IncomingMessage; described: string } {
	const pick = <T>(from: readonly T[]): T => from[Math.floor(next() * from.length)]!;
	const request = new IncomingMessage(new Socket());
	const path = Array.from({ length: Math.floor(next() * 7) }, () => pick(pieces)).join("/");
	const query = Array.from(
		{ length: Math.floor(next() * 3) },
		() => `${pick(queryNames)}=${pick([...values, ...pieces])}`,
	);
	request.method = pick(methods);
	request.url = `${next() < 0.9 ? "/v2/" : ""}${path}${query.length > 0 ? `?${query.join("&")}` : ""}`;
	for (let i = Math.floor(next() * 4); i > 0; i--)
		request.headers[pick(headerNames)] = pick([...values, mediaTypes.ociManifest]);
	const body = pick(bodies);
	request.headers["content-length"] = next() < 0.9 ? String(body.length) : pick(values);
	request.push(body);
	request.push(null);
	return { request, described: `${request.method} ${request.url} ${JSON.stringify(request.headers)}` };
}

it(`survives ${requests} odd requests (seed ${seed})`, async () => {
	const errors: string[] = [];
	const log = {
		debug() {},
		info() {},
		warn() {},
		error: (message: string, fields?: object) =>
			void errors.push(`${message} ${JSON.stringify(fields, (_, v) => (v instanceof Error ? v.stack : v))}`),
	};
	const [blobs, repositories] = [new FakeBlobStore(), new FakeRepositoryStore()];
	const front = createRegistryFront({ blobs, repositories, createOnPush: true, log, authorize: () => ({ name: "x" }) });
	const next = random(seed);
	for (let i = 0; i < requests; i++) {
		const { request, described } = makeRequest(next);
		const response = new ServerResponse(request);
		const hang = Promise.withResolvers<never>();
		const disarm = systemClock.after(5000, () => hang.reject(new Error(`seed ${seed}: no answer to ${described}`)));
		await Promise.race([front(request, response), hang.promise]);
		disarm();
		assert.ok(response.headersSent, `seed ${seed}: no answer to ${described}`);
		assert.ok(response.statusCode < 500, `seed ${seed}: ${response.statusCode} to ${described}: ${errors.join()}`);
	}
	assert.deepEqual(errors, [], `seed ${seed}`);
});
