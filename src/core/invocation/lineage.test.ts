import assert from "node:assert/strict";
import { test } from "node:test";
import { addHop, maxHops, readLineage } from "./lineage.ts";

const root = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
const arn = (name: string) => `arn:aws:lambda:us-east-1:123456789012:function:${name}`;

test("a header without lineage gets one, and everything else in it stays", () => {
	const { traceHeader, hops } = addHop(root, arn("f"));
	assert.equal(hops, 1);
	assert.match(
		traceHeader,
		/^Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=[0-9a-f]{8}:1$/,
	);
});

test("both of AWS's formats are read", () => {
	const entries = [
		{ hash: "a87bd80c", count: 1 },
		{ hash: "68fd508a", count: 5 },
	];
	assert.deepEqual(readLineage(`${root};Lineage=a87bd80c:1|68fd508a:5`), entries);
	assert.deepEqual(readLineage(`${root};Lineage=1:a87bd80c:1|25:68fd508a:5`), entries);
	assert.deepEqual(readLineage("lineage=a87bd80c:1"), entries.slice(0, 1));
	assert.deepEqual(readLineage(undefined), []);
	assert.deepEqual(readLineage(root), []);
});

test("what is not in the format counts nothing", () => {
	for (const bad of [
		"",
		":",
		"|",
		"a87bd80c",
		"a87bd80c:",
		":1",
		"a87bd80c:-1",
		"a87bd80:1",
		"A87BD80C:1",
		"a87bd80c:123456",
	])
		assert.deepEqual(readLineage(`${root};Lineage=${bad}`), [], bad);
});

test("the same function is counted up, and the header does not grow", () => {
	let header = root;
	for (let hop = 1; hop <= 100; hop++) {
		const next = addHop(header, arn("f"));
		assert.equal(next.hops, hop);
		header = next.traceHeader;
	}
	assert.ok(header.length < root.length + 25);
});

for (const length of [1, 2, 3, 4, 5, 10])
	test(`a loop of ${length} functions is found, also behind a long way into it`, () => {
		let header = root;
		for (const before of ["x", "y", "z"]) header = addHop(header, arn(before)).traceHeader;
		let hops = 0;
		let turns = 0;
		for (; hops <= maxHops && turns < 1000; turns++) {
			const next = addHop(header, arn(`f${turns % length}`));
			header = next.traceHeader;
			hops = next.hops;
		}
		assert.ok(hops > maxHops, `${hops} after ${turns}`);
		assert.ok(turns <= (maxHops + 1) * Math.max(3, length), String(turns));
	});

test("a chain without a loop is left alone for three times the limit", () => {
	let header = root;
	for (let hop = 0; hop < 3 * maxHops; hop++) {
		const next = addHop(header, arn(`f${hop}`));
		assert.ok(next.hops <= maxHops);
		header = next.traceHeader;
	}
});

test("no header breaks it, and none makes it long", () => {
	let seed = 7;
	const random = (below: number) => {
		seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
		return Math.floor((seed / 2_147_483_648) * below);
	};
	const pieces = [
		"Lineage=",
		"lineage=",
		";",
		"|",
		":",
		"a87bd80c",
		"68fd508a",
		"1",
		"25",
		"999999",
		" ",
		"Root=",
		"=",
		"é",
		"\0",
		"|".repeat(500),
	];
	for (let round = 0; round < 5000; round++) {
		let header = "";
		for (let count = random(12); count > 0; count--) header += pieces[random(pieces.length)];
		for (const entry of readLineage(header)) {
			assert.match(entry.hash, /^[0-9a-f]{8}$/);
			assert.ok(entry.count >= 0 && entry.count <= 99_999);
		}
		const next = addHop(header, arn("f"));
		assert.ok(next.hops >= 1);
		assert.equal(readLineage(next.traceHeader).length <= 3, true);
		assert.ok(next.traceHeader.length <= header.length + 60);
		assert.equal(addHop(next.traceHeader, arn("f")).hops, Math.min(next.hops + 1, 99_999));
	}
});
