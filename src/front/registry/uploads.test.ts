import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SlipwayError } from "../../base/error.ts";
import type { Digest } from "../../core/image/digest.ts";
import type { RegistryFrontOptions } from "./registry-front.ts";
import { digestOf, FrontFixture, type Reply } from "./test-front.ts";

function test(
	title: string,
	body: (front: FrontFixture) => Promise<void>,
	options: Partial<RegistryFrontOptions> = {},
) {
	it(title, async () => {
		await using front = await FrontFixture.start(options);
		await body(front);
	});
}

function expect(reply: Reply, status: number, code?: string): void {
	assert.deepEqual([reply.status, reply.code], [status, code], reply.text);
}

const hello = digestOf("hello");

describe("registry front: uploads", () => {
	test("in chunks, with the range so far at every step", async (front) => {
		const path = await front.begin("a");
		const first = await front.send("PATCH", path, "hel", { "Content-Range": "0-2" });
		assert.deepEqual([first.status, first.headers.range, first.headers.location], [202, "0-2", path]);
		const status = await front.send("GET", path);
		assert.deepEqual([status.status, status.headers.range, status.headers.location], [204, "0-2", path]);
		const last = await front.send("PUT", `${path}?digest=${hello}`, "lo", { "Content-Range": "3-4" });
		expect(last, 201);
		assert.deepEqual([last.headers.location, last.headers["docker-content-digest"]], [`/v2/a/blobs/${hello}`, hello]);
		assert.equal((await front.send("GET", `/v2/a/blobs/${hello}`)).text, "hello");
		expect(await front.send("GET", path), 404, "BLOB_UPLOAD_UNKNOWN");
	});

	test("as one stream without a range or a length, and as one PUT, and as one POST", async (front) => {
		const stream = await front.begin("a");
		expect(await front.send("PATCH", stream, "hello", { "Transfer-Encoding": "chunked" }), 202);
		expect(await front.send("PUT", `${stream}?digest=${hello}`), 201);
		expect(await front.send("PUT", `${await front.begin("b")}?digest=${hello}`, "hello"), 201);
		expect(await front.send("POST", `/v2/c/blobs/uploads?digest=${hello}`, "hello"), 201);
		for (const name of ["a", "b", "c"]) expect(await front.send("HEAD", `/v2/${name}/blobs/${hello}`), 200);
	});

	test("a chunk out of order is 416 and says where to go on", async (front) => {
		const path = await front.begin("a");
		await front.send("PATCH", path, "hel", { "Content-Range": "0-2" });
		for (const [method, range] of [
			["PATCH", "4-4"],
			["PATCH", "0-0"],
			["PUT", "2-2"],
		] as const) {
			const reply = await front.send(method, `${path}?digest=${hello}`, "x", { "Content-Range": range });
			expect(reply, 416, "BLOB_UPLOAD_INVALID");
			assert.deepEqual([reply.headers.range, reply.headers.location], ["0-2", path]);
		}
		assert.equal((await front.send("GET", path)).headers.range, "0-2");
	});

	test("a range that is none, or another length than the body's, is SIZE_INVALID", async (front) => {
		const path = await front.begin("a");
		for (const range of ["0-1", "0-3", "2-0", "x", "0-", "-2", "0-99999999999999999", "bytes=0-2", "0-2, 3-4"])
			expect(await front.send("PATCH", path, "hel", { "Content-Range": range }), 400, "SIZE_INVALID");
		assert.equal((await front.send("GET", path)).headers.range, "0-0");
		const chunked = { "Content-Range": "0-9", "Transfer-Encoding": "chunked" };
		expect(await front.send("PATCH", path, "hel", chunked), 400, "SIZE_INVALID");
	});

	test("other bytes than the digest's end the session, or leave nothing", async (front) => {
		const path = await front.begin("a");
		expect(await front.send("PUT", `${path}?digest=${hello}`, "hullo"), 400, "DIGEST_INVALID");
		expect(await front.send("GET", path), 404, "BLOB_UPLOAD_UNKNOWN");
		expect(await front.send("POST", `/v2/a/blobs/uploads/?digest=${hello}`, "hullo"), 400, "DIGEST_INVALID");
		expect(await front.send("HEAD", `/v2/a/blobs/${hello}`), 404);
		const open = await front.begin("a");
		for (const query of ["", "?digest=", "?digest=sha256:x", "?digest=md5:abc"])
			expect(await front.send("PUT", `${open}${query}`, "hello"), 400, "DIGEST_INVALID");
		expect(await front.send("PUT", `${open}?digest=${hello}`, "hello"), 201);
	});

	test("nobody gets a blob by its digest alone", async (front) => {
		await front.pushBlob("private/a", "hello");
		front.forbidden.add("private/a");
		expect(await front.send("POST", `/v2/mine/blobs/uploads/?digest=${hello}`, ""), 400, "DIGEST_INVALID");
		const path = await front.begin("mine");
		expect(await front.send("PUT", `${path}?digest=${hello}`), 400, "DIGEST_INVALID");
		for (const query of [`mount=${hello}`, `mount=${hello}&from=private/a`]) {
			expect(await front.send("POST", `/v2/mine/blobs/uploads/?${query}`), 202);
			expect(await front.send("GET", `/v2/mine/blobs/${hello}`), 404, "BLOB_UNKNOWN");
		}
	});

	test("mounts from a repository that is named, or that is found", async (front) => {
		await front.pushBlob("a", "hello");
		const named = await front.send("POST", `/v2/b/blobs/uploads/?mount=${hello}&from=a`);
		expect(named, 201);
		assert.equal(named.headers.location, `/v2/b/blobs/${hello}`);
		expect(await front.send("POST", `/v2/c/blobs/uploads/?mount=${hello}`), 201);
		for (const name of ["b", "c"]) assert.equal((await front.send("GET", `/v2/${name}/blobs/${hello}`)).text, "hello");
		for (const from of ["nowhere", "..", "a%2f..", "A"]) {
			const reply = await front.send("POST", `/v2/d/blobs/uploads/?mount=${hello}&from=${from}`);
			expect(reply, 202);
			expect(await front.send("DELETE", String(reply.headers.location)), 204);
		}
		expect(await front.send("POST", `/v2/e/blobs/uploads/?mount=${digestOf("none")}`), 202);
	});

	test("unknown, cancelled and foreign sessions are BLOB_UPLOAD_UNKNOWN", async (front) => {
		const path = await front.begin("a");
		const elsewhere = path.replace("/a/", "/b/");
		const ids = ["nope", "..", "%00", "__proto__", "constructor", "x".repeat(500)];
		for (const one of [elsewhere, ...ids.map((id) => `/v2/a/blobs/uploads/${id}`)])
			for (const method of ["GET", "PATCH", "PUT", "DELETE"])
				expect(
					await front.send(method, `${one}?digest=${hello}`, method.startsWith("P") ? "hello" : undefined),
					404,
					"BLOB_UPLOAD_UNKNOWN",
				);
		expect(await front.send("DELETE", path), 204);
		expect(await front.send("DELETE", path), 404, "BLOB_UPLOAD_UNKNOWN");
	});

	test(
		"a blob past the limit is refused, announced or not, whole or in parts",
		async (front) => {
			const path = await front.begin("a");
			expect(await front.send("PATCH", path, "hello world"), 413, "SIZE_INVALID");
			expect(await front.send("PATCH", path, "hello"), 202);
			expect(await front.send("PATCH", path, "worlds"), 413, "SIZE_INVALID");
			expect(await front.send("PATCH", path, "worlds", { "Transfer-Encoding": "chunked" }), 413, "SIZE_INVALID");
			const digest = digestOf("hello world");
			expect(await front.send("POST", `/v2/a/blobs/uploads/?digest=${digest}`, "hello world"), 413, "SIZE_INVALID");
			expect(await front.send("POST", `/v2/a/blobs/uploads/?digest=${digestOf("0123456789")}`, "0123456789"), 201);
		},
		{ limits: { blobBytes: 10 } },
	);

	test("says that the disk is full, and goes on when it is not", async (front) => {
		const path = await front.begin("a");
		const { append } = front.blobs;
		front.blobs.append = () => Promise.reject(new SlipwayError("EXHAUSTED", "No space is left on the device"));
		expect(await front.send("PATCH", path, "hello"), 507, "INSUFFICIENT_STORAGE");
		front.blobs.append = append;
		expect(await front.send("PUT", `${path}?digest=${hello}`, "hello"), 201);
	});

	test("takes sha512, and refuses algorithms it does not know", async (front) => {
		const { createHash } = await import("node:crypto");
		const long: Digest = `sha512:${createHash("sha512").update("hello").digest("hex")}`;
		expect(await front.send("POST", "/v2/a/blobs/uploads/?digest-algorithm=sha512"), 202);
		expect(await front.send("PUT", `${await front.begin("a")}?digest=${long}`, "hello"), 201);
		assert.equal((await front.send("GET", `/v2/a/blobs/${long}`)).text, "hello");
		expect(await front.send("POST", "/v2/a/blobs/uploads/?digest-algorithm=md5"), 400, "DIGEST_INVALID");
	});
});

