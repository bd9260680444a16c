import assert from "node:assert/strict";
import { it } from "node:test";
import { areaOf, type CpuProfile, frameTree, functionTimes } from "./cpu-profile.ts";
import { flameSvg } from "./flame-svg.ts";

const frame = (functionName: string, url = "", lineNumber = 0) => ({ functionName, url, lineNumber });

/** root → serve → sign → hash, serve → serve → hash, and idle time. */
const profile: CpuProfile = {
	nodes: [
		{ id: 1, callFrame: frame("(root)"), children: [2, 3] },
		{ id: 2, callFrame: frame("(idle)") },
		{ id: 3, callFrame: frame("serve", "file:///x/src/front/aws/front.ts", 9), children: [4, 5] },
		{ id: 4, callFrame: frame("sign", "file:///x/src/front/aws/sign.ts", 0), children: [6] },
		{ id: 5, callFrame: frame("serve", "file:///x/src/front/aws/front.ts", 9), children: [7] },
		{ id: 6, callFrame: frame("hash") },
		{ id: 7, callFrame: frame("hash") },
	],
	samples: [2, 3, 4, 6, 5, 7, 6],
	timeDeltas: [1000, 10, 20, 30, 40, 50, 5],
};

it("folds samples into a tree without what was idle", () => {
	const root = frameTree(profile);
	assert.equal(root.totalUs, 155);
	const [serve] = root.children.values();
	assert.deepEqual(
		[serve?.name, serve?.place, serve?.selfUs, serve?.totalUs],
		["serve", "src/front/aws/front.ts:10", 10, 155],
	);
	assert.deepEqual(
		[...(serve?.children.keys() ?? [])],
		["sign src/front/aws/sign.ts:1", "serve src/front/aws/front.ts:10"],
	);
});

it("adds up by function, recursion once", () => {
	const times = new Map(functionTimes(frameTree(profile)).map((time) => [time.name, time]));
	assert.deepEqual([times.get("serve")?.selfUs, times.get("serve")?.totalUs], [50, 155]);
	assert.deepEqual([times.get("hash")?.selfUs, times.get("hash")?.totalUs], [85, 85]);
});

it("knows the part of the program", () => {
	assert.equal(areaOf("src/front/aws/front.ts:10"), "front/aws");
	assert.equal(areaOf("src/engine/dispatch/dispatch.ts:1"), "engine");
	assert.equal(areaOf("node:net:1"), "node");
	assert.equal(areaOf(""), "V8 and kernel");
});

it("draws every frame that can be seen, with its text escaped", () => {
	const svg = flameSvg(frameTree(profile), "a < b");
	assert.match(svg, /<text x="6" y="18" font-size="14">a &lt; b<\/text>/);
	assert.equal(svg.match(/<title>/g)?.length, 7);
	assert.match(svg, /<title>sign src\/front\/aws\/sign.ts:1 35.5 %<\/title>/);
});
