import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { SlipwayError } from "../../base/error.ts";
import { mediaTypes } from "../../core/image/manifest.ts";
import type { RegistryFrontOptions } from "./registry-front.ts";
import { descriptor, digestOf, FrontFixture } from "./test-front.ts";

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

const unknown = digestOf("never pushed");

describe("registry front: names and digests", () => {
	test("refuses names that are none, whatever they are spelled like", async (front) => {
		const bad = [
			"..",
			"a/..",
			"..%2f..%2fetc",
			"a%2fb",
			"A",
			"a b",
			"a%00b",
			"%ff",
			"-a",
			"a//b",
			"a".repeat(256),
			"é",
			"_catalog/x",
		];
		for (const name of bad)
			for (const [method, tail] of [
				["GET", "tags/list"],
				["GET", `blobs/${unknown}`],
				["POST", "blobs/uploads/"],
				["PUT", "manifests/latest"],
			] as const) {
				const reply = await front.send(method, asSent(`/v2/${name}/${tail}`));
				assert.deepEqual([reply.status, reply.code], [400, "NAME_INVALID"], `${method} ${name} ${tail}`);
			}
		assert.deepEqual(await front.repositories.listRepositories({ limit: 10 }), []);
		const huge = await front.send("GET", `/v2/${"a/".repeat(5000)}a/tags/list`);
		assert.deepEqual([huge.status, huge.code], [400, "NAME_INVALID"]);
	});

	test("takes deep names, names with the API's own words, and encoded digests", async (front) => {
		for (const name of [
			Array(100).fill("a").join("/"),
			"blobs/uploads",
			"a/tags/list",
			"manifests/blobs",
			"v2/v2",
			"a".repeat(255),
		]) {
			const { digest } = await front.pushImage(name, "latest");
			assert.equal((await front.send("GET", `/v2/${name}/manifests/latest`)).status, 200, name);
			assert.equal((await front.send("GET", `/v2/${name}/manifests/${digest.replace(":", "%3A")}`)).status, 200, name);
			assert.equal((await front.send("GET", `/v2/${name}/tags/list`)).text, JSON.stringify({ name, tags: ["latest"] }));
		}
	});

	test("refuses digests that are none", async (front) => {
		await front.pushImage("a", "latest");
		for (const digest of [
			"sha256:short",
			`sha256:${"G".repeat(64)}`,
			`md5:${"a".repeat(32)}`,
			"..",
			"sha256%3A..%2f..%2fetc",
			`SHA256:${"a".repeat(64)}`,
			"%00",
		]) {
			for (const path of [`blobs/${digest}`, `referrers/${digest}`]) {
				const reply = await front.send("GET", `/v2/a/${path}`);
				assert.equal(reply.status, 400, path);
			}
			const post = await front.send("POST", `/v2/a/blobs/uploads/?digest=${digest}`, "x");
			assert.deepEqual([post.status, post.code], [400, "DIGEST_INVALID"]);
			const mount = await front.send("POST", `/v2/a/blobs/uploads/?mount=${digest}&from=b`);
			assert.deepEqual([mount.status, mount.code], [400, "DIGEST_INVALID"]);
		}
	});

	test("answers unknown endpoints with 404 and unknown methods with 405", async (front) => {
		for (const path of ["/v2/a", "/v2/a/b", "/v2/a/blobs", "/v1/", "/", "/v2/_catalog/more", "*"])
			assert.ok([400, 404].includes((await front.send("GET", path)).status), path);
		const reply = await front.send("PATCH", "/v2/a/tags/list");
		assert.deepEqual([reply.status, reply.code, reply.headers.allow], [405, "UNSUPPORTED", "GET, HEAD"]);
		assert.equal((await front.send("POST", `/v2/a/blobs/${unknown}`)).headers.allow, "GET, HEAD, DELETE");
	});

	test("says what it is on every answer", async (front) => {
		for (const path of ["/v2/", "/v2", "/v2/a/tags/list", "/v2/../x"])
			assert.equal((await front.send("GET", path)).headers["docker-distribution-api-version"], "registry/2.0");
		assert.equal((await front.send("GET", "/v2/")).status, 200);
	});
});

/** Node refuses to send spaces and letters beyond Latin; what is encoded already stays as it is. */
function asSent(path: string): string {
	return path.includes("%") ? path : encodeURI(path);
}

