/**
 * `npm run bench [-- --json FILE] [-- --only KEY]`: starts a daemon with a home of its own, measures, and prints every
 * figure beside its baseline, measured in the same run and in turns with it. Keys: cold.static, warm, warm.throughput,
 * daemon.rss, freeze, stream, unpack (a prefix will do). Exit code 1 when a promise was missed.
 */
import { spawnSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { cpus, release, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { findBuilder } from "../tools/builder.ts";
import { buildExample, readExample } from "../tools/examples.ts";
import { type LocalDaemon, startDaemon } from "../tools/local-daemon.ts";
import { inPrivateMounts } from "../tools/private-mounts.ts";
import { formatTable } from "../tools/table.ts";
import { freezeAndThaw } from "./freeze.ts";
import { coldStatic, throughput, warm } from "./invocations.ts";
import { daemonMemory } from "./memory.ts";
import { columns, type Figure, type Report, rowsOf, single } from "./result.ts";
import { streaming } from "./streaming.ts";
import { benchUnpack } from "./unpack.ts";

type Measure = (daemon: LocalDaemon) => Promise<Figure[]>;

const measures: Record<string, Measure> = {
	"cold.static": async (daemon) => [await coldStatic(daemon)],
	warm: async (daemon) => [await warm(daemon)],
	"warm.throughput": async (daemon) => [await throughput(daemon)],
	"daemon.rss": async (daemon) => [await daemonMemory(daemon)],
	freeze: async () => [await freezeAndThaw()],
	stream: streaming,
	unpack: async () => (await benchUnpack()).map(unpackFigure),
};

function unpackFigure({ name, value, baseline }: Awaited<ReturnType<typeof benchUnpack>>[number]): Figure {
	return {
		key: "unpack",
		name,
		unit: "MB/s",
		summary: single(value),
		baselines: [{ name: baseline.name, summary: single(baseline.value) }],
		promise: { text: "at least half of tar's speed", kept: value >= baseline.value / 2 },
	};
}

function machine(): string {
	const [cpu] = cpus();
	const memory = Math.round(totalmem() / 2 ** 30);
	return `${cpus().length} × ${cpu?.model ?? "unknown"}, ${memory} GiB, Linux ${release()}, Node ${process.versions.node}`;
}

async function measureAll(only: string | undefined): Promise<Figure[]> {
	const figures: Figure[] = [];
	await buildExample(await readExample("static"), await findBuilder(), (line) => console.error(line));
	// The first start after an installation compiles everything and is larger and slower than every later one.
	await (await startDaemon())[Symbol.asyncDispose]();
	for (const [key, measure] of Object.entries(measures)) {
		if (only !== undefined && key !== only && (only in measures || !key.startsWith(only))) continue;
		console.error(`bench: ${key}`);
		// A daemon each: what one measure leaves in memory is not in the next one's figure.
		await using daemon = await startDaemon();
		figures.push(...(await measure(daemon)));
	}
	return figures;
}

async function main(): Promise<void> {
	const { values } = parseArgs({ options: { json: { type: "string" }, only: { type: "string" } } });
	const figures = await measureAll(values.only);
	if (figures.length === 0) throw new Error(`No such key; there are ${Object.keys(measures).join(", ")}`);
	const report: Report = { when: new Date().toISOString(), machine: machine(), figures };
	console.log(`\n${report.machine}\n\n${formatTable(columns, rowsOf(figures))}`);
	if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(report, null, "\t")}\n`);
	if (figures.some(({ promise }) => promise?.kept === false)) process.exitCode = 1;
}

/** Starts this program again in a mount namespace of its own, and without what would slow every Node process down. */
function again(): number {
	const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env;
	const command = inPrivateMounts([process.execPath, ...process.execArgv, ...process.argv.slice(1)]);
	const { status, error } = spawnSync(command[0] as string, command.slice(1), {
		stdio: "inherit",
		env: { ...env, SLIPWAY_BENCH_CHILD: "1" },
	});
	if (error) throw error;
	return status ?? 1;
}

if (process.env.SLIPWAY_BENCH_CHILD === "1") await main();
else process.exitCode = again();
