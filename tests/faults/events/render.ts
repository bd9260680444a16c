/**
 * Writes the tables of fault runs into docs/reliability.md, between its marker comments, from the runs' JSON:
 *   node tools/setup.mjs --run tests/faults/events/render.ts FILE.json…
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { heldOf, problemsOf, strikeTable, type Table, tallyTable } from "./report.ts";
import type { RunReport } from "./run.ts";

const begin = "<!-- faults:begin (npm run test:faults -- --json FILE, then tests/faults/events/render.ts FILE…) -->";
const end = "<!-- faults:end -->";
const path = join(import.meta.dirname, "..", "..", "..", "docs", "reliability.md");

function markdown({ head, rows }: Table): string {
	return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

type Written = RunReport & { command: string };

function section(report: Written): string {
	const { when, machine, command, seconds, strikes, total, refusals } = report;
	const names = [...new Set(strikes.map(({ name }) => name))].join("; ");
	const refused = Object.entries(refusals).map(([what, count]) => `${what.trim()} (${count})`);
	const problems = problemsOf(report);
	return [
		`### ${names}`,
		`\`${command}\`, ${when.slice(0, 10)}, on ${machine}; ${seconds.toFixed(0)} s.`,
		markdown(strikeTable(report)),
		markdown(tallyTable(report)),
		`${total.duplicates} duplicates; ${heldOf(report)} messages were in hand at the faults, and so many there may be at most.`,
		refused.length === 0 ? "Nothing was refused." : `Refused, so that clients try again: ${refused.join(", ")}.`,
		problems.length === 0 ? "No problems." : `**Problems:** ${problems.join("; ")}.`,
	].join("\n\n");
}

const reports = await Promise.all(
	process.argv.slice(2).map(async (file) => JSON.parse(await readFile(file, "utf8")) as Written),
);
if (reports.length === 0) throw new Error("Name the JSON files of runs");
const text = await readFile(path, "utf8");
const [from, to] = [text.indexOf(begin), text.indexOf(end)];
if (from < 0 || to < from) throw new Error(`${path} has no place between ${begin} and ${end}`);
const generated = reports.map(section).join("\n\n");
await writeFile(path, `${text.slice(0, from + begin.length)}\n\n${generated}\n\n${text.slice(to)}`);
