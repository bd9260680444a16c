/** The daemon's process: one owner a folder, crashes, draining, refusals. On fakes, so that it runs anywhere. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startDetached } from "../../src/cli/daemon-process.ts";
import { SlipwayClient } from "../../src/client/client.ts";
import { type LocalCredentials, type LockRecord, readRunningDaemon } from "../../src/client/local.ts";
import { nodeFetch } from "../../src/client/node-fetch.ts";
import { environment, fakeDaemon, fakeDaemonPath, finished, nodeOptions, slipway, testHome } from "./slipway.ts";

function start(home: string, env: Record<string, string> = {}) {
	return finished(
		spawn(process.execPath, [...nodeOptions, fakeDaemonPath], {
			env: environment(home, { SLIPWAY_LISTEN: "127.0.0.1:0", ...env }),
			stdio: ["ignore", "pipe", "pipe"],
		}),
	);
}

function record(home: string): LockRecord {
	const running = readRunningDaemon(home);
	assert(running, "a daemon runs");
	return running;
}

function clientOf(home: string): SlipwayClient {
	const { token } = JSON.parse(readFileSync(join(home, "credentials.json"), "utf8")) as LocalCredentials;
	return new SlipwayClient({ url: record(home).url, token, fetch: nodeFetch });
}

test("First start: keys for the owner alone; the next start has the same ones", async (context) => {
	const home = testHome(context);
	const first = await fakeDaemon(context, home);
	const path = join(home, "credentials.json");
	assert.equal(statSync(path).mode & 0o777, 0o600);
	const keys = readFileSync(path, "utf8");
	first.kill("SIGTERM");
	assert.equal((await first.result).code, 0);
	await fakeDaemon(context, home);
	assert.equal(readFileSync(path, "utf8"), keys);
});

test("A second daemon on the folder is told the first one's process and address", async (context) => {
	const home = testHome(context);
	await fakeDaemon(context, home);
	const { pid, address } = record(home);
	const second = await start(home);
	assert.equal(second.code, 1);
	assert(second.err.includes(`process ${pid}, on ${address}`), second.err);
	assert.match(second.err, /hint: .*slipway down/);
	assert.equal((await clientOf(home).status()).pid, pid, "the first one did not notice");
});

test("After kill -9 the folder is free, and the record of the dead is not believed", async (context) => {
	const home = testHome(context);
	const first = await fakeDaemon(context, home);
	first.kill("SIGKILL");
	await first.result;
	assert(readFileSync(join(home, "daemon.lock"), "utf8").includes(String(first.pid)));
	assert.equal((await slipway(home, ["status"])).code, 5);
	const started = performance.now();
	const second = await fakeDaemon(context, home);
	assert(performance.now() - started < 5000);
	assert.equal(record(home).pid, second.pid);
});

test("A port in use: the refusal names it and another way, and leaves the folder free", async (context) => {
	const home = testHome(context);
	const blocker = createServer().listen(0, "127.0.0.1");
	await once(blocker, "listening");
	context.after(() => blocker.close());
	const { port } = blocker.address() as { port: number };
	const refused = await start(home, { SLIPWAY_LISTEN: `127.0.0.1:${port}` });
	assert.equal(refused.code, 1);
	assert(refused.err.includes(`Port ${port} on 127.0.0.1 is already in use`), refused.err);
	assert.match(refused.err, /--listen HOST:PORT/);
	await fakeDaemon(context, home);
});

test("An open address is refused without TLS; the refusal says both ways; nothing was made", async (context) => {
	const home = join(testHome(context), "new");
	const refused = await start(home, { SLIPWAY_LISTEN: "0.0.0.0:0" });
	assert.equal(refused.code, 1);
	assert.match(refused.err, /SLIPWAY_LISTEN is '0\.0\.0\.0'/);
	assert.match(refused.err, /--tls-cert FILE --tls-key FILE.*--insecure/);
	assert(!existsSync(home));
	assert.match(
		(await start(home, { SLIPWAY_REGION: "x", SLIPWAY_LISTEN: "y" })).err,
		/SLIPWAY_LISTEN[\s\S]*SLIPWAY_REGION/,
	);
});

test("TLS: what is not a certificate is refused; a real one is served", async (context) => {
	const home = testHome(context);
	const [cert, key] = [join(home, "c.pem"), join(home, "k.pem")];
	writeFileSync(cert, "no");
	writeFileSync(key, "no");
	const env = { SLIPWAY_TLS_CERT: cert, SLIPWAY_TLS_KEY: key };
	assert.match((await start(home, env)).err, /can't be used together/);
	const made = await finished(
		spawn(
			"openssl",
			[
				"req",
				"-x509",
				"-newkey",
				"ec",
				"-pkeyopt",
				"ec_paramgen_curve:P-256",
				"-nodes",
				"-days",
				"1",
				"-subj",
				"/CN=localhost",
				"-addext",
				"subjectAltName=IP:127.0.0.1",
				"-keyout",
				key,
				"-out",
				cert,
			],
			{ stdio: "ignore" },
		),
	).catch(() => undefined);
	if (made?.code !== 0) return context.skip("openssl is not installed");
	await fakeDaemon(context, home, env);
	assert.match(record(home).url, /^https:/);
	const status = await slipway(home, ["status", "--json"], { env: { NODE_EXTRA_CA_CERTS: cert } });
	assert.equal(JSON.parse(status.out).running, true);
});

test("SIGTERM lets the request in flight finish, refuses new ones, then ends with exit code 0", async (context) => {
	const home = testHome(context);
	const daemon = await fakeDaemon(context, home);
	const client = clientOf(home);
	await client.createFunction({ name: "slow", image: "x" });
	const { url } = record(home);
	const answer = client.invoke("slow", "300");
	await sleep(100);
	daemon.kill("SIGTERM");
	await sleep(50);
	await assert.rejects(fetch(`${url}/healthz`));
	assert.equal(Buffer.from((await answer).payload).toString(), '{"echo":300}');
	const { code, err } = await daemon.result;
	assert.equal(code, 0);
	assert.match(err, /"Stopping","openRequests":1[\s\S]*"Disposed"[\s\S]*"Stopped"/);
	assert.equal(readRunningDaemon(home), undefined);
});

test("A second signal hurries; so does the drain limit; both end whole", async (context) => {
	for (const [env, signals] of [
		[{}, 2],
		[{ SLIPWAY_DRAIN_TIMEOUT: "0" }, 1],
	] as const) {
		const home = testHome(context);
		const daemon = await fakeDaemon(context, home, env);
		const client = clientOf(home);
		await client.createFunction({ name: "slow", image: "x" });
		const cut = assert.rejects(client.invoke("slow", "20000"));
		await sleep(100);
		for (let sent = 0; sent < signals; sent++) {
			daemon.kill("SIGTERM");
			await sleep(50);
		}
		await cut;
		const { code, err } = await daemon.result;
		assert.equal(code, 0);
		assert.match(err, /"Requests were cut off","requests":1[\s\S]*"Disposed"[\s\S]*"Stopped"/);
		assert.equal(readRunningDaemon(home), undefined);
	}
});

test("Detached: the report comes when it is ready, the log goes to a file, down ends it", async (context) => {
	const home = testHome(context);
	const env = environment(home, { SLIPWAY_LISTEN: "127.0.0.1:0", SLIPWAY_TYPO: "1" });
	const report = await startDetached(env, home, fakeDaemonPath);
	context.after(() => readRunningDaemon(home) && process.kill(report.pid ?? 0, "SIGKILL"));
	assert.equal(report.ready, true);
	assert.equal(report.pid, record(home).pid);
	assert.equal((await fetch(`${report.url}/readyz`)).status, 200);
	const again = await startDetached(env, home, fakeDaemonPath);
	assert.equal(again.ready, false);
	assert.match(again.message ?? "", new RegExp(`process ${report.pid}`));
	const down = await slipway(home, ["down", "--json"]);
	assert.equal(down.code, 0);
	assert.equal(JSON.parse(down.out).stopped, true);
	const log = readFileSync(join(home, "daemon.log"), "utf8").trimEnd().split("\n");
	const messages = log.map((line) => JSON.parse(line).message as string);
	assert.deepEqual(messages.slice(0, 2), ["Ready", "SLIPWAY_TYPO is set, but there is no such setting"]);
	assert.equal(messages.at(-1), "Stopped");
	assert.equal((await slipway(home, ["down"])).out, `No daemon runs on '${home}'\n`);
});

test("Detached: a process that dies without a word is told from one that is ready", async (context) => {
	const home = testHome(context);
	const script = join(home, "dies.ts");
	writeFileSync(script, "process.exit(7);");
	const report = await startDetached(environment(home), home, script);
	assert.equal(report.ready, false);
	assert.match(report.message ?? "", /exit code 7/);
});

test("What an import left behind in a crash is gone at the next start", async (context) => {
	const home = testHome(context);
	const first = await fakeDaemon(context, home);
	const { pid } = first;
	mkdirSync(join(home, "tmp"));
	writeFileSync(join(home, "tmp", "import-x"), "rest");
	process.kill(pid, "SIGKILL");
	await first.result;
	await fakeDaemon(context, home);
	assert(!readdirSync(home).includes("tmp"));
});
