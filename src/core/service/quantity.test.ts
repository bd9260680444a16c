import assert from "node:assert/strict";
import { it } from "node:test";
import { expandReferences } from "./expand-references.ts";
import { parseGoDuration } from "./go-duration.ts";
import { parseQuantity } from "./quantity.ts";

it("reads Kubernetes' quantities", () => {
	const right: [string, number][] = [
		["500m", 0.5],
		["0.1", 0.1],
		[".5", 0.5],
		["5.", 5],
		["1e3", 1000],
		["1E3", 1000],
		["1E", 1e18],
		["64Mi", 67_108_864],
		["1.5Gi", 1_610_612_736],
		["1k", 1000],
		["2M", 2e6],
		["1n", 0.001],
		["-1", -1],
		["+1Ki", 1024],
	];
	for (const [text, value] of right) assert.equal(parseQuantity(text), value, text);
	for (const text of ["", "1Gig", "Mi", "1 Gi", "1KI", "0x10", "1e", "--1", "1e999", "NaN", "1".repeat(50)])
		assert.equal(parseQuantity(text), undefined, text);
});

it("reads Go's durations", () => {
	const right: [string, number][] = [
		["0", 0],
		["90s", 90_000],
		["1m30s", 90_000],
		["1.5h", 5_400_000],
		["-2s", -2000],
		["1500ms", 1500],
		["1us", 0.001],
	];
	for (const [text, ms] of right) assert.equal(parseGoDuration(text), ms, text);
	for (const text of ["", "5", "s", "1d", "1m 2s", "CLXXXIIIs"]) assert.equal(parseGoDuration(text), undefined, text);
});

it("expands references as Kubernetes does", () => {
	const known = new Map([
		["A", "1"],
		["B", "$(A)"],
	]);
	assert.equal(expandReferences("$(A)-$(B)-$(C)-$$(A)-$A-$(", known), "1-$(A)-$(C)-$(A)-$A-$(");
});
