/** A service's whole life as a user sees it, in a real daemon: the short form of tests/services. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { LocalDaemon } from "../../tools/local-daemon.ts";
import { attempt, run } from "../../tools/run.ts";
import {
	ask,
	cli,
	deploy,
	hostOf,
	instancesOf,
	logOf,
	serviceOf,
	startTestDaemon,
	told,
	until,
} from "../services/service-client.ts";
import { pushSubject } from "../services/subject.ts";
import { missingForFunctionImages } from "./function-image.ts";
import { slipway } from "./slipway.ts";

const skip = missingForFunctionImages() ?? false;

test("deployed, tagged, rolled back, kept over a restart, deleted", { skip }, async (t) => {
	const home = await mkdtemp(join(tmpdir(), "slipway-home-"));
	t.after(() => rm(home, { recursive: true, force: true }));
	let image: string;
	{
		await using daemon = await startTestDaemon({ home });
		image = await pushSubject(daemon);
		await deploy(daemon, "paint", image, "--env", "COLOUR=blue");
		const { env, headers } = JSON.parse(await run("curl", ["-sS", `http://${hostOf(daemon, "paint")}/`]));
		assert.deepEqual([env.PORT, env.K_SERVICE, env.K_CONFIGURATION], ["8080", "paint", "paint"]);
		assert.deepEqual(headers["X-Forwarded-For"], ["127.0.0.1"]);

		await deploy(daemon, "paint", image, "--env", "COLOUR=green", "--no-traffic", "--tag", "new");
		assert.equal((await told(daemon, "new---paint")).env.COLOUR, "green");
		assert.equal((await told(daemon, "paint")).env.COLOUR, "blue");
		await cli(daemon, "service", "traffic", "paint", "--to-latest");
		assert.equal((await told(daemon, "paint")).env.COLOUR, "green");
		await cli(daemon, "service", "rollback", "paint");
		assert.equal((await told(daemon, "paint")).env.COLOUR, "blue");

		const broken = await slipway(home, ["service", "deploy", image, "--name", "paint", "--env", "EXIT_AT_START=3"]);
		assert.equal(broken.code, 1);
		assert.match(broken.err, /told to exit with 3[\s\S]*goes on serving/);
		assert.equal((await told(daemon, "paint")).env.COLOUR, "blue");
	}
	await using daemon = await startTestDaemon({ home });
	assert.equal((await told(daemon, "paint")).env.COLOUR, "blue");
	assert.equal((await told(daemon, "new---paint")).env.COLOUR, "green");
	const { traffic = [] } = (await serviceOf(daemon, "paint")).status;
	assert.equal(traffic.find(({ percent }) => percent === 100)?.revisionName, "paint-00001");
	await cli(daemon, "service", "rm", "paint");
	assert.equal((await ask(daemon, "paint")).status, 404);
	assert.equal(await instancesOf(daemon, "paint"), 0);
});

test("not one answer that is not 200 while revisions come and go", { skip }, async () => {
	await using daemon = await startTestDaemon();
	const image = await pushSubject(daemon);
	await deploy(daemon, "load", image, "--concurrency", "4", "--max-instances", "4", "--env", "COLOUR=blue");
	const clients = new AbortController();
	const counts = Promise.all(Array.from({ length: 12 }, () => askUntil(daemon, "load", clients.signal)));
	await sleep(1000);
	await deploy(daemon, "load", image, "--env", "COLOUR=green");
	await sleep(500);
	await cli(daemon, "service", "rollback", "load");
	await sleep(500);
	await cli(daemon, "service", "traffic", "load", "--to-latest");
	await sleep(500);
	clients.abort();
	const found = new Map<number, number>();
	for (const [status, count] of (await counts).flatMap((each) => [...each]))
		found.set(status, (found.get(status) ?? 0) + count);
	assert.deepEqual([...found.keys()], [200], JSON.stringify([...found]));
	assert.ok((found.get(200) ?? 0) > 200, JSON.stringify([...found]));
});

test("a time limit is a 504, a client that leaves is noticed, and a process that ended is replaced", {
	skip,
}, async () => {
	await using daemon = await startTestDaemon();
	const image = await pushSubject(daemon);
	await deploy(daemon, "subject", image, "--timeout", "2s");
	const { instance } = await told(daemon, "subject");
	assert.equal((await ask(daemon, "subject", "/sleep?ms=5000")).status, 504);
	await attempt("curl", ["-sS", "--max-time", "0.3", `http://${hostOf(daemon, "subject")}/sleep?ms=9000`]);
	await until("the client's end in the log", 5, async () =>
		(await logOf(daemon, "subject")).includes("the client left") ? true : undefined,
	);
	assert.equal((await told(daemon, "subject")).instance, instance);
	// POST: a request that may be repeated would be, and end two instances.
	const { status } = await ask(daemon, "subject", "/exit", { method: "POST" });
	assert.ok(status === 502 || status === 503, String(status));
	assert.notEqual((await told(daemon, "subject")).instance, instance);
});

/** One client on one connection; how often it got which status. An error is one that the gateway made. */
async function askUntil(daemon: LocalDaemon, name: string, signal: AbortSignal): Promise<Map<number, number>> {
	using agent = closing(new Agent({ keepAlive: true, maxSockets: 1 }));
	const { hostname, port } = new URL(daemon.url);
	const headers = { host: hostOf(daemon, name) };
	const counts = new Map<number, number>();
	while (!signal.aborted) {
		const status = await new Promise<number>((resolve, reject) => {
			request({ hostname, port, path: "/sleep?ms=20", headers, agent: agent.agent }, (answer) => {
				answer.resume().once("end", () => resolve(answer.statusCode ?? 0));
			})
				.once("error", reject)
				.end();
		});
		counts.set(status, (counts.get(status) ?? 0) + 1);
	}
	return counts;
}

function closing(agent: Agent) {
	return { agent, [Symbol.dispose]: () => agent.destroy() };
}
