/** A disk that fills up under a push, an unpack and a state write: the contract's error, no half of anything, and on it goes. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, existsSync, fsyncSync, mkdtempSync, openSync, readdirSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { DeleteFunctionCommand, GetFunctionCommand, ListFunctionsCommand } from "@aws-sdk/client-lambda";
import { type LocalDaemon, startDaemon } from "../../tools/local-daemon.ts";
import { FunctionClient, layerOf, sha256 } from "../e2e/function-client.ts";
import { missingForFunctionImages, pushShellRuntime } from "../e2e/function-image.ts";

/** Room for the daemon and an image, and quickly filled. */
const diskMiB = 96;
const skip = missingForFunctionImages() ?? false;

describe("a full disk", { skip }, () => {
	let home: string;
	let daemon: LocalDaemon;
	let client: FunctionClient;
	const filler = () => join(home, "filler");

	before(async () => {
		home = mkdtempSync(join(tmpdir(), "slipway-full-"));
		execFileSync("mount", ["-t", "tmpfs", "-o", `size=${diskMiB}m`, "slipway-full", home]);
		daemon = await startDaemon({ home });
		client = new FunctionClient(daemon);
		await client.createActive("old", await pushShellRuntime(daemon, "shell"));
		assert.deepEqual((await client.invoke("old", { n: 1 })).json, { n: 1 });
	});
	after(async () => {
		free();
		client?.[Symbol.dispose]();
		await daemon?.[Symbol.asyncDispose]();
		execFileSync("umount", [home]);
		rmSync(home, { recursive: true });
	});

	/** Leaves `kib` of the disk. */
	function fill(kib: number): void {
		const file = openSync(filler(), "w");
		const chunk = Buffer.alloc(4096);
		try {
			for (;;) writeSync(file, chunk);
		} catch (error) {
			assert.equal((error as NodeJS.ErrnoException).code, "ENOSPC");
		}
		if (kib > 0) execFileSync("truncate", ["-s", `-${kib}K`, filler()]);
		fsyncSync(file);
		closeSync(file);
	}
	const free = () => rmSync(filler(), { force: true });
	const inside = (folder: string) => readdirSync(join(home, folder));

	test("a push is refused with 507, leaves nothing, and works when there is room again", async () => {
		const content = randomBytes(4 << 20);
		const digest = sha256(content);
		fill(1024);
		const whole = await client.registry("POST", `full/blobs/uploads/?digest=${digest}`, content);
		assert.equal(whole.status, 507);
		assert.match(await whole.text(), /No space is left on the device/);
		assert.deepEqual(inside("blobs/tmp"), []);
		const begun = await client.registry("POST", "full/blobs/uploads/");
		const location = begun.headers.get("location") ?? "";
		const chunk = await client.registry("PATCH", location, content);
		assert.equal(chunk.status, 507);
		await chunk.text();
		assert.equal((await client.registry("HEAD", `full/blobs/${digest}`)).status, 404);
		free();
		const range = (await client.registry("GET", location)).headers.get("range");
		const held = range === "0-0" ? 0 : Number(range?.split("-")[1]) + 1;
		assert.ok(held < content.length, `${held}`);
		const rest = await client.registry("PATCH", location, content.subarray(held));
		assert.equal(rest.status, 202, await rest.text());
		const done = await client.registry("PUT", `${location}?digest=${digest}`);
		assert.equal(done.status, 201, await done.text());
		const read = await client.registry("GET", `full/blobs/${digest}`);
		assert.ok(Buffer.from(await read.arrayBuffer()).equals(content), "the session went on where the disk was full");
	});

	test("an unpack fails the function in words, leaves nothing, and works when there is room again", async () => {
		const image = layerOf({ zeros: Buffer.alloc(20 << 20) });
		const { uri } = await client.pushImage("big", image);
		const before = inside("layers/layers/sha256");
		fill(4096);
		await client.create("big", uri);
		const { State, StateReasonCode, StateReason } = await client.settled("big");
		assert.deepEqual([State, StateReasonCode], ["Failed", "InternalError"]);
		assert.match(StateReason ?? "", /No space is left on the device/);
		assert.deepEqual(inside("layers/staging"), []);
		assert.deepEqual(inside("layers/layers/sha256"), before);
		assert.deepEqual((await client.invoke("old", { n: 2 })).json, { n: 2 }, "the functions that were there answer");
		free();
		await client.lambda.send(new DeleteFunctionCommand({ FunctionName: "big" }));
		await client.createActive("big", uri);
	});

	test("a state that can't be written is not acknowledged and not half there", async () => {
		const uri = `${daemon.registry}/shell:v1`;
		fill(0);
		const failed: string[] = [];
		const Description = "x".repeat(256);
		for (let n = 0; n < 400 && failed.length < 3; n++) {
			const name = `new-${n}`;
			try {
				await client.create(name, uri, { Description });
			} catch (error) {
				const { name: kind, message, $metadata } = error as Error & { $metadata?: { httpStatusCode?: number } };
				assert.deepEqual([kind, $metadata?.httpStatusCode], ["ServiceException", 500], message);
				assert.match(message, /No space is left on the device|disk/i);
				failed.push(name);
			}
		}
		assert.equal(failed.length, 3, "the disk is full");
		for (const FunctionName of failed)
			await assert.rejects(client.lambda.send(new GetFunctionCommand({ FunctionName })), {
				name: "ResourceNotFoundException",
			});
		assert.deepEqual((await client.invoke("old", { n: 3 })).json, { n: 3 });
		free();
		await client.createActive(failed[0] ?? "", uri);
	});

	test("after a stop with a full disk, and a restart, there is what was acknowledged and nothing else", async () => {
		const names = await listed();
		fill(0);
		await client.invoke("old", { do: "log", size: 2000 });
		await daemon[Symbol.asyncDispose]();
		assert.equal(daemon.process?.exitCode, 0, "SIGTERM ends it well with a full disk too");
		free();
		client[Symbol.dispose]();
		daemon = await startDaemon({ home });
		client = new FunctionClient(daemon);
		assert.deepEqual(await listed(), names);
		assert.deepEqual((await client.invoke("old", { n: 4 })).json, { n: 4 });
		assert.equal(existsSync(filler()), false);
	});

	async function listed(): Promise<string[]> {
		const names: string[] = [];
		let Marker: string | undefined;
		do {
			const page = await client.lambda.send(new ListFunctionsCommand({ Marker }));
			names.push(...(page.Functions ?? []).map(({ FunctionName = "" }) => FunctionName));
			Marker = page.NextMarker;
		} while (Marker);
		return names;
	}
});
