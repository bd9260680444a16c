/**
 * Clauses of AWS Lambda's contract as tests. Each says what the cloud does, where that is known from, and what is asserted
 * of Slipway; `npm run conformance:lambda` prints them and writes docs/lambda.md from them.
 */
import { it, type TestContext } from "node:test";

export const areas = [
	"Execution environment",
	"Runtime API",
	"Extensions API",
	"Telemetry API",
	"Invoke",
	"Asynchronous invocation",
	"Response streaming",
	"Failures",
	"Function logs",
	"CloudWatch Logs API",
	"Functions",
	"Versions and aliases",
	"Concurrency",
	"Permissions",
	"Function URLs",
	"Runtime clients",
	"Tools",
] as const;

export interface Clause {
	area: (typeof areas)[number];
	/** What the cloud does, as a sentence: "A second response for the same id is refused with 403 InvalidStateTransition". */
	says: string;
	/** URL of the documentation, source file or recording that says so. */
	source: string;
	/** What Slipway does instead and why: the test then asserts that. Left out where it is the same. */
	differs?: string;
}

/** What a clause's test tells the runner, as the text of a diagnostic: the clause, and the file that it stands in. */
export const clauseMark = "lambda clause: ";

/** Set by the runner; other runs of the tests need not hear it. */
export const clausesVariable = "SLIPWAY_TEST_CLAUSES";
const isAsked = process.env[clausesVariable] !== undefined;

/** Ends the name of the test that only names a skipped clause. */
export const namedSuffix = " (named)";

/** `skip`: the reason why it can't be tried on this machine. */
export function clause(
	statement: Clause,
	body: (context: TestContext) => Promise<void> | void,
	options: { skip?: string | false | undefined; timeout?: number } = {},
): void {
	it(statement.says, options, async (context) => {
		if (isAsked) context.diagnostic(mark(statement));
		await body(context);
	});
	// A skipped body tells nothing: its clause is named all the same.
	const skipped = options.skip;
	if (isAsked && typeof skipped === "string")
		it(statement.says + namedSuffix, (context) => context.diagnostic(mark({ ...statement, skipped })));
}

/** Each test file has a process to itself. */
function mark(statement: Clause & { skipped?: string }): string {
	return clauseMark + JSON.stringify({ ...statement, file: process.argv[1] });
}
