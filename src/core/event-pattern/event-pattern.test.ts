import assert from "node:assert/strict";
import { test } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import { compilePattern } from "./event-pattern.ts";
import { randomEvent, randomPattern, seededRandom } from "./testing.ts";

function check(pattern: object | string, yes: unknown[], no: unknown[]): void {
	const compiled = compilePattern(pattern);
	for (const event of yes)
		assert.equal(compiled.matches(event), true, `${JSON.stringify(pattern)} ${JSON.stringify(event)}`);
	for (const event of no)
		assert.equal(compiled.matches(event), false, `${JSON.stringify(pattern)} ${JSON.stringify(event)}`);
}

/** Of one field: values that match and values that do not. */
function checkValue(entry: unknown, yes: unknown[], no: unknown[]): void {
	const events = (values: unknown[]) => values.map((f) => ({ f }));
	check({ f: Array.isArray(entry) ? entry : [entry] }, events(yes), events(no));
}

test("values match exactly, by JSON type; numbers by their value", () => {
	checkValue("a", ["a", ["b", "a"]], ["A", 1, null, { a: "a" }, []]);
	checkValue(300, [300, 300.0, 3.0e2], ["300", 301, true]);
	checkValue(null, [null], ["", "null", 0, []]);
	checkValue([true, "x"], [true, "x"], [false, "true"]);
	checkValue({ exactly: "a" }, ["a"], ["b"]);
});

test("prefix, suffix, case", () => {
	checkValue({ prefix: "ab" }, ["ab", "abc"], ["xab", "AB", 1]);
	checkValue({ prefix: "" }, ["", "x"], [null, 1, false]);
	checkValue({ suffix: ".png" }, [".png", "a.png"], ["a.PNG"]);
	checkValue({ prefix: { "equals-ignore-case": "Ab" } }, ["aB", "ABC"], ["b"]);
	checkValue({ suffix: { "equals-ignore-case": ".Png" } }, ["a.PNG"], ["png"]);
	checkValue({ "equals-ignore-case": "alice" }, ["ALICE", "Alice"], ["alic"]);
});

test("wildcards", () => {
	checkValue({ wildcard: "dir/*.png" }, ["dir/.png", "dir/a/b.png"], ["dir/a.jpg", "xdir/a.png"]);
	checkValue({ wildcard: "*a*b*" }, ["ab", "xxaxxbxx"], ["ba"]);
	checkValue({ wildcard: "ab*ba" }, ["abba", "abxba"], ["aba"]);
	checkValue({ wildcard: "a\\*\\\\b" }, ["a*\\b"], ["ax\\b"]);
	checkValue({ wildcard: "*" }, ["", "x"], [1, null]);
});

test("anything-but", () => {
	checkValue({ "anything-but": "a" }, ["b", 1, null, ["a", "b"]], ["a", ["a"], []]);
	checkValue({ "anything-but": [1, 2] }, [3, "1"], [1, 2.0]);
	checkValue({ "anything-but": { prefix: ["a", "b"] } }, ["c", 1], ["ax", "bx"]);
	checkValue({ "anything-but": { suffix: "x" } }, ["a"], ["ax"]);
	checkValue({ "anything-but": { "equals-ignore-case": ["A"] } }, ["b"], ["a"]);
	checkValue({ "anything-but": { wildcard: "*/lib/*" } }, ["a"], ["a/lib/b"]);
	check({ f: [{ "anything-but": "a" }] }, [], [{}, { g: 1 }]);
});

test("numbers and addresses", () => {
	checkValue({ numeric: [">", 0, "<=", 5] }, [0.1, 5], [0, 5.1, "3"]);
	checkValue({ numeric: ["=", 3.018e2] }, [301.8], [301]);
	checkValue({ numeric: ["<", 0] }, [-1e300], [0]);
	checkValue({ cidr: "10.0.0.0/24" }, ["10.0.0.255"], ["10.0.1.0", "x", "10.0.0.256", 10]);
	checkValue(
		{ cidr: "2001:db8::/32" },
		["2001:db8::1", "2001:0DB8:ffff::"],
		["2001:db9::", "10.0.0.1", "2001:db8:::1"],
	);
});

