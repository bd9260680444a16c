/** examples/saga/run.sh as a new user runs it; the daemon is killed as well while orders are under way. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { longTests } from "../../src/base/testing/long-tests.ts";
import { findBuilder } from "../../tools/builder.ts";
import { loadBaseOf } from "../../tools/examples.ts";
import { startDaemon } from "../../tools/local-daemon.ts";
import { environment, finished, slipwayPath } from "./slipway.ts";

const root = join(import.meta.dirname, "../..");
const needsRoot = process.getuid?.() === 0 ? false : "sandboxes and base images need root";
/** Forty seconds. The same without a daemon is saga.test.ts. */
const skip = longTests ? needsRoot : "is one of `npm run test:long`";
/** What run.sh prints each time that it looks. */
const look = /^(\d+) orders: (\d+) confirmed, (\d+) cancelled, (\d+) inconsistent$/gm;

test("run.sh of the saga ends consistent, though each of its steps is killed, and the daemon", {
	skip,
}, async (t) => {
	const folder = await mkdtemp(join(tmpdir(), "slipway-saga-"));
	// A copy of what run.sh reads of the checkout: it writes beside itself.
	for (const part of ["examples/saga", "packages/idempotency/src"])
		await cp(join(root, part), join(folder, part), { recursive: true });
	await loadBaseOf(join(root, "examples/saga"), await findBuilder(), (line) => t.diagnostic(line));
	const home = join(folder, "home");
	let daemon = await startDaemon({ home, env: { SLIPWAY_EGRESS: "0" } });
	t.after(async () => {
		await daemon[Symbol.asyncDispose]();
		await rm(folder, { recursive: true, force: true });
	});
	const listen = new URL(daemon.url).host;

	const script = spawn("sh", [join(folder, "examples/saga/run.sh")], {
		env: {
			...environment(home, { SLIPWAY_REGISTRY: daemon.registry }),
			PATH: `${dirname(slipwayPath)}:${dirname(process.execPath)}:${process.env.PATH}`,
		},
		stdio: ["ignore", "pipe", "pipe"],
	});
	t.after(() => script.kill("SIGKILL"));
	let said = "";
	script.stdout.on("data", (chunk) => {
		said += chunk;
	});
	const ended = finished(script);
	for (let kill = 0; kill < 1 && script.exitCode === null; ) {
		await sleep(100);
		if ((said.match(look)?.length ?? 0) <= kill) continue;
		kill++;
		daemon.process?.kill("SIGKILL");
		daemon = await startDaemon({ home, listen, env: { SLIPWAY_EGRESS: "0" } });
	}
	const { code, err } = await ended;
	assert.equal(code, 0, `${said}\n${err}`);
	const [, orders, confirmed, cancelled, inconsistent] = [...said.matchAll(look)].at(-1) ?? [];
	assert.deepEqual([orders, confirmed, cancelled, inconsistent], ["14", "9", "5", "0"], said);
	assert.doesNotMatch(said, /^queue orders-dlq /m, "an order is a dead letter");
});
