import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { systemClock } from "../base/clock.ts";
import { randomIds } from "../base/ids.ts";
import { silentLog } from "../base/log.ts";
import { apiFront } from "../front/api/api.ts";
import { fakeDelivery } from "../front/api/fake-delivery.ts";
import { fakeApiDeps } from "../front/api/fake-engine.ts";

const token = "slw_test";

/** The API of a daemon over fakes, and the command line on it as a user runs it. */
async function daemon(context: TestContext) {
	const home = await mkdtemp(join(tmpdir(), "slipway-cli-"));
	const delivery = await fakeDelivery();
	const closing = new AbortController();
	const common = { closing: closing.signal, clock: systemClock, ids: randomIds, log: silentLog };
	const fakes = fakeApiDeps({ ...common, accountId: "123456789012", home });
	const server = createServer(apiFront({ ...fakes, token, delivery }));
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	context.after(async () => {
		closing.abort();
		server.closeAllConnections();
		server.close();
		await delivery[Symbol.asyncDispose]();
		await rm(home, { recursive: true });
	});
	const SLIPWAY_URL = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	const run = async (args: readonly string[], input = "") => {
		const main = join(import.meta.dirname, "main.ts");
		const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", main, ...args], {
			env: { PATH: process.env.PATH ?? "", SLIPWAY_URL, SLIPWAY_TOKEN: token, SLIPWAY_HOME: home },
			stdio: ["pipe", "pipe", "pipe"],
		});
		child.stdin.on("error", () => {}); // a command that reads nothing is gone before
		child.stdin.end(input);
		const code = new Promise<number | null>((resolve) => child.once("close", resolve));
		const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
		return { code: await code, out, err };
	};
	const slipway = (...args: string[]) => run(args);
	const file = async (name: string, content: string) => {
		await writeFile(join(home, name), content);
		return join(home, name);
	};
	return { run, slipway, file, log: delivery.messageLog };
}

test("A queue from the command line: made with its dead letters, sent to, looked at, received from, emptied", async (context) => {
	const { run, slipway } = await daemon(context);
	const created = await slipway("queue", "create", "orders", "--dead-letters", "orders-dlq", "--visibility", "0s");
	assert.match(created.out, /^orders http:.*\/123456789012\/orders\n$/, created.err);
	assert.match(
		(await slipway("queue", "ls")).out,
		/^QUEUE .*\norders +0 +0 +0 +orders-dlq after 3\norders-dlq +0 +0 +0\n$/,
	);
	const sent = await slipway("queue", "send", "orders", '{"a":1}', "--attribute", "k=v");
	assert.match(sent.out, /^[\w-]{36}\n$/);
	assert.equal(
		JSON.parse((await run(["queue", "send", "orders", "-", "--count", "3", "--json"], '{"b":2}\n')).out).ids.length,
		3,
	);
	assert.match(
		(await slipway("queue", "peek", "orders")).out,
		/^ID +STATE +RECEIVES +AGE +GROUP +BODY\n[\w-]{36} +ready +0 +\ds +\{"a":1\}\n/,
	);
	assert.equal((await slipway("queue", "receive", "orders")).out, '{"a":1}\n');
	const [kept] = JSON.parse((await slipway("queue", "receive", "orders", "--keep", "--json")).out);
	assert.deepEqual([kept.body, kept.receiveCount], ['{"b":2}', 1]);
	assert.equal((await slipway("queue", "purge", "orders")).code, 2);
	assert.equal((await slipway("queue", "purge", "orders", "--yes")).out, "3 deleted\n");
	const none = await slipway("queue", "receive", "orders");
	assert.deepEqual([none.code, none.out, none.err], [4, "", "No message is visible in 'orders'\n"]);
	assert.match((await slipway("queue", "get", "orders-dlq")).out, /retention {3}14d\ndead of {5}orders\n$/);
	assert.equal((await slipway("queue", "rm", "orders", "orders-dlq")).out, "orders\norders-dlq\n");
});

