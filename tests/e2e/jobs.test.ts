/** Jobs, workers and a core service of a real daemon, by the command line: what ran, what it saw, what stayed. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { type LocalDaemon, startDaemon } from "../../tools/local-daemon.ts";
import { missingForFunctionImages, pushFiles } from "./function-image.ts";
import { slipway } from "./slipway.ts";

const skip = missingForFunctionImages() ?? false;

/** What a container does is its argument: the shell's script. */
async function pushShell(daemon: LocalDaemon): Promise<string> {
	const files = { "bin/busybox": await readFile("/bin/busybox"), "www/index.html": "hello\n" };
	const Entrypoint = ["/bin/busybox", "sh", "-c"];
	return pushFiles(daemon, "shell", files, { Entrypoint, Cmd: ["exit 0"], Env: ["PATH=/bin"] });
}

describe("jobs, workers and core services of a real daemon", { skip }, () => {
	let daemon: LocalDaemon;
	let image: string;
	const run = async (...args: string[]) => {
		const result = await slipway(daemon.home, args);
		assert.equal(result.code, 0, `${args.join(" ")}: ${result.err}`);
		return result.out;
	};

	before(async () => {
		daemon = await startDaemon({ env: { SLIPWAY_EGRESS: "0" } });
		image = await pushShell(daemon);
	});

	after(() => daemon[Symbol.asyncDispose]());

	test("A job's tasks see who they are, are tried again, and leave their output", async () => {
		const script =
			'echo "task $CLOUD_RUN_TASK_INDEX of $CLOUD_RUN_TASK_COUNT, try $CLOUD_RUN_TASK_ATTEMPT of $CLOUD_RUN_JOB"; [ "$CLOUD_RUN_TASK_INDEX$CLOUD_RUN_TASK_ATTEMPT" != 10 ]';
		await run("job", "deploy", image, "--name", "report", "--tasks", "3", "--args", script);
		const { execution, tasks } = JSON.parse(await run("job", "run", "report", "--wait", "--json"));
		assert.deepEqual([execution.status.succeededCount, execution.status.retriedCount], [3, 1]);
		assert.equal(tasks[1].status.retried, 1);
		const lines = (await run("job", "logs", "report")).trim().split("\n").sort();
		assert.deepEqual(lines, [
			"task 0 of 3, try 0 of report",
			"task 1 of 3, try 0 of report",
			"task 1 of 3, try 1 of report",
			"task 2 of 3, try 0 of report",
		]);
		const failed = await slipway(daemon.home, ["job", "run", "report", "--wait", "--tasks", "1", "--args", "exit 7"]);
		assert.equal(failed.code, 1);
		assert.match(failed.out, /0 +failed +3 +7 .*exited with code 7/);
	});

	test("A worker runs until it is deleted, and its volume outlives it", async () => {
		const script = "echo run >> /data/runs; busybox wc -l < /data/runs; busybox sleep 1000";
		const deploy = ["worker", "deploy", image, "--name", "w", "--volume", "runs:/data"];
		await run(...deploy, "--args", script);
		assert.match(await run("ps"), /worker-\w+ +worker +w +w-00001 +ready/);
		await run(...deploy, "--args", `${script}; true`);
		assert.match(await run("worker", "get", "w"), /latest ready +w-00002\n/);
		assert.equal(await run("worker", "logs", "w"), "1\n2\n");
		await run("worker", "rm", "w");
	});

	test("A service stops when it is told to, and the next request starts it; a core service keeps its files", async () => {
		const serve = "exec busybox httpd -f -p $PORT -h /www";
		await run("service", "deploy", image, "--name", "web", "--args", serve);
		assert.equal(await run("service", "curl", "web"), "hello\n");
		assert.match(await run("ps"), /svc-\w+ +service +web +web-00001/);
		assert.equal(await run("service", "stop", "web"), "web: 1 instance stopped\n");
		assert.doesNotMatch(await run("ps"), /svc-/);
		assert.equal(await run("service", "curl", "web"), "hello\n");
		const store = "date > /data/$K_REVISION; exec busybox httpd -f -p $PORT -h /data";
		const deploy = ["service", "deploy", image, "--name", "db", "--volume", "db:/data", "--args"];
		await run(...deploy, `busybox ${store}`);
		await run(...deploy, `exec 2>&1; busybox ${store}`);
		assert.match(await run("service", "curl", "db", "/db-00001"), /\d{4}\n$/);
		assert.match(await run("service", "stop", "db"), /^db: 0 instances/);
		await run("service", "rm", "db", "web");
	});
});
