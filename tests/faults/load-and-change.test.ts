/** Functions that are made, changed, deleted or flood while others call them: no answer is lost, wrong or somebody else's. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
	DeleteFunctionCommand,
	GetFunctionCommand,
	UpdateFunctionCodeCommand,
	waitUntilFunctionUpdatedV2,
} from "@aws-sdk/client-lambda";
import { type LocalDaemon, startDaemon } from "../../tools/local-daemon.ts";
import { FunctionClient } from "../e2e/function-client.ts";
import { missingForFunctionImages, pushShellRuntime } from "../e2e/function-image.ts";

const floodMB = 200;
const skip = missingForFunctionImages() ?? false;

describe("changes under load", { skip }, () => {
	let daemon: LocalDaemon;
	let client: FunctionClient;
	let image: string;

	before(async () => {
		daemon = await startDaemon();
		client = new FunctionClient(daemon);
		image = await pushShellRuntime(daemon, "shell");
	});
	after(async () => {
		client?.[Symbol.dispose]();
		await daemon?.[Symbol.asyncDispose]();
	});

	test("of ten creations of one name at once exactly one wins, and its function works", async () => {
		const made = await Promise.allSettled(
			Array.from({ length: 10 }, (_, i) =>
				client.create("same", image, { Environment: { Variables: { WHO: `number-${i}` } } }),
			),
		);
		const winners = made.flatMap((each, i) => (each.status === "fulfilled" ? [i] : []));
		assert.equal(winners.length, 1);
		for (const each of made)
			if (each.status === "rejected") {
				assert.equal(each.reason.name, "ResourceConflictException", String(each.reason));
				assert.match(each.reason.message, /Function already exist: same/);
			}
		await client.settled("same");
		const { json } = await client.invoke("same", { do: "sh", command: "echo $WHO" });
		assert.equal(json, `number-${winners[0]}|`);
	});

	test("a deleted function's events in flight are answered; its name is free at once", async () => {
		await client.createActive("doomed", image, { MemorySize: 1024 });
		const slow = Array.from({ length: 4 }, (_, n) =>
			client.invoke("doomed", { do: "sh", command: `sleep 1; echo ${n}` }),
		);
		await sleep(600);
		await client.lambda.send(new DeleteFunctionCommand({ FunctionName: "doomed" }));
		await assert.rejects(client.invoke("doomed", {}), { name: "ResourceNotFoundException" });
		await assert.rejects(client.lambda.send(new GetFunctionCommand({ FunctionName: "doomed" })), {
			name: "ResourceNotFoundException",
		});
		await client.createActive("doomed", image, { Environment: { Variables: { WHO: "second" } } });
		assert.equal((await client.invoke("doomed", { do: "sh", command: "echo $WHO" })).json, "second|");
		assert.deepEqual(
			(await Promise.all(slow)).map(({ json, error }) => [json, error]),
			["0|", "1|", "2|", "3|"].map((text) => [text, undefined]),
		);
	});

	test("new code under load: every answer is right, first of the old code and from some moment on of the new", async () => {
		const old = await pushShellRuntime(daemon, "code-old", { Env: ["PATH=/bin", "CODE=old"] });
		const fresh = await pushShellRuntime(daemon, "code-new", { Env: ["PATH=/bin", "CODE=new"] });
		await client.createActive("changing", old, { MemorySize: 1024 });
		let stop = false;
		const answers: { from: number; n: string; code: string }[] = [];
		const caller = async (lane: number) => {
			for (let n = 0; !stop; n++) {
				const from = performance.now();
				const { json, error } = await client.invoke("changing", { do: "sh", command: `echo ${lane}-${n} $CODE` });
				assert.equal(error, undefined, JSON.stringify(json));
				const [id = "", code = ""] = String(json).replace("|", "").split(" ");
				assert.equal(id, `${lane}-${n}`);
				answers.push({ from, n: id, code });
			}
		};
		const callers = Promise.all([0, 1, 2, 3].map(caller));
		await sleep(500);
		await client.lambda.send(new UpdateFunctionCodeCommand({ FunctionName: "changing", ImageUri: fresh }));
		await waitUntilFunctionUpdatedV2(
			{ client: client.lambda, maxWaitTime: 30, minDelay: 0.05, maxDelay: 0.1 },
			{ FunctionName: "changing" },
		);
		const updated = performance.now();
		await sleep(800);
		stop = true;
		await callers;
		const codes = new Set(answers.map(({ code }) => code));
		assert.deepEqual([...codes].sort(), ["new", "old"]);
		const late = answers.filter(({ from }) => from > updated);
		assert.ok(late.length > 0);
		assert.deepEqual(new Set(late.map(({ code }) => code)), new Set(["new"]), "no old code after Successful");
	});

	test("a function that writes 200 MB disturbs nobody: memory is bounded, a neighbour answers, the log says what it lacks", async () => {
		await client.createActive("flood", image, { MemorySize: 1769, Timeout: 60 });
		await client.createActive("neighbour", image);
		await client.invoke("neighbour", { do: "count" });
		await client.idle();
		const before = memoryMiB(daemon.pid);
		let peak = before;
		let flooding = true;
		const flood = client.invoke("flood", { do: "flood", size: floodMB }).finally(() => {
			flooding = false;
		});
		let slowest = 0;
		let count = 0;
		while (flooding) {
			const started = performance.now();
			assert.equal((await client.invoke("neighbour", { n: count })).json.n, count);
			slowest = Math.max(slowest, performance.now() - started);
			count++;
			peak = Math.max(peak, memoryMiB(daemon.pid));
			await sleep(20);
		}
		const { error, json } = await flood;
		assert.deepEqual([error, json], [undefined, "flooded"]);
		await (await client.native("/functions/flood/logs?limit=1")).text(); // what waits for the disk is written first
		const { kept, dropped, bytes } = floodInLog(join(daemon.home, "logs"));
		assert.ok(count >= 3 && slowest < 3000, `${count} answers of the neighbour, the slowest after ${slowest} ms`);
		assert.ok(peak - before < 256, `${before} MiB before, ${peak} MiB at most`);
		assert.ok(bytes < 300e6, `${bytes} bytes of log`);
		const platformLines = 3;
		const known = kept + dropped - floodMB * 1000;
		assert.ok(known >= 0 && known <= platformLines, `a line is kept or counted: ${kept} and ${dropped}`);
	});

	test("an init that hangs is cut at 10 s, tried once more on the event's own time, and the caller is told", async () => {
		await client.createActive("stuck", image, { Timeout: 1, Environment: { Variables: { INIT: "hang" } } });
		const started = performance.now();
		const { error, json, log } = await client.invoke("stuck", {});
		const took = performance.now() - started;
		assert.equal(error, "Unhandled");
		assert.equal(json.errorType, "Sandbox.Timedout", JSON.stringify(json));
		assert.match(json.errorMessage, /Task timed out after 1\.00 seconds$/);
		assert.match(log, /Status: timeout/);
		assert.ok(took >= 11_000 && took < 15_000, `${took} ms`);
	});

	// The last one: it ends the daemon.
	test("SIGTERM: events in flight are answered, new ones are refused, and the daemon ends well", async () => {
		await client.createActive("last", image, { MemorySize: 1024 });
		const slow = Array.from({ length: 3 }, (_, n) =>
			client.invoke("last", { do: "sh", command: `sleep 2; echo ${n}` }),
		);
		await sleep(1000);
		const child = daemon.process;
		assert.ok(child);
		const ended = new Promise((resolve) => child.once("exit", (code, signal) => resolve(code ?? signal)));
		child.kill("SIGTERM");
		await sleep(100);
		await assert.rejects(fetch(`${daemon.url}/healthz`), "the port is closed");
		const answers = await Promise.all(slow);
		assert.deepEqual(
			answers.map(({ json, error }) => [json, error]),
			["0|", "1|", "2|"].map((text) => [text, undefined]),
		);
		assert.equal(await ended, 0);
	});
});

/** The flood's lines in the store's files, those that it says it dropped, and the size of the files. */
function floodInLog(root: string): { kept: number; dropped: number; bytes: number } {
	const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ndjson"));
	let [kept, dropped, bytes] = [0, 0, 0];
	for (const file of files) {
		const text = readFileSync(join(root, file), "utf8");
		bytes += text.length;
		kept += text.match(/"0{998}7"/g)?.length ?? 0;
		for (const [, count] of text.matchAll(/\[slipway\] (\d+) log lines were dropped here/g)) dropped += Number(count);
	}
	return { kept, dropped, bytes };
}

/** What the process holds now. */
function memoryMiB(pid: number): number {
	const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
	return Number(kib) / 1024;
}
