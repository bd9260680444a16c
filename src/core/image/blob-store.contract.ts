/** What every BlobStore has to do; an adapter's test calls this with a way to make one. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { describe, it } from "node:test";
import { type ErrorCode, isSlipwayError } from "../../base/error.ts";
import type { BlobStore } from "./blob-store.ts";
import type { Digest } from "./digest.ts";

export interface BlobStoreFixture extends AsyncDisposable {
	store: BlobStore;
	/** Moves the store's clock on. */
	advance(ms: number): void;
	uploadTtlMs: number;
}

export function digestOf(bytes: Uint8Array | string, algorithm: "sha256" | "sha512" = "sha256"): Digest {
	return `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}`;
}

export async function* chunks(...parts: (string | Uint8Array | Error)[]): AsyncIterable<Uint8Array> {
	for (const part of parts) {
		if (part instanceof Error) throw part;
		yield Buffer.from(part);
	}
}

export function code(expected: ErrorCode): (error: unknown) => boolean {
	return (error) => {
		assert.ok(isSlipwayError(error), `${error} is not a SlipwayError`);
		assert.equal(error.code, expected);
		return true;
	};
}

const text = async (stream: Readable) => (await buffer(stream)).toString();
const hello = digestOf("hello");

export function blobStoreContract(name: string, make: () => Promise<BlobStoreFixture>): void {
	const test = (title: string, body: (fixture: BlobStoreFixture) => Promise<void>) =>
		it(title, async () => {
			await using fixture = await make();
			await body(fixture);
		});
	describe(`BlobStore contract: ${name}`, () => {
		putCases(test);
		readCases(test);
		uploadCases(test);
		sessionEndCases(test);
	});
}

type Case = (title: string, body: (fixture: BlobStoreFixture) => Promise<void>) => void;

function putCases(test: Case): void {
	test("stores a stream under its digest, with either algorithm", async ({ store }) => {
		await store.put({ digest: hello, size: 5 }, chunks("he", "llo"));
		assert.deepEqual(await store.stat(hello), { size: 5 });
		assert.equal(await text(await store.open(hello)), "hello");
		const long = digestOf("hello", "sha512");
		await store.put({ digest: long }, chunks("hello"));
		assert.equal(await text(await store.open(long)), "hello");
	});

	test("stores the empty blob", async ({ store }) => {
		const empty = digestOf("");
		await store.put({ digest: empty, size: 0 }, chunks());
		assert.deepEqual(await store.stat(empty), { size: 0 });
		assert.equal(await text(await store.open(empty)), "");
	});

	test("put is idempotent, but believes nobody without the bytes", async ({ store }) => {
		await store.put({ digest: hello }, chunks("hello"));
		await store.put({ digest: hello }, chunks("hello"));
		await assert.rejects(store.put({ digest: hello }, chunks("")), code("DIGEST_MISMATCH"));
		assert.equal(await text(await store.open(hello)), "hello");
	});

	test("wrong bytes, a wrong size and a broken source leave nothing", async ({ store }) => {
		await assert.rejects(store.put({ digest: hello }, chunks("hullo")), code("DIGEST_MISMATCH"));
		await assert.rejects(store.put({ digest: hello, size: 4 }, chunks("hello")), code("DIGEST_MISMATCH"));
		await assert.rejects(store.put({ digest: hello, size: 6 }, chunks("hello")), code("DIGEST_MISMATCH"));
		await assert.rejects(store.put({ digest: hello }, chunks("hel", new Error("cable cut"))), /cable cut/);
		assert.equal(await store.stat(hello), undefined);
		assert.deepEqual(await Array.fromAsync(store.list()), []);
	});

	test("an abort ends a put whose source is silent, and leaves nothing", async ({ store }) => {
		const controller = new AbortController();
		const silent = (async function* () {
			yield Buffer.from("hel");
			controller.abort(new Error("stopped"));
			await new Promise(() => {});
		})();
		await assert.rejects(store.put({ digest: hello }, silent, controller.signal), /stopped/);
		await assert.rejects(store.put({ digest: hello }, chunks("hello"), controller.signal), /stopped/);
		assert.equal(await store.stat(hello), undefined);
	});

	test("concurrent puts of one blob all succeed", async ({ store }) => {
		await Promise.all(Array.from({ length: 8 }, () => store.put({ digest: hello }, chunks("hel", "lo"))));
		assert.equal(await text(await store.open(hello)), "hello");
	});
}

function readCases(test: Case): void {
	test("reads ranges with both ends inclusive, and refuses others", async ({ store }) => {
		await store.put({ digest: hello }, chunks("hello"));
		assert.equal(await text(await store.open(hello, { start: 1, end: 3 })), "ell");
		assert.equal(await text(await store.open(hello, { start: 3 })), "lo");
		assert.equal(await text(await store.open(hello, { end: 0 })), "h");
		for (const range of [{ start: 5 }, { start: 3, end: 2 }, { end: 5 }, { start: -1 }])
			await assert.rejects(store.open(hello, range), code("INVALID"));
	});

	test("an unknown blob is NOT_FOUND to open, undefined to stat, fine to delete", async ({ store }) => {
		await assert.rejects(store.open(hello), code("NOT_FOUND"));
		assert.equal(await store.stat(hello), undefined);
		await store.delete(hello);
	});

	test("lists and deletes", async ({ store }) => {
		const other = digestOf("other", "sha512");
		await store.put({ digest: hello }, chunks("hello"));
		await store.put({ digest: other }, chunks("other"));
		const listed = await Array.fromAsync(store.list());
		assert.deepEqual(new Set(listed.map((blob) => blob.digest)), new Set([hello, other]));
		assert.ok(listed.every((blob) => blob.size === 5 && blob.modifiedMs > 0));
		await store.delete(hello);
		await store.delete(hello);
		assert.equal(await store.stat(hello), undefined);
		assert.equal((await Array.fromAsync(store.list())).length, 1);
	});
}

