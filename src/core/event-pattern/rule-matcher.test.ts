import assert from "node:assert/strict";
import { test } from "node:test";
import { longTests } from "../../base/testing/long-tests.ts";
import { compilePattern } from "./event-pattern.ts";
import { RuleMatcher } from "./rule-matcher.ts";
import { randomEvent, randomPattern, seededRandom } from "./testing.ts";

function tryCompile(pattern: object) {
	try {
		return compilePattern(pattern);
	} catch {
		return undefined;
	}
}

test("finds the rules that the evaluator finds, whatever is added and taken out", () => {
	let met = 0;
	for (let seed = 1; seed <= (longTests ? 200 : 20); seed++) {
		const random = seededRandom(seed);
		const matcher = new RuleMatcher();
		const kept = new Map<string, ReturnType<typeof compilePattern>>();
		for (let i = 0; i < 60; i++) {
			const pattern = randomPattern(random);
			const compiled = tryCompile(pattern);
			if (!compiled) continue;
			const name = `r${Math.floor(random() * 40)}`;
			matcher.set(name, pattern);
			kept.set(name, compiled);
			if (random() < 0.2) {
				const gone = `r${Math.floor(random() * 40)}`;
				matcher.delete(gone);
				kept.delete(gone);
			}
		}
		for (let i = 0; i < 60; i++) {
			const event = randomEvent(random);
			const expected = [...kept].filter(([, one]) => one.matches(event)).map(([name]) => name);
			met += expected.length;
			assert.deepEqual(matcher.match(event).sort(), expected.sort(), `seed ${seed}: ${JSON.stringify(event)}`);
		}
		for (const name of kept.keys()) matcher.delete(name);
		assert.equal(matcher.size, 0);
		assert.deepEqual(matcher.match(randomEvent(random)), []);
	}
	assert.ok(met > (longTests ? 10_000 : 1_000), `only ${met} matches: the test tests little`);
});

/** Rules of one class that differ in one value each: the event of number 42 must lead to few of them. */
const classes: Record<string, { rule: (i: number) => object; event: object }> = {
	exact: { rule: (i) => ({ source: ["s"], detail: { id: [`v${i}`] } }), event: { source: "s", detail: { id: "v42" } } },
	prefix: {
		rule: (i) => ({ source: ["s"], detail: { id: [{ prefix: `v${i}-` }] } }),
		event: { source: "s", detail: { id: "v42-x" } },
	},
	suffix: {
		rule: (i) => ({ source: ["s"], detail: { id: [{ suffix: `-${i}` }] } }),
		event: { source: "s", detail: { id: "x-42" } },
	},
	"case folded": {
		rule: (i) => ({ detail: { id: [{ "equals-ignore-case": `V${i}` }] } }),
		event: { detail: { id: "v42" } },
	},
	range: {
		rule: (i) => ({ source: ["s"], detail: { id: [{ numeric: [">=", i, "<", i + 1] }] } }),
		event: { source: "s", detail: { id: 42.5 } },
	},
	cidr: {
		rule: (i) => ({ detail: { id: [{ cidr: `10.${i >> 8}.${i & 255}.0/24` }] } }),
		event: { detail: { id: "10.0.42.9" } },
	},
	wildcard: { rule: (i) => ({ detail: { id: [{ wildcard: `*<${i}>*` }] } }), event: { detail: { id: "a<42>b" } } },
	"different fields": {
		rule: (i) => ({ detail: { [`f${i}`]: [{ exists: true }] } }),
		event: { detail: { f42: null } },
	},
	"anything-but beside": {
		rule: (i) => ({ source: [{ "anything-but": "aws" }], detail: { id: [`v${i}`] } }),
		event: { source: "s", detail: { id: "v42" } },
	},
	"absent beside": {
		rule: (i) => ({ detail: { gone: [{ exists: false }], id: [`v${i}`] } }),
		event: { detail: { id: "v42" } },
	},
};

for (const [name, { rule, event }] of Object.entries(classes))
	test(`of 10,000 rules looks at a few: ${name}`, () => {
		const matcher = new RuleMatcher();
		for (let i = 0; i < 10_000; i++) matcher.set(`r${i}`, rule(i));
		assert.deepEqual(matcher.match(event), ["r42"]);
		assert.ok(matcher.lastCandidates <= 40, `${matcher.lastCandidates} candidates`);
	});

test("a pattern that is refused leaves the rule as it was", () => {
	const matcher = new RuleMatcher();
	matcher.set("r", { a: ["x"] });
	assert.throws(() => matcher.set("r", { a: [] }), /Empty arrays are not allowed/);
	assert.deepEqual(matcher.match({ a: "x" }), ["r"]);
});

test("each value of a field is looked up once, however often an array has it", () => {
	const matcher = new RuleMatcher();
	const rules = 2000;
	for (let i = 0; i < rules; i++) matcher.set(`r${i}`, { a: [{ "anything-but": `x${i}` }] });
	let looks = 0;
	const original = Set.prototype.add;
	Set.prototype.add = function (this: Set<unknown>, value: unknown) {
		looks++;
		return original.call(this, value) as never;
	} as never;
	try {
		assert.equal(matcher.match({ a: Array.from({ length: 20_000 }, () => "b") }).length, rules);
	} finally {
		Set.prototype.add = original;
	}
	// Not rules times values: 40 million.
	assert.ok(looks < 10 * rules, `${looks} additions`);
});
