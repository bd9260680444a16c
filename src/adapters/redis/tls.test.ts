/** TLS to a broker whose certificate comes of an authority of its owner's own. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { findProgram, freePorts, RealServer, temporaryFolder } from "../../base/testing/real-server.ts";
import { connectRedis } from "./connection.ts";
import { skipRedis } from "./testing/server.ts";

const skip = skipRedis || (findProgram("openssl") === undefined ? "needs openssl" : false);
const run = promisify(execFile);

test("The connection's own authority is believed, and nothing else; the problem says what to give", {
	skip,
}, async () => {
	await using folder = await temporaryFolder();
	const [key, certificate] = [join(folder.path, "key.pem"), join(folder.path, "certificate.pem")];
	const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
	const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
	await run("openssl", [
		"req",
		"-x509",
		"-nodes",
		...curve,
		"-days",
		"2",
		...subject,
		"-keyout",
		key,
		"-out",
		certificate,
	]);
	const [port = 0] = await freePorts(1);
	const settings = [
		"--port",
		"0",
		"--tls-port",
		String(port),
		"--bind",
		"127.0.0.1",
		"--dir",
		folder.path,
		"--save",
		"",
	];
	const tls = ["--tls-cert-file", certificate, "--tls-key-file", key, "--tls-auth-clients", "no"];
	await using server = await new RealServer({ program: "redis-server", args: [...settings, ...tls], port }).start();
	const url = new URL(`rediss://127.0.0.1:${server.port}`);
	const address = { url, password: undefined, clientName: "slipway/tls" };
	const client = await connectRedis({ ...address, ca: await readFile(certificate, "utf8") });
	assert.equal(await client.ping(), "PONG");
	client.disconnect();
	await assert.rejects(connectRedis({ ...address, ca: undefined }), (error: Error & { hint?: string }) => {
		assert.match(error.message, /self.signed certificate/);
		assert.match(error.hint ?? "", /tls\.ca/);
		return true;
	});
});
