/**
 * `npm run conformance:knative [-- --source FOLDER] [--parallel N] [--timeout MINUTES] [--clauses] [--only REGEX] [--required]`: Knative's own
 * conformance tests, as they are, against a daemon that is started for them, and this folder's clauses of the Serving API.
 * Prints every test by name with its result and writes docs/knative.md (unless `--only` leaves some out). Exits with 1 when a clause
 * or a required test failed.
 *
 * --source: a checkout of knative/serving; without it Go fetches the module. --clauses: those alone. --required: without the
 * optional tests. --only: the tests whose names match.
 */
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startDaemon } from "../../../tools/local-daemon.ts";
import { tryClauses } from "./clause.ts";
import { startIngressRecord } from "./ingress-record.ts";
import { renderFindings, summary } from "./render.ts";
import { type BuiltSuite, buildSuite } from "./suite-build.ts";
import { pushImage } from "./suite-images.ts";
import { runSuite, type SuiteResult, type SuiteTarget } from "./suite-run.ts";

const page = join(import.meta.dirname, "../../../docs/knative.md");
/** Of the images in the daemon's registry. */
const repository = "knative";

const { values } = parseArgs({
	options: {
		source: { type: "string" },
		parallel: { type: "string", default: "4" },
		timeout: { type: "string", default: "25" },
		only: { type: "string" },
		clauses: { type: "boolean", default: false },
		required: { type: "boolean", default: false },
		log: { type: "boolean", default: false },
	},
});

console.log("# Clauses of the Serving API");
const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith(".test.ts"));
const clauses = await tryClauses(
	files.map((name) => join(import.meta.dirname, name)),
	({ says, result, detail }) => tell(says, result, detail),
);
const built = values.clauses
	? undefined
	: await buildSuite({ source: values.source }).catch((error: Error) => {
			console.error(`\n${error.message}`);
			process.exit(1);
		});
const suite = built ? await trySuite(built) : [];
const failed = suite.filter(({ required, result }) => required && result === "failed").length;
const failedClauses = clauses.filter(({ result }) => result === "failed").length;
console.log(`\nClauses: ${summary(clauses)}`);
if (built) {
	console.log(`Required: ${summary(suite.filter(({ required }) => required))}`);
	console.log(`Optional: ${summary(suite.filter(({ required }) => !required))}`);
	if (values.only === undefined) writeFileSync(page, renderFindings({ origin: built.origin, suite, clauses }));
} else if (!existsSync(page)) console.log("docs/knative.md is written by a run with Knative's own tests");
process.exitCode = failed > 0 || failedClauses > 0 || clauses.length === 0 ? 1 : 0;

async function trySuite(built: BuiltSuite): Promise<SuiteResult[]> {
	await using daemon = await startDaemon({ log: values.log ? "inherit" : "ignore" });
	const { token } = daemon.credentials;
	for (const [name, program] of built.images)
		await pushImage({ url: daemon.url, token, prefix: repository }, name, program);
	await using record = await startIngressRecord(daemon.url);
	const target = (program: string, name: SuiteResult["suite"]): SuiteTarget => ({
		go: built.go,
		program,
		suite: name,
		server: record.host,
		token,
		dockerRepo: `${daemon.registry}/${repository}`,
		parallel: Number(values.parallel),
		timeoutMinutes: Number(values.timeout),
		only: values.only,
		tell: ({ name, result, detail }) => tell(name, result, detail),
	});
	const targets = [target(built.api, "API"), target(built.runtime, "Runtime")];
	const results: SuiteResult[] = [];
	for (const one of targets) {
		console.log(`\n# ${one.suite}: required`);
		results.push(...(await runSuite(one, undefined)));
	}
	if (values.required) return results;
	for (const one of targets) {
		const names = optionalTests(results.filter(({ suite: own }) => own === one.suite));
		if (names.length === 0) continue;
		console.log(`\n# ${one.suite}: optional`);
		results.push(...(await runSuite(one, names)));
	}
	return results;
}

/** Those that were skipped, or a subtest of them. */
function optionalTests(results: readonly SuiteResult[]): string[] {
	const names = results.filter(({ result }) => result === "skipped").map(({ name }) => name.split("/")[0] ?? "");
	return [...new Set(names)];
}

function tell(name: string, result: SuiteResult["result"], detail: string | undefined): void {
	const mark = { passed: "ok  ", failed: "FAIL", skipped: "skip" }[result];
	console.log(`${mark} ${name}${detail ? `\n     ${detail.replaceAll("\n", "\n     ")}` : ""}`);
}
