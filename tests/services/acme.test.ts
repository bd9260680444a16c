/** A public authority's certificates: pebble asks the gateway for http-01 as Let's Encrypt would, and curl trusts what it gives out. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { buildPebble, Pebble } from "../../src/adapters/certificates/testing/pebble.ts";
import type { DomainView } from "../../src/client/service-schema.ts";
import { findGo } from "../../tools/go.ts";
import { type LocalDaemon, startDaemon } from "../../tools/local-daemon.ts";
import { attempt } from "../../tools/run.ts";
import { testHome } from "../e2e/slipway.ts";
import { cli, deploy, until } from "./service-client.ts";
import { pushSubject } from "./subject.ts";

const host = "shop.example.test";
/** When two thirds of it are over, the next handshake has it renewed. */
const validitySeconds = 30;

async function freePorts(count: number): Promise<number[]> {
	const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
	await Promise.all(servers.map((server) => once(server, "listening")));
	const ports = servers.map((server) => (server.address() as AddressInfo).port);
	await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
	return ports;
}

async function domainOf(daemon: LocalDaemon, name: string): Promise<DomainView> {
	const domains = JSON.parse(await cli(daemon, "domain", "ls", "--json")) as DomainView[];
	const found = domains.find((each) => each.host === name);
	assert(found);
	return found;
}

async function world(context: TestContext) {
	const home = testHome(context);
	const [listenPort = 0, httpPort = 0, tlsPort = 0, port = 0, managementPort = 0, namesPort = 0, namesManagement = 0] =
		await freePorts(7);
	const go = await findGo();
	const names = {
		program: await buildPebble(go, "pebble-challtestsrv"),
		port: namesPort,
		managementPort: namesManagement,
	};
	const program = await buildPebble(go);
	const start = () => Pebble.start(program, { port, managementPort, httpPort, validitySeconds, names });
	const pebble = await start();
	const ca = join(home, "pebble.pem");
	await writeFile(ca, pebble.ca);
	const env = {
		SLIPWAY_ACME_EMAIL: "ops@example.test",
		SLIPWAY_ACME_DIRECTORY: pebble.directoryUrl,
		SLIPWAY_ACME_CA: ca,
		SLIPWAY_GATEWAY_LISTEN: `127.0.0.1:${httpPort}`,
		SLIPWAY_GATEWAY_TLS_LISTEN: `127.0.0.1:${tlsPort}`,
	};
	const log: string[] = [];
	const startHere = async () => {
		const daemon = await startDaemon({ home: join(home, "daemon"), listen: `127.0.0.1:${listenPort}`, env });
		daemon.process?.stderr?.on("data", (text: string) => log.push(text));
		return daemon;
	};
	return { startHere, pebble, tlsPort, log, root: join(home, "root.pem") };
}

test("ACME, from the domain to the renewal, and without the authority", async (context) => {
	const { startHere, pebble, tlsPort, log, root } = await world(context);
	context.after(() => pebble[Symbol.asyncDispose]());
	let daemon = await startHere();
	context.after(() => daemon[Symbol.asyncDispose]());
	await writeFile(root, await pebble.root());
	await deploy(daemon, "hello", await pushSubject(daemon));
	const address = `${host}:${tlsPort}`;
	const curl = () =>
		attempt("curl", ["-sS", "--cacert", root, "--resolve", `${address}:127.0.0.1`, `https://${address}/`]);
	const serial = async () => {
		const { stdout } = await attempt("sh", [
			"-c",
			`openssl s_client -connect 127.0.0.1:${tlsPort} -servername ${host} </dev/null 2>/dev/null | openssl x509 -noout -serial`,
		]);
		return stdout.trim();
	};

	let first = "";
	await context.test("A domain with --tls acme has a certificate soon, and curl trusts it", async () => {
		await cli(daemon, "domain", "add", host, "--service", "hello", "--tls", "acme");
		await until("a certificate is issued", 20, async () =>
			(await domainOf(daemon, host)).certificate?.state === "issued" ? true : undefined,
		);
		const { code, stdout, stderr } = await curl();
		assert.equal(code, 0, stderr);
		assert.equal(JSON.parse(stdout).host, address);
		first = await serial();
		assert.match(first, /^serial=/);
	});

	let second = "";
	await context.test("It is renewed ahead of its end, while the old one serves", async () => {
		second = await until("another certificate", validitySeconds, async () => {
			const now = await serial();
			assert.match(now, /^serial=/, "there is always one");
			return now === first ? undefined : now;
		});
		assert.equal((await curl()).code, 0);
	});

	await context.test(
		"While the authority is away the old one is kept, over a restart too, and the reason is told",
		async () => {
			await pebble[Symbol.asyncDispose]();
			await daemon[Symbol.asyncDispose]();
			daemon = await startHere();
			assert.equal(await serial(), second);
			const failed = await until("the renewal fails", validitySeconds, async () => {
				assert.equal(await serial(), second);
				const { certificate } = await domainOf(daemon, host);
				return certificate?.problem === undefined ? undefined : certificate;
			});
			assert.equal(failed.state, "issued");
			assert.match(failed.problem ?? "", /No certificate for shop\.example\.test: .*ECONNREFUSED/);
			const waitMs = Date.parse(failed.retryAt ?? "") - Date.now();
			assert(waitMs > 40_000 && waitMs < 75_000, `the next try is in ${waitMs} ms`);
			assert.match(log.join(""), /certificate could not be had.*shop\.example\.test.*keptUntil/);
			assert.match(await cli(daemon, "domain", "ls"), /until \S+; renewal failed: No certificate/);
		},
	);

	await context.test("A host without a certificate is refused in the handshake", async () => {
		await cli(daemon, "domain", "add", "new.example.test", "--service", "hello", "--tls", "acme");
		const { code } = await attempt("curl", [
			"-sk",
			"--resolve",
			`new.example.test:${tlsPort}:127.0.0.1`,
			`https://new.example.test:${tlsPort}/`,
		]);
		assert.equal(code, 35);
		const { certificate } = await domainOf(daemon, "new.example.test");
		assert.notEqual(certificate?.state, "issued");
	});
});
