/**
 * `npm run conformance:lambda [-- --check]`: every clause of AWS Lambda's contract that has a test, tried. Prints each by
 * name with its result and writes docs/lambda.md; `--check` compares with what is written there instead. Exits with 1 when
 * one failed.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { run } from "node:test";
import { parseArgs } from "node:util";
import { type Clause, clauseMark, clausesVariable, namedSuffix } from "./clause.ts";
import { renderClauses } from "./render.ts";

export interface TriedClause extends Clause {
	/** Path of the test file, from the project's root. */
	file: string;
	result: "passed" | "failed" | "skipped";
	/** Why it was skipped, or how it failed. */
	detail?: string;
}

const root = join(import.meta.dirname, "../../..");
const page = join(root, "docs/lambda.md");
/** The images of the runtime clients take up to ten minutes where none was built before. */
const fileTimeoutMs = 20 * 60_000;

const problems: string[] = [];
const { values } = parseArgs({ options: { check: { type: "boolean", default: false } } });
const tried = await tryAll();
const text = renderClauses(tried);
const count = (result: string) => tried.filter((clause) => clause.result === result).length;
console.log(`\n${count("passed")} passed, ${count("failed")} failed, ${count("skipped")} skipped`);
if (!values.check) writeFileSync(page, text);
else if (!existsSync(page) || readFileSync(page, "utf8") !== text)
	problems.push("docs/lambda.md is not what this run found: `npm run conformance:lambda` writes it");
for (const problem of problems) console.log(problem);
process.exitCode = problems.length > 0 || count("failed") > 0 || count("passed") === 0 ? 1 : 0;

function testFiles(): string[] {
	const folders = [import.meta.dirname, join(root, "tests/runtimes")];
	return folders
		.filter((folder) => existsSync(folder))
		.flatMap((folder) => readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => join(folder, name)))
		.filter((path) => path.endsWith(".test.ts"))
		.sort();
}

/** Node's runner tells results and diagnostics apart; the clause's own words join them. */
async function tryAll(): Promise<TriedClause[]> {
	const clauses = new Map<string, Clause & { file: string; skipped?: string }>();
	const results = new Map<string, Pick<TriedClause, "result" | "detail">>();
	process.env[clausesVariable] = "1";
	const events = run({ files: testFiles(), concurrency: 1, timeout: fileTimeoutMs });
	for await (const event of events) {
		if (event.type === "test:diagnostic" && event.data.message.startsWith(clauseMark)) {
			const clause = JSON.parse(event.data.message.slice(clauseMark.length)) as Clause & { file: string };
			// A result could not be told from the other's.
			if (clauses.has(clause.says)) problems.push(`Two clauses say "${clause.says}"`);
			clauses.set(clause.says, clause);
		} else if (event.type === "test:pass" || event.type === "test:fail") {
			if (event.data.details.type === "suite" || event.data.name.endsWith(namedSuffix)) continue;
			const result = outcome(event);
			results.set(event.data.name, result);
			const mark = { passed: "ok  ", failed: "FAIL", skipped: "skip" }[result.result];
			console.log(
				`${mark} ${event.data.name}${result.detail ? `\n     ${result.detail.replaceAll("\n", "\n     ")}` : ""}`,
			);
		}
	}
	return [...clauses.values()].map(({ skipped, file, ...clause }) => {
		const result = results.get(clause.says) ?? { result: "failed" as const, detail: "it told no result" };
		return { ...clause, file: relative(root, file), ...result, ...(skipped !== undefined && { detail: skipped }) };
	});
}

type Outcome = Extract<
	Awaited<ReturnType<typeof run>> extends AsyncIterable<infer E> ? E : never,
	{ type: "test:pass" | "test:fail" }
>;

function outcome(event: Outcome): Pick<TriedClause, "result" | "detail"> {
	const { skip } = event.data;
	if (skip !== undefined) return { result: "skipped", detail: typeof skip === "string" ? skip : "" };
	if (event.type === "test:pass") return { result: "passed" };
	const { error } = event.data.details;
	return { result: "failed", detail: String(error.cause ?? error) };
}
