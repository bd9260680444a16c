/**
 * Clauses of the Serving API as tests. Each says what a server of it does and where that is known from;
 * `npm run conformance:knative` prints them and writes docs/knative.md from them.
 */
import { it, run, type TestContext } from "node:test";

export const areas = ["Discovery", "Objects", "Errors", "Watches", "Tables"] as const;

export interface Clause {
	area: (typeof areas)[number];
	/** As a sentence: "A PUT with an old resourceVersion is refused with 409 Conflict". */
	says: string;
	/** URL of the specification or documentation that says so. */
	source: string;
	/** What Slipway does instead and why: the test then asserts that. */
	differs?: string;
}

export interface TriedClause extends Clause {
	result: "passed" | "failed" | "skipped";
	detail?: string;
}

/** What a clause's test tells the runner, as the text of a diagnostic. */
const clauseMark = "knative clause: ";
/** Set by the runner; other runs of the tests need not hear it. */
const clausesVariable = "SLIPWAY_TEST_CLAUSES";

export const sources = {
	api: "https://github.com/knative/specs/blob/main/specs/serving/knative-api-specification-1.0.md",
	concepts: "https://kubernetes.io/docs/reference/using-api/api-concepts/",
	conventions:
		"https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md",
	columns: "https://github.com/knative/serving/tree/main/config/core/300-resources",
	labels: "https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#api",
};

export function clause(statement: Clause, body: (context: TestContext) => Promise<void> | void): void {
	it(statement.says, async (context) => {
		if (process.env[clausesVariable] !== undefined) context.diagnostic(clauseMark + JSON.stringify(statement));
		await body(context);
	});
}

/** Runs the files and joins each clause's words with its result. */
export async function tryClauses(
	files: readonly string[],
	tell: (clause: TriedClause) => void,
): Promise<TriedClause[]> {
	const clauses = new Map<string, Clause>();
	const results = new Map<string, Pick<TriedClause, "result" | "detail">>();
	process.env[clausesVariable] = "1";
	for await (const event of run({ files: [...files], concurrency: true })) {
		if (event.type === "test:diagnostic" && event.data.message.startsWith(clauseMark)) {
			const clause = JSON.parse(event.data.message.slice(clauseMark.length)) as Clause;
			clauses.set(clause.says, clause);
		} else if ((event.type === "test:pass" || event.type === "test:fail") && event.data.details.type !== "suite") {
			const error = event.type === "test:fail" ? event.data.details.error : undefined;
			results.set(
				event.data.name,
				error ? { result: "failed", detail: String(error.cause ?? error) } : { result: "passed" },
			);
		}
	}
	// Not for the programs that are started next.
	delete process.env[clausesVariable];
	const untold = { result: "failed" as const, detail: "it told no result" };
	const tried = [...clauses.values()].map((clause) => ({ ...clause, ...(results.get(clause.says) ?? untold) }));
	// A file that fails before its first clause has told none.
	for (const [name, { result, detail }] of results)
		if (result === "failed" && !clauses.has(name))
			tried.push({ area: "Objects", says: name, source: sources.api, result, detail: detail ?? "" });
	for (const clause of tried) tell(clause);
	return tried;
}
