/**
 * `npm test [-- WORD…]`: every test, the fast ones first; with words, the files whose path has one of them. A phase that
 * fails does not keep the later ones from running. With `--long`, tests that compare at random or simulate take more seeds.
 */
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { inPrivateMounts } from "./private-mounts.ts";

interface Phase {
	name: string;
	folders: string[];
	concurrency: number;
	/** For a single test; a phase as a whole gets `phaseTimeoutMs`. */
	testTimeoutMs: number;
}

const root = join(import.meta.dirname, "..");
/** CI gives the whole run 90 minutes; a phase that takes this long hangs. */
const phaseTimeoutMs = 20 * 60_000;
const cores = availableParallelism();

const phases: Phase[] = [
	{
		name: "unit",
		folders: ["src", "packages", "bench", "tests/architecture", "tests/simulation", "tests/vectors"],
		concurrency: cores,
		testTimeoutMs: 120_000,
	},
	{ name: "conformance", folders: ["tests/conformance"], concurrency: cores, testTimeoutMs: 300_000 },
	// These start daemons and containers, and look at what is left on the machine: one file at a time.
	{ name: "end to end", folders: ["tests/e2e"], concurrency: 1, testTimeoutMs: 600_000 },
	{ name: "faults", folders: ["tests/faults"], concurrency: 1, testTimeoutMs: 600_000 },
];

interface Counts {
	pass: number;
	fail: number;
	skipped: number;
}

function testFiles(folder: string, words: string[]): string[] {
	let names: string[];
	try {
		names = readdirSync(join(root, folder), { recursive: true, encoding: "utf8" });
	} catch {
		return []; // a folder that has no tests yet
	}
	return names
		.map((name) => join(folder, name))
		.filter((path) => path.endsWith(".test.ts") && (words.length === 0 || words.some((word) => path.includes(word))))
		.sort();
}

/** Node's own summary: "ℹ pass 12" or "# pass 12". */
function countOf(output: string, what: string): number {
	const last = [...output.matchAll(new RegExp(`^(?:ℹ|#) ${what} (\\d+)`, "gm"))].at(-1);
	return Number(last?.[1] ?? 0);
}

async function runPhase(phase: Phase, words: string[], isLong: boolean): Promise<Counts & { ok: boolean }> {
	const files = phase.folders.flatMap((folder) => testFiles(folder, words));
	if (files.length === 0) return { pass: 0, fail: 0, skipped: 0, ok: true };
	console.log(`\n── ${phase.name}: ${files.length} files ──`);
	const command = inPrivateMounts([
		process.execPath,
		"--disable-warning=ExperimentalWarning",
		"--test",
		`--test-concurrency=${phase.concurrency}`,
		`--test-timeout=${phase.testTimeoutMs}`,
		...files,
	]);
	const child = spawn(command[0] as string, command.slice(1), {
		cwd: root,
		stdio: ["ignore", "pipe", "inherit"],
		env: environment(isLong),
		timeout: phaseTimeoutMs,
	});
	let output = "";
	child.stdout.setEncoding("utf8").on("data", (text: string) => {
		output += text;
		process.stdout.write(text);
	});
	const code = await new Promise<number | null>((resolve, reject) => {
		child.on("error", reject);
		child.on("close", resolve);
	});
	const counts = { pass: countOf(output, "pass"), fail: countOf(output, "fail"), skipped: countOf(output, "skipped") };
	const cancelled = countOf(output, "cancelled");
	if (code !== 0) console.log(`── ${phase.name}: failed (${code === null ? "ended after its time limit" : code}) ──`);
	return { ...counts, fail: counts.fail + cancelled, ok: code === 0 };
}

/** NODE_EXTRA_CA_CERTS costs every Node process about 100 ms at its start; what needs it (npm) has its own setting. */
function environment(isLong: boolean): NodeJS.ProcessEnv {
	const { NODE_EXTRA_CA_CERTS: certificates, ...rest } = process.env;
	if (isLong) rest.SLIPWAY_LONG_TESTS = "1"; // base/testing/long-tests.ts
	// Base images are built with the authorities that this machine trusts.
	return certificates === undefined ? rest : { SSL_CERT_FILE: certificates, ...rest };
}

async function main(words: string[], isLong: boolean): Promise<number> {
	const total = { pass: 0, fail: 0, skipped: 0 };
	let ok = true;
	for (const phase of phases) {
		const started = performance.now();
		const counts = await runPhase(phase, words, isLong);
		total.pass += counts.pass;
		total.skipped += counts.skipped;
		// A phase that failed without naming a test (a crash, the time limit) still counts as one failure.
		total.fail += counts.ok ? counts.fail : Math.max(counts.fail, 1);
		ok &&= counts.ok;
		if (counts.pass + counts.fail > 0)
			console.log(`── ${phase.name}: ${((performance.now() - started) / 1000).toFixed(1)} s ──`);
	}
	if (total.pass + total.fail === 0) {
		console.log("No test has such a path");
		ok = false;
	}
	console.log(`\n${total.pass} passed, ${total.fail} failed, ${total.skipped} skipped`);
	return ok ? 0 : 1;
}

const long = "--long";
const given = process.argv.slice(2);
process.exitCode = await main(
	given.filter((word) => word !== long),
	given.includes(long),
);
