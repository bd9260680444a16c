import { areas, type TriedClause } from "./clause.ts";
import type { SuiteResult } from "./suite-run.ts";

export interface Findings {
	/** What the suite was built from; undefined: it was not run. */
	origin: string | undefined;
	suite: readonly SuiteResult[];
	clauses: readonly TriedClause[];
}

type Result = SuiteResult["result"];

/** docs/knative.md: the same bytes for the same results. */
export function renderFindings({ origin, suite, clauses }: Findings): string {
	const of = (required: boolean) => suite.filter((one) => one.required === required).sort(bySuiteAndName);
	// What was skipped as optional and then run on its own is told once.
	const optional = of(false);
	const tried = new Set(optional.map(({ name }) => name.split("/")[0]));
	const required = of(true).filter(({ name, result }) => result !== "skipped" || !tried.has(name.split("/")[0]));
	const parts = [
		"# Knative Serving, test by test",
		"Written by `npm run conformance:knative`; do not edit. First the conformance tests of the Knative project itself, as they are, against a daemon of this machine; then what this project tests of the Serving API beside them.",
		"The tests and the programs of their images are built by Go from a checkout of knative/serving (`-- --source FOLDER`), whose vendor folder has all that they need. Without one Go fetches the module `knative.dev/serving`, which has no vendor folder: then its proxy has to serve every module that this one needs.",
		"## Knative's conformance tests: required",
		origin === undefined ? "Not run." : `Built from ${origin}. ${summary(required)}`,
		...(required.length > 0 ? [suiteTable(required)] : []),
		"## Knative's conformance tests: optional",
		optional.length === 0
			? "Not run."
			: `What the specification leaves open (the tests that \`-disable-optional-api\` skips). ${summary(optional)}`,
		...(optional.length > 0 ? [suiteTable(optional)] : []),
		"## The Serving API, clause by clause",
		summary(clauses),
		...areas.flatMap((area) => {
			const own = clauses.filter((clause) => clause.area === area).sort((a, b) => compare(a.says, b.says));
			return own.length === 0 ? [] : [`### ${area}`, clauseTable(own)];
		}),
	];
	return `${parts.join("\n\n")}\n`;
}

export function summary(tried: readonly { result: Result }[]): string {
	const count = (result: Result) => tried.filter((one) => one.result === result).length;
	return `${count("passed")} passed, ${count("failed")} failed, ${count("skipped")} skipped.`;
}

function suiteTable(results: readonly SuiteResult[]): string {
	const rows = results.map(({ suite, name, result, detail }) => [
		suite,
		`\`${name}\``,
		shownResult(result),
		detail ?? "",
	]);
	return table(["Suite", "Test", "Result", "Reason"], rows);
}

function clauseTable(clauses: readonly TriedClause[]): string {
	const rows = clauses.map(({ says, differs, source, result, detail }) => [
		differs === undefined ? says : `${says}. **Slipway: ${differs}**`,
		`[source](${source})`,
		shownResult(result) + (detail ? `: ${detail}` : ""),
	]);
	return table(["Clause", "Source", "Result"], rows);
}

function table(head: string[], rows: readonly string[][]): string {
	const line = (cells: readonly string[]) => `| ${cells.map(cell).join(" | ")} |`;
	return [line(head), `|${"---|".repeat(head.length)}`, ...rows.map(line)].join("\n");
}

function shownResult(result: Result): string {
	return result === "passed" ? "pass" : `**${result}**`;
}

function cell(text: string): string {
	return text.replaceAll("\\", "\\\\").replaceAll("|", "\\|").replace(/\s+/g, " ").slice(0, 600);
}

function bySuiteAndName(a: SuiteResult, b: SuiteResult): number {
	return compare(a.suite, b.suite) || compare(a.name, b.name);
}

function compare(a: string, b: string): number {
	return a < b ? -1 : a > b ? 1 : 0;
}
