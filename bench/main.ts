/**
 * `npm run bench [-- --json FILE] [-- --only KEY] [-- --quick]`: starts daemons with homes of their own, measures, and prints
 * every figure beside its baselines, measured in the same run and in turns with it. `--only` takes a key or the beginning of
 * some, `--quick` a tenth of the samples. Exit code 1 when a promise was missed.
 */
import { writeFile } from "node:fs/promises";
import { cpus, loadavg, release, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { findBuilder } from "../tools/builder.ts";
import { buildExample, readExample } from "../tools/examples.ts";
import { type LocalDaemon, type StartOptions, startDaemon } from "../tools/local-daemon.ts";
import { formatTable } from "../tools/table.ts";
import { asyncAccept, asyncDrain } from "./async-events.ts";
import { fiftyFunctions, oneFunction } from "./burst.ts";
import { busMatch } from "./bus-match.ts";
import { coldCreated, coldNode, coldNodeSmall, coldPython, coldStatic } from "./cold.ts";
import { coldFirst } from "./cold-first.ts";
import { createLarge, oneGigabyte, tenGigabytes } from "./create.ts";
import { density, idleSandboxes } from "./density.ts";
import { freezeAndThaw, frozenInvocation } from "./freeze.ts";
import { gatewayAdded, gatewayThroughput } from "./gateway.ts";
import { gatewayStream, gatewayWebSockets } from "./gateway-memory.ts";
import { logBacklog } from "./log-backlog.ts";
import { inPrivateRun } from "./private-run.ts";
import { queueDeliver } from "./queue-deliver.ts";
import { queueSend } from "./queue-send.ts";
import { type Figure, type Report, rowsOf } from "./result.ts";
import type { RunOptions } from "./run-options.ts";
import { scaleLag } from "./scale-lag.ts";
import { scheduleLag } from "./schedule-lag.ts";
import { serviceCold } from "./service-cold.ts";
import { streaming } from "./streaming.ts";
import { unpack } from "./unpack.ts";
import { throughput, warm } from "./warm.ts";

interface Measure {
	/** Of the figures that it gives. */
	keys: string[];
	/** Takes many minutes and gigabytes of disk: only where `--only` names one of its keys. */
	byNameOnly?: true;
	run: (options: RunOptions) => Promise<Record<string, Figure>>;
}

/** A daemon each: what one measure leaves behind is not in the next one's figures. */
function withDaemon(
	measure: (daemon: LocalDaemon, options: RunOptions) => Promise<Record<string, Figure>>,
	startOptions?: StartOptions,
): Measure["run"] {
	return async (options) => {
		await using daemon = await startDaemon(startOptions);
		return await measure(daemon, options);
	};
}

/** Of the machine's memory this many would be too many where it is small; the static binary uses next to none of it. */
const roomForIdle = { env: { SLIPWAY_MAX_SANDBOXES: String(idleSandboxes + 50) } };

const measures: Measure[] = [
	{ keys: ["cold.created"], run: withDaemon(coldCreated) },
	{ keys: ["cold.static"], run: withDaemon(coldStatic) },
	{ keys: ["cold.node"], run: withDaemon(coldNode) },
	{ keys: ["cold.node.small"], run: withDaemon(coldNodeSmall) },
	{ keys: ["cold.python"], run: withDaemon(coldPython) },
	{ keys: ["cold.first"], run: coldFirst },
	{ keys: ["freeze", "thaw"], run: freezeAndThaw },
	{ keys: ["thaw.invocation"], run: frozenInvocation },
	{ keys: ["warm"], run: withDaemon(warm) },
	{ keys: ["warm.throughput"], run: withDaemon(throughput) },
	{ keys: ["stream.first", "stream.rate"], run: withDaemon(streaming) },
	{ keys: ["service.cold"], run: withDaemon(serviceCold) },
	{ keys: ["gateway.added"], run: withDaemon(gatewayAdded) },
	{ keys: ["gateway.throughput"], run: withDaemon(gatewayThroughput) },
	{ keys: ["gateway.stream", "gateway.stream.memory"], run: withDaemon(gatewayStream) },
	{ keys: ["gateway.websockets"], run: withDaemon(gatewayWebSockets) },
	{ keys: ["scale.lag"], run: withDaemon(scaleLag) },
	{ keys: ["burst.one_function_100"], run: withDaemon(oneFunction, roomForIdle) },
	{ keys: ["burst.fifty_functions", "burst.fifty_functions.static"], run: withDaemon(fiftyFunctions, roomForIdle) },
	{
		keys: ["create.1gb", "cold.large"],
		run: withDaemon((daemon, options) => createLarge(daemon, options, oneGigabyte)),
	},
	{
		keys: ["create.10gb", "cold.10gb"],
		byNameOnly: true,
		run: withDaemon((daemon, options) => createLarge(daemon, options, tenGigabytes)),
	},
	{ keys: ["unpack", "unpack.zstd"], run: unpack },
	{ keys: ["async.accept", "async.accept.busy"], run: withDaemon(asyncAccept) },
	{ keys: ["async.drain"], run: withDaemon(asyncDrain) },
	{ keys: ["queue.send", "queue.send.batch"], run: withDaemon(queueSend) },
	{ keys: ["queue.deliver"], run: queueDeliver },
	{ keys: ["bus.match"], run: async (options) => busMatch(options) },
	{ keys: ["schedule.lag"], run: scheduleLag },
	{ keys: ["backlog.send", "backlog.start", "backlog.rss"], byNameOnly: true, run: logBacklog },
	{ keys: ["daemon.rss", "daemon.rss.full", "idle.sandbox_rss"], run: withDaemon(density, roomForIdle) },
];

function machine(): string {
	const [cpu] = cpus();
	const memory = Math.round(totalmem() / 2 ** 30);
	return `${cpus().length} × ${cpu?.model ?? "unknown"}, ${memory} GiB, Linux ${release()}, Node ${process.versions.node}`;
}

/** Keys, or how they begin, with commas between. */
function chosen(only: string | undefined): Measure[] {
	const usual = measures.filter(({ byNameOnly }) => !byNameOnly);
	if (only === undefined) return usual;
	const wanted = new Set(only.split(",").flatMap((name) => measuresOf(name, usual)));
	return measures.filter((measure) => wanted.has(measure));
}

function measuresOf(name: string, usual: Measure[]): Measure[] {
	const exact = measures.filter(({ keys }) => keys.includes(name));
	const found = exact.length > 0 ? exact : usual.filter(({ keys }) => keys.some((key) => key.startsWith(name)));
	if (found.length > 0) return found;
	throw new Error(`No key ${name}; there are ${measures.flatMap(({ keys }) => keys).join(", ")}`);
}

/** `onFigures` has them as soon as they are there: a long run that is interrupted has not been for nothing. */
async function measureAll(
	list: Measure[],
	options: RunOptions,
	onFigures: (all: Record<string, Figure>) => Promise<void>,
): Promise<Record<string, Figure>> {
	const figures: Record<string, Figure> = {};
	await buildExample(await readExample("static"), await findBuilder(), (line) => console.error(line));
	// The first start after an installation compiles everything and is larger and slower than every later one.
	await (await startDaemon())[Symbol.asyncDispose]();
	for (const { keys, run } of list) {
		const started = performance.now();
		Object.assign(figures, await run(options));
		await onFigures(figures);
		console.error(`bench: ${keys.join(", ")} (${((performance.now() - started) / 1000).toFixed(0)} s)`);
	}
	return figures;
}

/** On the terminal a figure is some lines: what stands beside it would make a table too wide. */
function shown(figures: Record<string, Figure>): string {
	const rows = rowsOf(figures).map(([key = "", name = "", p50 = "", p95 = "", p99 = "", n = ""]) => [
		key,
		p50,
		p95,
		p99,
		n,
		name,
	]);
	const details = rowsOf(figures).map(([key = "", , , , , , beside = "", promises = ""]) =>
		[key, ...[beside, promises].filter((text) => text !== "").flatMap((text) => text.split("; "))].join("\n    "),
	);
	return `${formatTable(["key", "p50", "p95", "p99", "n", "what"], rows)}\n\n${details.join("\n")}`;
}

async function main(): Promise<void> {
	const { values } = parseArgs({
		options: { json: { type: "string" }, only: { type: "string" }, quick: { type: "boolean", default: false } },
	});
	const list = chosen(values.only);
	const load = loadavg()[0] ?? Number.NaN;
	const report: Report = { when: new Date().toISOString(), machine: machine(), load, quick: values.quick, figures: {} };
	const figures = await measureAll(list, { quick: values.quick }, async (all) => {
		report.figures = all;
		if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(report, null, "\t")}\n`);
	});
	console.log(`\n${report.machine}; load ${load.toFixed(2)} before\n\n${shown(figures)}`);
	if (Object.values(figures).some(({ promises }) => promises.some(({ kept }) => !kept))) process.exitCode = 1;
}

await inPrivateRun(main);
