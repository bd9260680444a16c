import assert from "node:assert/strict";
import { test } from "node:test";
import { readItemFailures } from "./batch-item-failures.ts";

const ids = new Set(["m1", "m2"]);
const read = (text: string) => readItemFailures(Buffer.from(text), ids);

for (const text of [
	"",
	"null",
	'""',
	"[]",
	"{}",
	'{"batchItemFailures":null}',
	'{"batchItemFailures":[]}',
	'{"foo":"bar"}',
])
	test(`success: ${text || "nothing"}`, () => assert.deepEqual(read(text), { kind: "some", failed: new Set() }));

for (const text of [
	"{",
	"1",
	'"text"',
	"[1]",
	'{"batchItemFailures":{}}',
	'{"batchItemFailures":[{"itemIdentifier":""}]}',
	'{"batchItemFailures":[{"itemIdentifier":null}]}',
	'{"batchItemFailures":[{"foo":"m1"}]}',
	'{"batchItemFailures":["m1"]}',
	'{"batchItemFailures":[{"itemIdentifier":"m1"},{"itemIdentifier":"m3"}]}',
])
	test(`failure of all: ${text}`, () => assert.equal(read(text).kind, "all"));

test("some, each once", () => {
	const text = '{"batchItemFailures":[{"itemIdentifier":"m2"},{"itemIdentifier":"m2"}]}';
	assert.deepEqual(read(text), { kind: "some", failed: new Set(["m2"]) });
});
