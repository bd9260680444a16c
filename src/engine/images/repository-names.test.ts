import assert from "node:assert/strict";
import { test } from "node:test";
import { isRepositoryName, parseReference } from "../../core/image/reference.ts";
import { localRegistryMatcher, mirrorRepository } from "./repository-names.ts";

test("a registry's images are kept under a legal name of their own", () => {
	const names = {
		"docker.io/busybox:1": "docker.io/library/busybox",
		"docker.io/me/app": "docker.io/me/app",
		"public.ecr.aws/lambda/python:3.12": "public.ecr.aws/lambda/python",
		"localhost:5000/app": "localhost__5000/app",
		"Registry.Example:443/a/b": "registry.example__443/a/b",
		"[::1]:5000/app": "ipv6-x--1x__5000/app",
		"[fe80::]/app": "ipv6-xfe80--x/app",
	};
	for (const [reference, name] of Object.entries(names)) {
		assert.equal(mirrorRepository(parseReference(reference)), name);
		assert.ok(isRepositoryName(name), name);
	}
	assert.throws(() => mirrorRepository(parseReference("a..b/app")), /can't be kept here/);
});

test("a host is ours by name or by pattern", () => {
	const isLocal = localRegistryMatcher(["127.0.0.1:4747", "Slipway.lan", "123456789012.dkr.ecr.*.amazonaws.com"]);
	assert.ok(isLocal("127.0.0.1:4747"));
	assert.ok(isLocal("slipway.LAN"));
	assert.ok(isLocal("123456789012.dkr.ecr.eu-west-1.amazonaws.com"));
	for (const host of [
		"127.0.0.1:4748",
		"127x0.0.1:4747",
		"123456789012.dkr.ecr.a.b.amazonaws.com",
		"x123456789012.dkr.ecr.a.amazonaws.com",
		"evil/123456789012.dkr.ecr.a.amazonaws.com",
	])
		assert.ok(!isLocal(host), host);
});
