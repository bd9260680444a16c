/**
 * Where the warm path's time goes: `node bench/flame.ts [--svg FILE] [--seconds N]` starts a daemon, keeps 8 clients busy, and
 * samples the daemon's main thread through V8's inspector. Prints a table; writes a flame graph.
 */
import { writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { startDaemon } from "../tools/local-daemon.ts";
import { formatTable } from "../tools/table.ts";
import { freePort } from "./bench-service.ts";
import { areaOf, type CpuProfile, type Frame, frameTree, functionTimes } from "./cpu-profile.ts";
import { flameSvg } from "./flame-svg.ts";
import { Inspector } from "./inspector.ts";
import { inPrivateRun } from "./private-run.ts";
import { mustBeGood, pushStaticImage, SlipwayClient } from "./slipway-client.ts";

const clients = 8;
const warmUpSeconds = 4;
/** Each client sends the same signed requests again and again: a signature is good for minutes. */
const signedEach = 100;
/** Microseconds between samples. */
const intervalUs = 200;
const shownFunctions = 40;

/** Keeps every client busy; returns the number of invocations. */
async function load(connections: SlipwayClient[], requests: Buffer[], seconds: number): Promise<number> {
	const until = performance.now() + seconds * 1000;
	let count = 0;
	const work = connections.map(async (connection) => {
		while (performance.now() < until) {
			mustBeGood(await connection.send(requests[count % requests.length] as Buffer));
			count++;
		}
	});
	await Promise.all(work);
	return count;
}

async function sample(seconds: number): Promise<{ profile: CpuProfile; invocations: number }> {
	const inspectPort = await freePort();
	await using daemon = await startDaemon({ env: { NODE_OPTIONS: `--inspect-port=${inspectPort}` } });
	const imageUri = await pushStaticImage(daemon);
	const connections = await Promise.all(Array.from({ length: clients }, () => SlipwayClient.open(daemon)));
	const [first] = connections as [SlipwayClient];
	await first.createFunction("bench-flame", imageUri);
	const requests = Array.from({ length: signedEach }, () => first.invokeRequest("bench-flame", {}));
	await load(connections, requests, warmUpSeconds);
	// Opens its inspector (https://nodejs.org/api/cli.html#--disable-sigusr1).
	process.kill(daemon.pid, "SIGUSR1");
	await sleep(500);
	using inspector = await Inspector.open(inspectPort);
	await inspector.call("Profiler.enable");
	await inspector.call("Profiler.setSamplingInterval", { interval: intervalUs });
	await inspector.call("Profiler.start");
	const invocations = await load(connections, requests, seconds);
	const { profile } = (await inspector.call("Profiler.stop")) as { profile: CpuProfile };
	for (const connection of connections) connection.close();
	return { profile, invocations };
}

function table(root: Frame, invocations: number): string {
	const share = (us: number) => `${((us / root.totalUs) * 100).toFixed(1)} %`;
	const each = (us: number) => (us / invocations).toFixed(1);
	const times = functionTimes(root).sort((a, b) => b.selfUs - a.selfUs);
	const areas = new Map<string, number>();
	for (const { place, selfUs } of times) areas.set(areaOf(place), (areas.get(areaOf(place)) ?? 0) + selfUs);
	const byArea = [...areas].sort(([, a], [, b]) => b - a).map(([area, us]) => [area, share(us), each(us)]);
	const rows = times
		.slice(0, shownFunctions)
		.map(({ name, place, selfUs, totalUs }) => [share(selfUs), each(selfUs), share(totalUs), `${name} ${place}`]);
	return [
		`${invocations} invocations, ${each(root.totalUs)} µs of the main thread each`,
		formatTable(["part", "share", "µs each"], byArea),
		formatTable(["self", "µs each", "with what it calls", "function"], rows),
	].join("\n\n");
}

async function main(): Promise<void> {
	const { values } = parseArgs({ options: { svg: { type: "string" }, seconds: { type: "string", default: "6" } } });
	const { profile, invocations } = await sample(Number(values.seconds));
	const root = frameTree(profile);
	console.log(table(root, invocations));
	const title = `Warm invocations, ${clients} clients: the daemon's main thread, ${(root.totalUs / invocations).toFixed(0)} µs each (node bench/flame.ts)`;
	if (values.svg !== undefined) await writeFile(values.svg, flameSvg(root, title));
}

await inPrivateRun(main);