test("A message that fails is found dead, followed, and sent back", async (context) => {
	const { slipway } = await daemon(context);
	await slipway("queue", "create", "orders", "-d", "dead", "--max-receives", "1", "--visibility", "0");
	const id = (await slipway("queue", "send", "orders", "bad")).out.trim();
	await slipway("queue", "receive", "orders", "--keep");
	assert.equal((await slipway("queue", "receive", "orders", "--keep")).code, 4);
	const overview = await slipway("events", "ls");
	assert.match(
		overview.out,
		/^PLACE +READY +DELAYED +RETRYING +IN FLIGHT +DEAD +OLDEST +SIZE\nqueue dead +0 +0 +0 +0 +1 +\d+s +3 B\nall +0 +0 +0 +0 +1 +3 B\n$/,
	);
	assert.match(
		(await slipway("events", "ls", "queue/dead", "--body")).out,
		new RegExp(`\n${id} +dead +0 +\\d+s +3 B +bad\n`),
	);
	const shown = await slipway("events", "show", id, "--body");
	assert.match(shown.out, new RegExp(`^${id}: dead\n.* sent to queue orders\n`));
	assert.match(
		shown.out,
		new RegExp(`now: dead at queue dead\nbad\nreplay it: slipway events replay queue/dead --id ${id}\n$`),
	);
	const followed = await slipway("events", "follow", id);
	assert.deepEqual([followed.code, followed.out.endsWith(`${id}: dead\n`)], [1, true]);
	assert.equal((await slipway("events", "replay", "queue/dead")).code, 2);
	assert.equal((await slipway("events", "replay", "queue", "dead", "--id", id)).out, "1 replayed\n");
	await slipway("queue", "receive", "orders", "--keep");
	await slipway("queue", "receive", "orders", "--keep");
	assert.equal((await slipway("queue", "redrive", "dead")).out, "1 of 1 moved\n");
	assert.match((await slipway("events", "show", id)).out, /queue dead: sent back to queue orders\n/);
	assert.equal(JSON.parse((await slipway("queue", "ls", "orders", "--json")).out)[0].visible, 1);
	assert.equal((await slipway("events", "faults")).out, "No damaged messages\n");
});

test("An invocation that nobody waits for is followed until it is delivered", async (context) => {
	const { slipway, log } = await daemon(context);
	const id = (await slipway("invoke", "hello", "--async", "-d", '{"n":1}')).out.trim();
	const following = slipway("events", "follow", id, "--json");
	const [message] = await log.lease("lambda/hello", { max: 1, visibility: "process" });
	await log.commit([
		{ change: "settle", token: message!.token, outcome: "retry", delayMs: 0, detail: { error: "first" } },
	]);
	const [again] = await log.lease("lambda/hello", { max: 1, visibility: "process" });
	await log.commit([{ change: "settle", token: again!.token, outcome: "done" }]);
	const { code, out } = await following;
	const steps = out
		.trim()
		.split("\n")
		.map((line) => JSON.parse(line));
	assert.deepEqual([code, steps.map(({ step }) => step)], [0, ["sent", "retry", "delivered"]]);
	assert.deepEqual(steps[1].detail, { error: "first" });
	assert.match(
		(await slipway("events", "show", id)).out,
		/function hello: attempt 1 failed: first, tried again later\n/,
	);
	assert.equal((await slipway("invoke", "missing", "--async")).code, 4);
	await slipway("invoke", "hello", "--async");
	const waiting = await slipway(
		"events",
		"follow",
		JSON.parse((await slipway("invoke", "hello", "-a", "--json")).out).requestId,
		"--timeout",
		"0s",
	);
	assert.deepEqual([waiting.code, /goes on without this command/.test(waiting.err)], [1, true]);
	assert.equal((await slipway("events", "purge", "function/hello", "--yes")).out, "2 deleted\n");
});

