import assert from "node:assert/strict";
import { assertError, descriptor, digestOf, ociIndex, ociManifest, section } from "./clause.ts";

section("Listing tags", "listing-tags", (clause) => {
	clause("MUST be 200 with every tag in order, and in pages by n, last and Link", async (client) => {
		for (const tag of ["b", "a", "B", "1.10", "1.9"]) await client.pushManifest("list/tags", tag, tag);
		const all = await client.send("GET", "/v2/list/tags/tags/list");
		assert.deepEqual([all.status, all.json()], [200, { name: "list/tags", tags: ["1.10", "1.9", "B", "a", "b"] }]);
		const first = await client.send("GET", "/v2/list/tags/tags/list?n=2");
		assert.deepEqual(first.json().tags, ["1.10", "1.9"]);
		const next = /^<(.*)>; rel="next"$/.exec(first.header("link") ?? "")?.[1] ?? "";
		assert.deepEqual((await client.send("GET", next)).json().tags, ["B", "a"]);
		assert.deepEqual((await client.send("GET", "/v2/list/tags/tags/list?last=a")).json().tags, ["b"]);
		assert.deepEqual((await client.send("GET", "/v2/list/tags/tags/list?n=1&last=1.95")).json().tags, ["B"]);
	});
	clause("n=0 MUST be an empty list without a Link", async (client) => {
		await client.pushManifest("list/zero", "v1", "zero");
		const answer = await client.send("GET", "/v2/list/zero/tags/list?n=0");
		assert.deepEqual([answer.status, answer.json().tags, answer.header("link")], [200, [], null]);
	});
	clause("an unknown repository is 404", async (client) => {
		assertError(await client.send("GET", "/v2/list/nowhere/tags/list"), 404, "NAME_UNKNOWN");
	});
});

section("Listing referrers", "listing-referrers", (clause) => {
	clause("lists what has the subject, with types and annotations, and filters", async (client) => {
		const image = await client.pushManifest("refer", "v1", "image");
		const subject = descriptor(ociManifest, image.body);
		const annotations = { "org.example": "yes" };
		const sbom = await client.pushManifest("refer", "", "sbom", {
			subject,
			artifactType: "application/sbom",
			annotations,
		});
		const plain = await client.pushManifest("refer", "", "plain", { subject });
		const index = JSON.stringify({ schemaVersion: 2, mediaType: ociIndex, manifests: [], subject });
		await client.putManifest("refer", digestOf(index), index, ociIndex);
		const answer = await client.send("GET", `/v2/refer/referrers/${image.digest}`);
		assert.deepEqual([answer.status, answer.header("content-type")], [200, ociIndex]);
		const { manifests, ...rest } = answer.json() as { manifests: { digest: string; artifactType?: string }[] };
		assert.deepEqual(rest, { schemaVersion: 2, mediaType: ociIndex });
		const by = new Map(manifests.map((one) => [one.digest, one]));
		assert.deepEqual(by.get(sbom.digest), {
			...descriptor(ociManifest, sbom.body),
			artifactType: "application/sbom",
			annotations,
		});
		assert.equal(by.get(plain.digest)?.artifactType, "application/vnd.oci.image.config.v1+json");
		assert.deepEqual(by.get(digestOf(index)), descriptor(ociIndex, index));
		assert.equal(by.size, 3);
		const filtered = await client.send("GET", `/v2/refer/referrers/${image.digest}?artifactType=application/sbom`);
		assert.equal(filtered.header("oci-filters-applied"), "artifactType");
		assert.deepEqual(
			(filtered.json().manifests as { digest: string }[]).map((one) => one.digest),
			[sbom.digest],
		);
		await client.send("DELETE", `/v2/refer/manifests/${sbom.digest}`);
		const after = (await client.send("GET", `/v2/refer/referrers/${image.digest}`)).json();
		assert.equal((after.manifests as unknown[]).length, 2);
	});
	clause("none MUST be an empty index, never 404; a bad digest MUST be 400", async (client) => {
		for (const name of ["refer", "refer/nowhere"]) {
			const answer = await client.send("GET", `/v2/${name}/referrers/${digestOf("nothing")}`);
			assert.deepEqual([answer.status, answer.json().manifests], [200, []]);
		}
		assertError(await client.send("GET", "/v2/refer/referrers/sha256:bad"), 400, "DIGEST_INVALID");
	});
});

section("Deleting tags, manifests and blobs", "content-management", (clause) => {
	clause("a tag: 202, then 404, and the manifest stays", async (client) => {
		const { digest } = await client.pushManifest("delete/tag", "v1", "tag");
		assert.equal((await client.send("DELETE", "/v2/delete/tag/manifests/v1")).status, 202);
		assert.equal((await client.send("GET", "/v2/delete/tag/manifests/v1")).status, 404);
		assert.equal((await client.send("GET", `/v2/delete/tag/manifests/${digest}`)).status, 200);
		assert.deepEqual((await client.send("GET", "/v2/delete/tag/tags/list")).json().tags, []);
	});
	clause("a manifest: 202, then 404 for it and every tag on it", async (client) => {
		const { digest } = await client.pushManifest("delete/manifest", "v1", "manifest");
		assert.equal((await client.send("DELETE", `/v2/delete/manifest/manifests/${digest}`)).status, 202);
		for (const reference of ["v1", digest])
			assert.equal((await client.send("GET", `/v2/delete/manifest/manifests/${reference}`)).status, 404);
	});
	clause("a blob: 202, then 404", async (client) => {
		const digest = await client.pushBlob("delete/blob", "blob");
		assert.equal((await client.send("DELETE", `/v2/delete/blob/blobs/${digest}`)).status, 202);
		assertError(await client.send("GET", `/v2/delete/blob/blobs/${digest}`), 404, "BLOB_UNKNOWN");
		assertError(await client.send("DELETE", `/v2/delete/blob/blobs/${digest}`), 404, "BLOB_UNKNOWN");
	});
	clause("of an unknown repository MUST be 404", async (client) => {
		assertError(await client.send("DELETE", "/v2/delete/nowhere/manifests/v1"), 404, "NAME_UNKNOWN");
		assertError(await client.send("DELETE", `/v2/delete/nowhere/blobs/${digestOf("x")}`), 404, "NAME_UNKNOWN");
	});
});
