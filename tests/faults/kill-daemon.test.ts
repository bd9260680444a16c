/** kill -9 of the daemon with sandboxes at work: the next one removes what is left, and knows every function. */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
	CreateFunctionCommand,
	InvokeCommand,
	LambdaClient,
	ListFunctionsCommand,
	waitUntilFunctionActiveV2,
} from "@aws-sdk/client-lambda";
import { type LocalDaemon, startDaemon } from "../../tools/local-daemon.ts";
import { missingForFunctionImages, pushShellRuntime } from "../e2e/function-image.ts";
import { marksOf, remains, takeInventory } from "../soak/leftovers.ts";

/** As many as an account with a thousand functions has, less what would only make the test slow. */
const functionCount = 200;

describe("kill -9 of the daemon", { skip: missingForFunctionImages() ?? false }, () => {
	const bases: string[] = [];
	after(() => Promise.all(bases.map((base) => rm(base, { recursive: true, force: true }))));

	test("leaves no process, interface or cgroup once the next one serves, and loses no function", async () => {
		const base = await mkdtemp(join(tmpdir(), "slipway-kill-"));
		bases.push(base);
		const [home, tmpFolder] = [join(base, "home"), join(base, "tmp")];
		await mkdir(tmpFolder);
		const start = () => startDaemon({ home, env: { TMPDIR: tmpFolder } });
		const first = await start();
		const client = lambda(first);
		const image = await pushShellRuntime(first, "shell");
		const names = Array.from({ length: functionCount }, (_, i) => `f${String(i).padStart(4, "0")}`);
		for (let i = 0; i < names.length; i += 20)
			await Promise.all(names.slice(i, i + 20).map((name) => create(client, first, name, image)));
		await waitUntilFunctionActiveV2(
			{ client, maxWaitTime: 30, minDelay: 0.1, maxDelay: 0.5 },
			{ FunctionName: names.at(-1)! },
		);
		const working = names
			.slice(0, 8)
			.map((FunctionName) => invoke(client, FunctionName, { do: "hang" }).catch((error: Error) => error.name));
		await sleep(1500);
		const marks = marksOf(first.pid, home, tmpFolder);
		assert.ok((await takeInventory(marks)).containers >= 8, "the sandboxes are at work");
		process.kill(first.pid, "SIGKILL");
		await Promise.all(working);
		client.destroy();

		await using second = await start();
		const again = lambda(second);
		assert.deepEqual(await listAll(again), names);
		const marksOfSecond = marksOf(second.pid, home, tmpFolder);
		for (const until = performance.now() + 5_000; (await takeInventory(marksOfSecond)).namespaces < 2; await sleep(20))
			assert.ok(performance.now() < until, "networks stand ready before anything is invoked");
		const answer = await invoke(again, "f0003", { n: 3 });
		assert.deepEqual(JSON.parse(Buffer.from(answer.Payload ?? []).toString()), { n: 3 });
		again.destroy();
		await second[Symbol.asyncDispose]();
		assert.deepEqual([...(await remains(marks)), ...(await remains(marksOfSecond))], []);
	});
});

async function create(client: LambdaClient, daemon: LocalDaemon, name: string, image: string): Promise<void> {
	await client.send(
		new CreateFunctionCommand({
			FunctionName: name,
			Role: daemon.roleArn,
			PackageType: "Image",
			Code: { ImageUri: image },
			Timeout: 60,
		}),
	);
}

function lambda(daemon: LocalDaemon): LambdaClient {
	const { accessKeyId, secretAccessKey } = daemon.credentials;
	return new LambdaClient({
		endpoint: daemon.url,
		region: daemon.region,
		credentials: { accessKeyId, secretAccessKey },
		maxAttempts: 1,
	});
}

function invoke(client: LambdaClient, FunctionName: string, event: unknown) {
	return client.send(new InvokeCommand({ FunctionName, Payload: Buffer.from(JSON.stringify(event)) }));
}

async function listAll(client: LambdaClient): Promise<string[]> {
	const names: string[] = [];
	let marker: string | undefined;
	do {
		const page = await client.send(new ListFunctionsCommand({ Marker: marker }));
		names.push(...(page.Functions ?? []).map((each) => each.FunctionName ?? ""));
		marker = page.NextMarker;
	} while (marker);
	return names;
}
