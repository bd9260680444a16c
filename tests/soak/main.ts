/**
 * `npm run soak [-- --invocations N] [-- --cold-starts N] [-- --warm-up N] [-- --json]`: a real daemon, N invocations of
 * which an eighth time out, crash, run out of memory or fail in their init, and N cold starts of which a tenth fail, then
 * a look at what they left behind. Progress goes to standard
 * error; exit code 1 for any leftover, wrong answer, or warning in the daemon's log.
 */
import { parseArgs } from "node:util";
import { formatTable } from "../../tools/table.ts";
import { type Inventory, round } from "./leftovers.ts";
import { type SoakReport, soak } from "./soak.ts";

/** The heap has levelled out by then. */
const defaultWarmUp = "1000";
/** With the invocations some six minutes on two cores. */
const defaultColdStarts = "10000";

function wholeNumber(name: string, text: string): number {
	const number = Number(text);
	if (!Number.isInteger(number) || number < 1) throw new Error(`--${name} takes a whole number from 1`);
	return number;
}

function print({ invocations, seconds, tally, cold, before, loaded, after, problems }: SoakReport): void {
	const { examples: _, ...counts } = tally;
	const shown = Object.entries(counts).map(([ending, count]) => `${count} ${ending}`);
	const kinds = Object.keys(before) as (keyof Inventory)[];
	const rows = kinds.map((kind) => [kind, round(before[kind]), round(loaded[kind]), round(after[kind])]);
	console.log(`\n${invocations} invocations in ${seconds.toFixed(0)} s: ${shown.join(", ")}`);
	const { starts, failed, warm, wrong } = cold;
	console.log(
		`${starts} cold starts in ${cold.seconds.toFixed(0)} s: ${failed} failed as told, ${wrong} wrong, ${warm} warm beside them\n`,
	);
	console.log(formatTable(["what", "before", "under load", "after"], rows));
	for (const problem of problems) console.log(`PROBLEM ${problem}`);
	console.log(problems.length === 0 ? "\nNothing was left behind" : `\n${problems.length} problems`);
}

const { values } = parseArgs({
	options: {
		invocations: { type: "string", default: "10000" },
		"cold-starts": { type: "string", default: defaultColdStarts },
		"warm-up": { type: "string", default: defaultWarmUp },
		"no-egress": { type: "boolean", default: false },
		json: { type: "boolean", default: false },
	},
});
const report = await soak({
	invocations: wholeNumber("invocations", values.invocations),
	coldStarts: wholeNumber("cold-starts", values["cold-starts"]),
	warmUp: wholeNumber("warm-up", values["warm-up"]),
	egress: !values["no-egress"],
	compareMemory: true,
	onProgress: (line) => console.error(`soak: ${line}`),
});
if (values.json) console.log(JSON.stringify(report, null, "\t"));
else print(report);
if (report.problems.length > 0) process.exitCode = 1;
