import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import { openCgroupHost } from "./cgroup.ts";

/** Folders of ordinary files in place of the kernel's. */
function fixture(t: { after: (cleanup: () => void) => void }, files: Record<string, string>): string {
	const root = mkdtempSync(join(tmpdir(), "slipway-cgroup-"));
	t.after(() => rmSync(root, { recursive: true, force: true }));
	for (const [path, content] of Object.entries(files)) {
		mkdirSync(dirname(join(root, path)), { recursive: true });
		writeFileSync(join(root, path), content);
	}
	return root;
}

const controllers = ["memory", "pids", "freezer", "cpu", "cpuacct"];
const version1 = {
	...Object.fromEntries(controllers.map((name) => [`${name}/cgroup.procs`, ""])),
	"memory/g/a/memory.usage_in_bytes": "9000000\n",
	"memory/g/a/memory.max_usage_in_bytes": "12000000\n",
	"memory/g/a/memory.stat": "cache 5\ninactive_file 3\ntotal_inactive_file 1000000\n",
	"memory/g/a/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
	"memory/g/a/cgroup.procs": "11\n12\n",
	"cpuacct/g/a/cpuacct.usage": "1234567890\n",
	"cpu/g/a/cpu.shares": "1024\n",
	"pids/g/a/pids.current": "3\n",
	"pids/g/a/cgroup.procs": "12\n13\n",
	"pids/g/a/inner/cgroup.procs": "14\n",
	"freezer/g/a/freezer.state": "THAWED\n",
};

test("version 1: one hierarchy a controller", async (t) => {
	const root = fixture(t, version1);
	const host = openCgroupHost(root);
	assert.equal(host.version, 1);

	assert.deepEqual(host.children("g"), ["a"]);
	assert.deepEqual(host.children("nothing"), []);
	const group = host.group("g/a");
	assert.deepEqual(group.stats(), { memoryBytes: 8_000_000, memoryPeakBytes: 11_000_000, cpuUs: 1_234_568, pids: 3 });
	assert.equal(group.oomKills(), 2);
	assert.deepEqual(group.processes().sort(), [11, 12, 13, 14]);
	await group.freeze();
	assert.equal(readFileSync(join(root, "freezer/g/a/freezer.state"), "utf8"), "FROZEN");
	group.thaw();
	assert.equal(readFileSync(join(root, "freezer/g/a/freezer.state"), "utf8"), "THAWED");
	assert.equal(host.group("g/gone").oomKills(), 0);
	group.limit({ memoryMiB: 64, cpus: 0.5, cpuRequest: 0.125, pids: 8 });
	assert.equal(readFileSync(join(root, "cpu/g/a/cpu.shares"), "utf8"), "128");
});

test("version 1 with an unmounted version 2 view: crun's ordinary folders there are removed too", async (t) => {
	const root = fixture(t, {
		...Object.fromEntries(controllers.map((name) => [`${name}/cgroup.procs`, ""])),
		"unified/g/a/cgroup.procs": "12\n",
	});
	await openCgroupHost(root).group("g/a").remove();
	assert.ok(!existsSync(join(root, "unified/g/a")));
	assert.ok(existsSync(join(root, "unified/g")));
});

test("version 2: one hierarchy", async (t) => {
	const root = fixture(t, {
		"cgroup.controllers": "cpu memory pids\n",
		"g/a/memory.current": "9000000\n",
		"g/a/memory.peak": "12000000\n",
		"g/a/memory.stat": "anon 1\nfile 2\ninactive_file 1000000\n",
		"g/a/memory.events": "low 0\nhigh 0\nmax 7\noom 1\noom_kill 1\n",
		"g/a/cpu.stat": "usage_usec 4242\nuser_usec 4000\n",
		"g/a/pids.current": "5\n",
		"g/a/cgroup.procs": "21\n",
		"g/a/cgroup.freeze": "0",
		"g/a/cgroup.events": "populated 1\nfrozen 1\n",
	});
	const host = openCgroupHost(root);
	assert.equal(host.version, 2);
	const group = host.group("g/a");
	assert.deepEqual(group.stats(), { memoryBytes: 8_000_000, memoryPeakBytes: 11_000_000, cpuUs: 4_242, pids: 5 });
	assert.equal(group.oomKills(), 1);
	assert.deepEqual(group.processes(), [21]);
	await group.freeze();
	assert.equal(readFileSync(join(root, "g/a/cgroup.freeze"), "utf8"), "1");
	group.thaw();
	assert.equal(readFileSync(join(root, "g/a/cgroup.freeze"), "utf8"), "0");
	rmSync(join(root, "g/a/memory.peak"));
	assert.equal(group.stats().memoryPeakBytes, 8_000_000);
	group.limit({ memoryMiB: 64, cpus: 0.5, cpuRequest: 0.125, pids: 8 });
	assert.equal(readFileSync(join(root, "g/a/cpu.weight"), "utf8"), "13");
});

test("missing controllers are named", (t) => {
	const root = fixture(t, { "memory/cgroup.procs": "" });
	assert.throws(
		() => openCgroupHost(root),
		(error) =>
			isSlipwayError(error, "UNAVAILABLE") && error.message.includes("pids, freezer, cpu, cpuacct") && !!error.hint,
	);
});