describe("registry front: access", () => {
	const denying = (code: "UNAUTHENTICATED" | "FORBIDDEN" | "THROTTLED") => ({
		authorize: () => {
			throw new SlipwayError(code, "No", { retryAfterMs: 2500 });
		},
	});
	test(
		"asks for Basic credentials, also of HEAD and of a body that was sent already",
		async (front) => {
			for (const [method, path] of [
				["GET", "/v2/"],
				["HEAD", "/v2/a/manifests/x"],
				["POST", "/v2/a/blobs/uploads/"],
			] as const) {
				const reply = await front.send(method, path, method === "POST" ? Buffer.alloc(4_000_000) : undefined);
				assert.equal(reply.status, 401);
				assert.equal(reply.headers["www-authenticate"], 'Basic realm="slipway"');
			}
			assert.equal((await front.send("GET", "/v2/")).code, "UNAUTHORIZED");
			assert.equal((await front.repositories.listRepositories({ limit: 1 })).length, 0);
		},
		denying("UNAUTHENTICATED"),
	);
	test(
		"refuses with DENIED",
		async (front) => {
			assert.deepEqual([(await front.send("GET", "/v2/a/tags/list")).status], [403]);
			assert.equal((await front.send("GET", "/v2/a/tags/list")).code, "DENIED");
		},
		denying("FORBIDDEN"),
	);
	test(
		"says when to try again",
		async (front) => {
			const reply = await front.send("GET", "/v2/a/tags/list");
			assert.deepEqual([reply.status, reply.code, reply.headers["retry-after"]], [429, "TOOMANYREQUESTS", "3"]);
		},
		denying("THROTTLED"),
	);

	test("names the repository and the action", async (front) => {
		await front.send("GET", "/v2/");
		await front.send("GET", "/v2/_catalog");
		await front.send("GET", "/v2/a/tags/list");
		await front.send("PUT", "/v2/a/manifests/x", "{}");
		await front.send("DELETE", "/v2/a/manifests/x");
		assert.deepEqual(front.accesses, [
			{ repository: undefined, action: "login" },
			{ repository: undefined, action: "catalog" },
			{ repository: "a", action: "pull" },
			{ repository: "a", action: "push" },
			{ repository: "a", action: "delete" },
		]);
	});

	test(
		"hides what went wrong inside, and logs it",
		async (front) => {
			const reply = await front.send("GET", "/v2/a/tags/list");
			assert.deepEqual([reply.status, reply.code], [500, "INTERNAL_ERROR"]);
			assert.ok(!reply.text.includes("secret"));
			assert.match(front.errors[0] ?? "", /secret/);
		},
		{
			authorize: () => {
				throw new Error("secret detail");
			},
		},
	);
});

