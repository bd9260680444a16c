import assert from "node:assert/strict";
import { assertError, descriptor, digestOf, ociIndex, ociManifest, section } from "./clause.ts";

section("Pushing a blob monolithically", "pushing-a-blob-monolithically", (clause) => {
	for (const algorithm of ["sha256", "sha512"] as const) {
		clause(`POST then PUT: 202 with a Location, then 201 with a pullable Location (${algorithm})`, async (client) => {
			const digest = digestOf("post put", algorithm);
			const location = await client.beginUpload("push/mono");
			const put = await client.send("PUT", `${location}?digest=${digest}`, "post put");
			assert.equal(put.status, 201);
			assert.equal((await client.send("GET", put.header("location") ?? "")).text, "post put");
		});
		clause(`a single POST: 201 with a pullable Location (${algorithm})`, async (client) => {
			const digest = digestOf("post", algorithm);
			const post = await client.send("POST", `/v2/push/mono/blobs/uploads/?digest=${digest}`, "post");
			assert.equal(post.status, 201);
			assert.equal((await client.send("GET", post.header("location") ?? "")).text, "post");
		});
	}
	clause("the digest MUST match the content", async (client) => {
		const digest = digestOf("what was announced");
		const post = await client.send("POST", `/v2/push/mono/blobs/uploads/?digest=${digest}`, "what was sent");
		assertError(post, 400, "DIGEST_INVALID");
		const put = await client.send("PUT", `${await client.beginUpload("push/mono")}?digest=${digest}`, "what was sent");
		assertError(put, 400, "DIGEST_INVALID");
		assert.equal((await client.send("HEAD", `/v2/push/mono/blobs/${digest}`)).status, 404);
	});
	clause("an invalid digest or an unsupported algorithm SHOULD be 400", async (client) => {
		for (const digest of ["sha256:1234", "md5:d41d8cd98f00b204e9800998ecf8427e", "nothing"])
			assertError(
				await client.send("POST", `/v2/push/mono/blobs/uploads/?digest=${digest}`, "x"),
				400,
				"DIGEST_INVALID",
			);
	});
});

section("Pushing a blob in chunks", "pushing-a-blob-in-chunks", (clause) => {
	clause("each chunk MUST be 202 with Location and Range, the closing PUT 201", async (client) => {
		let location = await client.beginUpload("push/chunks");
		for (const [chunk, range] of [
			["one ", "0-3"],
			["two ", "4-7"],
		] as const) {
			const patch = await client.send("PATCH", location, chunk, { "Content-Range": range });
			assert.deepEqual([patch.status, patch.header("range")], [202, `0-${range.split("-")[1]}`]);
			location = patch.header("location") ?? "";
		}
		const digest = digestOf("one two three");
		const put = await client.send("PUT", `${location}?digest=${digest}`, "three", { "Content-Range": "8-12" });
		assert.equal(put.status, 201);
		assert.equal((await client.send("GET", put.header("location") ?? "")).text, "one two three");
	});
	clause("the final chunk MAY be patched, and the PUT empty", async (client) => {
		const location = await client.beginUpload("push/chunks");
		await client.send("PATCH", location, "all of it", { "Content-Range": "0-8" });
		assert.equal((await client.send("PUT", `${location}?digest=${digestOf("all of it")}`)).status, 201);
	});
	clause("a chunk out of order MUST be 416, and GET MUST say where the upload is with 204", async (client) => {
		const location = await client.beginUpload("push/order");
		await client.send("PATCH", location, "0123", { "Content-Range": "0-3" });
		assert.equal((await client.send("PATCH", location, "x", { "Content-Range": "5-5" })).status, 416);
		assert.equal((await client.send("PATCH", location, "x", { "Content-Range": "0-0" })).status, 416);
		const late = await client.send("PUT", `${location}?digest=${digestOf("0123x")}`, "x", { "Content-Range": "9-9" });
		assert.equal(late.status, 416);
		const status = await client.send("GET", location);
		assert.deepEqual([status.status, status.header("range")], [204, "0-3"]);
		assert.ok(status.header("location"));
		assert.equal((await client.send("PUT", `${location}?digest=${digestOf("0123x")}`, "x")).status, 201);
	});
	clause("a session that is over or never was is 404", async (client) => {
		const location = await client.beginUpload("push/over");
		await client.send("PUT", `${location}?digest=${digestOf("x")}`, "x");
		assertError(await client.send("GET", location), 404, "BLOB_UPLOAD_UNKNOWN");
		assertError(await client.send("PATCH", location, "x"), 404, "BLOB_UPLOAD_UNKNOWN");
	});
	clause("DELETE cancels it with 204", async (client) => {
		const location = await client.beginUpload("push/cancel");
		assert.equal((await client.send("DELETE", location)).status, 204);
		assertError(await client.send("PUT", `${location}?digest=${digestOf("x")}`, "x"), 404, "BLOB_UPLOAD_UNKNOWN");
	});
});

