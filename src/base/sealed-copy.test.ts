import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
	closeSync,
	copyFileSync,
	ftruncateSync,
	mkdtempSync,
	openSync,
	readdirSync,
	readFileSync,
	rmSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { sealedCopy } from "./sealed-copy.ts";

const open = () => readdirSync("/proc/self/fd").length;

test("is the file, can be executed, and nobody can change it, however it is opened", (t) => {
	const folder = mkdtempSync(join(tmpdir(), "slipway-sealed-"));
	t.after(() => rmSync(folder, { recursive: true }));
	const program = join(folder, "program");
	copyFileSync("/bin/echo", program);
	const fd = sealedCopy(program);
	t.after(() => closeSync(fd));
	const path = `/proc/${process.pid}/fd/${fd}`;
	writeFileSync(program, "changed");
	assert.deepEqual(readFileSync(path), readFileSync("/bin/echo"));
	assert.equal(spawnSync(path, ["hello"], { encoding: "utf8" }).stdout, "hello\n");
	const anew = openSync(path, "r+");
	t.after(() => closeSync(anew));
	for (const one of [fd, anew]) {
		assert.throws(() => writeSync(one, "x", 0), { code: "EPERM" });
		assert.throws(() => ftruncateSync(one, 0), { code: "EPERM" });
		assert.throws(() => ftruncateSync(one, 1 << 20), { code: "EPERM" });
	}
	assert.throws(() => writeFileSync(path, ""), { code: "EPERM" });
});

test("leaves nothing open when there is no such file", () => {
	const before = open();
	assert.throws(() => sealedCopy("/no/such/program"), { code: "ENOENT" });
	assert.equal(open(), before);
});