test("exists looks at leaves, anywhere in the event", () => {
	check(
		{ a: { b: [{ exists: true }] } },
		[{ a: { b: null } }, { a: [{}, { b: 1 }] }],
		[{ a: { b: {} } }, { a: { b: [] } }, {}],
	);
	check(
		{ a: { b: [{ exists: false }] } },
		[{}, { a: 1 }, { a: { b: { c: 1 } } }, { a: { b: [] } }],
		[{ a: [{ b: 1 }, { c: 2 }] }],
	);
	check({ a: [{ exists: false }, "x"] }, [{}, { a: "x" }], [{ a: "y" }]);
});

test("fields of one array must match in the same element", () => {
	const pattern = { a: { b: [1], c: [2] } };
	check(
		pattern,
		[{ a: { b: 1, c: 2 } }, { a: [{ b: 9 }, { b: [0, 1], c: 2 }] }],
		[
			{
				a: [
					{ b: 1, c: 4 },
					{ b: 3, c: 2 },
				],
			},
		],
	);
	check({ "a.b": [1] }, [{ a: { b: 1 } }, { "a.b": 1 }, { a: { c: 0 }, "a.b": 1 }], [{ a: { b: 2 } }]);
});

test("$or is one of several ways, or an ordinary field", () => {
	check(
		{ s: ["x"], $or: [{ a: [1] }, { b: [{ prefix: "y" }], c: [2] }] },
		[
			{ s: "x", a: 1 },
			{ s: "x", b: "yy", c: 2 },
		],
		[{ s: "x", b: "yy" }, { a: 1 }],
	);
	check({ d: { $or: [{ a: [1] }, { b: [1] }] } }, [{ d: { b: 1 } }], [{ b: 1 }]);
	check({ $or: ["x"] }, [{ $or: "x" }], [{ x: 1 }]);
	check({ $or: [{ prefix: "a" }, { suffix: "b" }] }, [{ $or: "ab" }], [{ $or: "c" }]);
});

const refused: [string | object, string][] = [
	["[]", "Filter is not an object"],
	[{}, "Empty objects are not allowed"],
	[{ detail: {} }, "Empty objects are not allowed"],
	[{ a: [] }, "Empty arrays are not allowed"],
	[{ a: "x" }, '"a" must be an object or an array'],
	[{ a: [[1]] }, "Match value must be String, number, true, false, or null"],
	[{ a: [{}] }, "Match expression name not found"],
	[{ a: [{ regex: "x" }] }, "Unrecognized match type regex"],
	[{ a: [{ prefix: 1 }] }, "prefix match pattern must be a string"],
	[{ a: [{ prefix: "a", suffix: "b" }] }, "Only one key allowed in match expression"],
	[{ a: [{ prefix: { suffix: "x" } }] }, "Unsupported prefix pattern: suffix"],
	[{ a: [{ wildcard: "a**b" }] }, "Consecutive wildcard characters at pos 2"],
	[{ a: [{ wildcard: "a\\b" }] }, "Invalid escape character at pos 2"],
	[
		{ a: [{ "anything-but": [] }] },
		"Inside anything but list, either all values are number or string, mixed type is not supported",
	],
	[
		{ a: [{ "anything-but": ["a", 1] }] },
		"Inside anything but list, either all values are number or string, mixed type is not supported",
	],
	[{ a: [{ "anything-but": { cidr: "x" } }] }, "Unsupported anything-but pattern: cidr"],
	[{ a: [{ "anything-but": { prefix: "" } }] }, "Null prefix/suffix not allowed"],
	[{ a: [{ numeric: ["!", 1] }] }, "Unrecognized numeric range operator: !"],
	[{ a: [{ numeric: [">", 5, "<", 1] }] }, "Bottom must be less than top"],
	[{ a: [{ numeric: ["=", 1, "<", 2] }] }, "Too many elements in numeric expression"],
	[{ a: [{ cidr: "10.0.0.0" }] }, "Malformed CIDR, one '/' required"],
	[{ a: [{ cidr: "10.0.0.0/32" }] }, "IPv4 mask bits must be < 32"],
	[{ a: [{ cidr: "example.org/8" }] }, "Nonstandard IP address: example.org"],
	[{ a: [{ exists: 1 }] }, "exists match pattern must be either true or false."],
	[{ a: { b: [1] }, "a.b": [2] }, "Path `a.b` cannot be allowed multiple times"],
];

