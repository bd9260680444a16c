import { areas } from "./clause.ts";
import type { TriedClause } from "./main.ts";

/** docs/lambda.md: the same bytes for the same results. */
export function renderClauses(clauses: readonly TriedClause[]): string {
	const differing = clauses.filter(({ differs }) => differs !== undefined).sort(byText);
	const parts = [
		"# AWS Lambda's contract, clause by clause",
		"Written by `npm run conformance:lambda`; do not edit. Each line is a test: what the cloud does, where that is known from, and whether Slipway was found to do it on the machine of the last run.",
		summary(clauses),
		"## What differs",
		differing.length === 0 ? "Nothing that has a test." : table(differing, true),
		...areas.flatMap((area) => {
			const own = clauses.filter((clause) => clause.area === area && clause.differs === undefined).sort(byText);
			return own.length === 0 ? [] : [`## ${area}`, table(own, false)];
		}),
	];
	return `${parts.join("\n\n")}\n`;
}

function summary(clauses: readonly TriedClause[]): string {
	const count = (result: TriedClause["result"]) => clauses.filter((clause) => clause.result === result).length;
	return `${clauses.length} clauses: ${count("passed")} passed, ${count("failed")} failed, ${count("skipped")} skipped.`;
}

function table(clauses: readonly TriedClause[], withDifference: boolean): string {
	const head = withDifference
		? ["| The cloud | Slipway, and why | Source | Test | Result |", "|---|---|---|---|---|"]
		: ["| Clause | Source | Test | Result |", "|---|---|---|---|"];
	const rows = clauses.map((clause) => {
		const cells = [
			clause.says,
			...(withDifference ? [clause.differs ?? ""] : []),
			`[source](${clause.source})`,
			`[test](../${clause.file})`,
			clause.result === "passed" ? "pass" : `**${clause.result}**${clause.detail ? `: ${clause.detail}` : ""}`,
		];
		return `| ${cells.map(cell).join(" | ")} |`;
	});
	return [...head, ...rows].join("\n");
}

function cell(text: string): string {
	return text.replaceAll("\\", "\\\\").replaceAll("|", "\\|").replace(/\s+/g, " ").slice(0, 600);
}

function byText(a: TriedClause, b: TriedClause): number {
	return a.file < b.file ? -1 : a.file > b.file ? 1 : a.says < b.says ? -1 : 1;
}
