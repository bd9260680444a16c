/** The gateway's TLS port with openssl and curl: the development authority, and certificates that somebody else made. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type LocalDaemon, startDaemon } from "../../tools/local-daemon.ts";
import { attempt, run } from "../../tools/run.ts";
import { cli, deploy } from "../services/service-client.ts";
import { missingForFunctionImages, pushShellRuntime } from "./function-image.ts";

const skip = missingForFunctionImages();
let daemon: LocalDaemon;
let url: URL;

before(async () => {
	if (skip) return;
	daemon = await startDaemon({ env: { SLIPWAY_GATEWAY_TLS_LISTEN: "127.0.0.1:0" } });
	const server = await readFile(join(import.meta.dirname, "fixtures/echo-service.sh"));
	const image = await pushShellRuntime(
		daemon,
		"echo",
		{ Entrypoint: ["/echo-service.sh"] },
		{ "echo-service.sh": server },
	);
	await deploy(daemon, "hello", image);
	url = new URL((await cli(daemon, "service", "url", "hello")).trim());
});

after(() => daemon?.[Symbol.asyncDispose]());

function curl(host: string, ...words: string[]) {
	const here = ["--resolve", `${host}:${url.port}:127.0.0.1`, `https://${host}:${url.port}/x`];
	return attempt("curl", ["-sS", "-m", "20", ...words, ...here]);
}

async function subjectOf(host: string): Promise<string> {
	const { stdout } = await attempt(
		"openssl",
		["s_client", "-connect", `127.0.0.1:${url.port}`, "-servername", host, "-showcerts"],
		{ input: "" },
	);
	return stdout;
}

test("`slipway domain ca` tells how to trust it, and with it curl does", { skip }, async () => {
	assert.equal(url.protocol, "https:");
	const told = await cli(daemon, "domain", "ca");
	const path = join(daemon.home, "certificates/development/authority.crt");
	assert(told.includes(`sudo cp ${path} `) && told.includes("--cacert"));
	assert.equal(await cli(daemon, "domain", "ca", "--pem"), `${(await readFile(path, "utf8")).trimEnd()}\n`);
	assert.equal((await curl("hello.localhost")).code, 60, "nobody trusts it unasked");
	for (const [version, protocol] of [
		["--http1.1", "1.1"],
		["--http2", "2"],
	] as const) {
		const { code, stdout, stderr } = await curl(
			"hello.localhost",
			version,
			"--cacert",
			path,
			"-w",
			"\n%{http_version}",
		);
		assert.equal(code, 0, stderr);
		assert.match(stdout, /^GET \/x HTTP\/1\.1\n.*X-Forwarded-Proto: https/s);
		assert.equal(stdout.split("\n").at(-1), protocol);
	}
	await cli(daemon, "domain", "add", "shop.test", "--service", "hello", "--tls", "dev");
	assert.equal((await curl("shop.test", "--cacert", path)).code, 0);
	assert.match(await cli(daemon, "domain", "ls"), /shop\.test +service hello +dev +until 20\d\d-/);
});

test("Given certificates serve their hosts, a wildcard's the names below it; another host's is never shown", {
	skip,
}, async () => {
	const [cert, key] = [join(daemon.home, "own.crt"), join(daemon.home, "own.key")];
	const names = "subjectAltName=DNS:*.example.test";
	const made = ["-keyout", key, "-out", cert, "-subj", "/CN=mine", "-addext", names];
	await run("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", ...made]);
	await cli(daemon, "domain", "add", "*.example.test", "--service", "hello", "--cert", cert, "--key", key);
	assert.equal((await curl("a.example.test", "--cacert", cert)).code, 0);
	assert.match(await subjectOf("a.example.test"), /subject=CN = mine/);
	// No certificate for it, and so no connection, whatever the client would accept.
	assert.equal((await curl("other.test", "-k")).code, 35);
	assert.doesNotMatch(await subjectOf("other.test"), /BEGIN CERTIFICATE/);
	// A connection that began for one host, and a request for another of which the certificate is not (RFC 9110, 7.4).
	const { stdout } = await curl(
		"a.example.test",
		"--http2",
		"--cacert",
		cert,
		"-H",
		"Host: nobody.test",
		"-w",
		"%{http_code}",
	);
	assert.match(stdout, /(404|421)$/);
	await cli(daemon, "domain", "rm", "*.example.test");
	assert.equal((await curl("a.example.test", "-k")).code, 35);
});

test("Files that are not there are told of, and no obsolete TLS is spoken", { skip }, async () => {
	await cli(
		daemon,
		"domain",
		"add",
		"late.test",
		"--service",
		"hello",
		"--cert",
		"/no/such.crt",
		"--key",
		"/no/such.key",
	);
	assert.equal((await curl("late.test", "-k")).code, 35);
	assert.match(await cli(daemon, "domain", "ls"), /late\.test .*failed: ENOENT.*\/no\/such\.crt/);
	const { code } = await curl("hello.localhost", "-k", "--tls-max", "1.1");
	assert.equal(code, 35);
});
