/** What an init may use, and inits that run before any event asks for them: in real sandboxes. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import {
	GetProvisionedConcurrencyConfigCommand,
	PublishVersionCommand,
	PutProvisionedConcurrencyConfigCommand,
} from "@aws-sdk/client-lambda";
import { SlipwayClient } from "../../../src/client/client.ts";
import { nodeFetch } from "../../../src/client/node-fetch.ts";
import { pushShellRuntime } from "../../e2e/function-image.ts";
import { clause } from "./clause.ts";
import { skip, useSandboxes } from "./sandbox.ts";

const lifecycle = "https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html";
const initCpu =
	"https://serverlessland.com/content/service/lambda/guides/effectively-running-java-on-serverless/init-heavy-lifting";
/** Milliseconds that the image's init sleeps. */
const initMs = 300;
/** Sandboxes ahead of events are made in turns, behind whatever else the machine does. */
const patienceMs = 20_000;

const area = "Execution environment";
const options = { skip, timeout: 60_000 };
const on = useSandboxes();

// Quota and period that the kernel holds the group to, in the words of control groups version 1 or 2.
const quota = "cd /sys/fs/cgroup; cat cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us 2>/dev/null || cat cpu.max";
const start = `#!/bin/sh
(${quota}) >/tmp/quota
sleep ${initMs / 1000}
echo x >>/tmp/inits
exec /runtime.sh
`;
let image: Promise<string> | undefined;

async function create(name: string, change: { MemorySize?: number } = {}): Promise<void> {
	const files = { "start.sh": start, "quota.sh": `#!/bin/sh\n${quota}\n` };
	image ??= pushShellRuntime(on.daemon, "initialization", { Entrypoint: ["/start.sh"] }, files);
	await on.create(name, change, await image);
}

async function until(condition: () => Promise<boolean>, what: string) {
	for (const deadline = performance.now() + patienceMs; !(await condition()); await sleep(20))
		if (performance.now() > deadline) assert.fail(`Waited in vain for ${what}`);
}

/** CPUs that the init had, and those that the event has which asks. */
async function cpus(name: string): Promise<number[]> {
	const output = await on.sh(name, "cat /tmp/quota; sh /quota.sh");
	const [init = 0, initPeriod = 0, event = 0, eventPeriod = 0] = output.split(/[| ]/).map(Number);
	return [init / initPeriod, event / eventPeriod];
}

clause(
	{ area, says: "An init on demand has a whole CPU; its first event has the function's share", source: initCpu },
	async () => {
		await create("init-cpu", { MemorySize: 128 });
		const [init = 0, event = 0] = await cpus("init-cpu");
		assert.equal(init, 1);
		assert.ok(Math.abs(event - 128 / 1769) < 0.001, `${event}`);
	},
	options,
);

clause(
	{ area, says: "The init of a function that has more than a CPU has all of its share", source: initCpu },
	async () => {
		await create("init-cpus", { MemorySize: 2 * 1769 });
		assert.deepEqual(await cpus("init-cpus"), [2, 2]);
	},
	options,
);

clause(
	{
		area,
		says: "The init of a provisioned environment has the function's share alone",
		source: initCpu,
		differs: "It has a whole CPU as well: it is there sooner, and events find it the same",
	},
	async () => {
		await create("init-provisioned", { MemorySize: 128 });
		const { lambda } = on.client;
		await lambda.send(new PublishVersionCommand({ FunctionName: "init-provisioned" }));
		const version = { FunctionName: "init-provisioned", Qualifier: "1" };
		await lambda.send(new PutProvisionedConcurrencyConfigCommand({ ...version, ProvisionedConcurrentExecutions: 1 }));
		const isReady = async () =>
			(await lambda.send(new GetProvisionedConcurrencyConfigCommand(version))).Status === "READY";
		await until(isReady, "the provisioned environment");
		const [init = 0, event = 0] = await cpus("init-provisioned:1");
		assert.equal(init, 1);
		assert.ok(Math.abs(event - 128 / 1769) < 0.001, `${event}`);
	},
	options,
);

clause(
	{
		area,
		says: "An environment on demand may be initialized before any event asks for it: its first event reports the init and did not wait for it",
		source: lifecycle,
	},
	async () => {
		await create("ahead");
		const { url, credentials } = on.daemon;
		const native = new SlipwayClient({ url, token: credentials.token, fetch: nodeFetch });
		await native.setSpares("ahead", { initialized: 1 });
		const waiting = async () => (await native.sandboxes()).filter(({ functionName }) => functionName === "ahead");
		await until(
			async () => (await waiting()).some(({ preInitialized, state }) => preInitialized && state === "frozen"),
			"an environment that is initialized ahead of events",
		);
		const command = "cat /tmp/inits; echo $AWS_LAMBDA_INITIALIZATION_TYPE";
		const { json, log } = await on.client.invoke("ahead", { do: "sh", command });
		assert.equal(json, "x|on-demand|", "one init, and the type of any other on demand");
		const reported = Number(/\tInit Duration: ([\d.]+) ms/.exec(log)?.[1]);
		assert.ok(reported >= initMs, log);
		assert.doesNotMatch(log, /Cold Start/);
	},
	options,
);
