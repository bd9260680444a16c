import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { silentLog } from "../../base/log.ts";
import { favorDynamicCgroups } from "./dynamic-cgroups.ts";
import { mountsBelow } from "./mount-points.ts";
import { inOwnMountNamespace } from "./testing/own-mount-namespace.ts";

/** The version 2 hierarchy's options, as the machine's first process sees them. */
function options(): string[] {
	const line = readFileSync("/proc/1/mounts", "utf8")
		.split("\n")
		.find((mount) => mount.split(" ")[2] === "cgroup2");
	return line?.split(" ")[3]?.split(",").sort() ?? [];
}

await inOwnMountNamespace(import.meta.filename, () => {
	test("takes no option away from the hierarchy, and leaves neither mount nor folder", {
		skip: process.getuid?.() !== 0 && "needs root",
	}, (t) => {
		const folder = mkdtempSync(join(tmpdir(), "slipway-cgroup2-"));
		t.after(() => rmSync(folder, { recursive: true }));
		const infos: string[] = [];
		const log = { ...silentLog, info: (message: string) => void infos.push(message) };
		const before = options();
		for (let round = 0; round < 2; round++) favorDynamicCgroups(folder, log);
		assert.deepEqual(
			before.filter((option) => !options().includes(option)),
			[],
		);
		assert.ok(before.length === 0 || infos.length > 0 || options().includes("favordynmods"));
		assert.deepEqual(mountsBelow(folder), []);
		assert.ok(!existsSync(join(folder, "cgroup2")));
	});
});
