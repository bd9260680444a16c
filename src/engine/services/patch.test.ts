import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import { patched } from "./patch.ts";

type Case = [title: string, document: unknown, patch: unknown, result: unknown];

/** RFC 6902, appendix A, by its sections. */
const examples: Case[] = [
	["A.1 adds a member", { foo: "bar" }, [{ op: "add", path: "/baz", value: "qux" }], { baz: "qux", foo: "bar" }],
	[
		"A.2 adds an element",
		{ foo: ["bar", "baz"] },
		[{ op: "add", path: "/foo/1", value: "qux" }],
		{ foo: ["bar", "qux", "baz"] },
	],
	["A.3 removes a member", { baz: "qux", foo: "bar" }, [{ op: "remove", path: "/baz" }], { foo: "bar" }],
	[
		"A.4 removes an element",
		{ foo: ["bar", "qux", "baz"] },
		[{ op: "remove", path: "/foo/1" }],
		{ foo: ["bar", "baz"] },
	],
	[
		"A.5 replaces a value",
		{ baz: "qux", foo: "bar" },
		[{ op: "replace", path: "/baz", value: "boo" }],
		{ baz: "boo", foo: "bar" },
	],
	[
		"A.6 moves a value",
		{ foo: { bar: "baz", waldo: "fred" }, qux: { corge: "grault" } },
		[{ op: "move", from: "/foo/waldo", path: "/qux/thud" }],
		{ foo: { bar: "baz" }, qux: { corge: "grault", thud: "fred" } },
	],
	[
		"A.7 moves an element",
		{ foo: ["all", "grass", "cows", "eat"] },
		[{ op: "move", from: "/foo/1", path: "/foo/3" }],
		{ foo: ["all", "cows", "eat", "grass"] },
	],
	[
		"A.8 tests values that are equal",
		{ baz: "qux", foo: ["a", 2, "c"] },
		[
			{ op: "test", path: "/baz", value: "qux" },
			{ op: "test", path: "/foo/1", value: 2 },
		],
		{ baz: "qux", foo: ["a", 2, "c"] },
	],
	[
		"A.10 adds a nested object",
		{ foo: "bar" },
		[{ op: "add", path: "/child", value: { grandchild: {} } }],
		{ foo: "bar", child: { grandchild: {} } },
	],
	[
		"A.11 ignores members that it does not know",
		{ foo: "bar" },
		[{ op: "add", path: "/baz", value: "qux", xyz: 123 }],
		{ foo: "bar", baz: "qux" },
	],
	[
		"A.14 unescapes ~ in that order",
		{ "/": 9, "~1": 10 },
		[{ op: "test", path: "/~01", value: 10 }],
		{ "/": 9, "~1": 10 },
	],
	[
		"A.16 adds a list as one element",
		{ foo: ["bar"] },
		[{ op: "add", path: "/foo/-", value: ["abc", "def"] }],
		{ foo: ["bar", ["abc", "def"]] },
	],
	[
		"copies, and the copy is one",
		{ a: { b: 1 } },
		[
			{ op: "copy", from: "/a", path: "/c" },
			{ op: "replace", path: "/a/b", value: 2 },
		],
		{ a: { b: 2 }, c: { b: 1 } },
	],
	["replaces a member by add", { foo: 1 }, [{ op: "add", path: "/foo", value: 2 }], { foo: 2 }],
	["takes null for a value", { foo: 1 }, [{ op: "replace", path: "/foo", value: null }], { foo: null }],
	["replaces the whole", { foo: 1 }, [{ op: "replace", path: "", value: { bar: 2 } }], { bar: 2 }],
	["has members with empty names", { "": 1 }, [{ op: "replace", path: "/", value: 2 }], { "": 2 }],
	["does nothing when it is empty", { foo: 1 }, [], { foo: 1 }],
];