test("Triggers of queues and brokers", async (context) => {
	const { slipway, file } = await daemon(context);
	await slipway("queue", "create", "orders");
	const made = await slipway("queue", "trigger", "orders", "--function", "work", "--item-failures");
	assert.match(made.out, /^[\w-]{36}: queue orders -> function:work \(Enabled\)\n$/, made.err);
	const documents = await file(
		"mq.yaml",
		"name: rabbit\nkind: rabbitmq\nurl: amqp://127.0.0.1\n---\nname: mq\nsource: {connection: rabbit, queue: q}\ntarget: arn:aws:sqs:us-east-1:123456789012:orders\n",
	);
	const applied = await slipway("trigger", "apply", "-f", documents);
	assert.equal(
		applied.out,
		"rabbit: rabbitmq at amqp://127.0.0.1\nmq: rabbit q -> queue:orders (connected)\n",
		applied.err,
	);
	assert.match((await slipway("trigger", "ls")).out, /\nmq +rabbit q +queue:orders +connected +1\n$/);
	assert.equal((await slipway("trigger", "pause", "mq")).out, "mq: rabbit q -> queue:orders (disabled)\n");
	assert.equal((await slipway("trigger", "resume", "mq")).code, 0);
	assert.match((await slipway("trigger", "get", "mq")).out, /received 4, delivered 3, in hand 1\n/);
	assert.equal((await slipway("trigger", "rm", "mq")).out, "mq\n");
	assert.equal((await slipway("trigger", "get", "mq")).code, 4);
	assert.match((await slipway("connection", "ls")).out, /\nrabbit +rabbitmq +amqp:/);
	assert.equal((await slipway("connection", "rm", "rabbit")).out, "rabbit\n");
});

test("What is missing or wrong is said with the way out", async (context) => {
	const { slipway } = await daemon(context);
	const cases: [string[], number, RegExp][] = [
		[["queue", "send", "orders"], 2, /The body is missing: an argument, - for standard input/],
		[["queue", "send", "orders", "x"], 4, /no queue 'orders'\nhint: `slipway queue create orders`/],
		[["queue", "send", "orders", "x", "--delay", "soon"], 2, /--delay is 'soon'/],
		[["queue", "create", "a", "--max-receives", "3"], 2, /needs --dead-letters/],
		[["queue", "create", "a.fifo", "-d", "b"], 2, /one of the same kind/],
		[["queue", "trigger", "orders"], 2, /Either --function or --service/],
		[["events", "ls", "nonsense"], 1, /hint: Say function\/NAME/],
		[["events", "ls", "queue/none"], 4, /slipway events ls --all/],
		[["events", "ls", "queue/none", "--state", "odd"], 2, /--state is 'odd'/],
		[["events", "ls", "queue/none", "--since", "yesterday"], 2, /how long ago as 90m/],
		[["events", "show", "unknown"], 4, /request ids of asynchronous invocations/],
		[["events", "replay", "queue/x"], 2, /--id ID, --since TIME, --until TIME or --all/],
		[["events"], 2, /'events' needs a verb: ls, show/],
		[["trigger", "rm", "none"], 4, /slipway trigger ls/],
		[["invoke", "hello", "--async", "--tail"], 2, /exclude each other/],
	];
	for (const [args, code, message] of cases) {
		const result = await slipway(...args);
		assert.equal(result.code, code, `${args.join(" ")}: ${result.err}`);
		assert.match(result.err, message);
		assert.equal(result.out, "");
	}
});

test("Schedules and buses", async (context) => {
	const { slipway } = await daemon(context);
	await slipway("queue", "create", "orders");
	const made = await slipway("schedule", "create", "tick", "rate(1 minute)", "--queue", "orders", "-d", "{}");
	assert.deepEqual([made.code, made.out], [0, "tick\n"], made.err);
	assert.match((await slipway("schedule", "ls")).out, /\ntick +rate\(1 minute\) +queue:orders +2096-/);
	assert.equal((await slipway("schedule", "rm", "tick")).out, "tick\n");
	assert.equal((await slipway("schedule", "rm", "tick")).code, 4);
	assert.equal((await slipway("schedule", "create", "x", "often", "--queue", "orders")).code, 1);
	assert.match((await slipway("schedule", "create", "x", "rate(1 day)")).err, /One of --function, --queue and --to/);
	assert.match((await slipway("bus", "ls")).out, /^BUS +RULES\ndefault +2\n$/);
	assert.equal((await slipway("bus", "put", '{"a":1}', "--type", "T", "--source", "shop")).out, "event-of-shop\n");
	assert.match((await slipway("bus", "put", '{"a":1}', "--type", "T", "--source", "aws.x")).err, /aws is reserved/);
	assert.match((await slipway("bus", "put", "[1]", "--type", "T")).err, /must be a JSON object/);
	assert.match((await slipway("bus", "put", "{}")).err, /--type is missing/);
});
