/**
 * `npm run soak [-- --invocations N] [-- --warm-up N] [-- --json]`: a real daemon, N invocations of which an eighth time
 * out, crash, run out of memory or fail in their init, then a look at what they left behind. Progress goes to standard
 * error; exit code 1 for any leftover, wrong answer, or warning in the daemon's log.
 */
import { parseArgs } from "node:util";
import { formatTable } from "../../tools/table.ts";
import { type Inventory, round } from "./leftovers.ts";
import { type SoakReport, soak } from "./soak.ts";

/** The heap has levelled out by then. */
const defaultWarmUp = "1000";

function wholeNumber(name: string, text: string): number {
	const number = Number(text);
	if (!Number.isInteger(number) || number < 1) throw new Error(`--${name} takes a whole number from 1`);
	return number;
}

function print({ invocations, seconds, tally, before, loaded, after, problems }: SoakReport): void {
	const { examples: _, ...counts } = tally;
	const shown = Object.entries(counts).map(([ending, count]) => `${count} ${ending}`);
	const kinds = Object.keys(before) as (keyof Inventory)[];
	const rows = kinds.map((kind) => [kind, round(before[kind]), round(loaded[kind]), round(after[kind])]);
	console.log(`\n${invocations} invocations in ${seconds.toFixed(0)} s: ${shown.join(", ")}\n`);
	console.log(formatTable(["what", "before", "under load", "after"], rows));
	for (const problem of problems) console.log(`PROBLEM ${problem}`);
	console.log(problems.length === 0 ? "\nNothing was left behind" : `\n${problems.length} problems`);
}

const { values } = parseArgs({
	options: {
		invocations: { type: "string", default: "10000" },
		"warm-up": { type: "string", default: defaultWarmUp },
		json: { type: "boolean", default: false },
	},
});
const report = await soak({
	invocations: wholeNumber("invocations", values.invocations),
	warmUp: wholeNumber("warm-up", values["warm-up"]),
	compareMemory: true,
	onProgress: (line) => console.error(`soak: ${line}`),
});
if (values.json) console.log(JSON.stringify(report, null, "\t"));
else print(report);
if (report.problems.length > 0) process.exitCode = 1;
