/**
 * Where a path's time goes: `node bench/flame.ts [--of warm] [--svg FILE] [--seconds N]` starts a daemon, keeps clients busy, and
 * samples the daemon's main thread through V8's inspector. Prints a table; writes a flame graph. The paths: flame-loads.ts.
 */
import { writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { startDaemon } from "../tools/local-daemon.ts";
import { formatTable } from "../tools/table.ts";
import { freePort } from "./bench-service.ts";
import { areaOf, type CpuProfile, type Frame, frameTree, functionTimes } from "./cpu-profile.ts";
import { type Load, loads } from "./flame-loads.ts";
import { flameSvg } from "./flame-svg.ts";
import { Inspector } from "./inspector.ts";
import { closedLoop } from "./load.ts";
import { inPrivateRun } from "./private-run.ts";
import { threadCpuUs, usedBetween } from "./thread-cpu.ts";

const warmUpSeconds = 4;
/** Microseconds between samples. */
const intervalUs = 200;
const shownFunctions = 40;

interface Sampled {
	profile: CpuProfile;
	requests: number;
	/** Microseconds of CPU by thread, without the profiler. */
	threads: [name: string, usEach: number][];
}

async function sample(load: Load, seconds: number): Promise<Sampled> {
	const inspectPort = await freePort();
	await using daemon = await startDaemon({ env: { NODE_OPTIONS: `--inspect-port=${inspectPort}` } });
	const senders = await load.open(daemon);
	const run = async (time: number) => Math.round((await closedLoop(senders, time, (send) => send())) * time);
	await run(warmUpSeconds);
	const before = threadCpuUs(daemon.pid);
	const plain = await run(seconds / 2);
	const threads = usedBetween(before, threadCpuUs(daemon.pid)).map(([name, us]): [string, number] => [
		name,
		us / plain,
	]);
	// Opens its inspector (https://nodejs.org/api/cli.html#--disable-sigusr1).
	process.kill(daemon.pid, "SIGUSR1");
	for (const until = performance.now() + 500; performance.now() < until; await sleep(1)) await run(0.05);
	using inspector = await Inspector.open(inspectPort);
	await inspector.call("Profiler.enable");
	await inspector.call("Profiler.setSamplingInterval", { interval: intervalUs });
	await inspector.call("Profiler.start");
	const requests = await run(seconds);
	const { profile } = (await inspector.call("Profiler.stop")) as { profile: CpuProfile };
	return { profile, requests, threads };
}

function table(root: Frame, { requests, threads }: Sampled): string {
	const share = (us: number) => `${((us / root.totalUs) * 100).toFixed(1)} %`;
	const each = (us: number) => (us / requests).toFixed(1);
	const times = functionTimes(root).sort((a, b) => b.selfUs - a.selfUs);
	const areas = new Map<string, number>();
	for (const { place, selfUs } of times) areas.set(areaOf(place), (areas.get(areaOf(place)) ?? 0) + selfUs);
	const byArea = [...areas].sort(([, a], [, b]) => b - a).map(([area, us]) => [area, share(us), each(us)]);
	const rows = times
		.slice(0, shownFunctions)
		.map(({ name, place, selfUs, totalUs }) => [share(selfUs), each(selfUs), share(totalUs), `${name} ${place}`]);
	const byThread = threads.filter(([, us]) => us >= 1).map(([name, us]) => [name, us.toFixed(1)]);
	return [
		`${requests} requests, ${each(root.totalUs)} µs of the main thread each`,
		formatTable(["thread, without the profiler", "µs of CPU each"], byThread),
		formatTable(["part", "share", "µs each"], byArea),
		formatTable(["self", "µs each", "with what it calls", "function"], rows),
	].join("\n\n");
}

async function main(): Promise<void> {
	const { values } = parseArgs({
		options: {
			of: { type: "string", default: "warm" },
			svg: { type: "string" },
			seconds: { type: "string", default: "6" },
		},
	});
	const load = loads[values.of];
	if (!load) throw new Error(`No path ${values.of}; there are ${Object.keys(loads).join(", ")}`);
	const sampled = await sample(load, Number(values.seconds));
	const root = frameTree(sampled.profile);
	console.log(table(root, sampled));
	const each = `${(root.totalUs / sampled.requests).toFixed(0)} µs each`;
	const title = `${load.title}, ${load.clients} clients: the daemon's main thread, ${each} (node bench/flame.ts --of ${values.of})`;
	if (values.svg !== undefined) await writeFile(values.svg, flameSvg(root, title));
	// The clients' connections are still open.
	process.exit();
}

await inPrivateRun(main);
