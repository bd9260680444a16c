import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { getPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { silentLog } from "../../base/log.ts";
import { BackgroundGroup } from "./background-group.ts";

async function sleeper(context: TestContext): Promise<ChildProcess & { pid: number }> {
	const child = spawn("sleep", ["60"], { stdio: "ignore" });
	context.after(() => child.kill("SIGKILL"));
	await once(child, "spawn");
	return child as ChildProcess & { pid: number };
}

function folder(context: TestContext): string {
	const path = mkdtempSync(join(tmpdir(), "slipway-group-"));
	context.after(() => rmSync(path, { recursive: true }));
	return path;
}

const version1 = "/sys/fs/cgroup/cpu";
const isOurs = process.getuid?.() === 0 && existsSync(join(version1, "cgroup.procs"));

test("on this machine: a small share of the CPU, for processes that are added, and nothing left", {
	skip: !isOurs && "needs root and cgroup version 1",
}, async (context) => {
	const name = `slipway-test-${randomUUID()}`;
	const child = await sleeper(context);
	const group = BackgroundGroup.open(name, silentLog);
	// As after a kill: another process's group of the same name is taken over.
	const again = BackgroundGroup.open(name, silentLog);
	again.add(child.pid);
	assert.equal(readFileSync(join(version1, name, "cgroup.procs"), "utf8").trim(), `${child.pid}`);
	assert.equal(readFileSync(join(version1, name, "cpu.shares"), "utf8").trim(), "200");
	assert.equal(getPriority(child.pid), 0);
	child.kill("SIGKILL");
	await once(child, "exit");
	group.add(child.pid);
	group[Symbol.dispose]();
	again[Symbol.dispose]();
	assert.equal(existsSync(join(version1, name)), false);
});

test("version 2: the group has the weight, and the processes", (context) => {
	const root = folder(context);
	writeFileSync(join(root, "cgroup.controllers"), "cpu memory");
	BackgroundGroup.open("slipway-unpack-x", silentLog, root).add(4711);
	assert.equal(readFileSync(join(root, "cgroup.subtree_control"), "utf8"), "+cpu");
	assert.equal(readFileSync(join(root, "slipway-unpack-x", "cpu.weight"), "utf8"), "20");
	assert.equal(readFileSync(join(root, "slipway-unpack-x", "cgroup.procs"), "utf8"), "4711");
});

test("without control groups, and where they may not be made: the lowest priority", async (context) => {
	const root = folder(context);
	const refusing = folder(context);
	// A file where a group's folder would be: no group can be made, whoever asks.
	mkdirSync(join(refusing, "cpu"));
	writeFileSync(join(refusing, "cpu", "group"), "");
	for (const place of [root, refusing]) {
		const child = await sleeper(context);
		using group = BackgroundGroup.open("group", silentLog, place);
		group.add(child.pid);
		assert.equal(getPriority(child.pid), 19);
		assert.equal(existsSync(join(root, "cpu")), false);
	}
});
