import assert from "node:assert/strict";
import { test } from "node:test";
import { normalHost, serviceHost } from "./host.ts";

const hosts: [string | undefined, string | undefined][] = [
	["Hello.LocalHost:4747", "hello.localhost"],
	["hello.localhost.", "hello.localhost"],
	["127.0.0.1:80", "127.0.0.1"],
	["[::1]:80", undefined],
	["", undefined],
	[undefined, undefined],
	["-a.localhost", undefined],
	["a-.localhost", undefined],
	["a..localhost", undefined],
	["a_b.localhost", undefined],
	["h\u00e9.localhost", undefined],
	["xn--hllo-bpa.localhost", "xn--hllo-bpa.localhost"],
	["user@a.localhost", undefined],
	["a.localhost:123456", undefined],
	["a.localhost:x", undefined],
	[`${"a".repeat(63)}.localhost`, `${"a".repeat(63)}.localhost`],
	[`${"a".repeat(64)}.localhost`, undefined],
	[`${"a.".repeat(130)}localhost`, undefined],
];
for (const [given, expected] of hosts)
	test(`${given?.slice(0, 40)} is ${expected?.slice(0, 40)}`, () => assert.equal(normalHost(given), expected));

test("A long host that matches nothing is refused at once", () => {
	const startedAt = performance.now();
	for (let i = 0; i < 100; i++) normalHost(`${"a-".repeat(125)}_`);
	assert(performance.now() - startedAt < 1000);
});

test("NAME, NAME.NAMESPACE and TAG---NAME below a base domain", () => {
	const domains = ["localhost", "apps.example.com"];
	const of = (host: string) => serviceHost(host, domains);
	assert.deepEqual(of("a.localhost"), { namespace: "default", label: "a", service: "a", tag: undefined });
	assert.deepEqual(of("a.b.apps.example.com"), { namespace: "b", label: "a", service: "a", tag: undefined });
	assert.deepEqual(of("t---a.localhost"), { namespace: "default", label: "t---a", service: "a", tag: "t" });
	assert.deepEqual(of("t---a---b.localhost"), { namespace: "default", label: "t---a---b", service: "a---b", tag: "t" });
	assert.equal(of("a.b.c.localhost"), undefined);
	for (const outside of ["localhost", "xlocalhost", "example.com", "localhost.example.com"])
		assert.equal(of(outside), "outside", outside);
});
