import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { userDatabase } from "./user-database.ts";

const user = { uid: 993, gid: 990, name: "ada", home: "/home/ada" };
const entry = "ada:x:993:990::/home/ada:/sbin/nologin\n";

test("The sandbox's user joins those of the image, unless the image has none, a link, or that number", (context) => {
	const root = mkdtempSync(join(tmpdir(), "slipway-passwd-"));
	context.after(() => rmSync(root, { recursive: true }));
	assert.equal(userDatabase(root, user), undefined);
	mkdirSync(join(root, "etc"));
	const file = join(root, "etc/passwd");
	for (const [own, made] of [
		["", entry],
		["root:x:0:0::/:/bin/sh\n", `root:x:0:0::/:/bin/sh\n${entry}`],
		["root:x:0:0::/:/bin/sh", `root:x:0:0::/:/bin/sh\n${entry}`],
		["bob:x:993:1::/:/bin/sh\n", undefined],
	] as const) {
		writeFileSync(file, own);
		assert.equal(userDatabase(root, user), made);
	}
	assert.equal(userDatabase(root, { uid: 993, gid: 990 }), undefined);
	rmSync(file);
	symlinkSync("/etc/passwd", file);
	assert.equal(userDatabase(root, user), undefined);
});