/** RFC 7396, appendix A. */
const merges: Case[] = [
	["sets", { a: "b" }, { a: "c" }, { a: "c" }],
	["adds", { a: "b" }, { b: "c" }, { a: "b", b: "c" }],
	["removes", { a: "b", b: "c" }, { a: null }, { b: "c" }],
	["replaces a list by a value and a value by a list", { a: ["b"], c: 1 }, { a: "c", c: ["b"] }, { a: "c", c: ["b"] }],
	["goes into objects", { a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
	["replaces lists as a whole", { a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
	["removes what is not there", { e: null }, { a: { bb: { ccc: null } } }, { e: null, a: { bb: {} } }],
];

const refusals: [title: string, document: unknown, patch: unknown, told: string][] = [
	[
		"a test that fails (A.9)",
		{ baz: "qux" },
		[{ op: "test", path: "/baz", value: "bar" }],
		"Operation 0: the value at /baz",
	],
	["a parent that is not there (A.12)", { foo: 1 }, [{ op: "add", path: "/baz/bat", value: 1 }], "nothing at /baz"],
	[
		"strings that look like numbers (A.15)",
		{ "~1": 10 },
		[{ op: "test", path: "/~01", value: "10" }],
		"is another one",
	],
	["an index beyond the list", { a: [1] }, [{ op: "add", path: "/a/2", value: 1 }], "nothing can be added at /a/2"],
	["an index with leading zeros", { a: [1, 2] }, [{ op: "remove", path: "/a/01" }], "nothing at /a/01"],
	["no index", { a: [1] }, [{ op: "add", path: "/a/", value: 1 }], "nothing can be added at /a/"],
	["an exponent for an index", { a: [1, 2] }, [{ op: "replace", path: "/a/1e0", value: 1 }], "nothing at /a/1e0"],
	["the end of a list, but to add", { a: [1] }, [{ op: "remove", path: "/a/-" }], "nothing at /a/-"],
	["a move into itself", { a: { b: 1 } }, [{ op: "move", from: "/a", path: "/a/b" }], "nothing at /a"],
	["no value", {}, [{ op: "add", path: "/a" }], "Operation 0: value is missing"],
	["no path", {}, [{ op: "remove" }], "path must be a JSON pointer"],
	["no from", {}, [{ op: "copy", path: "/a" }], "from must be a JSON pointer"],
	["a path that is none", {}, [{ op: "remove", path: "a/b" }], "path must be a JSON pointer"],
	["an escape that is none", {}, [{ op: "remove", path: "/~2" }], "path must be a JSON pointer"],
	["another operation", {}, [{ op: "Add", path: "/a", value: 1 }], "op must be one of"],
	["a field of the language's own", {}, [{ op: "remove", path: "/constructor" }], "nothing at /constructor"],
	["a list of something else", {}, ["add"], "Operation 0 is not an object"],
	["no patch at all", {}, "x", "A patch is an object or a list"],
	["too many operations", {}, Array(1001).fill({ op: "add", path: "/a", value: 1 }), "at most 1000 operations"],
	["a path that is too deep", {}, [{ op: "remove", path: "/a".repeat(65) }], "too deep"],
];

describe("JSON patch", () => {
	for (const [title, document, patch, result] of examples)
		it(title, () => {
			const before = structuredClone([document, patch]);
			assert.deepEqual(patched(document, patch), result);
			assert.deepEqual([document, patch], before, "document or patch was changed");
		});

	it("is done as a whole or not at all, and does not share what it adds", () => {
		const document = { a: 1 };
		const patch = [
			{ op: "add", path: "/b", value: { c: 1 } },
			{ op: "replace", path: "/b/c", value: 2 },
			{ op: "test", path: "/a", value: 2 },
		];
		assert.throws(() => patched(document, patch), /Operation 2/);
		assert.deepEqual(document, { a: 1 });
		assert.deepEqual(patched(document, patch.slice(0, 2)), { a: 1, b: { c: 2 } });
		assert.deepEqual(patch[0]?.value, { c: 1 });
	});

	it("reaches no prototype", () => {
		const result = patched({}, [{ op: "add", path: "/__proto__", value: { polluted: true } }]);
		assert.equal(Object.getPrototypeOf(result), Object.prototype);
		assert.equal("polluted" in {}, false);
		assert.deepEqual(Object.keys(result as object), ["__proto__"]);
	});
});

describe("merge patch", () => {
	for (const [title, document, patch, result] of merges)
		it(title, () => assert.deepEqual(patched(document, patch), result));
});

describe("a patch that is refused", () => {
	for (const [title, document, patch, told] of refusals)
		it(title, () =>
			assert.throws(
				() => patched(document, patch),
				(error) => isSlipwayError(error, "INVALID") && error.message.includes(told),
			),
		);

	it("goes too deep, to merge", () => {
		const deep = Array.from({ length: 70 }).reduce<unknown>((inner) => ({ a: inner }), 1);
		assert.throws(() => patched({}, deep), /at most 64 deep/);
	});
});
