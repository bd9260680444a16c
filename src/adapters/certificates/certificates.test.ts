import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { createServer as createHttp } from "node:http";
import { type AddressInfo, createServer as createTcp, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { connect, createServer, type SecureContext, type TLSSocket } from "node:tls";
import { promisify } from "node:util";
import { type Clock, systemClock } from "../../base/clock.ts";
import { type Log, silentLog } from "../../base/log.ts";
import { type CertificateRule, Certificates, type CertificatesOptions } from "./certificates.ts";
import { renewAtMs, retryMs } from "./renewal.ts";
import { buildPebble, findGo, Pebble } from "./testing/pebble.ts";
import { makeAuthority, makeLeaf, validityOf } from "./x509.ts";

const run = promisify(execFile);
const hour = 3_600_000;

async function folderOf(t: TestContext): Promise<string> {
	const folder = await mkdtemp(join(tmpdir(), "slipway-certificates-"));
	t.after(() => rm(folder, { recursive: true, force: true }));
	return folder;
}

function make(
	t: TestContext,
	folder: string,
	rules: Record<string, CertificateRule["tls"]>,
	more: Partial<CertificatesOptions> = {},
) {
	const tlsOf = (host: string): CertificateRule | undefined => (rules[host] ? { tls: rules[host], host } : undefined);
	const certificates = new Certificates({
		folder,
		tlsOf,
		machine: "here",
		clock: systemClock,
		log: silentLog,
		...more,
	});
	t.after(() => certificates[Symbol.dispose]());
	return certificates;
}

/** A clock that can be set ahead; nothing waits on it. */
function shiftedClock(): Clock & { shiftMs: number } {
	const clock = { ...systemClock, shiftMs: 0, now: () => Date.now() + clock.shiftMs, after: () => () => {} };
	return clock;
}

async function listen(t: TestContext, server: Server): Promise<number> {
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	t.after(() => void server.close());
	return (server.address() as AddressInfo).port;
}

async function tlsPort(t: TestContext, certificates: Certificates): Promise<number> {
	const server = createServer(
		{ SNICallback: (name, done) => void certificates.issue(name).then((context) => done(null, context)) },
		(socket) => socket.on("error", () => {}).end("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"),
	);
	server.on("tlsClientError", () => {});
	return listen(t, server);
}

async function peerOf(context: SecureContext, host: string, ca: string): Promise<string> {
	const server = createServer({ SNICallback: (_name, done) => done(null, context) }, (socket) => socket.end());
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	try {
		const socket: TLSSocket = connect({ port: (server.address() as AddressInfo).port, servername: host, ca });
		await once(socket, "secureConnect");
		const serial = socket.getPeerCertificate().serialNumber;
		socket.destroy();
		return serial;
	} finally {
		server.close();
	}
}

test("The development authority's certificates stand up to openssl and curl", async (t) => {
	const folder = await folderOf(t);
	const certificates = make(t, folder, { "shop.localhost": "dev", "a.b.example.com": "dev" });
	const port = await tlsPort(t, certificates);
	const { authority } = certificates;
	await authority.certificate();
	const ca = authority.certificatePath;
	for (const host of ["shop.localhost", "a.b.example.com"]) {
		const at = `${host}:${port}`;
		const { stdout } = await run("curl", ["-sS", "--cacert", ca, "--resolve", `${at}:127.0.0.1`, `https://${at}/`]);
		assert.equal(stdout, "ok");
	}
	await assert.rejects(
		run("curl", ["-sS", "--resolve", `shop.localhost:${port}:127.0.0.1`, `https://shop.localhost:${port}/`]),
	);
	const leaf = join(folder, "leaf.pem");
	await writeFile(leaf, (await authority.leaf("x.localhost")).cert);
	const words = [
		"verify",
		"-x509_strict",
		"-purpose",
		"sslserver",
		"-verify_hostname",
		"x.localhost",
		"-CAfile",
		ca,
		leaf,
	];
	assert.match((await run("openssl", words)).stdout, /OK/);
	const handshake = run("openssl", [
		"s_client",
		"-connect",
		`127.0.0.1:${port}`,
		"-servername",
		"shop.localhost",
		"-CAfile",
		ca,
		"-verify_return_error",
		"-verify_hostname",
		"shop.localhost",
	]);
	handshake.child.stdin?.end();
	assert.match((await handshake).stdout, /Verify return code: 0 \(ok\)/);
});

test("The authority's key is the daemon's alone, and stays the same", async (t) => {
	const folder = await folderOf(t);
	const first = await make(t, folder, {}).authority.certificate();
	assert.equal((await stat(join(folder, "development", "authority.pem"))).mode & 0o777, 0o600);
	assert.equal((await stat(join(folder, "development"))).mode & 0o077, 0);
	const again = make(t, folder, {});
	assert.equal((await again.authority.certificate()).trim(), first.trim());
	assert.match(await readFile(again.authority.certificatePath, "utf8"), /BEGIN CERTIFICATE/);
	assert.doesNotMatch(await readFile(again.authority.certificatePath, "utf8"), /PRIVATE/);
	assert.match(await again.authority.instructions(), /update-ca-certificates/);
});

test("A name is answered from the cache at once, and renewed ahead of its end", async (t) => {
	const clock = shiftedClock();
	// Clients have the real time: what is made has to be of the past.
	clock.shiftMs = -61 * 24 * hour;
	const certificates = make(t, await folderOf(t), { "a.localhost": "dev" }, { clock, random: () => 0 });
	assert.equal(certificates.certificateFor("a.localhost"), undefined);
	const made = await certificates.issue("A.LOCALHOST.");
	assert(made);
	assert.equal(certificates.certificateFor("a.localhost"), made);
	const ca = await certificates.authority.certificate();
	const serial = await peerOf(made, "a.localhost", ca);
	clock.shiftMs = -2 * 24 * hour;
	assert.equal(certificates.certificateFor("a.localhost"), made);
	clock.shiftMs = 0;
	// The old one serves until the new one is there.
	assert.equal(certificates.certificateFor("a.localhost"), made);
	while (certificates.certificateFor("a.localhost") === made) await new Promise((resolve) => setTimeout(resolve, 5));
	assert.notEqual(await peerOf((await certificates.issue("a.localhost"))!, "a.localhost", ca), serial);
	for (const none of ["other.localhost", "127.0.0.1", "", "..", "a".repeat(300), "a_b", "../../etc"])
		assert.equal(await certificates.issue(none), undefined, none);
});

test("Given files are used, read again when they change, and a broken change keeps the old ones", async (t) => {
	const folder = await folderOf(t);
	const authority = await makeAuthority("theirs", Date.now());
	const [cert, key] = [join(folder, "c.pem"), join(folder, "k.pem")];
	const put = async (pair: { cert: string; key: string }, seconds: number) => {
		await writeFile(cert, pair.cert);
		await writeFile(key, pair.key);
		for (const path of [cert, key]) await utimes(path, seconds, seconds);
	};
	await put(await makeLeaf(authority, "own.example.com", Date.now()), 1000);
	const clock = shiftedClock();
	const errors: string[] = [];
	const log: Log = { ...silentLog, error: (message) => void errors.push(message) };
	const certificates = make(
		t,
		folder,
		{ "own.example.com": { cert, key }, "gone.example.com": { cert: "/nowhere", key: "/nowhere" } },
		{ clock, log },
	);
	const first = await certificates.issue("own.example.com");
	assert(first);
	const settled = async () => {
		clock.shiftMs += 120_000;
		certificates.certificateFor("own.example.com");
		await new Promise((resolve) => setTimeout(resolve, 50));
		return certificates.certificateFor("own.example.com");
	};
	assert.equal(await settled(), first);
	await put({ cert: "garbage", key: "garbage" }, 2000);
	assert.equal(await settled(), first);
	assert.equal(errors.length, 1);
	await put(await makeLeaf(authority, "own.example.com", Date.now()), 3000);
	const second = await settled();
	assert(second && second !== first);
	assert.equal(await certificates.issue("gone.example.com"), undefined);
});

test("A certificate is renewed when two thirds of its life are over, and a failure is tried again later and later", () => {
	const validity = { notBeforeMs: 0, notAfterMs: 90 * 24 * hour };
	assert.equal(renewAtMs(validity, 0), 60 * 24 * hour);
	assert.equal(Math.round(renewAtMs(validity, 1)), 55.5 * 24 * hour);
	assert.deepEqual(
		[1, 2, 3, 10].map((failures) => retryMs(failures, false, 0)),
		[60_000, 240_000, 960_000, 12 * hour],
	);
	assert.equal(retryMs(1, true, 0), hour);
	assert.equal(retryMs(1, false, 1), 72_000);
});

test("A leaf takes some milliseconds", async (t) => {
	const authority = await makeAuthority("a", Date.now());
	const leaf = await makeLeaf(authority, "*.example.com", Date.now());
	const since = performance.now();
	for (let count = 0; count < 10; count++) await makeLeaf(authority, "a.localhost", Date.now());
	t.diagnostic(`${((performance.now() - since) / 10).toFixed(1)} ms a leaf`);
	const { notBeforeMs, notAfterMs } = validityOf(leaf.cert);
	assert.equal(Math.round((notAfterMs - notBeforeMs) / hour), 90 * 24 + 1);
});

test("ACME: an order with http-01 against pebble, kept, renewed, and refused without harm", async (t) => {
	const go = await findGo();
	if (go === undefined) return t.skip("pebble is built with Go, which is not installed");
	const program = await buildPebble(go);
	const folder = await folderOf(t);
	let certificates: Certificates | undefined;
	const asked: string[] = [];
	const gateway = createHttp((request, response) => {
		const [, token] = /^\/\.well-known\/acme-challenge\/(.+)$/.exec(request.url ?? "") ?? [];
		const host = (request.headers.host ?? "").replace(/:\d+$/, "");
		asked.push(host);
		const text = token && certificates?.challenge(host, token);
		response.writeHead(text ? 200 : 404).end(text);
	});
	const httpPort = await listen(t, gateway);
	const free = createTcp();
	const other = createTcp();
	const [port, managementPort] = [await listen(t, free), await listen(t, other)];
	await Promise.all([free, other].map((server) => new Promise((resolve) => server.close(resolve))));
	await using pebble = await Pebble.start(program, { port, managementPort, httpPort, reject: 10 });
	const clock = shiftedClock();
	const problems: string[] = [];
	const log: Log = { ...silentLog, error: (_message, fields) => void problems.push(String(fields?.error)) };
	const acme = { directoryUrl: pebble.directoryUrl, email: "a@example.com", ca: pebble.ca };
	const rules = { localhost: "acme", "no.such.invalid": "acme" } as const;
	certificates = make(t, folder, rules, { clock, log, acme, random: () => 0 });
	const issued = await certificates.issue("localhost");
	assert(issued, problems.join());
	assert(asked.includes("localhost"));
	const root = await pebble.root();
	const serial = await peerOf(issued, "localhost", root);
	assert.equal(certificates.challenge("localhost", "guess"), undefined);
	assert.equal((await stat(join(folder, "acme", "account.pem"))).mode & 0o777, 0o600);
	assert.equal((await stat(join(folder, "acme", "hosts", "localhost.pem"))).mode & 0o777, 0o600);
	// A daemon that starts again has it at once, and asks nobody.
	const orders = asked.length;
	certificates = make(t, folder, rules, { clock, log, acme, random: () => 0 });
	assert.equal(await peerOf((await certificates.issue("localhost"))!, "localhost", root), serial);
	assert.equal(asked.length, orders);
	// Two thirds of the hour are over.
	clock.shiftMs = 45 * 60_000;
	const before = certificates.certificateFor("localhost");
	assert(before, "the old one serves meanwhile");
	while (certificates.certificateFor("localhost") === before && problems.length === 0)
		await new Promise((resolve) => setTimeout(resolve, 20));
	assert.notEqual(await peerOf((await certificates.issue("localhost"))!, "localhost", root), serial, problems.join());
	assert.equal(await certificates.issue("no.such.invalid"), undefined);
	assert.equal(problems.length, 1);
	// It is not asked for again at once.
	assert.equal(await certificates.issue("no.such.invalid"), undefined);
	assert.equal(problems.length, 1);
});

test("What could not be had is tried again without being asked, until the domain is taken away", async (t) => {
	const waiting: (() => void)[] = [];
	const clock = { ...shiftedClock(), shiftMs: 0, now: () => Date.now() + clock.shiftMs, after: planned };
	function planned(_ms: number, callback: () => void) {
		waiting.push(callback);
		return () => {};
	}
	const round = () => waiting.splice(0).forEach((callback) => void callback());
	const problems: string[] = [];
	const log: Log = { ...silentLog, error: (_message, fields) => void problems.push(String(fields?.error)) };
	// Nobody listens there.
	const acme = { directoryUrl: "http://127.0.0.1:1/dir" };
	const rules: Record<string, CertificateRule["tls"]> = { "a.test": "acme" };
	const certificates = make(t, await folderOf(t), rules, { clock, log, acme, random: () => 0 });
	const failed = async (count: number) => {
		for (let tries = 0; problems.length < count && tries < 400; tries++)
			await new Promise((resolve) => setTimeout(resolve, 5));
		assert.equal(problems.length, count);
	};
	certificates.ensure(["a.test"]);
	await failed(1);
	assert.match(problems[0] ?? "", /No certificate for a\.test: the authority can't be reached: .*ECONNREFUSED/);
	assert.match(certificates.state("a.test")?.problem ?? "", /can't be reached/);
	round();
	await new Promise((resolve) => setTimeout(resolve, 20));
	assert.equal(problems.length, 1, "not before its time");
	clock.shiftMs += 61_000;
	round();
	await failed(2);
	delete rules["a.test"];
	clock.shiftMs += 24 * hour;
	round();
	await new Promise((resolve) => setTimeout(resolve, 20));
	assert.equal(problems.length, 2);
	assert.equal(certificates.state("a.test"), undefined);
});
