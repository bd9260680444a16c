/** Functions in real sandboxes, through the AWS SDK: what works, and everything that can go wrong with one. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
	CreateFunctionCommand,
	type CreateFunctionCommandInput,
	DeleteFunctionCommand,
	GetFunctionCommand,
	InvokeCommand,
	LambdaClient,
	UpdateFunctionConfigurationCommand,
	waitUntilFunctionActiveV2,
	waitUntilFunctionUpdatedV2,
} from "@aws-sdk/client-lambda";
import { type LocalDaemon, startDaemon } from "../../tools/local-daemon.ts";
import { missingForFunctionImages, pushFiles, pushShellRuntime } from "./function-image.ts";

const skip = missingForFunctionImages() ?? false;

describe("functions in sandboxes", { skip }, () => {
	let daemon: LocalDaemon;
	let client: LambdaClient;
	let image: string;

	before(async () => {
		daemon = await startDaemon();
		const { accessKeyId, secretAccessKey } = daemon.credentials;
		client = new LambdaClient({
			endpoint: daemon.url,
			region: daemon.region,
			credentials: { accessKeyId, secretAccessKey },
			maxAttempts: 1,
		});
		image = await pushShellRuntime(daemon, "shell");
	});
	after(async () => {
		client?.destroy();
		await daemon?.[Symbol.asyncDispose]();
	});

	async function create(name: string, change: Partial<CreateFunctionCommandInput> = {}) {
		await client.send(
			new CreateFunctionCommand({
				FunctionName: name,
				Role: daemon.roleArn,
				PackageType: "Image",
				Code: { ImageUri: image },
				Timeout: 30,
				...change,
			}),
		);
		await waitUntilFunctionActiveV2({ client, maxWaitTime: 30, minDelay: 0.05, maxDelay: 0.2 }, { FunctionName: name });
	}

	/** A shell takes a moment from its answer to its next poll; only then can its sandbox take another event. */
	async function idle() {
		const headers = { authorization: `Bearer ${daemon.credentials.token}` };
		for (;;) {
			const { sandboxes } = (await (await fetch(`${daemon.url}/_slipway/sandboxes`, { headers })).json()) as {
				sandboxes: { state: string }[];
			};
			if (sandboxes.every(({ state }) => state !== "busy" && state !== "initializing")) return;
		}
	}

	async function invoke(name: string, event: unknown) {
		const answer = await client.send(
			new InvokeCommand({ FunctionName: name, Payload: Buffer.from(JSON.stringify(event)), LogType: "Tail" }),
		);
		return {
			...answer,
			json: JSON.parse(Buffer.from(answer.Payload ?? []).toString()),
			log: Buffer.from(answer.LogResult ?? "", "base64").toString(),
			id: answer.$metadata.requestId,
		};
	}
	const sh = async (name: string, command: string) => String((await invoke(name, { do: "sh", command })).json);

	test("the same sandbox answers again, and a crash takes only itself along", async () => {
		await create("again");
		assert.equal((await invoke("again", { do: "count" })).json, 1);
		await idle();
		assert.equal((await invoke("again", { do: "count" })).json, 2);
		await idle();
		const crash = await invoke("again", { do: "exit", size: 7 });
		assert.equal(crash.FunctionError, "Unhandled");
		assert.deepEqual(crash.json, {
			errorType: "Runtime.ExitError",
			errorMessage: `RequestId: ${crash.id} Error: Runtime exited with error: exit status 7`,
		});
		assert.match(crash.log, /\tStatus: error\tError Type: Runtime.ExitError\n$/);
		assert.equal((await invoke("again", { do: "count" })).json, 1);
	});

	test("a handler's error is passed on and keeps the sandbox", async () => {
		await create("errors");
		const { FunctionError, json } = await invoke("errors", { do: "error" });
		assert.deepEqual([FunctionError, json], ["Unhandled", { errorMessage: "told to fail", errorType: "MyError" }]);
		await idle();
		assert.equal((await invoke("errors", { do: "count" })).json, 2);
	});

	test("a timeout ends the sandbox, and the next event gets a new one", async () => {
		await create("slow", { Timeout: 1 });
		const started = performance.now();
		const { json, log, id } = await invoke("slow", { do: "hang" });
		const took = performance.now() - started;
		assert.deepEqual(json, {
			errorType: "Sandbox.Timedout",
			errorMessage: `RequestId: ${id} Error: Task timed out after 1.00 seconds`,
		});
		assert.match(log, /\tDuration: 1000\.00 ms\tBilled Duration: \d+ ms\t.*\tStatus: timeout\n$/);
		assert.ok(took >= 1000, `${took} ms`);
		assert.equal((await invoke("slow", { do: "count" })).json, 1);
	});

	test("memory past the limit is told apart from other ends", async () => {
		await create("balloon", { MemorySize: 128 });
		const { json, log } = await invoke("balloon", { do: "memory" });
		assert.equal(json.errorType, "Runtime.OutOfMemory");
		assert.match(
			log,
			/Memory Size: 128 MB\tMax Memory Used: 12[78] MB\t.*Status: error\tError Type: Runtime.OutOfMemory\n$/,
		);
	});

	test("an init that exits, hangs or says no", async () => {
		await create("init-exit", { Environment: { Variables: { INIT: "exit" } } });
		const exit = await invoke("init-exit", {});
		assert.match(exit.json.errorMessage, /Runtime exited with error: exit status 5$/);
		await create("init-error", { Environment: { Variables: { INIT: "error" } } });
		assert.deepEqual((await invoke("init-error", {})).json, { errorMessage: "no such module", errorType: "Init.Bad" });
	});

	test("/tmp has its size, and it is not memory", async () => {
		await create("disk", { EphemeralStorage: { Size: 512 }, MemorySize: 128 });
		const written = (await invoke("disk", { do: "fill", size: 700 })).json;
		assert.ok(written >= 490 && written <= 530, `${written} MiB fit`);
		await idle();
		assert.equal((await invoke("disk", { do: "count" })).json, 2);
	});

	test("a fork bomb stays inside, and the neighbour answers", async () => {
		await create("bomb", { Timeout: 3 });
		await create("neighbour");
		await invoke("neighbour", { do: "count" });
		const bomb = invoke("bomb", { do: "forks" });
		for (let i = 2; i < 10; i++) assert.equal((await invoke("neighbour", { n: i })).json.n, i);
		await bomb;
	});

	test("what the sandbox is: unprivileged, read-only, alone", async () => {
		await create("inside", { Environment: { Variables: { MINE: "yes" } } });
		assert.match(await sh("inside", "id"), /^uid=993 gid=990/);
		assert.match(await sh("inside", "cp /bin/sh /bin/new"), /[Rr]ead-only file system/);
		const status = await sh("inside", "cat /proc/self/status");
		assert.match(status, /CapEff: 0000000000000000\|/);
		assert.match(status, /CapBnd: 0000000000000000\|/);
		assert.match(status, /NoNewPrivs: 1\|/);
		assert.match(status, /Seccomp: 2\|/);
		const environment = await sh("inside", "env");
		assert.match(environment, /MINE=yes\|/);
		assert.match(environment, /AWS_EXECUTION_ENV=AWS_Lambda_Image\|/);
		assert.doesNotMatch(environment, /_HANDLER=/);
		assert.doesNotMatch(environment, new RegExp(daemon.credentials.secretAccessKey));
		const port = new URL(daemon.url).port;
		assert.match(await sh("inside", `nc -w 2 127.0.0.1 ${port}`), /refused/);
		assert.match(await sh("inside", "nc -w 2 169.254.169.254 80"), /unreachable|timed out|refused/);
	});

	test("a flood of lines is all there, in order", async () => {
		await create("flood");
		await invoke("flood", { do: "log", size: 5000 });
		const response = await fetch(`${daemon.url}/_slipway/functions/flood/logs?limit=10000`, {
			headers: { authorization: `Bearer ${daemon.credentials.token}` },
		});
		const lines = (await response.text())
			.split("\n")
			.filter(Boolean)
			.map((line) => JSON.parse(line).message as string);
		const numbered = lines.filter((line) => line.startsWith("line "));
		assert.deepEqual(
			numbered,
			Array.from({ length: 5000 }, (_, i) => `line ${i}`),
		);
		assert.ok(lines.includes("to-stderr"));
	});

	test("an answer of 6 MB passes, a larger one is refused by its size", async () => {
		await create("big", { MemorySize: 512 });
		const limit = 6 * 1024 * 1024 + 100;
		assert.equal((await invoke("big", { do: "big", size: limit - 2 })).json.length, limit - 2);
		await idle();
		const { json } = await invoke("big", { do: "big", size: limit - 1 });
		assert.deepEqual(json, {
			errorMessage: "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
			errorType: "Function.ResponseSizeTooLarge",
		});
		await idle();
		assert.equal((await invoke("big", { do: "count" })).json, 3);
	});

	test("many at a time", async () => {
		await create("many", { MemorySize: 1769 });
		const answers = await Promise.all(Array.from({ length: 30 }, (_, n) => invoke("many", { n })));
		assert.deepEqual(
			answers.map((answer) => answer.json.n),
			Array.from({ length: 30 }, (_, n) => n),
		);
	});

	test("entrypoints that are not there or can't be executed", async () => {
		const files = { "data.txt": "x" };
		for (const [name, entrypoint, words] of [
			["missing", "/nothing", /fork\/exec \/nothing: no such file or directory/],
			["no-program", "/data.txt", /fork\/exec \/data.txt: exec format error/],
		] as const) {
			const uri = await pushFiles(daemon, name, files, { Entrypoint: [entrypoint] });
			await create(name, { Code: { ImageUri: uri } });
			const { json, log } = await invoke(name, {});
			assert.equal(json.errorType, "Runtime.InvalidEntrypoint", JSON.stringify(json));
			assert.match(json.errorMessage, words);
			assert.match(log, /Error Type: Runtime.InvalidEntrypoint/);
		}
	});

	test("images that can't be a function say why at once", async () => {
		const other = await pushFiles(daemon, "arm", { a: "x" }, { Entrypoint: ["/a"] }, "arm64");
		await assert.rejects(create("arm", { Code: { ImageUri: other } }), (error: Error) => {
			assert.equal(error.name, "InvalidParameterValueException");
			assert.match(error.message, /arm64/);
			assert.match(error.message, /x86_64|amd64/);
			return true;
		});
		await assert.rejects(create("none", { Code: { ImageUri: `${daemon.registry}/none:v1` } }), /does not exist/);
	});

	test("a configuration change makes new sandboxes; a deleted function is gone", async () => {
		await create("change");
		assert.equal((await invoke("change", { do: "count" })).json, 1);
		await client.send(
			new UpdateFunctionConfigurationCommand({ FunctionName: "change", Environment: { Variables: { NEW: "1" } } }),
		);
		await waitUntilFunctionUpdatedV2(
			{ client, maxWaitTime: 30, minDelay: 0.05, maxDelay: 0.2 },
			{ FunctionName: "change" },
		);
		assert.match(await sh("change", "env"), /NEW=1\|/);
		await client.send(new DeleteFunctionCommand({ FunctionName: "change" }));
		await assert.rejects(client.send(new GetFunctionCommand({ FunctionName: "change" })), {
			name: "ResourceNotFoundException",
		});
		await assert.rejects(invoke("change", {}), { name: "ResourceNotFoundException" });
	});
});
