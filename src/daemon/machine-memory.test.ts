import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { MachineMemory } from "./machine-memory.ts";

const meminfo =
	"MemTotal:        8000 kB\nMemFree:          100 kB\nMemAvailable:    2000 kB\nBuffers:           10 kB\n";
const pressure = "some avg10=12.50 avg60=1.00 avg300=0.10 total=123\nfull avg10=1.00 avg60=0.10 avg300=0.00 total=12\n";

function machine(t: TestContext, files: Record<string, string>): MachineMemory {
	const root = mkdtempSync(join(tmpdir(), "slipway-memory-"));
	t.after(() => rmSync(root, { recursive: true }));
	for (const [path, text] of Object.entries(files)) {
		mkdirSync(dirname(join(root, path)), { recursive: true });
		writeFileSync(join(root, path), text);
	}
	return new MachineMemory({ proc: join(root, "proc"), cgroup: join(root, "cgroup") });
}

const whole = { availableBytes: 2000 * 1024, totalBytes: 8000 * 1024 };

test("what is available of the machine, with and without PSI", (t) => {
	const with_ = machine(t, { "proc/meminfo": meminfo, "proc/pressure/memory": pressure });
	assert.deepEqual(with_.observe(), { ...whole, stalledPercent: 12.5 });
	const without = machine(t, { "proc/meminfo": meminfo });
	assert.deepEqual(without.observe(), { ...whole, stalledPercent: undefined });
});

test("no /proc, no observation", (t) => {
	assert.equal(machine(t, {}).observe(), undefined);
});

const groups: Record<string, Record<string, string>> = {
	v2: {
		"proc/self/cgroup": "0::/system.slice/slipway.service\n",
		"cgroup/system.slice/slipway.service/memory.max": "1000000\n",
		"cgroup/system.slice/slipway.service/memory.current": "900000\n",
		"cgroup/system.slice/slipway.service/memory.stat": "anon 1\nfile 2\ninactive_file 50000\n",
	},
	"v2 in a container": {
		"proc/self/cgroup": "0::/../outside\n",
		"cgroup/memory.max": "1000000\n",
		"cgroup/memory.current": "900000\n",
		"cgroup/memory.stat": "inactive_file 50000\n",
	},
	v1: {
		"proc/self/cgroup": "12:cpu,cpuacct:/x\n5:memory:/slipway\n0::/\n",
		"cgroup/memory/slipway/memory.limit_in_bytes": "1000000\n",
		"cgroup/memory/slipway/memory.usage_in_bytes": "900000\n",
		"cgroup/memory/slipway/memory.stat": "inactive_file 50000\ntotal_inactive_file 50000\n",
	},
};
for (const [version, files] of Object.entries(groups))
	test(`the control group's limit where it leaves less (${version})`, (t) => {
		const memory = machine(t, { "proc/meminfo": meminfo, ...files });
		const limited = { availableBytes: 150_000, totalBytes: 1_000_000, stalledPercent: undefined };
		assert.deepEqual(memory.observe(), limited);
	});

for (const limit of ["max\n", "9223372036854771712\n"])
	test(`a control group without a limit (${limit.trim()}) says nothing`, (t) => {
		const memory = machine(t, {
			"proc/meminfo": meminfo,
			"proc/self/cgroup": "0::/\n",
			"cgroup/memory.max": limit,
			"cgroup/memory.current": "5\n",
		});
		assert.deepEqual(memory.observe(), { ...whole, stalledPercent: undefined });
	});

test("this machine tells something sensible", (t) => {
	const observed = new MachineMemory().observe();
	if (!observed) return t.skip("no /proc/meminfo here");
	assert.ok(observed.availableBytes > 0 && observed.availableBytes <= observed.totalBytes);
});
