/** The command line, word for word where it matters: output, errors, exit codes. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { exitCodes } from "../../src/cli/verb.ts";
import { verbs } from "../../src/cli/verbs.ts";
import { environment, fakeDaemon, finished, slipway, slipwayPath, testHome } from "./slipway.ts";

/** One daemon with a function of each kind. */
async function world(context: TestContext) {
	const home = testHome(context);
	await fakeDaemon(context, home);
	const run = (...args: string[]) => slipway(home, args);
	for (const name of ["hello", "broken"]) await run("function", "create", name, "--image", "127.0.0.1/x:1");
	return { home, run };
}

test("With a daemon", async (context) => {
	const { home, run } = await world(context);

	await context.test("invoke prints the answer alone on standard output", async () => {
		const cold = "cold start 6.1 ms: queue 0.25 ms, sandbox 1.5 ms, process 2.0 ms, init 2.3 ms, first poll 0.13 ms\n";
		assert.deepEqual(await run("invoke", "hello"), { code: 0, out: '{"echo":{}}\n', err: cold });
		assert.deepEqual(await run("invoke", "hello", "-d", '{"a":1}', "--tail"), {
			code: 0,
			out: '{"echo":{"a":1}}\n',
			err: `START\nEND\n${cold}`,
		});
		assert.equal((await slipway(home, ["invoke", "hello", "--file", "-"], { input: "[1]" })).out, '{"echo":[1]}\n');
		writeFileSync(join(home, "event.json"), '"file"');
		assert.equal((await run("invoke", "hello", "-f", join(home, "event.json"))).out, '{"echo":"file"}\n');
		const json = JSON.parse((await run("invoke", "hello", "--json")).out);
		assert.deepEqual(json.payload, { echo: {} });
		const stages = { queueMs: 0.25, sandboxMs: 1.5, processMs: 2, initMs: 2.25, firstPollMs: 0.125, spare: false };
		assert.deepEqual(json.coldStart, stages);
	});

	await context.test("invoke tells a failing function, a missing one and a bad event apart", async () => {
		assert.deepEqual(await run("invoke", "broken"), {
			code: exitCodes.functionError,
			out: '{"errorMessage":"no"}\n',
			err: "cold start 6.1 ms: queue 0.25 ms, sandbox 1.5 ms, process 2.0 ms, init 2.3 ms, first poll 0.13 ms\nslipway: 'broken' answered with an error (Unhandled)\n",
		});
		assert.deepEqual(await run("invoke", "nope"), {
			code: exitCodes.notFound,
			out: "",
			err: "slipway: Function not found: nope\n",
		});
		const bad = await run("invoke", "hello", "-d", "{a:1}");
		assert.equal(bad.code, exitCodes.usage);
		assert.match(bad.err, /^slipway: The event is not JSON: .*\nhint: Quote it for the shell/);
		assert.equal((await run("invoke", "hello", "-d", "1", "-f", "x")).code, exitCodes.usage);
	});

	await context.test("function ls, get, create, rm", async () => {
		assert.match(
			(await run("function", "ls")).out,
			/^FUNCTION {2}STATE {3}MEMORY {3}TIMEOUT {2}CHANGED +IMAGE\nbroken {4}Active {2}128 MiB {2}3 s {6}\d+s ago +127\.0\.0\.1\/x:1\nhello {5}Active .*\n$/,
		);
		assert.match((await run("function", "get", "hello")).out, /^name +hello\nstate +Active\n/);
		const { state, usage } = JSON.parse((await run("function", "get", "hello", "--json")).out);
		assert.deepEqual([state, usage.coldStarts, usage.lastColdStart.initMs], ["Active", usage.invocations, 2.25]);
		assert.match(
			(await run("function", "get", "hello")).out,
			/\ncold starts +\d+\nlast cold start +6\.1 ms: queue 0\.25 ms, /,
		);
		const exists = await run("function", "create", "hello", "--image", "x");
		assert.equal(exists.code, exitCodes.failed);
		assert.equal(exists.err, "slipway: Function already exist: hello\n");
		assert.match((await run("function", "create", "x")).err, /--image is missing/);
		assert.match(
			(await run("function", "create", "x", "-i", "y", "-e", "novalue")).err,
			/--env is 'novalue': it must be KEY=VALUE/,
		);
		assert.match((await run("function", "create", "x", "-i", "y", "-m", "lots")).err, /--memory is 'lots'/);
		const spares = (...options: string[]) => run("function", "spares", "hello", ...options);
		assert.equal((await spares()).out, "hello: created auto, initialized auto\n");
		assert.equal((await spares("--created", "off", "--initialized", "2")).out, "hello: created off, initialized 2\n");
		assert.deepEqual(JSON.parse((await spares("--created", "auto", "--json")).out), {
			created: "auto",
			initialized: 2,
		});
		for (const count of ["many", "101", "99999", "1.5"]) {
			const { code, err } = await spares("--created", count);
			assert.equal(code, exitCodes.usage);
			assert.ok(
				err.startsWith(`slipway: --created is '${count}': it must be a number from 0 to 100, auto or off\n`),
				err,
			);
		}
		assert.match((await run("function", "get", "hello")).out, /\nspares +created auto, initialized 2\n/);
		assert.deepEqual(await run("function", "stop", "hello"), { code: 0, out: "hello: 1 sandbox stopped\n", err: "" });
		assert.equal((await run("function", "stop", "nope")).code, exitCodes.notFound);
		await run("function", "create", "gone", "--image", "x");
		assert.deepEqual(await run("function", "rm", "gone"), { code: 0, out: "gone\n", err: "" });
		assert.equal((await run("function", "rm", "gone")).code, exitCodes.notFound);
	});

	await context.test("logs, ps, images", async () => {
		await run("invoke", "hello", "-d", '"last"');
		assert.match((await run("logs", "hello", "--since", "5m")).out, /event "last"\n$/);
		assert.equal((await run("logs", "hello", "-n", "1")).out, 'event "last"\n');
		assert.equal(JSON.parse((await run("logs", "hello", "-n", "1", "--json")).out).message, 'event "last"');
		assert.equal((await run("logs", "hello", "--since", "yesterday")).code, exitCodes.usage);
		assert.equal((await run("logs", "nope")).code, exitCodes.notFound);
		assert.match(
			(await run("ps")).out,
			/^SANDBOX {2}FUNCTION {2}STATE +AGE +LAST USED +START +EVENTS {2}MEMORY\nsb-1 +hello +idle .* 12\.3 ms +3 +1\.0 KiB of 128 MiB\n$/,
		);
		assert.match(
			(await run("image", "ls")).out,
			/^REPOSITORY {2}TAG {2}DIGEST +SIZE +PUSHED\nhello +1 +sha256:aaaaaaaaaaaa {2}3\.0 MiB .* ago\n$/,
		);
		assert.equal((await run("image", "inspect", "nope:1")).code, exitCodes.notFound);
	});

	await context.test("image import shows plain progress lines off a terminal", async () => {
		const archive = join(home, "a.tar");
		writeFileSync(archive, Buffer.alloc(100_000));
		const imported = await run("image", "import", archive, "--repository", "team/x:1");
		assert.equal(imported.code, 0, imported.err);
		assert.equal(imported.out, `127.0.0.1/team/x:1  sha256:${"a".repeat(64)}\n`);
		assert.match(imported.err, /^receive: started, 97\.7 KiB\n[\s\S]*unpack aaaaaaaaaaaa: done, 97\.7 KiB\n$/);
		assert.match((await run("image", "import", join(home, "missing"))).err, /can't be read/);
		const evil = await run("image", "import", archive, "-r", "evil");
		assert.deepEqual([evil.code, evil.err.includes("slipway: A layer breaks a rule")], [1, true]);
	});

	await context.test("logs -f goes on until Ctrl-C, which is no failure", async () => {
		const child = spawn(slipwayPath, ["logs", "hello", "-f", "-n", "0"], {
			env: environment(home),
			stdio: ["ignore", "pipe", "pipe"],
		});
		const result = finished(child);
		const first = new Promise((resolve) => child.stdout.once("data", resolve));
		const deadline = AbortSignal.timeout(10_000);
		let seen = false;
		void first.then(() => {
			seen = true;
		});
		while (!seen && !deadline.aborted) {
			await run("invoke", "hello", "-d", '"live"');
			await sleep(20);
		}
		child.kill("SIGINT");
		const { code, out } = await result;
		assert.equal(code, 0);
		assert.match(out, /^(event "live"\n)+$/);
	});

	await context.test("env is safe to evaluate, and the next command finds the daemon by it alone", async () => {
		const script = `eval "$(${slipwayPath} env)" && HOME=/nonexistent SLIPWAY_HOME= ${slipwayPath} status --json && echo "$AWS_PROFILE|$AWS_ENDPOINT_URL|$SLIPWAY_REGISTRY"`;
		const shell = spawn("sh", ["-c", script], {
			env: environment(home, { AWS_PROFILE: "other" }),
			stdio: ["ignore", "pipe", "pipe"],
		});
		const { code, out, err } = await finished(shell);
		assert.equal(code, 0, err);
		const { address } = JSON.parse(out.slice(0, out.lastIndexOf("}") + 1));
		assert.equal(out.trimEnd().split("\n").at(-1), `|http://${address}|${address}`);
		const settings = JSON.parse((await run("env", "--json")).out);
		assert.match(settings.AWS_ACCESS_KEY_ID, /^AKIA/);
		assert.equal(settings.AWS_REGION, "us-east-1");
		assert.match(
			(await slipway(home, ["env"], { env: { SHELL: "/usr/bin/fish" } })).out,
			/^set -gx AWS_ENDPOINT_URL 'http/m,
		);
		assert.equal((await run("env", "--shell", "cmd")).code, exitCodes.usage);
	});

	await context.test("status shows what runs", async () => {
		const { out } = await run("status");
		for (const field of ["state      running", "runtime    fake 1.0", "functions  2", `home       ${home}`])
			assert(out.includes(field), `${field} in\n${out}`);
		const json = JSON.parse((await run("status", "--json")).out);
		assert.equal(json.running, true);
		assert.equal(json.version, JSON.parse((await run("version", "--json")).out).version);
	});

	await context.test("a token that is not the daemon's is refused with the way to the right one", async () => {
		const { SLIPWAY_URL } = JSON.parse((await run("env", "--json")).out);
		const refused = await slipway(home, ["ps"], { env: { SLIPWAY_URL, SLIPWAY_TOKEN: "wrong" } });
		assert.equal(refused.code, exitCodes.failed);
		assert.match(refused.err, /bearer token is not this daemon's\nhint: `slipway env`/);
		assert.match((await slipway(home, ["ps"], { env: { SLIPWAY_URL } })).err, /SLIPWAY_URL is set alone/);
	});
});

test("Without a daemon every verb that needs one says so, with exit code 5", async (context) => {
	const home = testHome(context);
	for (const args of [
		["status"],
		["env"],
		["ps"],
		["invoke", "x"],
		["logs", "x"],
		["function", "ls"],
		["image", "ls"],
	]) {
		const { code, out, err } = await slipway(home, args);
		assert.equal(code, exitCodes.noDaemon, args.join(" "));
		assert.equal(out, "");
		assert.equal(
			err,
			`slipway: No daemon runs on '${home}'\n` +
				"hint: Start one with `slipway up --detach`, or name another with --home, or with SLIPWAY_URL and SLIPWAY_TOKEN\n",
		);
	}
	assert.deepEqual(JSON.parse((await slipway(home, ["status", "--json"])).out), { running: false, home });
	const gone = await slipway(home, ["ps"], { env: { SLIPWAY_URL: "http://127.0.0.1:1", SLIPWAY_TOKEN: "t" } });
	assert.equal(gone.code, exitCodes.noDaemon);
	assert.match(gone.err, /No daemon answers at http:\/\/127\.0\.0\.1:1: .*ECONNREFUSED/);
});

test("An address that is not Slipway's is named as such", async (context) => {
	const server = createServer((_request, response) => response.writeHead(404).end("hi")).listen(0, "127.0.0.1");
	context.after(() => server.close());
	await new Promise((resolve) => server.once("listening", resolve));
	const SLIPWAY_URL = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	const { code, err } = await slipway(testHome(context), ["ps"], { env: { SLIPWAY_URL, SLIPWAY_TOKEN: "t" } });
	assert.equal(code, exitCodes.failed);
	assert.match(err, /answered 404 without a problem document\nhint: Is SLIPWAY_URL/);
});

const misuse: [string[], RegExp][] = [
	[["funtion", "ls"], /^slipway: 'funtion' is not a command\nhint: Did you mean `slipway function ls`\?\n$/],
	[["function", "list"], /^slipway: 'function list' is not a command\nhint: Did you mean `slipway function ls`\?\n$/],
	[["function"], /^slipway: 'function' needs a verb: ls, get, create, spares, stop, rm\n/],
	[["statsu"], /hint: Did you mean `slipway status`\?\n$/],
	[["xyzzy"], /hint: `slipway help` lists the commands\n$/],
	[
		["invoke"],
		/^slipway: An argument is missing\nusage: slipway invoke NAME\[:QUALIFIER\] .*\nhint: `slipway invoke --help` explains it\n$/,
	],
	[["ps", "extra"], /'extra' is one argument too many/],
	[["ps", "--jsn"], /Unknown option '--jsn'/],
	[["invoke", "x", "--data"], /--data/],
	[["down", "--timeout", "later"], /--timeout is 'later'/],
];
for (const [args, said] of misuse)
	test(`Misuse: slipway ${args.join(" ")}`, async (context) => {
		const { code, out, err } = await slipway(testHome(context), args);
		assert.equal(code, exitCodes.usage);
		assert.equal(out, "");
		assert.match(err, said);
	});

test("Help: the overview has every verb, each verb its options and examples", async (context) => {
	const home = testHome(context);
	const overview = await slipway(home, []);
	assert.equal(overview.code, 0);
	assert.equal(overview.out, (await slipway(home, ["help"])).out);
	for (const { name, summary } of verbs)
		assert(overview.out.includes(`  ${name}`) && overview.out.includes(summary), name);
	assert.match(overview.out, /3 the function answered with an error/);
	for (const entry of verbs) {
		const verb = await entry.load();
		assert(verb.usage.startsWith(entry.name), entry.name);
		assert(entry.name === "version" || verb.examples.length > 0, `${entry.name} has an example`);
		for (const [command] of verb.examples) assert(command.length < 90, command);
	}
	const invoke = await slipway(home, ["invoke", "--help"]);
	assert.match(
		invoke.out,
		/^usage: slipway invoke NAME\[:QUALIFIER\] [\s\S]*-d, --data JSON +The event\n[\s\S]*Examples\n/,
	);
	assert.equal((await slipway(home, ["help", "invoke"])).out, invoke.out);
	assert.match(
		(await slipway(home, ["help", "config"])).out,
		/^SLIPWAY_HOME\n[\s\S]*SLIPWAY_LISTEN\n.*\n {4}default: 127\.0\.0\.1:4747\n/,
	);
	assert.match((await slipway(home, ["help", "image"])).out, /image import/);
});

test("The launcher works through links, from any folder, and says what to do without packages", async (context) => {
	const home = testHome(context);
	mkdirSync(join(home, "bin"));
	symlinkSync(slipwayPath, join(home, "one"));
	symlinkSync("../one", join(home, "bin", "two"));
	const linked = spawn(join(home, "bin", "two"), ["version"], {
		cwd: "/",
		env: environment(home),
		stdio: ["ignore", "pipe", "pipe"],
	});
	assert.match((await finished(linked)).out, /^slipway \d+\.\d+\.\d+ \(node 26\./);
	mkdirSync(join(home, "bare", "bin"), { recursive: true });

	writeFileSync(join(home, "bare", "bin", "slipway"), readFileSync(slipwayPath), { mode: 0o755 });
	const bare = spawn(join(home, "bare", "bin", "slipway"), [], {
		env: environment(home),
		stdio: ["ignore", "pipe", "pipe"],
	});
	const { code, err } = await finished(bare);
	assert.equal(code, 1);
	assert.match(err, /packages are not installed in .*\/bare\nhint: run `npm ci`/);
});

test("A reader that leaves early ends the command quietly", async (context) => {
	const child = spawn("sh", ["-c", `${slipwayPath} help config | head -n 1`], {
		env: environment(testHome(context)),
		stdio: ["ignore", "pipe", "pipe"],
	});
	assert.deepEqual(await finished(child), { code: 0, out: "SLIPWAY_HOME\n", err: "" });
});