describe("registry front: manifests", () => {
	test("serves what was pushed, byte for byte, with its type, to GET, HEAD and conditional requests", async (front) => {
		const { digest, text } = await front.pushImage("a", "v1", { annotations: { k: "v" } });
		for (const reference of ["v1", digest]) {
			const get = await front.send("GET", `/v2/a/manifests/${reference}`);
			assert.deepEqual([get.status, get.text], [200, text]);
			assert.equal(get.headers["content-type"], mediaTypes.ociManifest);
			assert.equal(get.headers["docker-content-digest"], digest);
			const head = await front.send("HEAD", `/v2/a/manifests/${reference}`);
			assert.deepEqual([head.status, head.headers["content-length"], head.text], [200, String(text.length), ""]);
			const cached = await front.send("GET", `/v2/a/manifests/${reference}`, undefined, {
				"If-None-Match": `"x", "${digest}"`,
			});
			assert.deepEqual([cached.status, cached.text], [304, ""]);
			const other = await front.send("GET", `/v2/a/manifests/${reference}`, undefined, { "If-None-Match": '"x"' });
			assert.deepEqual([other.status, other.text], [200, text]);
		}
		assert.deepEqual(front.pushes, [
			{
				repository: "a",
				digest,
				tags: ["v1"],
				mediaType: mediaTypes.ociManifest,
				size: text.length,
				principal: { name: "tester" },
			},
		]);
	});

	test("refuses a manifest that can be read in two ways, or as something else", async (front) => {
		const image = await front.image("a");
		const both = { ...image, manifests: [] };
		const { mediaType: _, ...untyped } = image;
		for (const [document, type] of [
			[both, mediaTypes.ociManifest],
			[{ ...both, mediaType: mediaTypes.ociIndex }, mediaTypes.ociIndex],
			[image, mediaTypes.dockerManifest],
			[image, mediaTypes.ociIndex],
			[untyped, mediaTypes.ociIndex],
			[image, "application/json"],
			["[]", mediaTypes.ociManifest],
			["{", mediaTypes.ociManifest],
			["", mediaTypes.ociManifest],
			[{ ...image, schemaVersion: 1 }, mediaTypes.ociManifest],
			[{ ...image, layers: [{ digest: "sha256:x", size: 1, mediaType: "x" }] }, mediaTypes.ociManifest],
			[{ ...image, layers: [{ ...descriptor("x", ""), size: -1 }] }, mediaTypes.ociManifest],
		] as const) {
			const reply = await front.putManifest("a", "v1", document, type);
			assert.deepEqual([reply.status, reply.code], [400, "MANIFEST_INVALID"], `${type} ${JSON.stringify(document)}`);
		}
		assert.deepEqual(await front.repositories.listManifests("a", { limit: 1 }), []);
	});

	test("ignores parameters of the type, and does without one that the document has", async (front) => {
		const image = await front.image("a");
		assert.equal((await front.putManifest("a", "v1", image, `${mediaTypes.ociManifest}; charset=utf-8`)).status, 201);
		assert.equal((await front.send("PUT", "/v2/a/manifests/v2", JSON.stringify(image))).status, 201);
		assert.equal((await front.send("GET", "/v2/a/manifests/v1")).headers["content-type"], mediaTypes.ociManifest);
	});

	test("refuses another digest than the bytes', a bad tag, and too many tags", async (front) => {
		const image = await front.image("a");
		const wrong = await front.putManifest("a", unknown, image);
		assert.deepEqual([wrong.status, wrong.code], [400, "DIGEST_INVALID"]);
		for (const tag of ["..", ".x", "a b".replace(" ", "%20"), "x".repeat(129), "%00", "é".replace("é", "%C3%A9")])
			assert.equal((await front.putManifest("a", tag, image)).code, "MANIFEST_INVALID", tag);
		const many = Array.from({ length: 101 }, (_, i) => `tag=t${i}`).join("&");
		assert.equal((await front.putManifest("a", `${digestOf(JSON.stringify(image))}?${many}`, image)).status, 400);
		assert.deepEqual(await front.repositories.listTags("a", { limit: 1 }), []);
	});

	test("sets several tags in one push by digest", async (front) => {
		const image = await front.image("a");
		const reply = await front.putManifest("a", `${digestOf(JSON.stringify(image))}?tag=1&tag=1.2&tag=1`, image);
		assert.deepEqual([reply.status, reply.headers["oci-tag"]], [201, "1, 1.2"]);
		assert.equal((await front.send("GET", "/v2/a/tags/list")).text, '{"name":"a","tags":["1","1.2"]}');
	});

	test("refuses what lacks a blob or a child, except a foreign layer", async (front) => {
		const image = await front.image("a");
		const missing = descriptor("application/vnd.oci.image.layer.v1.tar", "missing");
		const foreign = { ...missing, mediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip" };
		const refused = await front.putManifest("a", "v1", { ...image, layers: [missing] });
		assert.deepEqual([refused.status, refused.code], [404, "MANIFEST_BLOB_UNKNOWN"]);
		assert.ok(refused.text.includes(missing.digest));
		assert.equal((await front.putManifest("a", "v1", { ...image, layers: [foreign] })).status, 201);
		const index = {
			schemaVersion: 2,
			mediaType: mediaTypes.ociIndex,
			manifests: [descriptor(mediaTypes.ociManifest, "x")],
		};
		assert.equal((await front.putManifest("a", "v2", index, mediaTypes.ociIndex)).code, "MANIFEST_BLOB_UNKNOWN");
		// A blob of another repository is not this one's.
		assert.equal((await front.putManifest("b", "v1", image)).code, "MANIFEST_BLOB_UNKNOWN");
	});

	test("takes 4 MiB and refuses more, announced or not", async (front) => {
		const image = { ...(await front.image("a")), annotations: { pad: "" } };
		const room = 4 * 1024 * 1024 - JSON.stringify(image).length;
		const exact = JSON.stringify({ ...image, annotations: { pad: "x".repeat(room) } });
		assert.equal((await front.putManifest("a", "v1", exact)).status, 201);
		const announced = await front.putManifest("a", "v1", `${exact} `);
		assert.deepEqual([announced.status, announced.code], [413, "SIZE_INVALID"]);
		const chunked = await front.send("PUT", "/v2/a/manifests/v1", `${exact} `, {
			"Transfer-Encoding": "chunked",
			"Content-Type": mediaTypes.ociManifest,
		});
		assert.equal(chunked.status, 413);
	});

	test("deletes by tag and by digest", async (front) => {
		const { digest } = await front.pushImage("a", "v1");
		await front.pushImage("a", "v2");
		assert.equal((await front.send("DELETE", "/v2/a/manifests/v1")).status, 202);
		assert.equal((await front.send("GET", "/v2/a/manifests/v1")).code, "MANIFEST_UNKNOWN");
		assert.equal((await front.send("DELETE", "/v2/a/manifests/v1")).status, 404);
		assert.equal((await front.send("DELETE", `/v2/a/manifests/${digest}`)).status, 202);
		assert.equal((await front.send("HEAD", "/v2/a/manifests/v2")).status, 404);
		assert.equal((await front.send("DELETE", "/v2/nowhere/manifests/v1")).code, "NAME_UNKNOWN");
	});

	test("keeps an immutable tag", async (front) => {
		await front.pushImage("a", "v1");
		await front.repositories.updateRepository("a", { tagMutability: "IMMUTABLE" });
		await front.pushImage("a", "v1");
		const moved = await front.putManifest("a", "v1", { ...(await front.image("a")), annotations: { other: "1" } });
		assert.deepEqual([moved.status, moved.code], [409, "DENIED"]);
		await front.pushImage("a", "v2", { annotations: { other: "1" } });
	});

	test(
		"does not undo a push because a listener failed",
		async (front) => {
			await front.pushImage("a", "v1");
			assert.match(front.errors[0] ?? "", /listener/);
		},
		{ onPush: () => Promise.reject(new Error("no")) },
	);

	test(
		"without createOnPush a missing repository is NAME_UNKNOWN",
		async (front) => {
			for (const [method, path] of [
				["POST", "/v2/a/blobs/uploads/"],
				["POST", `/v2/a/blobs/uploads/?digest=${digestOf("x")}`],
			] as const) {
				const reply = await front.send(method, path, "x");
				assert.deepEqual([reply.status, reply.code], [404, "NAME_UNKNOWN"]);
			}
			const image = { schemaVersion: 2, config: descriptor("x", "x"), layers: [] };
			assert.equal((await front.putManifest("a", "v1", image)).code, "NAME_UNKNOWN");
		},
		{ createOnPush: false },
	);
});

describe("registry front: listings", () => {
	test("pages tags and repositories by n, last and Link", async (front) => {
		for (const tag of ["a", "b", "c", "d", "e"]) await front.pushImage("r/one", tag);
		await front.pushImage("r/two", "x");
		const seen: string[] = [];
		for (let path: string | undefined = "/v2/r/one/tags/list?n=2"; path; ) {
			const reply = await front.send("GET", path);
			seen.push(...(JSON.parse(reply.text) as { tags: string[] }).tags);
			path = /^<(.*)>; rel="next"$/.exec(String(reply.headers.link ?? ""))?.[1];
		}
		assert.deepEqual(seen, ["a", "b", "c", "d", "e"]);
		const none = await front.send("GET", "/v2/r/one/tags/list?n=0");
		assert.deepEqual([none.text, none.headers.link], ['{"name":"r/one","tags":[]}', undefined]);
		assert.equal((await front.send("GET", "/v2/r/one/tags/list?last=d")).text, '{"name":"r/one","tags":["e"]}');
		assert.equal(
			(await front.send("GET", "/v2/_catalog?n=1")).headers.link,
			'</v2/_catalog?n=1&last=r%2Fone>; rel="next"',
		);
		assert.equal((await front.send("GET", "/v2/_catalog?n=1&last=r%2Fone")).text, '{"repositories":["r/two"]}');
		assert.equal((await front.send("GET", "/v2/nowhere/tags/list")).code, "NAME_UNKNOWN");
		for (const n of ["-1", "x", "1e3", "99999999999999999999"])
			assert.equal((await front.send("GET", `/v2/_catalog?n=${n}`)).status, 400, n);
	});

	test(
		"lists referrers of subjects that need not exist, filtered and paged",
		async (front) => {
			const subject = descriptor(mediaTypes.ociManifest, "later");
			const image = await front.image("a");
			for (const [tag, artifactType] of [
				["1", "application/sbom"],
				["2", "application/sig"],
				["3", "application/sig"],
				["4", undefined],
			] as const) {
				const reply = await front.putManifest("a", tag, { ...image, subject, artifactType, annotations: { tag } });
				assert.equal(reply.headers["oci-subject"], subject.digest);
			}
			const list = async (query: string) => {
				const reply = await front.send(
					"GET",
					query.startsWith("/") ? query : `/v2/a/referrers/${subject.digest}${query}`,
				);
				assert.equal(reply.headers["content-type"], mediaTypes.ociIndex);
				const { manifests } = JSON.parse(reply.text) as {
					manifests: { artifactType: string; annotations: { tag: string } }[];
				};
				return {
					reply,
					tags: manifests.map((one) => one.annotations.tag),
					types: manifests.map((one) => one.artifactType),
				};
			};
			const first = await list("");
			assert.equal(first.tags.length, 3);
			const link = /^<(.*)>; rel="next"$/.exec(String(first.reply.headers.link))?.[1] ?? "";
			const second = await list(link);
			assert.deepEqual([...first.tags, ...second.tags].sort(), ["1", "2", "3", "4"]);
			assert.ok([...first.types, ...second.types].includes(mediaTypes.ociConfig));
			const filtered = await list("?artifactType=application/sig");
			assert.deepEqual(filtered.tags.sort(), ["2", "3"]);
			assert.equal(filtered.reply.headers["oci-filters-applied"], "artifactType");
			for (const path of [`/v2/a/referrers/${unknown}`, `/v2/nowhere/referrers/${unknown}`])
				assert.deepEqual((await list(path)).tags, []);
		},
		{ limits: { pageEntries: 3 } },
	);
});

describe("registry front: stalled and broken clients", () => {
	const quick = { limits: { idleMs: 150 } };

	test("an upload that breaks off keeps its bytes and is taken up again", async (front) => {
		const path = await front.begin("a");
		const socket = front.connect();
		socket.write(`PATCH ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhel`);
		await until(async () => (await front.send("GET", path)).headers.range === "0-2");
		socket.destroy();
		await until(async () => (await front.send("PATCH", path, "lo", { "Content-Range": "3-4" })).status === 202);
		assert.equal((await front.send("PUT", `${path}?digest=${digestOf("hello")}`)).status, 201);
	});

	test(
		"a client that stops sending does not keep the session to itself",
		async (front) => {
			const path = await front.begin("a");
			const socket = front.connect();
			const closed = new Promise((resolve) => socket.on("close", resolve).on("error", () => {}));
			socket.resume();
			socket.write(`PATCH ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhel`);
			await until(async () => (await front.send("GET", path)).headers.range === "0-2");
			const busy = await front.send("PATCH", path, "lo");
			assert.deepEqual([busy.status, busy.code], [409, "BLOB_UPLOAD_INVALID"]);
			await closed;
			assert.equal((await front.send("PATCH", path, "lo")).status, 202);
		},
		quick,
	);

	test(
		"a client that stops reading is disconnected",
		async (front) => {
			const digest = await front.pushBlob("a", Buffer.alloc(64 * 1024 * 1024));
			const socket = front.connect();
			const closed = new Promise((resolve) => socket.on("close", resolve).on("error", () => {}));
			socket.write(`GET /v2/a/blobs/${digest} HTTP/1.1\r\nHost: x\r\n\r\n`);
			await sleep(500);
			socket.resume();
			let received = 0;
			socket.on("data", (chunk) => {
				received += chunk.length;
			});
			await closed;
			assert.ok(received < 64 * 1024 * 1024, `got ${received} bytes`);
		},
		quick,
	);

	test("a refused body is dropped up to a bound, and the connection serves on", async (front) => {
		const reply = await front.send("PUT", "/v2/a/manifests/x", Buffer.alloc(8 * 1024 * 1024));
		assert.equal(reply.status, 413);
		const socket = front.connect();
		let sent = 0;
		let heard = "";
		socket.on("data", (chunk) => {
			heard += chunk;
		});
		const closed = new Promise((resolve) => socket.on("close", resolve).on("error", () => {}));
		socket.write(`PUT /v2/a/manifests/x HTTP/1.1\r\nHost: x\r\nContent-Length: ${2 ** 40}\r\n\r\n`);
		const flood = () => {
			sent += 1024 * 1024;
			if (socket.writable && sent < 256 * 1024 * 1024) socket.write(Buffer.alloc(1024 * 1024), flood);
		};
		flood();
		await closed;
		assert.match(heard, /^HTTP\/1.1 413/);
		assert.ok(sent < 64 * 1024 * 1024, `took ${sent} bytes`);
		assert.equal((await front.send("GET", "/v2/")).status, 200);
	});
});

async function until(condition: () => Promise<boolean>): Promise<void> {
	for (let tries = 0; tries < 100; tries++) {
		if (await condition()) return;
		await sleep(20);
	}
	assert.fail("The condition did not come true within 2 seconds");
}
