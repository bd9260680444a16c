/** What every RepositoryStore has to do; an adapter's test calls this with a way to make an empty one. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { type ErrorCode, isSlipwayError } from "../../base/error.ts";
import type { Digest } from "../image/digest.ts";
import type { Repository, RepositoryStore, StoredManifest } from "./repository-store.ts";

export interface RepositoryStoreFixture extends AsyncDisposable {
	store: RepositoryStore;
}

const digest = (text: string): Digest => `sha256:${createHash("sha256").update(text).digest("hex")}`;

export function repository(name: string, change: Partial<Repository> = {}): Repository {
	return { name, createdMs: 1_700_000_000_000, tagMutability: "MUTABLE", tags: {}, ...change };
}

export function manifest(text: string, change: Partial<StoredManifest> = {}): StoredManifest {
	return {
		digest: digest(text),
		mediaType: "application/vnd.oci.image.manifest.v1+json",
		size: text.length,
		pushedMs: 1_700_000_000_000,
		references: [digest(`${text} config`), digest(`${text} layer`)],
		imageSize: 1234,
		...change,
	};
}

function refused(code: ErrorCode, reason?: string): (error: unknown) => boolean {
	return (error) => {
		assert.ok(isSlipwayError(error), `${error} is not a SlipwayError`);
		assert.equal(error.code, code);
		if (reason) assert.equal(error.reason, reason);
		return true;
	};
}

type Case = (title: string, body: (store: RepositoryStore) => Promise<void>) => void;

export function repositoryStoreContract(name: string, make: () => Promise<RepositoryStoreFixture>): void {
	const test: Case = (title, body) =>
		it(title, async () => {
			await using fixture = await make();
			await body(fixture.store);
		});
	describe(`RepositoryStore contract: ${name}`, () => {
		repositoryCases(test);
		manifestCases(test);
		tagCases(test);
		blobCases(test);
	});
}

function repositoryCases(test: Case): void {
	test("creates, reads, changes and deletes repositories", async (store) => {
		assert.equal(await store.getRepository("a"), undefined);
		await store.createRepository(repository("a", { tags: { team: "x" } }));
		assert.deepEqual(await store.getRepository("a"), repository("a", { tags: { team: "x" } }));
		const changed = await store.updateRepository("a", { tagMutability: "IMMUTABLE" });
		assert.deepEqual(changed, repository("a", { tagMutability: "IMMUTABLE", tags: { team: "x" } }));
		assert.deepEqual(await store.getRepository("a"), changed);
		await store.deleteRepository("a");
		assert.equal(await store.getRepository("a"), undefined);
	});

	test("a second creation is ALREADY_EXISTS, or nothing when ifMissing", async (store) => {
		await store.createRepository(repository("a", { createdMs: 1 }));
		await assert.rejects(store.createRepository(repository("a")), refused("ALREADY_EXISTS"));
		await store.createRepository(repository("a", { createdMs: 2 }), { ifMissing: true });
		assert.equal((await store.getRepository("a"))?.createdMs, 1);
	});

	test("of what is not there, writes are NOT_FOUND and reads are empty", async (store) => {
		await assert.rejects(store.updateRepository("a", {}), refused("NOT_FOUND"));
		await assert.rejects(store.deleteRepository("a"), refused("NOT_FOUND"));
		await assert.rejects(store.putManifest("a", manifest("m")), refused("NOT_FOUND", "RepositoryUnknown"));
		await assert.rejects(store.linkBlob("a", digest("b")), refused("NOT_FOUND", "RepositoryUnknown"));
		await assert.rejects(store.deleteManifest("a", digest("m")), refused("NOT_FOUND"));
		await assert.rejects(store.deleteTag("a", "t"), refused("NOT_FOUND"));
		assert.equal(await store.getManifest("a", { tag: "t" }), undefined);
		assert.equal(await store.hasBlob("a", digest("b")), false);
		assert.equal(await store.findBlob(digest("b")), undefined);
		assert.deepEqual(await store.listTags("a", { limit: 10 }), []);
		assert.deepEqual(await store.listManifests("a", { limit: 10 }), []);
		assert.deepEqual(await store.listReferrers("a", digest("m")), []);
		assert.deepEqual(await store.listRepositories({ limit: 10 }), []);
	});

	test("lists repositories by name, a page at a time", async (store) => {
		for (const name of ["b", "a/x", "c", "a"]) await store.createRepository(repository(name));
		const names = async (page: { after?: string; limit: number }) =>
			(await store.listRepositories(page)).map((one) => one.name);
		assert.deepEqual(await names({ limit: 10 }), ["a", "a/x", "b", "c"]);
		assert.deepEqual(await names({ limit: 2 }), ["a", "a/x"]);
		assert.deepEqual(await names({ after: "a/x", limit: 2 }), ["b", "c"]);
		assert.deepEqual(await names({ after: "bb", limit: 2 }), ["c"]);
		assert.deepEqual(await names({ limit: 0 }), []);
	});

	test("deleting a repository takes its manifests, tags and links, and nobody else's", async (store) => {
		for (const name of ["a", "b"]) {
			await store.createRepository(repository(name));
			await store.putManifest(name, manifest("m"), "t");
			await store.linkBlob(name, digest("b"));
		}
		await store.deleteRepository("a");
		await store.createRepository(repository("a"));
		assert.deepEqual(await store.listTags("a", { limit: 10 }), []);
		assert.equal(await store.getManifest("a", { digest: digest("m") }), undefined);
		assert.equal(await store.hasBlob("a", digest("b")), false);
		assert.equal((await store.getManifest("b", { tag: "t" }))?.digest, digest("m"));
		assert.equal(await store.findBlob(digest("b")), "b");
	});
}

function manifestCases(test: Case): void {
	test("keeps every field of a manifest, and its tags", async (store) => {
		await store.createRepository(repository("a"));
		const full = manifest("m", { subject: digest("s"), artifactType: "application/x", annotations: { k: "é" } });
		await store.putManifest("a", full, "t2");
		await store.putManifest("a", full, "t1");
		await store.putManifest("a", manifest("plain"));
		assert.deepEqual(await store.getManifest("a", { digest: full.digest }), { ...full, tags: ["t1", "t2"] });
		assert.deepEqual(await store.getManifest("a", { tag: "t1" }), { ...full, tags: ["t1", "t2"] });
		assert.deepEqual(await store.getManifest("a", { digest: digest("plain") }), { ...manifest("plain"), tags: [] });
		assert.equal(await store.getManifest("a", { tag: "t3" }), undefined);
	});

	test("a manifest put again is refreshed and keeps its tags", async (store) => {
		await store.createRepository(repository("a"));
		await store.putManifest("a", manifest("m"), "t");
		await store.putManifest("a", manifest("m", { pushedMs: 1_800_000_000_000 }));
		const found = await store.getManifest("a", { tag: "t" });
		assert.equal(found?.pushedMs, 1_800_000_000_000);
		assert.deepEqual(found?.tags, ["t"]);
	});

	test("deleting a manifest deletes its tags only", async (store) => {
		await store.createRepository(repository("a"));
		await store.putManifest("a", manifest("m"), "t");
		await store.putManifest("a", manifest("n"), "u");
		await store.deleteManifest("a", digest("m"));
		assert.deepEqual(await store.listTags("a", { limit: 10 }), [{ tag: "u", digest: digest("n") }]);
		await assert.rejects(store.deleteManifest("a", digest("m")), refused("NOT_FOUND"));
	});

	test("lists manifests by digest, a page at a time", async (store) => {
		await store.createRepository(repository("a"));
		const all = ["1", "2", "3"].map((text) => manifest(text)).sort((x, y) => (x.digest < y.digest ? -1 : 1));
		for (const one of all) await store.putManifest("a", one);
		const digests = async (page: { after?: Digest; limit: number }) =>
			(await store.listManifests("a", page)).map((one) => one.digest);
		assert.deepEqual(
			await digests({ limit: 10 }),
			all.map((one) => one.digest),
		);
		assert.deepEqual(await digests({ after: all[0]!.digest, limit: 1 }), [all[1]!.digest]);
	});

	test("finds referrers of a subject, whether it is there or not, a page at a time", async (store) => {
		await store.createRepository(repository("a"));
		await store.createRepository(repository("b"));
		const subject = digest("never pushed");
		const all = ["1", "2"].map((text) => manifest(text, { subject })).sort((x, y) => (x.digest < y.digest ? -1 : 1));
		for (const one of all) await store.putManifest("a", one);
		await store.putManifest("a", manifest("other", { subject: digest("x") }));
		await store.putManifest("b", manifest("elsewhere", { subject }));
		const found = await store.listReferrers("a", subject);
		assert.deepEqual(
			found,
			all.map((one) => ({ ...one, tags: [] })),
		);
		const page = await store.listReferrers("a", subject, { after: all[0]!.digest, limit: 5 });
		assert.deepEqual(
			page.map((one) => one.digest),
			[all[1]!.digest],
		);
	});
}

function tagCases(test: Case): void {
	test("a tag moves, and lists in ASCII order", async (store) => {
		await store.createRepository(repository("a"));
		for (const tag of ["b", "B", "a", "_", "1.10", "1.9"]) await store.putManifest("a", manifest("m"), tag);
		await store.putManifest("a", manifest("n"), "b");
		const tags = async (page: { after?: string; limit: number }) =>
			(await store.listTags("a", page)).map((one) => one.tag);
		assert.deepEqual(await tags({ limit: 10 }), ["1.10", "1.9", "B", "_", "a", "b"]);
		assert.deepEqual(await tags({ after: "B", limit: 2 }), ["_", "a"]);
		assert.deepEqual(await tags({ after: "z", limit: 2 }), []);
		assert.equal((await store.getManifest("a", { tag: "b" }))?.digest, digest("n"));
		await store.deleteTag("a", "b");
		assert.equal(await store.getManifest("a", { tag: "b" }), undefined);
		assert.notEqual(await store.getManifest("a", { digest: digest("n") }), undefined);
		await assert.rejects(store.deleteTag("a", "b"), refused("NOT_FOUND"));
	});

	test("an immutable tag stays with its manifest, and the refused put changes nothing", async (store) => {
		await store.createRepository(repository("a", { tagMutability: "IMMUTABLE" }));
		await store.putManifest("a", manifest("m"), "t");
		await store.putManifest("a", manifest("m"), "t");
		await assert.rejects(store.putManifest("a", manifest("n"), "t"), refused("CONFLICT", "ImageTagAlreadyExists"));
		assert.equal((await store.getManifest("a", { tag: "t" }))?.digest, digest("m"));
		assert.equal(await store.getManifest("a", { digest: digest("n") }), undefined);
		await store.putManifest("a", manifest("n"), "u");
	});

	test("of many concurrent puts of one immutable tag one wins", async (store) => {
		await store.createRepository(repository("a", { tagMutability: "IMMUTABLE" }));
		const puts = Array.from({ length: 20 }, (_, i) => store.putManifest("a", manifest(`m${i}`), "t"));
		const settled = await Promise.allSettled(puts);
		assert.equal(settled.filter((one) => one.status === "fulfilled").length, 1);
		assert.equal((await store.listManifests("a", { limit: 100 })).length, 1);
	});
}

function blobCases(test: Case): void {
	test("links blobs to a repository, and finds one that has them", async (store) => {
		for (const name of ["a", "b"]) await store.createRepository(repository(name));
		await store.linkBlob("a", digest("x"));
		await store.linkBlob("a", digest("x"));
		assert.equal(await store.hasBlob("a", digest("x")), true);
		assert.equal(await store.hasBlob("b", digest("x")), false);
		assert.equal(await store.findBlob(digest("x")), "a");
		await store.unlinkBlob("a", digest("x"));
		await store.unlinkBlob("a", digest("x"));
		assert.equal(await store.findBlob(digest("x")), undefined);
	});

	test("knows every digest that something refers to", async (store) => {
		await store.createRepository(repository("a"));
		await store.linkBlob("a", digest("x"));
		await store.putManifest("a", manifest("m"));
		const expected = new Set([digest("x"), digest("m"), ...manifest("m").references]);
		assert.deepEqual(await store.referencedDigests(), expected);
		await store.deleteRepository("a");
		assert.deepEqual(await store.referencedDigests(), new Set());
	});
}
