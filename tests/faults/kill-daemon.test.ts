/** kill -9 of the daemon with sandboxes at work: the next one removes what is left, and knows every function. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
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

/** As many as an account with a thousand functions has, less what would only make the test slow. */
const functionCount = 200;

describe("kill -9 of the daemon", { skip: missingForFunctionImages() ?? false }, () => {
	const homes: string[] = [];
	after(() => Promise.all(homes.map((home) => rm(home, { recursive: true, force: true }))));

	test("leaves no process, interface or cgroup once the next one serves, and loses no function", async () => {
		const home = await mkdtemp(join(tmpdir(), "slipway-kill-"));
		homes.push(home);
		const before = machine();
		const first = await startDaemon({ home });
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
		assert.ok(machine().processes.length >= before.processes.length + 8, "the sandboxes are at work");
		process.kill(first.pid, "SIGKILL");
		await Promise.all(working);
		client.destroy();

		await using second = await startDaemon({ home });
		const again = lambda(second);
		assert.deepEqual(await listAll(again), names);
		const answer = await invoke(again, "f0003", { n: 3 });
		assert.deepEqual(JSON.parse(Buffer.from(answer.Payload ?? []).toString()), { n: 3 });
		again.destroy();
		await second[Symbol.asyncDispose]();
		assert.deepEqual(machine(), before);
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

/** What sandboxes leave on a machine that is not cleaned up. */
function machine(): { processes: string[]; links: string[]; cgroups: string[]; loops: string[] } {
	const processes = readdirSync("/proc")
		.filter((name) => /^\d+$/.test(name))
		.map(commandLine)
		.filter((line) => line.includes("/runtime.sh"));
	const links = execFileSync("ip", ["-o", "link"], { encoding: "utf8" })
		.split("\n")
		.map((line) => line.split(": ")[1] ?? "")
		.filter((name) => name.startsWith("slw") || name.startsWith("slipway"));
	const roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/memory"].filter(existsSync);
	const cgroups = roots.flatMap((root) => readdirSync(root).filter((name) => name.startsWith("slipway-")));
	const loops = readdirSync("/sys/block").filter(
		(name) => name.startsWith("loop") && existsSync(`/sys/block/${name}/loop/backing_file`),
	);
	return { processes, links: links.sort(), cgroups: cgroups.sort(), loops: loops.sort() };
}

function commandLine(pid: string): string {
	try {
		return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
	} catch {
		return ""; // it has ended meanwhile
	}
}
