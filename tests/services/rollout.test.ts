/** Revisions and traffic: tags, splits, rollback by hand and by itself, and deletion, all with the command line. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { LocalDaemon } from "../../tools/local-daemon.ts";
import { missingForFunctionImages } from "../e2e/function-image.ts";
import { slipway } from "../e2e/slipway.ts";
import {
	apply,
	ask,
	cli,
	deploy,
	instancesOf,
	logOf,
	manifest,
	serviceOf,
	startTestDaemon,
	told,
	until,
} from "./service-client.ts";
import { pushSubject } from "./subject.ts";

const skip = missingForFunctionImages() ?? false;

let daemon: LocalDaemon;
let image: string;

/** How many of `count` requests each value of the variable COLOUR answered. */
async function colours(name: string, count: number): Promise<Record<string, number>> {
	const found: Record<string, number> = {};
	for (let at = 0; at < count; at += 20)
		for (const { env } of await Promise.all(Array.from({ length: 20 }, () => told(daemon, name))))
			found[env.COLOUR ?? ""] = (found[env.COLOUR ?? ""] ?? 0) + 1;
	return found;
}

const colour = async (name: string) => (await told(daemon, name)).env.COLOUR;

describe("rollouts", { skip }, () => {
	before(async () => {
		daemon = await startTestDaemon();
		image = await pushSubject(daemon);
	});
	after(() => daemon?.[Symbol.asyncDispose]());

	test("a tag reaches a revision that has no traffic; a split shares requests; rollback goes back", async () => {
		await deploy(daemon, "paint", image, "--env", "COLOUR=blue");
		const out = await cli(
			daemon,
			...["service", "deploy", image, "--name", "paint", "--env", "COLOUR=green", "--no-traffic", "--tag", "new"],
		);
		assert.match(out, /http:\/\/new---paint\.localhost:\d+/);
		assert.equal(await colour("new---paint"), "green");
		assert.deepEqual(await colours("paint", 20), { blue: 20 });
		const traffic = (await serviceOf(daemon, "paint")).status.traffic ?? [];
		const green = traffic.find(({ tag }) => tag === "new")?.revisionName ?? "";
		assert.match(green, /^paint-00002/);

		await cli(daemon, "service", "traffic", "paint", "--to-revisions", `${green}=25`);
		const split = await colours("paint", 400);
		assert.ok((split.green ?? 0) > 60 && (split.green ?? 0) < 145, JSON.stringify(split)); // 100 ± 5 deviations

		await cli(daemon, "service", "traffic", "paint", "--to-latest");
		assert.deepEqual(await colours("paint", 20), { green: 20 });
		await cli(daemon, "service", "rollback", "paint");
		assert.deepEqual(await colours("paint", 20), { blue: 20 });
		assert.equal(await colour("new---paint"), "green");
	});

	test("requests in flight end on the old revision while the new one has the traffic", async () => {
		await deploy(daemon, "flight", image, "--env", "COLOUR=blue");
		const slow = told(daemon, "flight", "/sleep?ms=4000");
		await sleep(200);
		await deploy(daemon, "flight", image, "--env", "COLOUR=green");
		assert.equal(await colour("flight"), "green");
		assert.equal((await slow).env.COLOUR, "blue");
	});

	test("a revision that does not start keeps the old one serving, and the command line shows why", async () => {
		await deploy(daemon, "stays", image, "--env", "COLOUR=blue");
		const words = ["service", "deploy", image, "--name", "stays", "--env", "EXIT_AT_START=3"];
		const { code, err } = await slipway(daemon.home, words);
		assert.equal(code, 1, err);
		assert.match(err, /stays-00002\S* is not ready: .*3/);
		assert.match(err, /told to exit with 3/);
		assert.match(err, /stays-00001\S* goes on serving/);
		assert.equal(await colour("stays"), "blue");
	});

	test("a port that nobody listens on is named", async () => {
		const { err } = await apply(
			daemon,
			manifest(
				"deaf",
				{ image, env: [{ name: "LISTEN_PORT", value: "9999" }] },
				{
					annotations: { "serving.knative.dev/progress-deadline": "10s" },
				},
			),
			1,
		);
		assert.match(err, /deaf-00001 is not ready/);
		assert.match(err, /8080/);
	});

	test("errors above the bound bring the old revision back by themselves", async () => {
		const bounds = ["--rollback-on-error-rate", "20%", "--rollback-window", "1m"];
		await deploy(daemon, "guarded", image, "--env", "COLOUR=blue", ...bounds);
		await deploy(daemon, "guarded", image, "--env", "COLOUR=green");
		assert.equal(await colour("guarded"), "green");
		const back = await until("the old revision", 40, async () => {
			await Promise.all(Array.from({ length: 10 }, () => ask(daemon, "guarded", "/status?code=500")));
			return (await colour("guarded")) === "blue" ? true : undefined;
		});
		assert.ok(back);
		const { status } = await serviceOf(daemon, "guarded");
		const healthy = status.conditions.find(({ type }) => type === "RolloutHealthy");
		assert.equal(healthy?.reason, "ErrorRateExceeded");
		assert.deepEqual(await colours("guarded", 20), { blue: 20 });
	});

	test("a rollout by time hands the traffic over bit by bit", async () => {
		await deploy(daemon, "gradual", image, "--env", "COLOUR=blue", "--rollout-duration", "20s");
		await deploy(daemon, "gradual", image, "--env", "COLOUR=green");
		const early = await colours("gradual", 100);
		assert.ok((early.blue ?? 0) > 50, `at its beginning: ${JSON.stringify(early)}`);
		await until("both", 15, async () => ((await colours("gradual", 40)).green ?? 0) > 4 || undefined);
		await until("all", 40, async () => ((await colours("gradual", 40)).green ?? 0) === 40 || undefined);
	});

	test("session affinity keeps a client on its instance's revision", async () => {
		const annotations = { "run.googleapis.com/sessionAffinity": "true" };
		const of = (value: string) => manifest("sticky", { image, env: [{ name: "COLOUR", value }] }, { annotations });
		await apply(daemon, of("blue"));
		const first = await ask(daemon, "sticky");
		const cookie = first.headers["set-cookie"]?.[0]?.split(";")[0] ?? "";
		assert.match(first.headers["set-cookie"]?.[0] ?? "", /Max-Age=2592000/i);
		await apply(daemon, of("green"));
		const traffic = (await serviceOf(daemon, "sticky")).status.traffic ?? [];
		assert.equal(traffic.length, 1);
		const revision = JSON.parse(first.text).revision as string;
		await cli(daemon, "service", "traffic", "sticky", "--to-revisions", `${revision}=50`);
		for (let n = 0; n < 20; n++)
			assert.equal((await told(daemon, "sticky", "/", { headers: { cookie } })).env.COLOUR, "blue");
	});

	test("a deleted service answers no more, and its instances end in order", async () => {
		await deploy(daemon, "gone", image, "--min-instances", "2");
		await until("two instances", 10, async () => (await instancesOf(daemon, "gone")) === 2 || undefined);
		await told(daemon, "gone");
		await cli(daemon, "service", "rm", "gone");
		assert.equal((await ask(daemon, "gone")).status, 404);
		assert.equal(await instancesOf(daemon, "gone"), 0);
		const { code } = await slipway(daemon.home, ["service", "get", "gone"]);
		assert.equal(code, 4);
	});

	test("a service's log has what its containers print", async () => {
		await ask(daemon, "paint", "/log?text=a+line");
		await until("the line", 5, async () => (await logOf(daemon, "paint")).includes("a line") || undefined);
	});
});
