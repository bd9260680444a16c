import assert from "node:assert/strict";
import { test } from "node:test";
import { traceIdOf } from "./trace-id.ts";

const ids = { hex: (bytes: number) => "ab".repeat(bytes) };
const made = `Root=1-65a00000-${"ab".repeat(12)};Parent=${"ab".repeat(8)};Sampled=0`;
const of = (headers: Record<string, string>) => traceIdOf((name) => headers[name], 0x65a00000 * 1000, ids);
const w3c = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01";

const cases: [Record<string, string>, string][] = [
	[{}, made],
	[{ "x-amzn-trace-id": "" }, made],
	[{ "x-amzn-trace-id": "Self=1-2-3" }, made],
	[{ "x-amzn-trace-id": `Root=${"x".repeat(600)}` }, made],
	[{ "x-amzn-trace-id": "Root=1-a\u00e9;Parent=0" }, made],
	[{ "x-amzn-trace-id": "Root=1-a-b" }, `Root=1-a-b;Parent=${"ab".repeat(8)};Sampled=0`],
	[{ "x-amzn-trace-id": "root=1-a-b; sampled=1" }, `Root=1-a-b;Parent=${"ab".repeat(8)};Sampled=1`],
	[
		{ "x-amzn-trace-id": "Self=1-x;Root=1-a-b;Parent=0123456789abcdef;Sampled=?;Lineage=a:1|b:2" },
		"Root=1-a-b;Parent=0123456789abcdef;Sampled=0;Lineage=a:1|b:2",
	],
	[{ traceparent: w3c }, "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"],
	[
		{ traceparent: w3c, "x-amzn-trace-id": "Root=1-a-b;Parent=0123456789abcdef" },
		"Root=1-a-b;Parent=0123456789abcdef;Sampled=0",
	],
	[{ traceparent: `00-${"0".repeat(32)}-53995c3f42cd8ad8-01` }, made],
	[{ traceparent: w3c.toUpperCase() }, made],
	[{ traceparent: `${w3c}-more` }, made],
];
for (const [headers, expected] of cases)
	test(`${JSON.stringify(headers).slice(0, 100)} is ${expected.slice(0, 40)}…`, () =>
		assert.equal(of(headers), expected));

const zeroIds: [Record<string, string>, string][] = [
	[{ "x-amzn-trace-id": `Root=1-00000000-${"0".repeat(24)};Sampled=1` }, `Root=1-65a00000-${"ab".repeat(12)}`],
	[{ "x-amzn-trace-id": `Root=1-a-b;Parent=${"0".repeat(16)}` }, `Root=1-a-b;Parent=${"ab".repeat(8)}`],
	[{ traceparent: w3c.replace("53995c3f42cd8ad8", "0".repeat(16)) }, `Root=1-65a00000-${"ab".repeat(12)}`],
];
for (const [headers, expected] of zeroIds)
	test(`Zeros are no id: ${JSON.stringify(headers)}`, () => assert.ok(of(headers).startsWith(`${expected};`)));

const recorded: [Record<string, string>, string][] = [
	[{}, `Root=1-65a00000-${"ab".repeat(12)};Sampled=1`],
	[{ "x-amzn-trace-id": "Root=1-a-b" }, "Root=1-a-b;Sampled=1"],
	[{ "x-amzn-trace-id": "Root=1-a-b;Sampled=?" }, "Root=1-a-b;Sampled=1"],
	[{ "x-amzn-trace-id": "Root=1-a-b;Sampled=0" }, `Root=1-a-b;Parent=${"ab".repeat(8)};Sampled=0`],
	[
		{ "x-amzn-trace-id": "Root=1-a-b;Parent=0123456789abcdef;Sampled=1" },
		"Root=1-a-b;Parent=0123456789abcdef;Sampled=1",
	],
	[{ traceparent: w3c }, "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"],
	[
		{ traceparent: w3c.replace(/01$/, "00") },
		"Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0",
	],
];
for (const [headers, expected] of recorded)
	test(`Where spans are recorded, ${JSON.stringify(headers).slice(0, 100)} is ${expected.slice(0, 60)}…`, () =>
		assert.equal(
			traceIdOf((name) => headers[name], 0x65a00000 * 1000, ids, true),
			expected,
		));
