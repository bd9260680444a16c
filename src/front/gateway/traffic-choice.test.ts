import assert from "node:assert/strict";
import { test } from "node:test";
import type { ServiceRoute } from "../../core/service/traffic.ts";
import { affinityCookie, chooseRevision } from "./traffic-choice.ts";

const route = (sessionAffinity: boolean, ...targets: [string, number][]): ServiceRoute => ({
	namespace: "default",
	service: "a",
	tag: undefined,
	targets: targets.map(([revision, percent]) => ({ revision, percent })),
	ingress: "all",
	sessionAffinity,
	reason: undefined,
});

test("Weights are met exactly over an even spread", () => {
	const counts: Record<string, number> = {};
	for (let i = 0; i < 1000; i++) {
		const choice = chooseRevision(route(false, ["a-1", 90], ["a-2", 0], ["a-3", 10]), undefined, () => i / 1000);
		counts[choice!.revision] = (counts[choice!.revision] ?? 0) + 1;
	}
	assert.deepEqual(counts, { "a-1": 900, "a-3": 100 });
	assert.equal(
		chooseRevision(route(false), undefined, () => 0),
		undefined,
	);
	assert.equal(chooseRevision(route(false, ["a-1", 50], ["a-2", 50]), undefined, () => 1 - 2 ** -53)?.revision, "a-2");
});

test("The cookie comes before the weights, as long as its revision has traffic", () => {
	const both = route(true, ["a-1", 99], ["a-2", 1], ["a-3", 0]);
	const choose = (cookie: string, from = both) => chooseRevision(from, cookie, () => 0);
	assert.deepEqual(choose("x=y; SLIPWAY_AFFINITY=a-2~i-7"), { revision: "a-2", preferred: "i-7" });
	for (const bad of ["a-3~i-7", "a-9~i-7", "a-2", "a-2~", "a-2~../..", "A-2~i-7"])
		assert.deepEqual(choose(`SLIPWAY_AFFINITY=${bad}`), { revision: "a-1", preferred: undefined }, bad);
	assert.equal(choose("NOT_SLIPWAY_AFFINITY=a-2~i-7")?.revision, "a-1");
	assert.equal(choose("SLIPWAY_AFFINITY=a-2~i-7", { ...both, sessionAffinity: false })?.revision, "a-1");
});

test("The cookie is set anew only when it says something else", () => {
	assert.match(affinityCookie(undefined, "a-1", "i-1", "https") ?? "", /^SLIPWAY_AFFINITY=a-1~i-1; .*Secure$/);
	assert.equal(affinityCookie("a=b; SLIPWAY_AFFINITY=a-1~i-1", "a-1", "i-1", "http"), undefined);
	assert.doesNotMatch(affinityCookie("SLIPWAY_AFFINITY=a-1~i-2", "a-1", "i-1", "http") ?? "", /Secure/);
});
