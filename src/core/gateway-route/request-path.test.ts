import assert from "node:assert/strict";
import { test } from "node:test";
import { parseRequestPath } from "./request-path.ts";

const taken: [raw: string, path: string, segments: string[]][] = [
	["/", "/", []],
	["/a/b", "/a/b", ["a", "b"]],
	["/a/b/", "/a/b/", ["a", "b"]],
	["//a///b", "/a/b", ["a", "b"]],
	["/a/./b", "/a/b", ["a", "b"]],
	["/a/x/../b", "/a/b", ["a", "b"]],
	["/public/../admin", "/admin", ["admin"]],
	["/public/%2e%2e/admin", "/admin", ["admin"]],
	["/public/.%2E/admin", "/admin", ["admin"]],
	["/a/%2e", "/a/", ["a"]],
	["/a/b/..", "/a/", ["a"]],
	["/%61dmin", "/admin", ["admin"]],
	["/a%20b/%C3%BC", "/a%20b/%C3%BC", ["a b", "ü"]],
	["/a%c3%bc", "/a%C3%BC", ["aü"]],
	["/a;v=1/b", "/a;v=1/b", ["a;v=1", "b"]],
	["/100%25", "/100%25", ["100%"]],
	["/...", "/...", ["..."]],
	["/@user/a:b", "/@user/a:b", ["@user", "a:b"]],
];

const refused: [raw: string, why: RegExp][] = [
	["/..", /out of its root/],
	["/a/../../b", /out of its root/],
	["/%2e%2e/etc/passwd", /out of its root/],
	["/public/..%2fadmin", /escaped slash/],
	["/admin%2Fusers", /escaped slash/],
	["/public%5c..%5cadmin", /escaped slash or backslash/],
	["/public/..\\admin", /has to be escaped/],
	["/a%00.json", /control character/],
	["/a%0d%0ax", /control character/],
	["/a%7f", /control character/],
	["/a\0b", /has to be escaped/],
	["/ü", /has to be escaped/],
	["/a b", /has to be escaped/],
	["/a#b", /has to be escaped/],
	["/%c0%ae%c0%ae/admin", /not UTF-8/],
	["/%c0%af", /not UTF-8/],
	["/%e0%80%af", /not UTF-8/],
	["/%ed%a0%80", /not UTF-8/],
	["/%zz", /not UTF-8/],
	["/a%", /not UTF-8/],
	["/%2", /not UTF-8/],
	["/%252e%252e/admin", /escaped twice/],
	["/a%252fb", /escaped twice/],
	["/public/..;/admin", /dot segment with a parameter/],
	["/public/%2e%2e;x=1/admin", /dot segment with a parameter/],
	["/public/.;/admin", /dot segment with a parameter/],
	["admin", /begin with a slash/],
	["*", /begin with a slash/],
	["http://host/admin", /begin with a slash/],
	[`/${"a".repeat(9000)}`, /longer than/],
	[`/${"a/".repeat(300)}`, /more than 256 segments/],
];

test("Each path has one form, which rules are matched with and which is sent on", () => {
	for (const [raw, path, segments] of taken) assert.deepEqual(parseRequestPath(raw), { path, segments }, raw);
});

test("What could be read in two ways is refused", () => {
	for (const [raw, why] of refused) {
		const found = parseRequestPath(raw);
		assert("refused" in found, raw);
		assert.match(found.refused, why, raw);
	}
});

test("The form stays the same when it is looked at again", () => {
	let state = 7;
	const random = (below: number) => {
		state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
		return Math.floor((state / 2 ** 32) * below);
	};
	const pieces = [
		"/",
		"//",
		"a",
		".",
		"..",
		"%2e",
		"%2E",
		"%61",
		"%20",
		"%25",
		";",
		"b",
		"%2f",
		"%00",
		"%c3%bc",
		"%",
		"=",
		"~",
	];
	let accepted = 0;
	for (let round = 0; round < 20_000; round++) {
		let raw = "/";
		for (let length = random(8); length > 0; length--) raw += pieces[random(pieces.length)];
		const once = parseRequestPath(raw);
		if ("refused" in once) continue;
		accepted++;
		assert.deepEqual(parseRequestPath(once.path), once, raw);
		assert(
			!once.segments.some((segment) => segment === "." || segment === ".." || segment.includes("/") || segment === ""),
		);
	}
	assert(accepted > 5000);
});
