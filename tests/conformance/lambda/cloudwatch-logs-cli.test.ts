import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { describe } from "node:test";
import { FsLogStore } from "../../../src/adapters/logs-fs/fs-log-store.ts";
import { systemClock } from "../../../src/base/clock.ts";
import { silentLog } from "../../../src/base/log.ts";
import { startTestLogs, testLogsKeys, testLogsRegion } from "../../../src/front/aws/services/logs/test-logs.ts";
import { clause } from "./clause.ts";

const area = "CloudWatch Logs API";
const commands = "https://docs.aws.amazon.com/cli/latest/reference/logs";
const group = "/aws/lambda/f";
const stream = "2026/11/21/[$LATEST]0123456789abcdef0123456789abcdef";

// Debian's own is version 2, which has `logs tail`; another may come first in the PATH.
const aws = existsSync("/usr/bin/aws") ? "/usr/bin/aws" : "aws";
const help = run(aws, ["logs", "help"], {});
const hasCli = help !== undefined ? false : "the aws CLI is not installed";
const hasTail = help?.includes("o tail") ? false : "this aws CLI has no `logs tail` (version 1)";
const hasBotocore = run("python3", ["-c", "import botocore"], {}) === undefined ? "botocore is not installed" : false;

/** Undefined when there is no such program. */
function run(program: string, args: string[], env: Record<string, string>): string | undefined {
	try {
		return execFileSync(program, args, { env: { ...env, PATH: process.env.PATH }, encoding: "utf8", stdio: "pipe" });
	} catch {
		return undefined;
	}
}

async function start() {
	const logs = await startTestLogs((root) => FsLogStore.open({ root, clock: systemClock, log: silentLog }));
	const env = {
		PATH: process.env.PATH,
		HOME: "/nonexistent",
		AWS_ACCESS_KEY_ID: testLogsKeys.accessKeyId,
		AWS_SECRET_ACCESS_KEY: testLogsKeys.secretAccessKey,
		AWS_DEFAULT_REGION: testLogsRegion,
		AWS_ENDPOINT_URL: logs.url,
		AWS_MAX_ATTEMPTS: "1",
		AWS_PAGER: "",
		// Into a pipe it writes blocks otherwise.
		PYTHONUNBUFFERED: "1",
	};
	const children: ChildProcess[] = [];
	const begin = (program: string, args: string[]) => {
		const child = spawn(program, args, { env, stdio: ["ignore", "pipe", "pipe"] });
		children.push(child);
		const state = { child, out: "", err: "" };
		child.stdout.setEncoding("utf8").on("data", (text: string) => {
			state.out += text;
		});
		child.stderr.setEncoding("utf8").on("data", (text: string) => {
			state.err += text;
		});
		return state;
	};
	return {
		...logs,
		begin,
		async aws(...args: string[]): Promise<string> {
			const running = begin(aws, ["--endpoint-url", logs.url, "logs", ...args]);
			const [code] = (await once(running.child, "close")) as [number];
			assert.equal(code, 0, running.err);
			return running.out;
		},
		append: (message: string, timestamp = Date.now()) => logs.store.append(group, stream, [{ timestamp, message }]),
		async [Symbol.asyncDispose]() {
			for (const child of children) child.kill("SIGKILL");
			await logs[Symbol.asyncDispose]();
		},
	};
}

async function until(condition: () => boolean, what: () => string): Promise<void> {
	for (let tries = 0; !condition(); tries++) {
		assert.ok(tries < 300, what());
		await systemClock.sleep(50);
	}
}

describe("CloudWatch Logs: the aws CLI", () => {
	clause(
		{
			area,
			says: "describe-log-groups, describe-log-streams, get-log-events and filter-log-events of the aws CLI work unchanged",
			source: `${commands}/index.html`,
		},
		async () => {
			await using t = await start();
			t.append("START");
			t.append('{"level":"ERROR","n":5}');
			const text = (...args: string[]) => t.aws(...args, "--output", "text");
			assert.equal((await text("describe-log-groups", "--query", "logGroups[].logGroupName")).trim(), group);
			const order = ["--order-by", "LastEventTime", "--descending", "--query", "logStreams[0].logStreamName"];
			assert.equal((await text("describe-log-streams", "--log-group-name", group, ...order)).trim(), stream);
			const at = ["--log-group-name", group, "--log-stream-name", stream];
			const get = await text("get-log-events", ...at, "--query", "events[].message");
			assert.equal(get.trim(), 'START\t{"level":"ERROR","n":5}');
			const pattern = '{ $.level = "ERROR" && $.n > 3 }';
			const filter = ["--log-group-name", group, "--filter-pattern", pattern, "--query", "events[].message"];
			assert.equal((await text("filter-log-events", ...filter)).trim(), '{"level":"ERROR","n":5}');
			await t.aws("put-retention-policy", "--log-group-name", group, "--retention-in-days", "14");
			const days = ["--log-group-name-prefix", group, "--query", "logGroups[0].retentionInDays"];
			assert.equal((await text("describe-log-groups", ...days)).trim(), "14");
		},
		{ skip: hasCli, timeout: 60_000 },
	);

	clause(
		{
			area,
			says: "`aws logs tail --since` prints what is there, and `--follow` what comes, each line once",
			source: `${commands}/tail.html`,
		},
		async () => {
			await using t = await start();
			t.append("long ago", Date.now() - 3_600_000);
			t.append("before");
			const since = await t.aws("tail", group, "--since", "10m", "--format", "short");
			assert.match(since, /before/);
			assert.doesNotMatch(since, /long ago/);
			const tail = t.begin(aws, ["--endpoint-url", t.url, "logs", "tail", group, "--follow"]);
			await until(
				() => tail.out.includes("before"),
				() => tail.err,
			);
			t.append("after");
			await until(
				() => tail.out.includes("after"),
				() => tail.err,
			);
			assert.equal(tail.out.split("before").length, 2);
		},
		{ skip: hasCli || hasTail, timeout: 60_000 },
	);

	clause(
		{
			area,
			says: "botocore's StartLiveTail reads the session's start and the lines that come, over its event stream",
			source: "https://docs.aws.amazon.com/boto3/latest/reference/services/logs/client/start_live_tail.html",
		},
		async () => {
			await using t = await start();
			t.append("before");
			const program = [
				"import botocore.session, botocore.config, os",
				"config = botocore.config.Config(inject_host_prefix=False)",
				"client = botocore.session.Session().create_client('logs', endpoint_url=os.environ['AWS_ENDPOINT_URL'], config=config)",
				`arn = 'arn:aws:logs:us-east-1:123456789012:log-group:${group}'`,
				"for event in client.start_live_tail(logGroupIdentifiers=[arn])['responseStream']:",
				"    if 'sessionStart' in event: print('started', flush=True)",
				"    for line in event.get('sessionUpdate', {}).get('sessionResults', []): print(line['message'], flush=True)",
			];
			const tail = t.begin("python3", ["-c", program.join("\n")]);
			await until(
				() => tail.out.includes("started"),
				() => tail.err,
			);
			t.append("after");
			await until(
				() => tail.out.includes("after"),
				() => tail.err,
			);
			assert.doesNotMatch(tail.out, /before/);
		},
		{ skip: hasBotocore, timeout: 60_000 },
	);
});
