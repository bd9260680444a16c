/** Many cold starts at once: of one function, and of many different ones. */
import { setTimeout as sleep } from "node:timers/promises";
import { readExample } from "../tools/examples.ts";
import type { LocalDaemon } from "../tools/local-daemon.ts";
import { isThere } from "../tools/run.ts";
import { answeredAfter, benchFunction } from "./bench-function.ts";
import { imageCommand, OciBundle, staticCommand } from "./cold-baselines.ts";
import { unpackImage } from "./image-root.ts";
import { type Command, OneEventApi } from "./one-event-api.ts";
import { type Figure, figure, type Series } from "./result.ts";
import { type RunOptions, samples, timed, twoCpusMiB } from "./run-options.ts";
import { type ColdStart, coldStartOf, mustBeGood, pushExample, SlipwayClient } from "./slipway-client.ts";

const events = 100;
const functions = 50;
const rounds = 5;
/** Fifty of Node take two seconds, and twice that to end again. */
const fiftyRounds = 3;
/** Longer than all of them take to start, also at 15 a second: each event needs a sandbox of its own, because none is free again before. */
const holdMs = 8_000;
/** Between bursts: the pools are filled again, which takes two seconds. */
const refillMs = 5_000;
/** Milliseconds below which a sandbox was not made for the event: it stood ready. */
const madeMs = 0.5;
/** As many `crun run` at a time make most per second on two cores. */
const parallelCrun = 4;

const bareAtOnce = "bare processes from Node, all at once";

export async function oneFunction(daemon: LocalDaemon, options: RunOptions): Promise<Record<string, Figure>> {
	const imageUri = await pushExample(daemon, benchFunction);
	const setup = await SlipwayClient.open(daemon);
	const name = "bench-burst";
	await setup.createFunction(name, imageUri, { timeoutS: 30 });
	const clients = await Promise.all(Array.from({ length: events }, () => SlipwayClient.open(daemon)));
	const bare = await OneEventApi.open("127.0.0.1", "{}");
	const command = await staticCommand();
	const crun = (await isThere("crun")) ? await OciBundle.make("crun") : undefined;
	const [ours, processes, containers]: [number[], number[], number[]] = [[], [], []];
	const perSecond = (ms: number) => events / (ms / 1000);
	const ready: number[] = [];
	// The first burst finds what stands ready on an idle machine; those after it find what it had the pools filled up to.
	for (let round = samples(options, rounds) + 1; round > 0; round--) {
		await setup.toZero(name);
		await setup.rest();
		await sleep(refillMs);
		const requests = clients.map((client) => client.invokeRequest(name, answeredAfter(holdMs)));
		// From before the first request is written to the last answer. Each answer comes `holdMs` after its event was handed over.
		let colds: ColdStart[] = [];
		const ms = await timed(async () => {
			const sent = clients.map(async (client, index) => mustBeCold(await client.send(requests[index] as Buffer)));
			colds = await Promise.all(sent);
		});
		ours.push(perSecond(ms - holdMs));
		ready.push(colds.filter(({ sandboxMs }) => sandboxMs < madeMs).length);
		processes.push(perSecond((await bare.time(command(bare.address), events)).answeredMs));
		if (crun) containers.push(perSecond((await crun.api.time(crun.next, events, parallelCrun)).answeredMs));
	}
	bare.close();
	await crun?.[Symbol.asyncDispose]();
	for (const client of [setup, ...clients]) client.close();
	return {
		"burst.one_function_100": figure({
			name: `${events} events at once for one function at zero, minutes after the last such burst`,
			unit: "sandboxes/s",
			values: ours.slice(1),
			baselines: {
				[bareAtOnce]: processes,
				[`crun run, ${parallelCrun} at a time`]: crun ? containers : "crun is not installed",
			},
			how: `a static binary, from the first request to the last answer; each event is answered ${holdMs / 1000} s after it was handed over, so that each needs a sandbox of its own, and this time is taken off; every answer has to be its sandbox's first; ${spread(ready)} of the ${events} had a sandbox of the function standing ready; the daemon's first burst, for which no more blank sandboxes stand ready than on an idle machine, was served at ${ours[0]?.toFixed(0)} a second`,
			promises: { "at least 150 a second": ({ p50 }) => p50 >= 150 },
		}),
	};
}

/** The answer has to be the first of its sandbox: no two events had the same one then. */
function mustBeCold(answer: Parameters<typeof mustBeGood>[0]): ColdStart {
	const cold = coldStartOf(mustBeGood(answer));
	if (cold) return cold;
	throw new Error("An event of the burst found a sandbox of another one: the machine is too slow for this measure");
}

function spread(counts: readonly number[]): string {
	const [least, most] = [Math.min(...counts), Math.max(...counts)];
	return least === most ? String(least) : `${least} to ${most}`;
}

/** Node functions with their runtime client, and static binaries, where the platform is all there is to see. */
export async function fiftyFunctions(daemon: LocalDaemon, options: RunOptions): Promise<Record<string, Figure>> {
	const node = await readExample("node");
	using root = await unpackImage(node.image);
	const nodeUri = await pushExample(daemon, node);
	const staticUri = await pushExample(daemon, await readExample("static"));
	return {
		"burst.fifty_functions": await fifty(daemon, options, "Node", nodeUri, node.event, imageCommand(root)),
		"burst.fifty_functions.static": await fifty(daemon, options, "static", staticUri, {}, await staticCommand()),
	};
}

async function fifty(
	daemon: LocalDaemon,
	options: RunOptions,
	kind: string,
	imageUri: string,
	event: unknown,
	command: (api: string) => Command,
): Promise<Figure> {
	const setup = await SlipwayClient.open(daemon);
	const names = Array.from({ length: functions }, (_, index) => `bench-fifty-${kind}-${index}`);
	for (const name of names) await setup.createFunction(name, imageUri, { memoryMiB: twoCpusMiB, timeoutS: 30 });
	const clients = await Promise.all(names.map(() => SlipwayClient.open(daemon)));
	const bare = await OneEventApi.open("127.0.0.1", JSON.stringify(event));
	const ours: number[] = [];
	const theirs: number[] = [];
	for (let round = samples(options, fiftyRounds); round > 0; round--) {
		await setup.rest();
		const requests = clients.map((client, index) => client.invokeRequest(names[index] as string, event));
		const all = () =>
			Promise.all(clients.map(async (client, index) => mustBeCold(await client.send(requests[index] as Buffer))));
		ours.push(await timed(all));
		for (const name of names) await setup.toZero(name);
		await setup.rest();
		theirs.push((await bare.time(command(bare.address), functions)).answeredMs);
	}
	bare.close();
	for (const client of [setup, ...clients]) client.close();
	const baselines: Series = { [bareAtOnce]: theirs };
	return figure({
		name: `one event for each of ${functions} ${kind} functions at zero, all at once`,
		unit: "ms",
		values: ours,
		baselines,
		how: "until the last one is answered; some of them have a sandbox standing ready",
		promises: { "at most 1.5 times the bare processes": ({ p50, of }) => p50 <= 1.5 * of(bareAtOnce) },
	});
}
