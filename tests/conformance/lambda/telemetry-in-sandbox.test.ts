/** The Telemetry API in a real sandbox: extensions in busybox subscribe, and the function looks at what they were sent. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { UpdateFunctionConfigurationCommand } from "@aws-sdk/client-lambda";
import { pushShellRuntime } from "../../e2e/function-image.ts";
import { clause } from "./clause.ts";
import { skip, useSandboxes } from "./sandbox.ts";

const area = "Telemetry API";
const guide = "https://docs.aws.amazon.com/lambda/latest/dg/telemetry-api.html";
const lifecycle = "https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html";

const on = useSandboxes();
const options = { skip, timeout: 60_000 };
let image: Promise<string> | undefined;

async function pushImage(): Promise<string> {
	const script = await readFile(join(import.meta.dirname, "../../e2e/fixtures/telemetry-extension.sh"));
	const extensions = { "opt/extensions/http": script, "opt/extensions/tcp": script };
	return pushShellRuntime(on.daemon, "telemetry", {}, extensions);
}

/** A function with subscribers that has had one event, whose two lines are "line 0" and "line 1", and waits. */
async function subscribed(name: string, timeoutMs = 25): Promise<void> {
	image ??= pushImage();
	await on.create(name, { Environment: { Variables: { TELEMETRY_MS: String(timeoutMs) } } }, await image);
	await on.client.invoke(name, { do: "log", size: 2 });
	await on.client.idle();
}

/** What of a subscriber's records matches, after a moment for the last of them; quotes come as spaces. */
async function received(name: string, subscriber: "http" | "tcp", ...patterns: string[]): Promise<string[]> {
	const asked = patterns.map((pattern) => `-e '${pattern}'`).join(" ");
	const text = await on.sh(name, `sleep 0.5; busybox grep -o ${asked} /tmp/${subscriber}.records`);
	return text.split("|").filter((line) => line !== "");
}

for (const protocol of ["http", "tcp"] as const)
	clause(
		{
			area,
			says: `An extension in the sandbox gets platform, function and extension records over ${protocol.toUpperCase()} on the port that it named`,
			source: guide,
		},
		async () => {
			const name = `telemetry-${protocol}`;
			await subscribed(name);
			const lines = await on.log(name, /^REPORT /m);
			assert.ok(lines.includes(`${protocol} subscribed: "OK"`), lines.join("\n"));
			const types = await received(name, protocol, ".type.:.[a-zA-Z.]*");
			const of = (type: string) => types.filter((each) => each.trim() === `type : ${type}`).length;
			for (const once of ["initStart", "initRuntimeDone", "initReport"]) assert.equal(of(`platform.${once}`), 1, once);
			assert.deepEqual([of("platform.extension"), of("platform.telemetrySubscription")], [2, 2]);
			// The second start is that of the event which looks.
			assert.deepEqual([of("platform.start"), of("platform.runtimeDone"), of("platform.report")], [2, 1, 1]);
			assert.deepEqual(await received(name, protocol, "function.,.record.:.line [01]"), [
				"function , record : line 0",
				"function , record : line 1",
			]);
			const own = await received(name, protocol, "extension.,.record.:.[a-z]* subscribed");
			assert.deepEqual(own.sort(), ["extension , record : http subscribed", "extension , record : tcp subscribed"]);
		},
		options,
	);

clause(
	{ area, says: "sandbox.localdomain is the sandbox itself, also for its own programs", source: guide },
	async () => {
		await subscribed("telemetry-name");
		const [host] = await received("telemetry-name", "http", "for sandbox.*");
		assert.equal(host, "for sandbox.localdomain:4243");
		const command = "wget -q -O - http://sandbox.localdomain:4243/ && echo reached";
		assert.equal(await on.sh("telemetry-name", command), "reached|");
	},
	options,
);

clause(
	{
		area,
		says: "The environment is frozen whether telemetry waits or not: what is left is delivered with the next event",
		source: lifecycle,
	},
	async () => {
		await subscribed("telemetry-frozen", 1000);
		// Far more than the second after which the first event's report is to be sent.
		await new Promise((resolve) => setTimeout(resolve, 4000));
		const thawedS = Math.floor(Date.now() / 1000);
		const seen = await received("telemetry-frozen", "http", "^at [0-9]*", "platform.report");
		const report = seen.indexOf("platform.report");
		assert.ok(report > 0, seen.join("\n"));
		assert.ok(Number(seen[report - 1]?.slice("at ".length)) >= thawedS, `${seen} before ${thawedS}`);
	},
	options,
);

clause(
	{
		area,
		says: "An environment that ends while it is frozen still delivers what is left to its extensions",
		source: guide,
	},
	async () => {
		await subscribed("telemetry-end", 30_000);
		await on.client.invoke("telemetry-end", { do: "count" });
		await on.client.idle();
		await new Promise((resolve) => setTimeout(resolve, 500));
		const change = new UpdateFunctionConfigurationCommand({ FunctionName: "telemetry-end", Timeout: 4 });
		await on.client.lambda.send(change);
		const lines = await on.log("telemetry-end", /http ends[\s\S]*tcp ends|tcp ends[\s\S]*http ends/);
		for (const name of ["http", "tcp"])
			assert.ok(lines.includes(`${name} ends with 2 reports`), lines.filter((line) => / ends /.test(line)).join("\n"));
	},
	options,
);
