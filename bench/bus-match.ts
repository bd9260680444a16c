/** What it costs to find the rules that an event matches: 10,000 rules beside 10 of the same kinds. */
import { RuleMatcher } from "../src/core/event-pattern/rule-matcher.ts";
import { type Figure, figure } from "./result.ts";
import type { RunOptions } from "./run-options.ts";

const manyRules = 10_000;
const fewRules = 10;
/** Timed together: one is too short for the clock. */
const eventsTogether = 1000;

/** Nine kinds of conditions in turn, over the same few fields: every rule has the same source. */
function pattern(i: number): object {
	const entries: unknown[] = [
		`c${i}`,
		{ prefix: `c${i}-` },
		{ suffix: `-c${i}` },
		{ "equals-ignore-case": `C${i}` },
		{ wildcard: `*<${i}>*` },
		{ numeric: [">=", i, "<", i + 1] },
		{ cidr: `10.${(i >> 8) & 255}.${i & 255}.0/24` },
	];
	const detail = { customer: [entries[i % entries.length]] };
	if (i % 9 === 7) return { source: [{ "anything-but": "aws" }], detail };
	if (i % 9 === 8) return { source: ["shop"], detail: { ...detail, test: [{ exists: false }] } };
	return { source: ["shop"], detail };
}

/** Of what the first ten rules look for, so that as many match of few as of many. */
function event(n: number): object {
	const i = n % fewRules;
	const customer = [`c${i}`, `c${i}-7`, i + 0.5, `a<${i}>b`, `10.0.${i}.7`][n % 5];
	const detail = {
		customer,
		items: [
			{ sku: "a", n: 1 },
			{ sku: "b", n: 2 },
		],
		total: 42,
	};
	return { version: "0", id: String(n), source: "shop", "detail-type": "Order", resources: [], detail };
}

function matcherOf(rules: number): RuleMatcher {
	const matcher = new RuleMatcher();
	for (let i = 0; i < rules; i++) matcher.set(`rule-${i}`, pattern(i));
	return matcher;
}

export function busMatch({ quick }: RunOptions): Record<string, Figure> {
	const matchers = { many: matcherOf(manyRules), few: matcherOf(fewRules) };
	const ms: Record<keyof typeof matchers, number[]> = { many: [], few: [] };
	let matched = 0;
	const rounds = quick ? 20 : 200;
	const warmUp = 20;
	for (let round = -warmUp; round < rounds; round++)
		for (const name of ["many", "few"] as const) {
			const events = Array.from({ length: eventsTogether }, (_, i) => event(i));
			const start = performance.now();
			for (const one of events) matched += matchers[name].match(one).length;
			if (round >= 0) ms[name].push(performance.now() - start);
		}
	if (matched === 0) throw new Error("No event matched a rule");
	return {
		"bus.match": figure({
			name: `${eventsTogether} events against ${manyRules} rules`,
			unit: "ms",
			values: ms.many,
			baselines: { [`${fewRules} rules`]: ms.few },
			how: "in one process, patterns of nine kinds over the same fields; milliseconds of a thousand events are microseconds of one",
			promises: { "at most 3 times what 10 rules cost": ({ p50, of }) => p50 <= 3 * of(`${fewRules} rules`) },
		}),
	};
}
