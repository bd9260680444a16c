/** Images that are wrong, pushed to a real daemon and made functions of: each is refused in words, and nothing stays. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdirSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { DeleteFunctionCommand, GetFunctionCommand, UpdateFunctionCodeCommand } from "@aws-sdk/client-lambda";
import { type LocalDaemon, startDaemon } from "../../tools/local-daemon.ts";
import { FunctionClient, indexType, layerOf, manifestType, sha256 } from "./function-client.ts";
import { missingForFunctionImages, pushShellRuntime } from "./function-image.ts";

/** What a refusal must be, and the words that it must have. */
function refused(...words: RegExp[]) {
	return (error: Error) => {
		assert.equal(error.name, "InvalidParameterValueException", error.message);
		for (const each of words) assert.match(error.message, each);
		return true;
	};
}

describe("images that are wrong", { skip: missingForFunctionImages() ?? false }, () => {
	let daemon: LocalDaemon;
	let client: FunctionClient;

	before(async () => {
		daemon = await startDaemon();
		client = new FunctionClient(daemon);
	});
	after(async () => {
		client?.[Symbol.dispose]();
		await daemon?.[Symbol.asyncDispose]();
	});

	const hex = (digest: string) => digest.replace("sha256:", "");
	const blobs = () => readdirSync(join(daemon.home, "blobs/blobs/sha256"));
	const layers = () => readdirSync(join(daemon.home, "layers/layers/sha256"));
	const leftovers = () =>
		["layers/staging", "blobs/tmp"].flatMap((folder) =>
			readdirSync(join(daemon.home, folder)).map((name) => `${folder}/${name}`),
		);
	async function exists(name: string): Promise<boolean> {
		return client.lambda.send(new GetFunctionCommand({ FunctionName: name })).then(
			() => true,
			() => false,
		);
	}

	test("an index of several architectures is refused with what it holds and how to build", async () => {
		const amd = await client.pushImage("multi", layerOf({ a: "1" }));
		const arm = await client.pushImage("multi", { ...layerOf({ a: "2" }), architecture: "arm64" });
		const entry = (digest: string, architecture: string) => ({
			mediaType: manifestType,
			digest,
			size: 1,
			platform: { os: "linux", architecture },
		});
		const sized = await Promise.all(
			[entry(amd.manifest, "amd64"), entry(arm.manifest, "arm64")].map(async (each) => {
				const answer = await client.registry("HEAD", `multi/manifests/${each.digest}`, undefined, { accept: "*/*" });
				return { ...each, size: Number(answer.headers.get("content-length")) };
			}),
		);
		const index = { schemaVersion: 2, mediaType: indexType, manifests: sized };
		await client.pushManifest("multi", "all", index as { mediaType: string });
		await assert.rejects(
			client.create("multi", `${daemon.registry}/multi:all`),
			refused(/media type .* is not supported/, /linux\/amd64, linux\/arm64/, /docker buildx build --provenance=false/),
		);
		assert.equal(await exists("multi"), false);
	});

	test("architectures that do not fit are both named, whichever of image, function and machine is the odd one", async () => {
		const amd = await client.pushImage("arch-amd", layerOf({ b: "1" }));
		const arm = await client.pushImage("arch-arm", { ...layerOf({ b: "2" }), architecture: "arm64" });
		const riscv = await client.pushImage("arch-riscv", { ...layerOf({ b: "3" }), architecture: "riscv64" });
		const both = [/arm64/, /x86_64/, /--platform linux\//];
		await assert.rejects(client.create("arch", arm.uri), refused(...both));
		await assert.rejects(client.create("arch", amd.uri, { Architectures: ["arm64"] }), refused(...both));
		await assert.rejects(
			client.create("arch", arm.uri, { Architectures: ["arm64"] }),
			refused(/arm64/, /this machine runs x86_64/),
		);
		await assert.rejects(client.create("arch", riscv.uri), refused(/riscv64/, /x86_64/));
		assert.equal(await exists("arch"), false);
	});

	test("a repository, a tag or a manifest that is not there does not exist; a name that is none is named", async () => {
		await client.pushImage("there", layerOf({ c: "1" }));
		const unknown = `sha256:${"0".repeat(64)}`;
		for (const image of ["nowhere:v1", "there:v2", `there@${unknown}`])
			await assert.rejects(
				client.create("missing", `${daemon.registry}/${image}`),
				refused(/^Source image .* does not exist\. Provide a valid source image\.$/),
			);
		await assert.rejects(client.create("missing", `${daemon.registry}/Not A Name`), /Not A Name/);
		assert.equal(await exists("missing"), false);
	});

	test("a manifest whose blobs were never pushed is refused, and so is its tag", async () => {
		const absent = { digest: sha256("absent"), size: 6 };
		const answer = await client.registry(
			"PUT",
			"there/manifests/hollow",
			JSON.stringify({
				schemaVersion: 2,
				mediaType: manifestType,
				config: { mediaType: "application/vnd.oci.image.config.v1+json", ...absent },
				layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", ...absent }],
			}),
			{ "content-type": manifestType },
		);
		assert.equal(answer.status, 404);
		assert.match(await answer.text(), /MANIFEST_BLOB_UNKNOWN/);
		await assert.rejects(client.create("hollow", `${daemon.registry}/there:hollow`), refused(/does not exist/));
	});

	test("a layer's blob that is lost from the disk fails the function in words; pushing it again mends it", async () => {
		const image = { ...layerOf({ d: "lost" }) };
		const { uri, layer } = await client.pushImage("lost", image);
		rmSync(join(daemon.home, "blobs/blobs/sha256", hex(layer)));
		await client.create("lost", uri);
		const { State, StateReasonCode, StateReason } = await client.settled("lost");
		assert.deepEqual([State, StateReasonCode], ["Failed", "ImageDeleted"]);
		assert.match(StateReason ?? "", new RegExp(`is not complete: its blob ${layer} does not exist`));
		await assert.rejects(client.invoke("lost", {}), { name: "CodeArtifactUserDeletedException" });
		await client.lambda.send(new DeleteFunctionCommand({ FunctionName: "lost" }));
		await client.pushImage("lost", image);
		await client.createActive("lost", uri);
	});

	test("a config that is lost from the disk refuses the creation at once", async () => {
		const { uri, manifest } = await client.pushImage("no-config", layerOf({ e: "1" }));
		const text = await (
			await client.registry("GET", `no-config/manifests/${manifest}`, undefined, { accept: "*/*" })
		).text();
		const { config } = JSON.parse(text) as { config: { digest: string } };
		rmSync(join(daemon.home, "blobs/blobs/sha256", hex(config.digest)));
		await assert.rejects(client.create("no-config", uri), refused(new RegExp(`${config.digest} does not exist`)));
	});

	test("bytes that are not what their digest says are refused, however they come, and are nowhere", async () => {
		const held = blobs().length;
		const claimed = sha256("the truth");
		const whole = await client.registry("POST", `lies/blobs/uploads/?digest=${claimed}`, "a lie");
		const begun = await client.registry("POST", "lies/blobs/uploads/");
		const location = begun.headers.get("location") ?? "";
		const put = await client.registry("PUT", `${location}?digest=${claimed}`, "a lie");
		for (const answer of [whole, put]) {
			assert.equal(answer.status, 400);
			assert.match(await answer.text(), /"DIGEST_INVALID"/);
		}
		assert.equal((await client.registry("HEAD", `lies/blobs/${claimed}`)).status, 404);
		assert.equal((await client.registry("GET", location)).status, 404, "the session ended with the lie");
		assert.equal(blobs().length, held);
		assert.deepEqual(leftovers(), []);
	});

	test("layers that do not unpack make the function Failed, say why, and leave nothing behind", async () => {
		const sound = layerOf({ big: randomBytes(300_000) });
		const flipped = Buffer.from(sound.layer);
		flipped.fill(0xff, 100_000, 100_400);
		const cases = {
			flipped: { layer: flipped, diffId: sound.diffId },
			truncated: { layer: sound.layer.subarray(0, 150_000), diffId: sound.diffId },
			plain: { layer: Buffer.from("this is no gzip"), diffId: sha256("no gzip") },
			"not-tar": { layer: gzipSync(randomBytes(4096)), diffId: sha256("no tar") },
			"other-diff-id": { layer: sound.layer, diffId: sha256("other") },
			"trailing-garbage": { layer: Buffer.concat([sound.layer, randomBytes(600)]), diffId: sound.diffId },
		};
		const before = layers();
		for (const [name, image] of Object.entries(cases)) {
			const { uri, layer } = await client.pushImage(name, image);
			await client.create(name, uri);
			const { State, StateReasonCode, StateReason = "" } = await client.settled(name);
			assert.deepEqual([name, State, StateReasonCode], [name, "Failed", "InvalidImage"], StateReason);
			assert.ok(StateReason.includes(layer), `${name}: the reason names the layer: ${StateReason}`);
			assert.doesNotMatch(StateReason, /Internal error/);
		}
		assert.deepEqual(layers(), before);
		assert.deepEqual(leftovers(), []);
		const { uri } = await client.pushImage("sound", sound);
		await client.createActive("sound", uri);
	});

	test("an update to a bad image fails by itself: the function goes on with the code it had", async () => {
		const good = await pushShellRuntime(daemon, "good");
		await client.createActive("updated", good);
		const bad = await client.pushImage("bad-update", { layer: Buffer.from("no gzip"), diffId: sha256("x") });
		await client.lambda.send(new UpdateFunctionCodeCommand({ FunctionName: "updated", ImageUri: bad.uri }));
		let configuration = await client.settled("updated");
		while (configuration.LastUpdateStatus === "InProgress") configuration = await client.settled("updated");
		assert.deepEqual(
			[configuration.State, configuration.LastUpdateStatus, configuration.LastUpdateStatusReasonCode],
			["Active", "Failed", "InvalidImage"],
		);
		assert.deepEqual((await client.invoke("updated", { n: 1 })).json, { n: 1 });
	});

	test("an upload whose connection breaks goes on where it stopped, and its bytes are whole", async () => {
		const content = randomBytes(1_000_000);
		const begun = await client.registry("POST", "broken/blobs/uploads/");
		const location = begun.headers.get("location") ?? "";
		await sendPart(location, content, 400_000);
		let range: string | null = null;
		for (let tries = 0; tries < 100 && (range === null || range === "0-0"); tries++) {
			range = (await client.registry("GET", location)).headers.get("range");
			await new Promise((resolve) => setTimeout(resolve, 20));
		}
		const held = Number(range?.split("-")[1]) + 1;
		assert.ok(held > 1 && held <= 400_000, `${held} bytes are there`);
		const wrong = await client.registry("PATCH", location, content.subarray(0, 10), { "content-range": "0-9" });
		assert.equal(wrong.status, 416, "from the start again is refused");
		const rest = content.subarray(held);
		const patched = await client.registry("PATCH", location, rest, {
			"content-range": `${held}-${content.length - 1}`,
		});
		assert.equal(patched.status, 202, await patched.text());
		const done = await client.registry("PUT", `${location}?digest=${sha256(content)}`);
		assert.equal(done.status, 201, await done.text());
		const read = await client.registry("GET", `broken/blobs/${sha256(content)}`);
		assert.ok(Buffer.from(await read.arrayBuffer()).equals(content));
	});

	/** A PATCH that announces everything, sends `count` bytes and hangs up. */
	function sendPart(location: string, content: Buffer, count: number): Promise<void> {
		const { hostname, port } = new URL(daemon.url);
		return new Promise((resolve, reject) => {
			const socket = connect(Number(port), hostname, () => {
				const head = [
					`PATCH ${location} HTTP/1.1`,
					`Host: ${hostname}:${port}`,
					`Authorization: ${client.registryHeaders.authorization}`,
					"Content-Type: application/octet-stream",
					`Content-Length: ${content.length}`,
				];
				socket.write(`${head.join("\r\n")}\r\n\r\n`);
				socket.write(content.subarray(0, count), () =>
					setTimeout(() => {
						socket.destroy();
						resolve();
					}, 100),
				);
			});
			socket.on("error", reject);
		});
	}
});