section("Mounting a blob", "mounting-a-blob-from-another-repository", (clause) => {
	clause("a successful mount MUST be 201 with the blob's Location", async (client) => {
		const digest = await client.pushBlob("mount/from", "mounted");
		for (const query of [`mount=${digest}&from=mount/from`, `mount=${digest}`]) {
			const target = query.includes("from=") ? "mount/named" : "mount/found";
			const answer = await client.send("POST", `/v2/${target}/blobs/uploads/?${query}`);
			assert.equal(answer.status, 201);
			assert.equal((await client.send("GET", answer.header("location") ?? "")).text, "mounted");
		}
	});
	clause("one that is not possible SHOULD be 202 and begin an upload", async (client) => {
		const digest = digestOf("nobody has it");
		for (const query of [`mount=${digest}&from=mount/from`, `mount=${digest}`, `mount=${digest}&from=mount/nowhere`]) {
			const answer = await client.send("POST", `/v2/mount/to/blobs/uploads/?${query}`);
			assert.equal(answer.status, 202);
			assert.equal((await client.send("GET", answer.header("location") ?? "")).status, 204);
		}
	});
});

section("Pushing manifests", "pushing-manifests", (clause) => {
	clause("by tag and by digest MUST be 201 with a pullable Location, stored byte for byte", async (client) => {
		const { body, digest } = await client.manifest("push/manifests", "spaced");
		const spaced = body.replace("{", "{ \n");
		for (const [reference, document] of [
			["v1", spaced],
			[digest, body],
		] as const) {
			const answer = await client.putManifest("push/manifests", reference, document);
			assert.equal(answer.status, 201);
			assert.equal(answer.header("docker-content-digest"), digestOf(document));
			assert.equal((await client.send("GET", answer.header("location") ?? "")).text, document);
		}
	});
	clause("the digest MUST be the client's", async (client) => {
		const { body } = await client.manifest("push/manifests", "digest");
		assertError(await client.putManifest("push/manifests", digestOf("other"), body), 400, "DIGEST_INVALID");
	});
	clause("one whose blobs are missing is MANIFEST_BLOB_UNKNOWN", async (client) => {
		const { body } = await client.manifest("push/full", "full");
		await client.pushBlob("push/bare", "something");
		assertError(await client.putManifest("push/bare", "v1", body), 404, "MANIFEST_BLOB_UNKNOWN");
	});
	clause("the list of layers MAY be empty", async (client) => {
		await client.pushManifest("push/empty", "v1", "no layers", { layers: [] });
	});
	clause("an index of images, and an index of indexes", async (client) => {
		const image = await client.pushManifest("push/index", "", "child");
		const index = JSON.stringify({
			schemaVersion: 2,
			mediaType: ociIndex,
			manifests: [descriptor(ociManifest, image.body)],
		});
		assert.equal((await client.putManifest("push/index", "inner", index, ociIndex)).status, 201);
		const outer = JSON.stringify({ schemaVersion: 2, mediaType: ociIndex, manifests: [descriptor(ociIndex, index)] });
		assert.equal((await client.putManifest("push/index", "outer", outer, ociIndex)).status, 201);
	});
	clause("a size of 4 MiB is taken, more SHOULD be 413", async (client) => {
		const { body } = await client.manifest("push/large", "large", { annotations: { pad: "" } });
		const pad = (size: number) => body.replace('"pad":""', `"pad":"${"x".repeat(size - body.length)}"`);
		assert.equal((await client.putManifest("push/large", "v1", pad(4 * 1024 * 1024))).status, 201);
		assert.equal((await client.putManifest("push/large", "v1", pad(4 * 1024 * 1024 + 1))).status, 413);
	});
	clause("tag parameters are set and MUST be named in OCI-Tag", async (client) => {
		const { body, digest } = await client.manifest("push/tags", "tags");
		const answer = await client.putManifest("push/tags", `${digest}?tag=1.2.3&tag=1.2&tag=1&tag=latest`, body);
		assert.equal(answer.status, 201);
		assert.equal(answer.header("oci-tag"), "1.2.3, 1.2, 1, latest");
		for (const tag of ["1.2.3", "1.2", "1", "latest"])
			assert.equal((await client.send("GET", `/v2/push/tags/manifests/${tag}`)).text, body);
	});
	clause("a subject MUST be taken before it is there, and answered with OCI-Subject", async (client) => {
		const subject = descriptor(ociManifest, "not here yet");
		const { body } = await client.manifest("push/subject", "subject", { subject });
		const answer = await client.putManifest("push/subject", "v1", body);
		assert.deepEqual([answer.status, answer.header("oci-subject")], [201, subject.digest]);
	});
	clause("what is no manifest is MANIFEST_INVALID", async (client) => {
		for (const body of ["", "not JSON", "[]", "{}", '{"schemaVersion":2}'])
			assertError(await client.putManifest("push/manifests", "bad", body), 400, "MANIFEST_INVALID");
	});
	clause("a name or a tag that is none is refused", async (client) => {
		const { body } = await client.manifest("push/names", "names");
		assertError(await client.putManifest("push/NAMES", "v1", body), 400, "NAME_INVALID");
		assertError(await client.putManifest("push/names", "-v1", body), 400, "MANIFEST_INVALID");
		assertError(await client.putManifest("push/names", "v".repeat(129), body), 400, "MANIFEST_INVALID");
	});
});
