import assert from "node:assert/strict";
import { test } from "node:test";
import { decideStartLimit } from "./start-limit.ts";

const capacity = { cpus: 2, max: 100 };
const seen = { running: 100, lateMs: 0 };

const decisions: [name: string, limit: number, observation: Partial<Parameters<typeof decideStartLimit>[1]>, number][] =
	[
		["two idle CPUs double it", 4, { idleCpus: 2 }, 8],
		["one of two too", 4, { idleCpus: 1 }, 8],
		["half a CPU adds a third", 6, { idleCpus: 0.5 }, 8],
		["and always one at least", 2, { idleCpus: 0.5 }, 3],
		["a little idle time says nothing", 6, { idleCpus: 0.3 }, 6],
		["busy CPUs take a quarter", 8, { idleCpus: 0.1 }, 6],
		["but never below their number", 2, { idleCpus: 0 }, 2],
		["never past the machine's bound", 80, { idleCpus: 2 }, 100],
		["a limit that is not used up does not grow", 8, { idleCpus: 2, running: 7 }, 8],
		["nor while our own thread is late", 8, { idleCpus: 1, lateMs: 25 }, 8],
		["what is not known is no reason for more", 8, { idleCpus: undefined }, 2],
	];

for (const [name, limit, observation, expected] of decisions)
	test(name, () => assert.equal(decideStartLimit(limit, { ...seen, idleCpus: 0, ...observation }, capacity), expected));
