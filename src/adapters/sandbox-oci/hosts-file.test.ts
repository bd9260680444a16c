import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { HostsFile } from "./hosts-file.ts";

const HEAD = "127.0.0.1 localhost\n";

test("names come, change and go in one and the same file, behind its first line", (t) => {
	const folder = mkdtempSync(join(tmpdir(), "slipway-hosts-"));
	t.after(() => rmSync(folder, { recursive: true }));
	const path = join(folder, "hosts");
	using hosts = new HostsFile(path, HEAD);
	const { ino } = statSync(path);
	const fd = openSync(path, "r");
	t.after(() => closeSync(fd));
	const read = () => {
		const buffer = Buffer.alloc(4096);
		return buffer.toString("utf8", 0, readSync(fd, buffer, 0, buffer.length, 0));
	};
	assert.equal(read(), HEAD);
	hosts.publish({ b: "10.0.0.2" });
	assert.equal(read(), `${HEAD}10.0.0.2 b\n`);
	// New ones come last, wherever they stand, so that nobody reads a line that is being written over.
	hosts.publish({ a: "10.0.0.1", b: "10.0.0.2" });
	assert.equal(read(), `${HEAD}10.0.0.2 b\n10.0.0.1 a\n`);
	hosts.publish({ a: "10.0.0.1", b: "10.0.0.200" });
	assert.equal(read(), `${HEAD}10.0.0.1 a\n10.0.0.200 b\n`);
	hosts.publish({ a: "10.0.0.1" });
	assert.equal(read(), `${HEAD}10.0.0.1 a\n`);
	hosts.publish({});
	assert.equal(read(), HEAD);
	assert.equal(readFileSync(path, "utf8"), HEAD);
	assert.equal(statSync(path).ino, ino);
});
