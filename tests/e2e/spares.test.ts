/** Spares of a real daemon: a function with a slow init, initialized ahead of events where its owner says so or its past does. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { SlipwayClient } from "../../src/client/client.ts";
import { nodeFetch } from "../../src/client/node-fetch.ts";
import type { SandboxState } from "../../src/client/schema.ts";
import { type LocalDaemon, startDaemon } from "../../tools/local-daemon.ts";
import { missingForFunctionImages, pushFiles, pushShellRuntime } from "./function-image.ts";
import { slipwayPath } from "./slipway.ts";

const skip = missingForFunctionImages() ?? false;
const run = promisify(execFile);
/** What the image's start takes before it asks for its first event, milliseconds. */
const initMs = 400;
/** Spares are made in turns, behind whatever else the machine does. */
const patienceMs = 20_000;
/** An image of 120 MB is unpacked behind whatever else the machine does. */
const imagePatienceMs = 90_000;

/** The Runtime API's loop, behind a module that takes its time. */
const slowModule = `
const until = Date.now() + ${initMs};
while (Date.now() < until);
const api = "http://" + process.env.AWS_LAMBDA_RUNTIME_API + "/2018-06-01/runtime/invocation/";
for (;;) {
	const event = await fetch(api + "next");
	const id = event.headers.get("lambda-runtime-aws-request-id");
	await fetch(api + id + "/response", { method: "POST", body: await event.text() });
}
`;

/** Node with the libraries that this machine's loader finds for it, and one module. */
async function pushNodeFunction(daemon: LocalDaemon, name: string, module: string): Promise<string> {
	const { stdout } = await run("ldd", [process.execPath]);
	const libraries = stdout.match(/\/\S+/g) ?? [];
	const files: Record<string, string | Buffer> = { "main.mjs": module, "bin/node": await readFile(process.execPath) };
	for (const path of libraries) files[path.slice(1)] = await readFile(path);
	const paths = [...new Set(libraries.map((path) => dirname(path)))].join(":");
	const config = { Entrypoint: ["/bin/node", "/main.mjs"], Env: [`LD_LIBRARY_PATH=${paths}`] };
	return pushFiles(daemon, name, files, config);
}

