/** The aws command: Debian's, which speaks the query protocol to SQS, and the newest of PyPI. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { run } from "../../tools/run.ts";
import { newestTools } from "./tools.ts";
import { type Clause, clauseTimeoutMs, setupTimeoutMs, type World } from "./world.ts";

const debianAws = "/usr/bin/aws";

type Aws = (...words: string[]) => Promise<Record<string, unknown>>;

function awsOf(w: World, program: string, before: string[], env: NodeJS.ProcessEnv): Aws {
	return async (...words) => {
		const all = [...before, "--endpoint-url", w.daemon.url, "--output", "json", ...words];
		const text = await run(program, all, { env: { ...w.daemon.awsEnv, ...env }, timeoutMs: clauseTimeoutMs });
		return text.trim() === "" ? {} : (JSON.parse(text) as Record<string, unknown>);
	};
}

type Messages = { Messages?: { Body: string; ReceiptHandle: string }[] };

/** Bodies of what comes next, deleted. */
async function next(aws: Aws, url: string): Promise<string[]> {
	const poll = ["--wait-time-seconds", "20", "--max-number-of-messages", "10"];
	const { Messages = [] } = (await aws("sqs", "receive-message", "--queue-url", url, ...poll)) as Messages;
	for (const { ReceiptHandle } of Messages)
		await aws("sqs", "delete-message", "--queue-url", url, "--receipt-handle", ReceiptHandle);
	return Messages.map(({ Body }) => Body);
}

async function everything(w: World, aws: Aws, name: string): Promise<void> {
	const { QueueUrl } = await aws("sqs", "create-queue", "--queue-name", name);
	const url = String(QueueUrl);
	const arn = w.arn("sqs", name);
	const attribute = '{"n":{"DataType":"Number","StringValue":"7"}}';
	await aws("sqs", "send-message", "--queue-url", url, "--message-body", "by hand", "--message-attributes", attribute);
	assert.deepEqual(await next(aws, url), ["by hand"]);

	await aws("events", "put-rule", "--name", name, "--event-pattern", JSON.stringify({ source: [name] }));
	await aws("events", "put-targets", "--rule", name, "--targets", `Id=q,Arn=${arn},InputPath=$.detail`);
	const entry = JSON.stringify([{ Source: name, DetailType: "T", Detail: '{"a":1}' }]);
	assert.equal((await aws("events", "put-events", "--entries", entry)).FailedEntryCount, 0);
	assert.deepEqual(
		(await next(aws, url)).map((body) => JSON.parse(body)),
		[{ a: 1 }],
	);

	const at = new Date(Date.now() + 2_000).toISOString().slice(0, 19);
	const target = JSON.stringify({ Arn: arn, RoleArn: w.daemon.roleArn, Input: "tick" });
	const schedule = ["--schedule-expression", `at(${at})`, "--flexible-time-window", "Mode=OFF", "--target", target];
	await aws("scheduler", "create-schedule", "--name", name, ...schedule);
	assert.deepEqual(await next(aws, url), ["tick"]);

	await w.function(name);
	const config = ["--maximum-retry-attempts", "0", "--destination-config", `OnFailure={Destination=${arn}}`];
	await aws("lambda", "put-function-event-invoke-config", "--function-name", name, ...config);
	// A file's bytes mean the same to version 1 and version 2, which takes words for Base64.
	const payload = join(await mkdtemp(join(tmpdir(), "slipway-cli-")), "event.json");
	await writeFile(payload, '{"do":"fail"}');
	const later = ["--function-name", name, "--invocation-type", "Event", "--payload", `fileb://${payload}`];
	assert.equal((await aws("lambda", "invoke", ...later, "/dev/null")).StatusCode, 202);
	await rm(dirname(payload), { recursive: true });
	const [record = ""] = await next(aws, url);
	assert.equal(JSON.parse(record).requestContext.condition, "RetriesExhausted");

	const mapping = ["--function-name", name, "--event-source-arn", arn, "--batch-size", "1"];
	const { UUID } = await aws("lambda", "create-event-source-mapping", ...mapping);
	const listed = await aws("lambda", "list-event-source-mappings", "--function-name", name);
	assert.equal((listed.EventSourceMappings as { UUID: string }[])[0]?.UUID, UUID);
	await aws("lambda", "delete-event-source-mapping", "--uuid", String(UUID));
	await aws("sqs", "delete-queue", "--queue-url", url);
}

const timeoutMs = 2 * clauseTimeoutMs + setupTimeoutMs;
const skip = existsSync(debianAws) ? false : "needs Debian's awscli";

export const cliClauses: readonly Clause[] = [
	{
		says: "Debian's aws command does it all, with SQS's query protocol",
		timeoutMs,
		skip,
		run: async (w) => {
			await everything(w, awsOf(w, debianAws, [], {}), "cli-debian");
		},
	},
	{
		says: "the newest aws command does it all",
		timeoutMs,
		run: async (w) => {
			const PYTHONPATH = await newestTools();
			await everything(w, awsOf(w, "python3", ["-m", "awscli"], { PYTHONPATH }), "cli-newest");
		},
	},
];
