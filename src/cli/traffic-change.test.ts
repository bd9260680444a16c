import assert from "node:assert/strict";
import { test } from "node:test";
import type { ServiceView, TrafficTargetView } from "../client/service-schema.ts";
import { changeTraffic, currentTraffic, describeTraffic, pinnedTraffic, type TrafficChange } from "./traffic-change.ts";

const split: TrafficTargetView[] = [
	{ revisionName: "h-1", percent: 60 },
	{ revisionName: "h-2", percent: 30 },
	{ latestRevision: true, percent: 10 },
	{ revisionName: "h-2", tag: "green" },
];

const cases: [string, TrafficTargetView[], TrafficChange, string][] = [
	["nothing set yet", [], {}, "LATEST 100%"],
	["--to-latest keeps the tags", split, { toLatest: true }, "LATEST 100%, tag green -> h-2"],
	[
		"the others share the rest as they did",
		split,
		{ toRevisions: ["h-1=10"] },
		"h-1 10%, h-2 68%, LATEST 22%, tag green -> h-2",
	],
	[
		"whole percents add up",
		[
			{ revisionName: "a", percent: 33 },
			{ revisionName: "b", percent: 33 },
			{ revisionName: "c", percent: 34 },
		],
		{ toRevisions: ["d=1"] },
		"d 1%, a 33%, b 33%, c 33%",
	],
	["all of it given", split, { toRevisions: ["h-1=10", "LATEST=90"] }, "h-1 10%, LATEST 90%, tag green -> h-2"],
	["by tag", split, { toTags: ["green=100"] }, "h-2 100%, tag green -> h-2"],
	[
		"a tag that is set just now",
		split,
		{ updateTags: ["blue=h-3"], toTags: ["blue=100"] },
		"h-3 100%, tag green -> h-2, tag blue -> h-3",
	],
	["--set-tags replaces", split, { setTags: ["blue=LATEST"] }, "h-1 60%, h-2 30%, LATEST 10%, tag blue -> LATEST"],
	["--remove-tags", split, { removeTags: ["green"] }, "h-1 60%, h-2 30%, LATEST 10%"],
];

for (const [what, current, change, expected] of cases)
	test(`Traffic: ${what}`, () => {
		const targets = changeTraffic(current, change);
		assert.equal(describeTraffic(targets), expected);
		assert.equal(
			targets.reduce((sum, { percent = 0 }) => sum + percent, 0),
			100,
		);
	});

const refused: [string, TrafficChange, RegExp][] = [
	["over 100", { toRevisions: ["a=60", "b=50"] }, /add up to 110/],
	["under 100 with nobody else", { toRevisions: ["h-1=10", "h-2=10", "LATEST=10"] }, /they must add up to 100/],
	["no percentage", { toRevisions: ["a"] }, /must be REVISION=PERCENT/],
	["half a percent", { toRevisions: ["a=0.5"] }, /whole number/],
	["an unknown tag", { toTags: ["red=10"] }, /no tag 'red'; there are: green/],
	["two at once", { toLatest: true, toTags: ["green=10"] }, /exclude each other/],
	["removing what is not there", { removeTags: ["red"] }, /no tag 'red'/],
];

for (const [what, change, message] of refused)
	test(`Traffic refused: ${what}`, () => {
		assert.throws(() => changeTraffic(split, change), { message, reason: "Usage" });
	});

const latest = { latestRevision: true, percent: 100 };
const serviceOf = (inForce: TrafficTargetView[], defined: TrafficTargetView[] = [latest]) =>
	({
		spec: { traffic: defined },
		status: { latestReadyRevisionName: "h-2", traffic: inForce },
	}) as unknown as ServiceView;

test("Traffic: after an automatic rollback a change begins with what is in force, and else with the definition", () => {
	const back = serviceOf([{ revisionName: "h-1", latestRevision: true, percent: 100 }]);
	assert.equal(
		describeTraffic(changeTraffic(currentTraffic(back), { toRevisions: ["LATEST=10"] })),
		"LATEST 10%, h-1 90%",
	);
	const rolling = serviceOf([
		{ revisionName: "h-1", latestRevision: true, percent: 99 },
		{ revisionName: "h-2", latestRevision: true, percent: 1 },
	]);
	assert.deepEqual(currentTraffic(rolling), [latest]);
	assert.equal(describeTraffic(pinnedTraffic(rolling) ?? []), "h-1 99%, h-2 1%");
	const fixed = [{ revisionName: "h-1", latestRevision: false, percent: 100 }];
	assert.deepEqual(currentTraffic(serviceOf(fixed, fixed)), fixed);
	assert.equal(pinnedTraffic(serviceOf([])), undefined);
});

test("Traffic: of a rollout's revisions the newest alone is the latest", () => {
	const { status } = serviceOf([
		{ revisionName: "h-1", latestRevision: true, percent: 99 },
		{ revisionName: "h-2", latestRevision: true, percent: 1 },
	]);
	assert.equal(describeTraffic(status.traffic ?? [], status.latestReadyRevisionName), "h-1 99%, h-2 (latest) 1%");
});