describe("spares of a real daemon", { skip }, () => {
	let daemon: LocalDaemon;
	let client: SlipwayClient;
	let image: string;

	before(async () => {
		// Sandboxes that have served are gone within a second: each event finds spares, or nothing.
		const env = { SLIPWAY_IDLE_TIMEOUT: "1", SLIPWAY_SPARE_TIMEOUT: "25", SLIPWAY_EGRESS: "0" };
		daemon = await startDaemon({ env });
		client = new SlipwayClient({ url: daemon.url, token: daemon.credentials.token, fetch: nodeFetch });
		const start = `#!/bin/sh\nsleep ${initMs / 1000}\nexec /runtime.sh\n`;
		image = await pushShellRuntime(daemon, "slow", { Entrypoint: ["/start.sh"] }, { "start.sh": start });
	});
	after(() => daemon?.[Symbol.asyncDispose]());

	async function create(name: string) {
		await client.createFunction({ name, image, timeoutS: 30 });
		await until(async () => (await client.getFunction(name)).state === "Active", "the function to be active");
	}

	const of = async (name: string) => (await client.sandboxes()).filter(({ functionName }) => functionName === name);
	const isWaiting = ({ preInitialized, invocations, state }: SandboxState) =>
		preInitialized && invocations === 0 && state === "frozen";
	const waiting = async (name: string) => (await of(name)).filter(isWaiting);

	async function until(condition: () => Promise<boolean>, what: string, forMs = patienceMs) {
		const deadline = performance.now() + forMs;
		for (; !(await condition()); await sleep(20))
			if (performance.now() > deadline) assert.fail(`Waited in vain for ${what}`);
	}

	async function invoke(name: string) {
		const began = performance.now();
		const answer = await client.invoke(name, '{"do":"count"}', { tail: true });
		assert.equal(answer.functionError, undefined);
		const report = answer.logTail?.split("\n").find((line) => line.startsWith("REPORT")) ?? "";
		return { tookMs: performance.now() - began, coldStart: answer.coldStart, report };
	}

	test("what an owner asks for stands frozen, is shown as such, and serves a burst without an init", async () => {
		await create("asked");
		const { stdout } = await run(slipwayPath, ["function", "spares", "asked", "--created", "1", "--initialized", "2"], {
			env: { ...daemon.awsEnv, SLIPWAY_HOME: daemon.home },
		});
		assert.equal(stdout, "asked: created 1, initialized 2\n");
		await until(async () => (await waiting("asked")).length === 2, "two to be initialized");
		for (const { initializationType, memoryBytes = 0 } of await waiting("asked")) {
			assert.equal(initializationType, "on-demand");
			assert.ok(memoryBytes > 0, "its memory is shown");
		}
		const ps = await run(slipwayPath, ["ps"], { env: { ...daemon.awsEnv, SLIPWAY_HOME: daemon.home } });
		assert.equal(ps.stdout.match(/asked +frozen \(pre-initialized\) +\d+s +- /g)?.length, 2);
		const burst = await Promise.all([invoke("asked"), invoke("asked")]);
		for (const { coldStart, report } of burst) {
			assert.equal(coldStart, undefined, "nobody waited for it");
			// As on AWS: the init is billed and reported with the first event of its environment.
			const [, reported = "0"] = /Init Duration: ([\d.]+) ms/.exec(report) ?? [];
			assert.ok(Number(reported) >= initMs, report);
		}
		assert.equal((await client.getFunction("asked")).spares.initialized, 2);
	});

	test("without being asked, from the fourth event of a kind on", async () => {
		await create("learnt");
		for (let n = 0; n < 3; n++) {
			const { coldStart } = await invoke("learnt");
			assert.ok(coldStart, `event ${n} had a cold start`);
			assert.equal((await waiting("learnt")).length, 0);
			// Its sandbox goes, and another burst begins.
			if (n < 2) await sleep(3000);
		}
		await until(async () => (await waiting("learnt")).length === 1, "one to be initialized");
		const { coldStart } = await invoke("learnt");
		assert.equal(coldStart, undefined);
	});

	test("a stopped function is at zero at once; one that nobody uses, after a while", async () => {
		await until(async () => (await waiting("asked")).length + (await waiting("learnt")).length > 0, "spares");
		assert.ok((await client.stopFunction("learnt")) > 0);
		await until(async () => (await of("learnt")).length === 0, "the stopped function's sandboxes to be gone");
		await until(async () => (await of("asked")).length === 0, "the spares to expire");
		await sleep(500);
		assert.deepEqual(await client.sandboxes(), []);
	});

	test("never for one at zero by its owner's wish", async () => {
		await create("zero");
		await client.setSpares("zero", { created: 2, initialized: 2 });
		await until(async () => (await waiting("zero")).length === 2, "two to be initialized");
		await run(
			"aws",
			["lambda", "put-function-concurrency", "--function-name", "zero", "--reserved-concurrent-executions", "0"],
			{
				env: daemon.awsEnv,
			},
		);
		await until(async () => (await of("zero")).length === 0, "all of it to go");
		await sleep(500);
		assert.deepEqual(await of("zero"), []);
	});

	test("a process of Node's with a slow module: its second burst finds two initialized, with its memory shown", async () => {
		const node = await pushNodeFunction(daemon, "node", slowModule);
		await client.createFunction({ name: "node", image: node, timeoutS: 30, memoryMiB: 512 });
		await until(async () => (await client.getFunction("node")).state !== "Pending", "its image", imagePatienceMs);
		await client.setSpares("node", { initialized: 2 });
		const first = await invoke("node");
		await until(async () => (await waiting("node")).length === 2, "two to be initialized");
		for (const { memoryBytes = 0 } of await waiting("node"))
			assert.ok(memoryBytes > 8 * 2 ** 20 && memoryBytes < 512 * 2 ** 20, `${memoryBytes} bytes`);
		await client.stopFunction("node");
		await until(async () => (await of("node")).length === 0, "it to be at zero");
		const cold = await invoke("node");
		assert.ok(cold.coldStart);
		await until(async () => (await waiting("node")).length === 2, "two to be initialized again");
		await until(
			async () => (await of("node")).every(({ invocations }) => invocations === 0),
			"nothing else to be warm",
		);
		const burst = await Promise.all([invoke("node"), invoke("node")]);
		for (const { coldStart, tookMs } of burst) {
			assert.equal(coldStart, undefined);
			assert.ok(tookMs < first.tookMs / 2, `${tookMs} ms instead of ${first.tookMs}`);
		}
	});
});
