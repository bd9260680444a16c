/**
 * `npm run test:faults [-- --events N] [-- --kills K] [-- --faults KIND,…] [-- --seed S] [-- --json FILE]`: a real daemon takes events by
 * asynchronous invocation, queue, bus and schedule while it is killed, or its disk, clock or process fails, again and again.
 * Progress goes to standard error; exit code 1 when an accepted event is lost, or one without poison is given up, or poison is
 * not in the dead letters exactly once, or an event comes twice that was in nobody's hand at any fault.
 */
import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { formatTable } from "../../../tools/table.ts";
import { type FaultKind, kinds, planFaults } from "./faults.ts";
import { heldOf, problemsOf, strikeTable, tallyTable } from "./report.ts";
import { runFaults } from "./run.ts";

const usage = `npm run test:faults -- [options]
  --events N       events to be accepted (100000)
  --kills K        faults among them, at least (200)
  --faults KIND,…  what strikes, in turn (kill): ${Object.keys(kinds).join(", ")}
                   kill        kill -9
                   stop        SIGSTOP for 30 s
                   full-disk   no space for 5 s (the state is on a small file system of its own)
                   eio         syncs and writes that fail; and a failed sync followed by loss of power
                   power-loss  kill -9, and un-synced pages are gone, or torn
                   clock       the wall clock an hour back, right, an hour ahead
                   torn        kill -9, and the last write ends at a random byte
  --seed S         of the events and of the faults' times
  --keep           leave the daemon's state folder where it is
  --json FILE      where the report is written, for tests/faults/events/render.ts`;

const { values } = parseArgs({
	options: {
		events: { type: "string", default: "100000" },
		kills: { type: "string", default: "200" },
		faults: { type: "string", default: "kill" },
		seed: { type: "string", default: String(Date.now() % 1_000_000) },
		json: { type: "string" },
		keep: { type: "boolean", default: false },
		help: { type: "boolean", default: false },
	},
});

function wholeNumber(name: string, text: string): number {
	const number = Number(text);
	if (!Number.isInteger(number) || number < 0) throw new Error(`--${name} takes a whole number from 0`);
	return number;
}

function kindsOf(text: string): FaultKind[] {
	return text.split(",").map((name) => {
		const kind = Object.keys(kinds).find((known): known is FaultKind => known === name);
		if (kind === undefined) throw new Error(`--faults takes some of ${Object.keys(kinds).join(", ")}, not "${name}"`);
		return kind;
	});
}

async function main(): Promise<void> {
	const { faults, world } = planFaults(kindsOf(values.faults), wholeNumber("kills", values.kills));
	const report = await runFaults({
		events: wholeNumber("events", values.events),
		faults,
		seed: wholeNumber("seed", values.seed),
		world: { ...world, keepsState: values.keep },
		onProgress: (line) => console.error(`faults: ${line}`),
	});
	if (values.json !== undefined) {
		const { kills, faults: names, events } = values;
		const command = `npm run test:faults -- --events ${events} --kills ${kills} --faults ${names} --seed ${report.seed}`;
		await writeFile(values.json, `${JSON.stringify({ ...report, command }, null, "\t")}\n`);
	}
	const [tallies, strikes] = [tallyTable(report), strikeTable(report)];
	console.log(`\n${report.strikes.length} faults in ${report.seconds.toFixed(0)} s, seed ${report.seed}\n`);
	console.log(formatTable(strikes.head, strikes.rows));
	console.log(`\n${formatTable(tallies.head, tallies.rows)}`);
	console.log(`\n${heldOf(report)} messages were in hand at the faults: so many duplicates may be.`);
	for (const [what, count] of Object.entries(report.refusals)) console.log(`refused ${count} times: ${what}`);
	for (const [what, count] of Object.entries(report.complaints)) console.log(`logged ${count} times: ${what}`);
	const problems = problemsOf(report);
	for (const problem of problems) console.log(`PROBLEM ${problem}`);
	if (problems.length > 0) process.exitCode = 1;
}

if (values.help) console.log(usage);
else await main();