describe("registry front: blobs", () => {
	test("serves them whole, in ranges, to HEAD, and to who has them already", async (front) => {
		await front.pushBlob("a", "hello");
		const path = `/v2/a/blobs/${hello}`;
		const head = await front.send("HEAD", path);
		assert.deepEqual(
			[head.status, head.headers["content-length"], head.headers["docker-content-digest"]],
			[200, "5", hello],
		);
		for (const [range, status, text, header] of [
			["bytes=1-3", 206, "ell", "bytes 1-3/5"],
			["bytes=3-", 206, "lo", "bytes 3-4/5"],
			["bytes=-2", 206, "lo", "bytes 3-4/5"],
			["bytes=-9", 206, "hello", "bytes 0-4/5"],
			["bytes=0-99", 206, "hello", "bytes 0-4/5"],
			["bytes=3-1", 200, "hello", undefined],
			["bytes=0-1,3-4", 200, "hello", undefined],
			["lines=0-1", 200, "hello", undefined],
			["bytes=-", 200, "hello", undefined],
		] as const) {
			const reply = await front.send("GET", path, undefined, { Range: range });
			assert.deepEqual([reply.status, reply.text, reply.headers["content-range"]], [status, text, header], range);
		}
		for (const range of ["bytes=5-", "bytes=-0", "bytes=99-100"]) {
			const reply = await front.send("GET", path, undefined, { Range: range });
			expect(reply, 416, "SIZE_INVALID");
			assert.equal(reply.headers["content-range"], "bytes */5");
		}
		expect(await front.send("GET", path, undefined, { "If-None-Match": `"${hello}"` }), 304);
		const stale = await front.send("GET", path, undefined, { Range: "bytes=0-1", "If-Range": '"other"' });
		assert.deepEqual([stale.status, stale.text], [200, "hello"]);
	});

	test("a blob is one repository's only, until it is deleted there", async (front) => {
		await front.pushBlob("a", "hello");
		await front.pushBlob("b", "other");
		expect(await front.send("GET", `/v2/b/blobs/${hello}`), 404, "BLOB_UNKNOWN");
		expect(await front.send("GET", `/v2/nowhere/blobs/${hello}`), 404, "NAME_UNKNOWN");
		expect(await front.send("DELETE", `/v2/b/blobs/${hello}`), 404, "BLOB_UNKNOWN");
		expect(await front.send("DELETE", `/v2/a/blobs/${hello}`), 202);
		expect(await front.send("HEAD", `/v2/a/blobs/${hello}`), 404);
		expect(await front.send("DELETE", `/v2/a/blobs/${hello}`), 404, "BLOB_UNKNOWN");
	});

	test("the empty blob", async (front) => {
		const empty = await front.pushBlob("a", "");
		const reply = await front.send("GET", `/v2/a/blobs/${empty}`);
		assert.deepEqual([reply.status, reply.text, reply.headers["content-length"]], [200, "", "0"]);
		assert.equal((await front.send("GET", `/v2/a/blobs/${empty}`, undefined, { Range: "bytes=0-" })).status, 416);
	});

	test("one that is lost from the store is 404 and said in the log", async (front) => {
		await front.pushBlob("a", "hello");
		front.blobs.blobs.clear();
		expect(await front.send("GET", `/v2/a/blobs/${hello}`), 404, "BLOB_UNKNOWN");
		assert.match(front.errors[0] ?? "", /missing/);
	});
});
