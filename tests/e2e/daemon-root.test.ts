/** The daemon as it is started for real: its own mount namespace, the detached start, doctor. Needs root. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readRunningDaemon } from "../../src/client/local.ts";
import { environment, slipway, slipwayPath, testHome } from "./slipway.ts";

const skip = process.getuid?.() === 0 ? false : "needs root";

test("up --detach, status, a crash, the next start, down: nothing of it is left on the machine", {
	skip,
}, async (context) => {
	const home = testHome(context);
	const run = (...args: string[]) => slipway(home, args);
	context.after(() => {
		const left = readRunningDaemon(home);
		if (left) process.kill(left.pid, "SIGKILL");
	});
	const up = () => run("up", "--detach", "--listen", "127.0.0.1:0", "--json");
	const first = await up();
	assert.equal(first.code, 0, first.err);
	const { pid, url } = JSON.parse(first.out);
	assert.notEqual(
		readlinkSync(`/proc/${pid}/ns/mnt`),
		readlinkSync("/proc/self/ns/mnt"),
		"a mount namespace of its own",
	);
	const mounts = readFileSync(`/proc/${pid}/mountinfo`, "utf8");
	assert(!mounts.includes("/sys/fs/cgroup/unified"), "a hybrid host's second view is gone");
	assert(!readFileSync("/proc/self/mountinfo", "utf8").includes(home), "none of its mounts is seen outside");
	assert.equal((await fetch(`${url}/readyz`)).status, 200);
	assert.match((await run("status")).out, /runtime {4}(crun|runc) \d/);

	process.kill(pid, "SIGKILL");
	while (readRunningDaemon(home)) await new Promise((resolve) => setTimeout(resolve, 5));
	const second = await up();
	assert.equal(second.code, 0, second.err);
	const down = await run("down");
	assert.equal(down.code, 0, down.err);
	assert(!readFileSync("/proc/self/mountinfo", "utf8").includes(home));
	assert(!readdirSync(home).includes("tmp"));
	assert.match(readFileSync(join(home, "daemon.log"), "utf8"), /"Stopped"\}\n$/);
});

test("up in the foreground becomes the daemon: same process, banner, Ctrl-C", { skip }, async (context) => {
	const home = testHome(context);
	const child = spawn(slipwayPath, ["up", "--listen", "127.0.0.1:0"], {
		env: environment(home),
		stdio: ["ignore", "pipe", "pipe"],
	});
	context.after(() => child.kill("SIGKILL"));
	let banner = "";
	await new Promise<void>((resolve) =>
		child.stdout.on("data", (chunk: Buffer) => {
			banner += chunk;
			if (banner.includes("Ctrl-C")) resolve();
		}),
	);
	assert.match(banner, /^Slipway \d[\s\S]*address {3}http:\/\/127\.0\.0\.1:\d+\n[\s\S]*slipway env/);
	assert.equal(readRunningDaemon(home)?.pid, child.pid);
	child.kill("SIGINT");
	const [code] = await new Promise<[number | null]>((resolve) => child.once("exit", (code) => resolve([code])));
	assert.equal(code, 0);
});

test("A start that is refused says so through --detach", { skip }, async (context) => {
	const home = testHome(context);
	const refused = await slipway(home, ["up", "-d", "--listen", "0.0.0.0:0"]);
	assert.equal(refused.code, 1);
	assert.match(refused.err, /^slipway: SLIPWAY_LISTEN is '0\.0\.0\.0'[\s\S]*hint: Give a certificate/);
});

test("doctor starts a real container, and its exit code is what it found", { skip }, async (context) => {
	const { code, out } = await slipway(testHome(context), ["doctor", "--json"]);
	const { ok, findings } = JSON.parse(out) as {
		ok: boolean;
		findings: { name: string; status: string; detail: string }[];
	};
	assert.equal(code, ok ? 0 : 1);
	const runtimes = findings.filter(({ name }) => name === "crun" || name === "runc");
	assert.equal(runtimes.length, 2);
	const working = runtimes.filter(({ status }) => status === "ok");
	for (const { detail } of working) assert.match(detail, /ran a sandbox/);
	assert.equal(
		runtimes.some(({ status }) => status === "fail"),
		working.length === 0,
	);
	assert.deepEqual(
		new Set(findings.map(({ status }) => status)).difference(new Set(["ok", "warn", "fail"])),
		new Set(),
	);
});
