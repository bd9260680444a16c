import assert from "node:assert/strict";
import { assertError, digestOf, ociManifest, section } from "./clause.ts";

section("Determining support", "determining-support", (clause) => {
	clause("GET /v2/ is 200", async (client) => {
		assert.equal((await client.send("GET", "/v2/")).status, 200);
	});
	clause("without credentials it is 401 and says how to send them", async (client) => {
		const answer = await client.send("GET", "/v2/", undefined, { Authorization: "Basic eDp5" });
		assertError(answer, 401, "UNAUTHORIZED");
		assert.match(answer.header("www-authenticate") ?? "", /^Basic /);
	});
});

section("Pulling manifests", "pulling-manifests", (clause) => {
	clause("GET by tag and by digest MUST provide the manifest, with 200 and Docker-Content-Digest", async (client) => {
		const { body, digest } = await client.pushManifest("pull/manifests", "v1", "one");
		for (const reference of ["v1", digest]) {
			const answer = await client.send("GET", `/v2/pull/manifests/manifests/${reference}`);
			assert.deepEqual([answer.status, answer.text], [200, body]);
			assert.equal(answer.header("docker-content-digest"), digest);
			assert.equal(digestOf(answer.text), digest);
		}
	});
	clause("Content-Type SHOULD be what was pushed, without parameters", async (client) => {
		await client.pushManifest("pull/types", "v1", "one");
		const answer = await client.send("GET", "/v2/pull/types/manifests/v1");
		assert.equal(answer.header("content-type"), ociManifest);
	});
	clause("HEAD MUST have the digest and the length", async (client) => {
		const { body, digest } = await client.pushManifest("pull/head", "v1", "one");
		for (const reference of ["v1", digest]) {
			const answer = await client.send("HEAD", `/v2/pull/head/manifests/${reference}`);
			assert.deepEqual([answer.status, answer.text], [200, ""]);
			assert.equal(answer.header("docker-content-digest"), digest);
			assert.equal(answer.header("content-length"), String(Buffer.byteLength(body)));
		}
	});
	clause("one that is not there MUST be 404, as is any in an unknown repository", async (client) => {
		await client.pushManifest("pull/none", "v1", "one");
		assertError(await client.send("GET", "/v2/pull/none/manifests/v2"), 404, "MANIFEST_UNKNOWN");
		assertError(await client.send("GET", `/v2/pull/none/manifests/${digestOf("x")}`), 404, "MANIFEST_UNKNOWN");
		assertError(await client.send("GET", "/v2/pull/none/manifests/.INVALID"), 404, "MANIFEST_UNKNOWN");
		assertError(await client.send("GET", "/v2/pull/nowhere/manifests/v1"), 404, "NAME_UNKNOWN");
		assert.equal((await client.send("HEAD", "/v2/pull/none/manifests/v2")).status, 404);
	});
});

section("Pulling blobs", "pulling-blobs", (clause) => {
	clause("GET MUST provide the blob, with 200 and Docker-Content-Digest", async (client) => {
		const digest = await client.pushBlob("pull/blobs", "content");
		const answer = await client.send("GET", `/v2/pull/blobs/blobs/${digest}`);
		assert.deepEqual([answer.status, answer.text, answer.header("docker-content-digest")], [200, "content", digest]);
	});
	clause("HEAD MUST have the digest and the length", async (client) => {
		const digest = await client.pushBlob("pull/blobs", "content");
		const answer = await client.send("HEAD", `/v2/pull/blobs/blobs/${digest}`);
		assert.deepEqual(
			[answer.status, answer.header("content-length"), answer.header("docker-content-digest")],
			[200, "7", digest],
		);
	});
	clause("Range SHOULD be supported", async (client) => {
		const digest = await client.pushBlob("pull/blobs", "content");
		const answer = await client.send("GET", `/v2/pull/blobs/blobs/${digest}`, undefined, { Range: "bytes=3-5" });
		assert.deepEqual([answer.status, answer.text, answer.header("content-range")], [206, "ten", "bytes 3-5/7"]);
		const past = await client.send("GET", `/v2/pull/blobs/blobs/${digest}`, undefined, { Range: "bytes=7-" });
		assert.equal(past.status, 416);
	});
	clause("one that is not in the repository MUST be 404", async (client) => {
		const digest = await client.pushBlob("pull/elsewhere", "other content");
		assertError(await client.send("GET", `/v2/pull/blobs/blobs/${digest}`), 404, "BLOB_UNKNOWN");
		assert.equal((await client.send("HEAD", `/v2/pull/blobs/blobs/${digest}`)).status, 404);
	});
	clause("a digest that is none is refused", async (client) => {
		assertError(await client.send("GET", "/v2/pull/blobs/blobs/sha256:nope"), 400, "DIGEST_INVALID");
	});
});