for (const [pattern, reason] of refused)
	test(`refuses ${typeof pattern === "string" ? pattern : JSON.stringify(pattern)}`, () => {
		assert.throws(() => compilePattern(pattern), {
			message: `Event pattern is not valid. Reason: ${reason}`,
			code: "INVALID",
			reason: "InvalidEventPattern",
		});
	});

test("bounds what a pattern costs", () => {
	const or = Array.from({ length: 10 }, (_, i) => ({ [`f${i}`]: [i] }));
	const nested = { a: { $or: or }, b: { $or: or }, c: { $or: or }, d: { $or: or } };
	assert.throws(() => compilePattern(nested), /Rule is too complex/);
	assert.throws(() => compilePattern(`{"a":${"[".repeat(30_000)}`), /not valid/);
	const deep = `${'{"a":'.repeat(5_000)}[1]${"}".repeat(5_000)}`;
	assert.throws(() => compilePattern(deep), /nested deeper/);
});

test("events that were made to be slow or deep end", () => {
	const hard = compilePattern({ a: [{ wildcard: `*b${"a".repeat(2_000)}*x` }], b: { c: [1] } });
	assert.equal(hard.matches({ a: `${"a".repeat(1_000_000)}x`, b: { c: 1 } }), false);
	const deep = JSON.parse(`${'{"a":['.repeat(50_000)}1${"]}".repeat(50_000)}`);
	assert.equal(hard.matches(deep), false);
	const dots = compilePattern({ a: ["x"] });
	const keys = Object.fromEntries([["a", 1], ...Array.from({ length: 50_000 }, (_, i) => [`a.b${i}`, i])]);
	assert.equal(dots.matches(keys), false);
	assert.equal(dots.matches({ [`${".".repeat(500_000)}`]: 1 }), false);
});

test("random texts are compiled or refused, never anything else", () => {
	const random = seededRandom(7);
	let compiled = 0;
	for (let i = 0; i < 20_000; i++) {
		const text = JSON.stringify(randomPattern(random));
		const at = Math.floor(random() * text.length);
		const broken =
			random() < 0.5 ? text : text.slice(0, at) + String.fromCharCode(32 + random() * 90) + text.slice(at + 1);
		try {
			compilePattern(broken).matches(randomEvent(random));
			compiled++;
		} catch (error) {
			assert.ok(isSlipwayError(error, "INVALID"), `${broken}: ${String(error)}`);
			assert.match(error.message, /^Event pattern is not valid\. Reason: ./);
		}
	}
	assert.ok(compiled > 5_000, `${compiled} compiled`);
});