function uploadCases(test: Case): void {
	test("uploads in chunks; nothing is visible before the commit", async ({ store }) => {
		const id = await store.beginUpload();
		assert.equal(await store.uploadSize(id), 0);
		assert.equal(await store.append(id, 0, chunks("he", "l")), 3);
		assert.equal(await store.append(id, 3, chunks("lo")), 5);
		assert.equal(await store.stat(hello), undefined);
		await store.commitUpload(id, hello);
		assert.equal(await text(await store.open(hello)), "hello");
		await assert.rejects(store.uploadSize(id), code("NOT_FOUND"));
	});

	test("commits under either algorithm, and the empty blob", async ({ store }) => {
		const id = await store.beginUpload();
		await store.append(id, 0, chunks("hello"));
		await store.commitUpload(id, digestOf("hello", "sha512"));
		assert.deepEqual(await store.stat(digestOf("hello", "sha512")), { size: 5 });
		await store.commitUpload(await store.beginUpload(), digestOf(""));
		assert.deepEqual(await store.stat(digestOf("")), { size: 0 });
	});

	test("an offset other than the size is INVALID and changes nothing", async ({ store }) => {
		const id = await store.beginUpload();
		await store.append(id, 0, chunks("hel"));
		for (const offset of [0, 2, 4]) await assert.rejects(store.append(id, offset, chunks("x")), code("INVALID"));
		assert.equal(await store.uploadSize(id), 3);
	});

	test("a source that breaks off keeps its bytes, and the session goes on", async ({ store }) => {
		const id = await store.beginUpload();
		await assert.rejects(store.append(id, 0, chunks("hel", new Error("cable cut"))), /cable cut/);
		assert.equal(await store.uploadSize(id), 3);
		await store.append(id, 3, chunks("lo"));
		await store.commitUpload(id, hello);
		assert.deepEqual(await store.stat(hello), { size: 5 });
	});

	test("a second append, or a commit, during one is CONFLICT", async ({ store }) => {
		const id = await store.beginUpload();
		const gate = Promise.withResolvers<void>();
		const started = Promise.withResolvers<void>();
		const slow = (async function* () {
			yield Buffer.from("hel");
			started.resolve();
			await gate.promise;
			yield Buffer.from("lo");
		})();
		const first = store.append(id, 0, slow);
		await started.promise;
		await assert.rejects(store.append(id, await store.uploadSize(id), chunks("x")), code("CONFLICT"));
		await assert.rejects(store.commitUpload(id, hello), code("CONFLICT"));
		gate.resolve();
		assert.equal(await first, 5);
		await store.commitUpload(id, hello);
	});
}

function sessionEndCases(test: Case): void {
	test("a commit with another digest ends the session and shows nothing", async ({ store }) => {
		const id = await store.beginUpload();
		await store.append(id, 0, chunks("hullo"));
		await assert.rejects(store.commitUpload(id, hello), code("DIGEST_MISMATCH"));
		await assert.rejects(store.uploadSize(id), code("NOT_FOUND"));
		assert.equal(await store.stat(hello), undefined);
	});

	test("a cancelled session is gone, also for the append that is under way", async ({ store }) => {
		const id = await store.beginUpload();
		const slow = (async function* () {
			yield Buffer.from("hel");
			await store.cancelUpload(id);
			yield Buffer.from("lo");
		})();
		await assert.rejects(store.append(id, 0, slow), code("NOT_FOUND"));
		await assert.rejects(store.cancelUpload(id), code("NOT_FOUND"));
		await assert.rejects(store.append(id, 0, chunks("x")), code("NOT_FOUND"));
	});

	test("an id that was never given out is NOT_FOUND, whatever it looks like", async ({ store }) => {
		for (const id of ["", "..", "../blobs", "a/b", "\0", "__proto__", "x".repeat(10_000)]) {
			await assert.rejects(store.uploadSize(id), code("NOT_FOUND"));
			await assert.rejects(store.append(id, 0, chunks("x")), code("NOT_FOUND"));
			await assert.rejects(store.commitUpload(id, hello), code("NOT_FOUND"));
			await assert.rejects(store.cancelUpload(id), code("NOT_FOUND"));
		}
	});

	test("sessions expire when nothing was appended for the limit", async ({ store, advance, uploadTtlMs }) => {
		const idle = await store.beginUpload();
		const used = await store.beginUpload();
		advance(uploadTtlMs - 1);
		await store.append(used, 0, chunks("hello"));
		advance(2);
		await assert.rejects(store.uploadSize(idle), code("NOT_FOUND"));
		assert.equal(await store.uploadSize(used), 5);
		advance(uploadTtlMs + 1);
		assert.equal(await store.expireUploads(Number.MAX_SAFE_INTEGER), 2);
		assert.equal(await store.expireUploads(Number.MAX_SAFE_INTEGER), 0);
		await assert.rejects(store.uploadSize(used), code("NOT_FOUND"));
	});
}
