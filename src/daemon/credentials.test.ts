import assert from "node:assert/strict";
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { createCredentials, loadOrCreateCredentials } from "./credentials.ts";

async function folder(context: TestContext): Promise<string> {
	const path = await mkdtemp(join(tmpdir(), "slipway-credentials-"));
	context.after(() => rm(path, { recursive: true }));
	return path;
}

test("Made once, for the owner alone, and the same ever after", async (context) => {
	const home = await folder(context);
	const first = await loadOrCreateCredentials(home, 5);
	const path = join(home, "credentials.json");
	assert.equal((await stat(path)).mode & 0o777, 0o600);
	assert.deepEqual(await readdir(home), ["credentials.json"]);
	assert.deepEqual(await loadOrCreateCredentials(home, 6), first);
	await chmod(path, 0o644);
	await loadOrCreateCredentials(home, 7);
	assert.equal((await stat(path)).mode & 0o777, 0o600);
});

test("No two installations share anything", () => {
	const many = Array.from({ length: 200 }, () => createCredentials(0));
	for (const field of ["accessKeyId", "secretAccessKey", "token", "registryPassword", "accountId"] as const)
		assert.equal(new Set(many.map((one) => one[field])).size, many.length, field);
	for (const { accessKeyId, secretAccessKey, accountId } of many) {
		assert.match(accessKeyId, /^AKIA[A-Z2-7]{16}$/);
		assert.equal(secretAccessKey.length, 40);
		assert.match(accountId, /^[1-9]\d{11}$/);
	}
});

test("A damaged file is refused and left as it is; the message shows nothing of it", async (context) => {
	const home = await folder(context);
	const path = join(home, "credentials.json");
	for (const text of ["", "{", '{"token":"hunter2"}', JSON.stringify({ ...createCredentials(0), token: "hunter2" })]) {
		await writeFile(path, text);
		await assert.rejects(loadOrCreateCredentials(home, 0), (error: Error) => {
			assert.match(error.message, /credentials\.json is damaged/);
			assert(!error.message.includes("hunter2"));
			return true;
		});
		assert.equal(await readFile(path, "utf8"), text);
	}
});
