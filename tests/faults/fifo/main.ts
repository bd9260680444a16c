/**
 * `npm run test:fifo [-- --messages N] [-- --groups G] [-- --kills K] [-- --seed S] [-- --json FILE]`: messages in groups through a FIFO queue on
 * the disk, with consumers that crash, are late, give back and extend, and a process with the queue that is killed. Exit code 1 when
 * one was given out before an older one of its group, or is lost. The seed chooses what is done, not when the machine does it.
 */
import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { formatTable } from "../../../tools/table.ts";
import { type FifoReport, runFifo } from "./run.ts";

const { values } = parseArgs({
	options: {
		messages: { type: "string", default: "1000000" },
		groups: { type: "string", default: "64" },
		kills: { type: "string", default: "100" },
		seed: { type: "string", default: String(Date.now() % 1_000_000) },
		json: { type: "string" },
	},
});

/** Each locks its groups for some seconds: with more of them a million would be waiting most of the time. */
const perThousand = 5;

function wholeNumber(name: "messages" | "groups" | "kills" | "seed", atLeast: number): number {
	const number = Number(values[name]);
	if (!Number.isInteger(number) || number < atLeast) throw new Error(`--${name} takes a whole number from ${atLeast}`);
	return number;
}

function rowsOf(report: FifoReport): string[][] {
	return [
		["messages", report.messages],
		["groups", report.groups],
		["kills of the process with the queue", report.kills],
		["batches received", report.receives],
		["batches given back", report.givenBack],
		["batches with their time extended", report.extended],
		["consumers that crashed with a batch", report.crashes],
		["batches settled about when their time ended", report.late],
		["deletions refused, as their time had ended", report.refused],
		["deliveries", report.deliveries],
		["deliveries again", report.again],
		["order violations", report.violations],
		["lost", report.lost],
	].map(([what, count]) => [String(what), count?.toLocaleString("en-US") ?? ""]);
}

const report = await runFifo({
	messages: wholeNumber("messages", 1),
	groups: wholeNumber("groups", 1),
	kills: wholeNumber("kills", 0),
	seed: wholeNumber("seed", 0),
	perThousand,
	onProgress: (line) => console.error(`fifo: ${line}`),
});
if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(report, null, "\t")}\n`);
console.log(
	`\nseed ${report.seed}, ${report.seconds.toFixed(0)} s\n\n${formatTable(["what", "how many"], rowsOf(report))}`,
);
for (const told of report.told) console.log(`PROBLEM ${told}`);
if (report.violations > 0 || report.lost > 0) process.exitCode = 1;
