import assert from "node:assert/strict";
import { test } from "node:test";
import { parseReference } from "../../core/image/reference.ts";
import { checkLink, endpointOf } from "./endpoint.ts";

const none: ReadonlySet<string> = new Set();

test("Docker's registry has its own address and its official images their own folder", () => {
	for (const text of ["docker.io/busybox:1", "index.docker.io/busybox", "docker.io/library/busybox"]) {
		const endpoint = endpointOf(parseReference(text), none);
		assert.equal(endpoint.origin, "https://registry-1.docker.io");
		assert.equal(endpoint.repository, "library/busybox");
		assert.equal(endpoint.credentialHost, "docker.io");
	}
	assert.equal(endpointOf(parseReference("docker.io/me/app"), none).repository, "me/app");
});

test("only this machine and named hosts are spoken to without TLS", () => {
	const origin = (host: string) => endpointOf(parseReference(`${host}/a`), new Set(["lab.example:5000"])).origin;
	assert.equal(origin("127.0.0.1:5000"), "http://127.0.0.1:5000");
	assert.equal(origin("localhost"), "http://localhost");
	assert.equal(origin("[::1]:5000"), "http://[::1]:5000");
	assert.equal(origin("lab.example:5000"), "http://lab.example:5000");
	assert.equal(origin("lab.example"), "https://lab.example");
	assert.equal(origin("127.0.0.1.example"), "https://127.0.0.1.example");
	assert.equal(origin("localhost.example"), "https://localhost.example");
});

test("links may not lose encryption or reach this machine from outside", () => {
	const outside = new URL("https://registry.example/v2/");
	assert.equal(checkLink("/token", outside, none).href, "https://registry.example/token");
	assert.equal(checkLink("https://auth.example/t", outside, none).host, "auth.example");
	for (const link of ["http://auth.example/t", "https://localhost/t", "http://127.0.0.1:4747/", "ftp://a.example/"])
		assert.throws(() => checkLink(link, outside, none), /is refused/, link);
	const inside = new URL("http://127.0.0.1:5000/v2/");
	assert.equal(checkLink("http://127.0.0.1:9000/blob", inside, none).port, "9000");
	assert.throws(() => checkLink("http://auth.example/t", inside, none), /not encrypted/);
});
