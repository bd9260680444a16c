import assert from "node:assert/strict";
import { test } from "node:test";
import { parseChallenges } from "./challenge.ts";

test("reads the challenges that registries send", () => {
	assert.deepEqual(
		parseChallenges(
			'Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push"',
		),
		[
			{
				scheme: "bearer",
				parameters: {
					realm: "https://auth.example/token",
					service: "registry.example",
					scope: "repository:a/b:pull,push",
				},
			},
		],
	);
	assert.deepEqual(parseChallenges('Basic realm="x", Bearer realm = "y" , error=invalid_token'), [
		{ scheme: "basic", parameters: { realm: "x" } },
		{ scheme: "bearer", parameters: { realm: "y", error: "invalid_token" } },
	]);
	assert.deepEqual(parseChallenges('Basic realm="a \\"quoted\\" name"'), [
		{ scheme: "basic", parameters: { realm: 'a "quoted" name' } },
	]);
});

test("stops at what it can't read", () => {
	for (const header of ["", "   ", '="x"', '"Bearer"', ",,,"]) assert.deepEqual(parseChallenges(header), []);
	assert.deepEqual(parseChallenges('Bearer realm="unclosed'), [{ scheme: "bearer", parameters: {} }]);
	const long = `Bearer realm="${"a".repeat(100_000)}`;
	assert.deepEqual(parseChallenges(long), [{ scheme: "bearer", parameters: {} }]);
});
