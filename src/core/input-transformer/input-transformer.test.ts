import assert from "node:assert/strict";
import { test } from "node:test";
import { compileInput, type TargetInput } from "./input-transformer.ts";
import { parseJsonPath, valueAt } from "./json-path.ts";

const event = {
	id: "e1",
	source: "s",
	resources: ["r0", "r1"],
	detail: { state: "on", n: 5, deep: { "a b": [1, { c: true }] }, q: 'say "hi"' },
};
const context = {
	ruleArn: "arn:aws:events:us-east-1:123456789012:rule/r",
	ruleName: "r",
	ingestedMs: 1_700_000_000_123,
};

function transform(input: TargetInput): string {
	return compileInput(input)(event, JSON.stringify(event), context);
}

function template(text: string, pathsMap: Record<string, string> = {}): string {
	return transform({ transformer: { pathsMap, template: text } });
}

test("the whole event, a constant, a part", () => {
	assert.equal(transform({}), JSON.stringify(event));
	assert.equal(transform({ input: '{"a": 1}' }), '{"a": 1}');
	assert.equal(transform({ inputPath: "$.detail.state" }), '"on"');
	assert.equal(transform({ inputPath: "$" }), JSON.stringify(event));
	assert.equal(transform({ inputPath: "$.detail.deep['a b'][1]" }), '{"c":true}');
	assert.equal(transform({ inputPath: "$.nothing" }), "null");
});

test("variables outside of quotes are JSON, inside of them text", () => {
	const paths = { state: "$.detail.state", n: "$.detail.n", deep: "$.detail.deep", r: "$.resources[1]" };
	assert.equal(
		template('{"state": <state>, "n": <n>, "deep": <deep>}', paths),
		'{"state": "on", "n": 5, "deep": {"a b":[1,{"c":true}]}}',
	);
	assert.equal(template('"It is <state> at <r>, \\"<n>\\""', paths), '"It is on at r1, \\"5\\""');
	assert.equal(template('"a <state>"\n"b <n>"', paths), '"a on"\n"b 5"');
});

test("a missing path is empty, and nothing inside of quotes is escaped", () => {
	assert.equal(template('{"a": <x>, "b": "<x>!"}', { x: "$.detail.gone" }), '{"a": "", "b": "!"}');
	assert.equal(template('{"a": "<q>"}', { q: "$.detail.q" }), '{"a": "say "hi""}');
	assert.equal(template('{"a": <q>}', { q: "$.detail.q" }), '{"a": "say \\"hi\\""}');
});

test("built-in variables", () => {
	assert.equal(
		template('{"arn": <aws.events.rule-arn>, "name": "<aws.events.rule-name>"}'),
		`{"arn": "${context.ruleArn}", "name": "r"}`,
	);
	assert.equal(template("<aws.events.event.ingestion-time>"), '"2023-11-14T22:13:20Z"');
	assert.deepEqual(JSON.parse(template('{"e": <aws.events.event>}')), {
		e: { id: "e1", source: "s", resources: ["r0", "r1"] },
	});
	assert.deepEqual(JSON.parse(template('{"e": <aws.events.event.json>}')), { e: event });
});

const refused: [TargetInput, RegExp][] = [
	[{ input: "{" }, /JSON syntax error in input/],
	[{ input: "1", inputPath: "$" }, /Only one of Input/],
	[{ inputPath: "detail" }, /Invalid JSONPath/],
	[{ inputPath: "$..x" }, /Invalid JSONPath/],
	[{ inputPath: "$.a[*]" }, /Invalid JSONPath/],
	[{ inputPath: `$${".a".repeat(200)}` }, /Invalid JSONPath/],
	[{ transformer: { pathsMap: {}, template: '{"a": <b>}' } }, /<b>, which InputPathsMap does not define/],
	[{ transformer: { pathsMap: { b: "$.b" }, template: '{"<b>": 1}' } }, /can't be an object's key/],
	[{ transformer: { pathsMap: { b: "$.b" }, template: "{<b>: 1}" } }, /can't be an object's key/],
	[{ transformer: { pathsMap: { b: "$.b" }, template: "b is <b>" } }, /must be JSON, or text in double quotes/],
	[{ transformer: { pathsMap: { "aws.x": "$.b" }, template: "1" } }, /invalid key/],
	[{ transformer: { pathsMap: {}, template: "" } }, /1 to 8192/],
];

for (const [input, words] of refused)
	test(`refuses ${JSON.stringify(input).slice(0, 80)}`, () => {
		assert.throws(
			() => compileInput(input),
			(error: Error) => words.test(error.message) && "code" in error && error.code === "INVALID",
		);
	});

test("paths see own properties only", () => {
	assert.equal(valueAt(parseJsonPath("$.constructor"), {}), undefined);
	assert.equal(valueAt(parseJsonPath("$.a.length"), { a: "text" }), undefined);
});
