/** wrk and hey on a service through everything that changes under it: not one answer that is not 200. */
import assert from "node:assert/strict";
import { after, before, describe, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { LocalDaemon } from "../../tools/local-daemon.ts";
import { missingForFunctionImages } from "../e2e/function-image.ts";
import { needCommands } from "../runtimes/toolchains.ts";
import { type Counts, hey, wrk } from "./load.ts";
import { apply, cli, instancesOf, manifest, startTestDaemon, told, until } from "./service-client.ts";
import { pushSubject } from "./subject.ts";

const skip = missingForFunctionImages() ?? false;
const path = "/sleep?ms=40";

let daemon: LocalDaemon;
let image: string;

const colour = (value: string) =>
	manifest(
		"load",
		{ image, env: [{ name: "COLOUR", value }] },
		{
			annotations: { "autoscaling.knative.dev/window": "6s", "autoscaling.knative.dev/maxScale": "6" },
			spec: { containerConcurrency: 10 },
		},
	);

/** Prints the counts, and fails unless every request was answered with 200. */
function report(t: TestContext, loads: Record<string, Counts>): void {
	for (const [name, { requests, refused, failed }] of Object.entries(loads))
		t.diagnostic(`${name}: ${requests} requests, ${refused} not 200, ${failed} without an answer`);
	for (const [name, { refused, failed }] of Object.entries(loads))
		assert.deepEqual({ refused, failed }, { refused: 0, failed: 0 }, name);
}

const instances = () => instancesOf(daemon, "load");
const untilZero = () => until("no instance", 90, async () => (await instances()) === 0 || undefined);

describe("load from outside", { skip }, () => {
	before(async () => {
		await needCommands({ wrk: "wrk", hey: "hey" });
		daemon = await startTestDaemon();
		image = await pushSubject(daemon);
		await apply(daemon, colour("blue"));
	});
	after(() => daemon?.[Symbol.asyncDispose]());

	test("from zero", async (t) => {
		await untilZero();
		report(t, { "hey, 50 clients at zero": await hey(daemon, "load", { connections: 50, seconds: 3, path }) });
		t.diagnostic(`then ${await instances()} instances`);
	});

	test("growth from one instance to the most", async (t) => {
		const before = await until("one instance", 60, async () => {
			const count = await instances();
			return count <= 1 ? count : undefined;
		});
		const [few, many] = await Promise.all([
			wrk(daemon, "load", { connections: 5, seconds: 12, path }),
			sleep(2000).then(() => wrk(daemon, "load", { connections: 50, seconds: 10, path })),
		]);
		report(t, { "wrk, 5 clients": few, "wrk, 50 clients more": many });
		const grown = await instances();
		t.diagnostic(`${before} instances before, ${grown} then`);
		assert.ok(grown >= 5, `${grown} instances`);
	});

	test("a new revision, and back", async (t) => {
		const load = Promise.all([
			wrk(daemon, "load", { connections: 20, seconds: 20, path }),
			hey(daemon, "load", { connections: 5, seconds: 20, path, rate: 20, fresh: true }),
		]);
		await sleep(2000);
		await apply(daemon, colour("green"));
		assert.equal((await told(daemon, "load")).env.COLOUR, "green");
		await sleep(5000);
		await cli(daemon, "service", "rollback", "load");
		assert.equal((await told(daemon, "load")).env.COLOUR, "blue");
		await sleep(2000);
		await cli(daemon, "service", "traffic", "load", "--to-latest");
		const [kept, fresh] = await load;
		report(t, { "wrk, 20 clients": kept, "hey, a connection for each request": fresh });
	});

	test("down to what one client needs, and to zero", async (t) => {
		const most = await instances();
		report(t, { "hey, 1 client": await hey(daemon, "load", { connections: 1, seconds: 45, rate: 5 }) });
		const least = await instances();
		t.diagnostic(`${most} instances before, ${least} then`);
		assert.equal(least, 1);
		await untilZero();
		report(t, { "hey, one at zero again": await hey(daemon, "load", { connections: 1, seconds: 1, rate: 1 }) });
	});
});
