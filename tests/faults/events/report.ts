/** The tables of a run: for the terminal and for docs/reliability.md. */
import { quantile } from "../../../tools/table.ts";
import { type Tally, wrongs } from "./ledger.ts";
import type { RunReport, Strike } from "./run.ts";

export interface Table {
	head: string[];
	rows: string[][];
}

export function tallyTable({ total, bySource }: RunReport): Table {
	const row = (name: string, tally: Tally): string[] => {
		const { accepted, lost, duplicates, unexplained, poison, poisonMissing, poisonTwice, wronglyDead } = tally;
		const counts = [accepted, lost, duplicates, unexplained, poison, poisonMissing, poisonTwice, wronglyDead];
		return [name, ...counts.map(String)];
	};
	return {
		head: [
			"way in",
			"accepted",
			"lost",
			"duplicates",
			"of them unexplained",
			"poison",
			"not in dead letters",
			"there twice",
			"wrongly there",
		],
		rows: [...Object.entries(bySource).map(([source, tally]) => row(source, tally)), row("all", total)],
	};
}

/** One row for each kind of fault. */
export function strikeTable({ strikes }: RunReport): Table {
	const byName = Map.groupBy(strikes, ({ name }) => name);
	const rows = [...byName].map(([name, all]) => {
		const pages = all.flatMap(({ unsyncedPages }) => unsyncedPages ?? []);
		const gaps = all.map(({ gapMs }) => gapMs);
		return [
			name,
			String(all.length),
			String(sum(all, ({ held }) => held)),
			pages.length === 0
				? ""
				: `${pages.reduce((a, b) => a + b, 0)} in ${pages.filter((count) => count > 0).length} cases`,
			(quantile(gaps, 0.5) / 1000).toFixed(2),
			(Math.max(...gaps) / 1000).toFixed(2),
		];
	});
	return {
		head: ["fault", "times", "messages in hand", "pages not synced", "s without service, median", "longest"],
		rows,
	};
}

/** What must be 0, and is not: in words. */
export function problemsOf(report: RunReport): string[] {
	const problems = report.lost.map((id) => `${id} is lost`);
	if (wrongs(report.total) > 0) problems.push(`${wrongs(report.total)} events did not fare as promised`);
	problems.push(...report.oddities);
	if (report.total.unknown > 0) problems.push(`${report.total.unknown} events came that nobody sent`);
	for (const [what, count] of Object.entries(report.finalRefusals))
		problems.push(`refused ${count} times so that no client tries again: ${what}`);
	return problems;
}

export function heldOf({ strikes }: RunReport): number {
	return sum(strikes, ({ held }) => held);
}

function sum(strikes: readonly Strike[], of: (strike: Strike) => number): number {
	return strikes.reduce((total, strike) => total + of(strike), 0);
}
