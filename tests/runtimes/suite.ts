/** Test files as a suite with a command of its own: every test by name with its diagnostics, and the totals. */
import { run } from "node:test";

const marks = { passed: "ok  ", failed: "FAIL", skipped: "skip" };

/** Returns the exit code: 1 when a test failed, or when there was none. */
export async function runSuite(files: string[], env: NodeJS.ProcessEnv = process.env): Promise<number> {
	const totals = { passed: 0, failed: 0, skipped: 0 };
	const report = (status: keyof typeof totals, name: string, detail?: string) => {
		totals[status]++;
		console.log(`${marks[status]} ${name}${detail ? `\n     ${detail.replaceAll("\n", "\n     ")}` : ""}`);
	};
	// One file at a time: each starts a daemon and compilers, which need the whole machine.
	for await (const event of run({ files, concurrency: 1, env })) {
		if (event.type === "test:stderr") process.stderr.write(event.data.message);
		if (event.type === "test:diagnostic" && event.data.nesting > 0) console.log(`     ${event.data.message}`);
		if (event.type !== "test:pass" && event.type !== "test:fail") continue;
		const { name, details, skip } = event.data;
		// A suite fails with its tests, which have told already; one whose own hook failed says so by itself.
		const isSuite = details.type === "suite";
		if (event.type === "test:fail") {
			const { error } = details;
			if (!(isSuite && error.failureType === "subtestsFailed"))
				report("failed", name, String(error.cause instanceof Error ? error.cause.stack : (error.cause ?? error)));
		} else if (!isSuite)
			report(skip === undefined ? "passed" : "skipped", name, typeof skip === "string" ? skip : undefined);
	}
	console.log(`\n${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
	return totals.failed > 0 || totals.passed === 0 ? 1 : 0;
}
