/**
 * `npm run conformance:runtimes [-- NAME…]`: runtime clients that other people publish, in images, on this platform. Builds
 * what is not built yet, runs every case of cases.ts with each client, and the tools of this folder's other tests; prints
 * every test by name and the totals; exits with 1 when one failed. NAME: an image's name (node, python, go, …).
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { run } from "node:test";

const names = process.argv.slice(2);
const totals = { passed: 0, failed: 0, skipped: 0 };

function report(status: keyof typeof totals, name: string, detail?: string): void {
	totals[status]++;
	const mark = { passed: "ok  ", failed: "FAIL", skipped: "skip" }[status];
	console.log(`${mark} ${name}${detail ? `\n     ${detail.replaceAll("\n", "\n     ")}` : ""}`);
}

const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith(".test.ts"));
const env = { ...process.env, ...(names.length > 0 && { SLIPWAY_RUNTIMES: names.join(",") }) };
// One file at a time: each starts a daemon and compilers, which need the whole machine.
const events = run({ files: files.map((name) => join(import.meta.dirname, name)), concurrency: 1, env });
for await (const event of events) {
	if (event.type === "test:stderr") process.stderr.write(event.data.message);
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
process.exitCode = totals.failed > 0 || totals.passed === 0 ? 1 : 0;