test("dotted keys that become two chains of a hundred thousand objects end", () => {
	const key = Array.from({ length: 500 }, () => "a").join(".");
	const chain = `${`{"${key}":`.repeat(400)}1${"}".repeat(400)}`;
	const event: unknown = JSON.parse(`{"a":${chain},"a.a":${chain}}`);
	assert.equal(compilePattern({ a: [1] }).matches(event), false);
});

/** https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html: one event that matches of each, one that does not. */
const operators: [object, unknown, unknown][] = [
	[{ source: [{ prefix: { "equals-ignore-case": "EventB" } }] }, { source: "eventbridge" }, { source: "event" }],
	[{ FileName: [{ suffix: ".png" }] }, { FileName: "a.png" }, { FileName: "a.PNG" }],
	[{ FileName: [{ suffix: { "equals-ignore-case": ".png" } }] }, { FileName: "a.PNG" }, { FileName: "a.pn" }],
	[{ detail: { state: [{ "anything-but": "initializing" }] } }, { detail: { state: "on" } }, { detail: {} }],
	[{ detail: { limit: [{ "anything-but": [100, 200, 300] }] } }, { detail: { limit: 1 } }, { detail: { limit: 200 } }],
	[
		{ detail: { state: [{ "anything-but": { "equals-ignore-case": ["initializing", "stopped"] } }] } },
		{ detail: { state: "on" } },
		{ detail: { state: "STOPPED" } },
	],
	[{ state: [{ "anything-but": { prefix: ["init", "err"] } }] }, { state: "on" }, { state: "error" }],
	[{ FileName: [{ "anything-but": { suffix: [".txt", ".rtf"] } }] }, { FileName: "a" }, { FileName: "a.rtf" }],
	[
		{ FilePath: [{ "anything-but": { wildcard: ["*/lib/*", "*/bin/*"] } }] },
		{ FilePath: "/a/b" },
		{ FilePath: "/a/bin/c" },
	],
	[
		{
			detail: {
				"c-count": [{ numeric: [">", 0, "<=", 5] }],
				"d-count": [{ numeric: ["<", 10] }],
				"x-limit": [{ numeric: ["=", 3.018e2] }],
			},
		},
		{ detail: { "c-count": 5, "d-count": -1, "x-limit": 301.8 } },
		{ detail: { "c-count": 0, "d-count": -1, "x-limit": 301.8 } },
	],
	[{ ip: [{ cidr: "10.0.0.0/24" }] }, { ip: "10.0.0.255" }, { ip: "10.0.1.0" }],
	[{ detail: { state: [{ exists: true }] } }, { detail: { state: null } }, { detail: {} }],
	[{ detail: { state: [{ exists: true }] } }, { detail: { state: "" } }, { detail: { state: { leaf: 1 } } }],
	[
		{ "detail-type": [{ "equals-ignore-case": "ec2 instance" }] },
		{ "detail-type": "EC2 Instance" },
		{ "detail-type": "EC2" },
	],
	[
		{ EventBusArn: [{ wildcard: "*:12345678901?:event-bus/*" }] },
		{ EventBusArn: "a:12345678901?:event-bus/b" },
		{ EventBusArn: "a:123456789012:event-bus/b" },
	],
	[{ FilePath: [{ wildcard: "dir\\*\\\\*" }] }, { FilePath: "dir*\\x" }, { FilePath: "dirs\\x" }],
	[
		{
			detail: {
				$or: [
					{ "c-count": [{ numeric: [">", 0, "<=", 5] }] },
					{ "d-count": [{ numeric: ["<", 10] }] },
					{ "x-limit": [{ numeric: ["=", 3.018e2] }] },
				],
			},
		},
		{ detail: { "d-count": 9 } },
		{ detail: { "c-count": 6 } },
	],
	[
		{ $or: [{ source: ["a"], detail: { n: [1] } }, { $or: [{ source: ["b"] }, { source: ["c"] }] }] },
		{ source: "c" },
		{ source: "a", detail: { n: 2 } },
	],
	[{ detail: { eventVersion: [""] } }, { detail: { eventVersion: "" } }, { detail: { eventVersion: null } }],
	[{ resources: ["r2"] }, { resources: ["r1", "r2"] }, { resources: [["r3"]] }],
	[{ a: [null] }, { a: null }, { b: null }],
];
for (const [pattern, matching, other] of operators)
	test(`as AWS's guide says: ${JSON.stringify(pattern).slice(0, 90)}`, () => {
		const { matches } = compilePattern(pattern);
		assert.deepEqual([matches(matching), matches(other)], [true, false]);
	});
