/**
 * `npm run conformance:oci [-- --suite PROGRAM]`: the registry against the distribution-spec. Runs this folder's clauses,
 * then `crane` (built by Go from its module, cached), then each PROGRAM: a build of the specification's own conformance
 * suite (github.com/opencontainers/distribution-spec, folder conformance; version 1.1.1 or later). Prints every test by
 * name and the totals; exits with 1 when one failed.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { run } from "node:test";
import { parseArgs } from "node:util";
import { craneCases } from "./crane.ts";
import { officialSuite } from "./official-suite.ts";
import type { Report, Result } from "./result.ts";

const { values } = parseArgs({ options: { suite: { type: "string", multiple: true, default: [] } } });
const totals = { passed: 0, failed: 0, skipped: 0 };

const report: Report = (result: Result) => {
	totals[result.status]++;
	const mark = { passed: "ok  ", failed: "FAIL", skipped: "skip" }[result.status];
	console.log(`${mark} ${result.name}${result.detail ? `\n     ${result.detail.replaceAll("\n", "\n     ")}` : ""}`);
};

console.log("# Clauses");
await clauses(report);
console.log("\n# crane");
await craneCases(report);
for (const program of values.suite) {
	console.log(`\n# ${program}`);
	await officialSuite(program, report);
}
if (values.suite.length === 0)
	console.log("\nThe specification's own suite was not run: give a build of it with `-- --suite PROGRAM`");
console.log(`\n${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
process.exitCode = totals.failed > 0 || totals.passed === 0 ? 1 : 0;

async function clauses(report: Report): Promise<void> {
	const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith(".test.ts"));
	const events = run({ files: files.map((name) => join(import.meta.dirname, name)), concurrency: true });
	for await (const event of events) {
		if (event.type !== "test:pass" && event.type !== "test:fail") continue;
		const { name, details, skip } = event.data;
		// A suite fails with its tests, which have told already; one whose own hook failed says so by itself.
		const isSuite = details.type === "suite";
		if (event.type === "test:fail") {
			const { error } = details;
			if (!(isSuite && error.failureType === "subtestsFailed"))
				report({ name, status: "failed", detail: String(error.cause ?? error) });
		} else if (!isSuite) report({ name, status: skip === undefined ? "passed" : "skipped" });
	}
}
