import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { isSlipwayError } from "../base/error.ts";
import { readRunningDaemon } from "../client/local.ts";
import { takeLock } from "./lock.ts";

const record = {
	pid: process.pid,
	startedMs: 1,
	version: "1",
	address: "127.0.0.1:1",
	url: "",
	region: "us-east-1",
	accountId: "",
};

function folder(context: TestContext): string {
	const path = mkdtempSync(join(tmpdir(), "slipway-lock-"));
	context.after(() => rmSync(path, { recursive: true }));
	return path;
}

/** Another process that holds the lock until it is killed. */
async function holder(home: string, context: TestContext) {
	const code = `import { takeLock } from ${JSON.stringify(new URL("./lock.ts", import.meta.url).href)};
		takeLock(${JSON.stringify(home)}, { ...${JSON.stringify(record)}, pid: process.pid, address: "127.0.0.1:9" });
		console.log("held"); setInterval(() => {}, 1000);`;
	const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", code], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	context.after(() => child.kill("SIGKILL"));
	await once(child.stdout, "data");
	return child;
}

test("A second process is told who owns the folder; after kill -9 the lock is free at once", async (context) => {
	const home = join(folder(context), "deep", "er");
	const child = await holder(home, context);
	assert.equal(readRunningDaemon(home)?.pid, child.pid);
	assert.throws(
		() => takeLock(home, record),
		(error) => {
			assert(isSlipwayError(error, "CONFLICT"));
			assert.match(error.message, new RegExp(`process ${child.pid}, on 127\\.0\\.0\\.1:9`));
			assert.match(error.hint ?? "", /slipway down/);
			return true;
		},
	);
	child.kill("SIGKILL");
	await once(child, "exit");
	assert.equal(readRunningDaemon(home), undefined, "the record of a dead process counts for nothing");
	using _ = takeLock(home, record);
	assert.equal(readRunningDaemon(home)?.pid, process.pid);
});

test("Updates are read back; letting go leaves nothing to read", (context) => {
	const home = folder(context);
	{
		using lock = takeLock(home, { ...record, address: "a-longer-address.example:4747" });
		lock.update({ ...record, url: "http://x" });
		assert.deepEqual(readRunningDaemon(home), { ...record, url: "http://x" });
	}
	assert.equal(readRunningDaemon(home), undefined);
	using _ = takeLock(home, record);
});

test("Looking never takes the lock", (context) => {
	const home = folder(context);
	assert.equal(readRunningDaemon(home), undefined);
	assert.equal(readRunningDaemon(join(home, "missing")), undefined);
	using _ = takeLock(home, record);
});

test("A home that is no folder, or a lock that is a link, is refused in words", (context) => {
	const home = folder(context);
	writeFileSync(join(home, "file"), "");
	for (const path of [join(home, "file"), join(home, "file", "below")])
		assert.throws(
			() => takeLock(path, record),
			(error) => isSlipwayError(error, "INVALID"),
		);
	mkdirSync(join(home, "linked"));
	symlinkSync("/etc/passwd", join(home, "linked", "daemon.lock"));
	assert.throws(
		() => takeLock(join(home, "linked"), record),
		(error) => isSlipwayError(error, "INVALID"),
	);
});

test("A home that can't be written is refused in words", (context) => {
	// Even root may not make files in /proc; it answers ENOENT, so /sys, which answers EPERM or EACCES.
	void context;
	assert.throws(
		() => takeLock("/sys/slipway-home", record),
		(error) => isSlipwayError(error, "FORBIDDEN") && /can't be written/.test(error.message),
	);
});
