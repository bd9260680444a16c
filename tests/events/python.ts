/** boto3: the newest, which speaks JSON to SQS, and one that speaks the query protocol. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { run } from "../../tools/run.ts";
import { newestTools, oldBoto3 } from "./tools.ts";
import { type Clause, clauseTimeoutMs, setupTimeoutMs, type World } from "./world.ts";

const script = join(import.meta.dirname, "boto3-client.py");

const seenBy = (contentType: string) => ({
	message: ["héllo <&>", "7", "00ff"],
	batch: [["good"], [["bad", true]]],
	"no queue": "AWS.SimpleQueueService.NonExistentQueue",
	fifo: ["1", "2", "3"],
	targets: 0,
	put: [1, "MalformedDetail"],
	event: { a: 1 },
	pattern: "InvalidEventPatternException",
	tick: { tick: true },
	status: [202, ""],
	record: [true, "RetriesExhausted", true],
	mapping: ["Creating", true],
	left: ["0", "0"],
	"sqs protocol": [contentType],
});

async function boto3(w: World, packages: string, name: string): Promise<unknown> {
	await w.function(name);
	const env = { ...w.daemon.awsEnv, PYTHONPATH: packages };
	const words = [script, w.daemon.url, name, w.daemon.roleArn];
	return JSON.parse(await run("python3", words, { env, timeoutMs: clauseTimeoutMs }));
}

const timeoutMs = clauseTimeoutMs + setupTimeoutMs;

export const pythonClauses: readonly Clause[] = [
	{
		says: "the newest boto3 does it all, with JSON",
		timeoutMs,
		run: async (w) => {
			const seen = await boto3(w, await newestTools(), "boto3-new");
			assert.deepEqual(seen, seenBy("application/x-amz-json-1.0"));
		},
	},
	{
		says: "boto3 1.26 does it all, with SQS's query protocol",
		timeoutMs,
		run: async (w) => {
			const seen = await boto3(w, await oldBoto3(), "boto3-old");
			assert.deepEqual(seen, seenBy("application/x-www-form-urlencoded; charset=utf-8"));
		},
	},
];
