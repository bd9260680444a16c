import assert from "node:assert/strict";
import { readlinkSync } from "node:fs";
import { test } from "node:test";
import { hybridCgroup2, inOwnMountNamespace } from "./namespace.ts";

const v1 = "30 24 0:26 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory";
const unified = "31 24 0:27 / /sys/fs/cgroup/unified rw,relatime shared:10 - cgroup2 cgroup2 rw";
const v2 = "31 24 0:27 / /sys/fs/cgroup rw,relatime shared:10 - cgroup2 cgroup2 rw";

test("Only a host with both kinds of control groups is hybrid", () => {
	assert.equal(hybridCgroup2([v1, unified].join("\n")), "/sys/fs/cgroup/unified");
	assert.equal(hybridCgroup2(v1), undefined);
	assert.equal(hybridCgroup2(v2), undefined);
	assert.equal(hybridCgroup2(""), undefined);
});

test("The argument must name the namespace that the process is in", () => {
	const here = readlinkSync("/proc/self/ns/mnt");
	assert(inOwnMountNamespace(["--detached", `--mount-namespace=${here}`]));
	assert(!inOwnMountNamespace(["--mount-namespace=mnt:[1]"]));
	assert(!inOwnMountNamespace([]));
});
