import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { KeptNumber } from "./kept-file.ts";

function openHere(folder: string): number {
	return readdirSync("/proc/self/fd").filter((name) => {
		try {
			return readlinkSync(`/proc/self/fd/${name}`).startsWith(folder);
		} catch {
			return false; // the one that lists
		}
	}).length;
}

it("reads what the file says now with one descriptor, and lets go of it", (t) => {
	const folder = mkdtempSync(join(tmpdir(), "slipway-kept-"));
	t.after(() => rmSync(folder, { recursive: true }));
	const path = join(folder, "number");
	const kept = new KeptNumber(path);
	assert.equal(kept.read(), 0);
	writeFileSync(path, "4294967296\n");
	assert.equal(kept.read(), 4_294_967_296);
	writeFileSync(path, "12\n");
	assert.equal(kept.read(), 12);
	assert.equal(openHere(folder), 1);
	kept.close();
	kept.close();
	assert.equal(openHere(folder), 0);
	assert.equal(kept.read(), 12);
	kept.close();
});
