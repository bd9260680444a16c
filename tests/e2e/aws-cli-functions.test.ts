/** What somebody tries with the aws CLI on a function that runs: a throttle, a canary, provisioned concurrency, a stream, its log. */
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { InvokeCommand, InvokeWithResponseStreamCommand } from "@aws-sdk/client-lambda";
import { type LocalDaemon, startDaemon } from "../../tools/local-daemon.ts";
import { FunctionClient } from "./function-client.ts";
import { missingForFunctionImages, pushShellRuntime } from "./function-image.ts";

const run = promisify(execFile);
// Debian's own is version 2; another may come first in the PATH.
const program = existsSync("/usr/bin/aws") ? "/usr/bin/aws" : "aws";
const version = await run(program, ["--version"]).then(
	({ stdout, stderr }) => stdout + stderr,
	() => undefined,
);
const isV2 = version?.startsWith("aws-cli/2") ?? false;
const missing = missingForFunctionImages() ?? (version === undefined ? "the aws command is not installed" : undefined);

describe("aws CLI and running functions", { skip: missing ?? false }, () => {
	let daemon: LocalDaemon;
	let client: FunctionClient;
	let folder: string;
	before(async () => {
		daemon = await startDaemon();
		client = new FunctionClient(daemon);
		folder = await mkdtemp(join(tmpdir(), "slipway-cli-functions-"));
		await client.createActive("f", await pushShellRuntime(daemon, "shell"));
	});
	after(async () => {
		client?.[Symbol.dispose]();
		await daemon?.[Symbol.asyncDispose]();
		if (folder) await rm(folder, { recursive: true });
	});

	const options = () => ({ env: { ...daemon.awsEnv, AWS_MAX_ATTEMPTS: "1" }, cwd: folder });
	const withEndpoint = (args: string[]) => ["--endpoint-url", daemon.url, "--output", "json", ...args];
	async function aws(...args: string[]) {
		const { stdout } = await run(program, withEndpoint(args), options());
		return stdout === "" ? undefined : JSON.parse(stdout);
	}
	async function invoke(name: string, event: object) {
		const blob = isV2 ? ["--cli-binary-format", "raw-in-base64-out"] : [];
		const answer = await aws(
			"lambda",
			"invoke",
			"--function-name",
			name,
			"--payload",
			JSON.stringify(event),
			...blob,
			"out",
		);
		return { ...answer, text: await readFile(join(folder, "out"), "utf8") };
	}

	/** CLIs before October 2025 do not know the second condition. */
	const isOld = () => /aws-cli\/(2\.(\d|[12]\d|3[01])\.|1\.([0-3]\d|4[0-2])\.)/.test(version ?? "");

	it("is throttled past what is reserved, with the reason", async () => {
		await aws("lambda", "put-function-concurrency", "--function-name", "f", "--reserved-concurrent-executions", "1");
		const busy = client.invoke("f", { do: "sh", command: "sleep 3" });
		await new Promise((resolve) => setTimeout(resolve, 500));
		await assert.rejects(invoke("f", {}), /TooManyRequestsException.*Rate Exceeded\./s);
		await busy;
		await aws("lambda", "delete-function-concurrency", "--function-name", "f");
		assert.equal((await invoke("f", { do: "count" })).StatusCode, 200);
	});

	it("publishes versions, and an alias sends a tenth of the events to the new one", async () => {
		const one = await aws("lambda", "publish-version", "--function-name", "f");
		assert.equal(one.Version, "1");
		assert.equal((await aws("lambda", "publish-version", "--function-name", "f")).Version, "1");
		await aws("lambda", "update-function-configuration", "--function-name", "f", "--description", "new");
		await aws("lambda", "wait", "function-updated-v2", "--function-name", "f");
		assert.equal((await aws("lambda", "publish-version", "--function-name", "f")).Version, "2");
		const name = ["--function-name", "f", "--name", "live"];
		await aws("lambda", "create-alias", ...name, "--function-version", "1");
		await aws("lambda", "update-alias", ...name, "--routing-config", "AdditionalVersionWeights={2=0.1}");
		const versions = new Map<string, number>();
		for (let round = 0; round < 300; round++) {
			const command = new InvokeCommand({ FunctionName: "f", Qualifier: "live", Payload: Buffer.from("{}") });
			const { ExecutedVersion = "" } = await client.lambda.send(command);
			versions.set(ExecutedVersion, (versions.get(ExecutedVersion) ?? 0) + 1);
		}
		const canary = versions.get("2") ?? 0;
		// 30 are expected, with a standard deviation of 5.2.
		assert.ok(canary > 4 && canary < 57, `${canary} of 300`);
		assert.equal(versions.get("1"), 300 - canary);
	});

	it("keeps provisioned environments of an alias ready", async () => {
		const target = ["--function-name", "f", "--qualifier", "ready"];
		await aws("lambda", "create-alias", "--function-name", "f", "--name", "ready", "--function-version", "2");
		await aws("lambda", "put-provisioned-concurrency-config", ...target, "--provisioned-concurrent-executions", "2");
		let state = await aws("lambda", "get-provisioned-concurrency-config", ...target);
		for (let attempt = 0; state.Status !== "READY" && attempt < 30; attempt++)
			state = await aws("lambda", "get-provisioned-concurrency-config", ...target);
		assert.deepEqual([state.Status, state.AvailableProvisionedConcurrentExecutions], ["READY", 2]);
		const event = { do: "sh", command: "echo $AWS_LAMBDA_INITIALIZATION_TYPE" };
		assert.equal((await invoke("f:ready", event)).text, '"provisioned-concurrency|"');
		await aws("lambda", "delete-provisioned-concurrency-config", ...target);
	});

	it("streams an answer while the function makes it", async () => {
		const started = performance.now();
		const answer = await client.lambda.send(
			new InvokeWithResponseStreamCommand({ FunctionName: "f", Payload: Buffer.from('{"do":"stream"}') }),
		);
		const chunks: { text: string; atMs: number }[] = [];
		let complete: unknown;
		for await (const { PayloadChunk, InvokeComplete } of answer.EventStream ?? []) {
			if (PayloadChunk) {
				const text = Buffer.from(PayloadChunk.Payload ?? []).toString();
				chunks.push({ text, atMs: performance.now() - started });
			}
			complete ??= InvokeComplete;
		}
		assert.equal(chunks.map(({ text }) => text).join(""), "onetwosix");
		assert.ok((chunks.at(-1)?.atMs ?? 0) - (chunks[0]?.atMs ?? 0) > 400, "the first came long before the last");
		assert.deepEqual(complete, {});
	});

	it("is called by its URL once it has one and its policy lets everybody", async () => {
		const url = await aws("lambda", "create-function-url-config", "--function-name", "f", "--auth-type", "NONE");
		const call = () => run("curl", ["-s", "-i", "--max-time", "20", url.FunctionUrl, "-d", '{"do":"count"}']);
		if ((await run("curl", ["--version"])).stdout === "") return;
		assert.match((await call()).stdout, /^HTTP\/1\.1 403 /);
		const permission = ["--function-name", "f", "--principal", "*"];
		await aws(
			"lambda",
			"add-permission",
			...permission,
			"--statement-id",
			"url",
			"--action",
			"lambda:InvokeFunctionUrl",
			"--function-url-auth-type",
			"NONE",
		);
		await aws(
			"lambda",
			"add-permission",
			...permission,
			"--statement-id",
			"invoke",
			"--action",
			"lambda:InvokeFunction",
			...(isOld() ? [] : ["--invoked-via-function-url"]),
		);
		assert.match((await call()).stdout, /^HTTP\/1\.1 200 .*"version":"2\.0"/s);
	});
	it("shows the log, and goes on showing it", { timeout: 60_000 }, async () => {
		const group = "/aws/lambda/f";
		const { logStreams } = await aws("logs", "describe-log-streams", "--log-group-name", group);
		assert.ok(logStreams.length > 0);
		const found = await aws(
			"logs",
			"filter-log-events",
			"--log-group-name",
			group,
			"--filter-pattern",
			'"REPORT RequestId"',
		);
		assert.ok(found.events.length > 0);
		assert.ok(found.events.every(({ message }: { message: string }) => message.includes("REPORT RequestId")));
		if (!isV2) return; // `logs tail` came with version 2
		const tail = spawn(program, withEndpoint(["logs", "tail", group, "--follow", "--since", "1s"]), options());
		try {
			const seen = new Promise<void>((resolve, reject) => {
				let text = "";
				tail.stdout.on("data", (chunk: Buffer) => {
					text += chunk;
					if (text.includes("line 776")) resolve();
				});
				tail.once("exit", () => reject(new Error(`aws logs tail ended with: ${text}`)));
			});
			await new Promise((resolve) => setTimeout(resolve, 2000));
			await client.invoke("f", { do: "log", size: 777 });
			await seen;
		} finally {
			tail.kill();
		}
	});

	it("takes an event that nobody waits for", async () => {
		await writeFile(join(folder, "event"), "{}");
		const event = [
			"--invocation-type",
			"Event",
			"--payload",
			"file://event",
			...(isV2 ? ["--cli-binary-format", "raw-in-base64-out"] : []),
		];
		const taken = await aws("lambda", "invoke", "--function-name", "f", ...event, "out");
		assert.equal(taken.StatusCode, 202);
		assert.equal(await readFile(join(folder, "out"), "utf8"), "");
	});
});
