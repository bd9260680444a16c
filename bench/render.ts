/**
 * Writes the README's table of figures from a bench run's JSON, between the marker comments:
 *   node tools/setup.mjs --run bench/render.ts FILE.json
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { columns, type Report, rowsOf } from "./result.ts";

const begin = "<!-- bench:begin (npm run bench -- --json FILE, then bench/render.ts FILE) -->";
const end = "<!-- bench:end -->";

export function renderReport(report: Report): string {
	const line = (cells: string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
	const table = [columns, columns.map(() => "---"), ...rowsOf(report.figures)].map(line).join("\n");
	return `Measured ${report.when.slice(0, 10)} on ${report.machine}; medians, with p95 and p99 where there are many samples.\n\n${table}`;
}

export function replaceBetweenMarkers(text: string, content: string): string {
	const from = text.search(/<!-- bench:begin[^>]*-->/);
	const to = text.indexOf(end);
	if (from < 0 || to < from) throw new Error(`The README has no lines\n${begin}\n${end}`);
	return `${text.slice(0, from)}${begin}\n${content}\n${text.slice(to)}`;
}

if (import.meta.main) {
	const [file] = process.argv.slice(2);
	if (file === undefined) throw new Error("usage: bench/render.ts FILE.json");
	const readme = join(import.meta.dirname, "..", "README.md");
	const report = JSON.parse(await readFile(file, "utf8")) as Report;
	await writeFile(readme, replaceBetweenMarkers(await readFile(readme, "utf8"), renderReport(report)));
}
