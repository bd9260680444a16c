/**
 * How long a step from 0 to 200 requests at once takes to be in instances, beside the autoscaler's algorithm alone: the same code on
 * simulated time, with instances that are ready at once.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { silentLog } from "../src/base/log.ts";
import type { ScalableRevision, ScaleObservation } from "../src/core/scaling/scalable-revision.ts";
import { scalingSettings } from "../src/core/service/scaling-annotations.ts";
import { Autoscaler } from "../src/engine/serving/autoscaler.ts";
import { VirtualClock } from "../tests/simulation/virtual-clock.ts";
import type { LocalDaemon } from "../tools/local-daemon.ts";
import { benchService, hostOf, mustBeOk, waitMs } from "./bench-service.ts";
import { getRequest, HttpConnection } from "./http-connection.ts";
import { type Figure, figure } from "./result.ts";
import { type RunOptions, samples } from "./run-options.ts";
import { pushExample, SlipwayClient } from "./slipway-client.ts";

const service = "bench-step";
const requests = 200;
const concurrency = 10;
const rounds = 3;
/** Between two steps: instances have ended, and the pools of what the next ones are made of are filled again. */
const refillMs = 2_500;
const algorithm = "the algorithm alone, on simulated time";

export async function scaleLag(daemon: LocalDaemon, options: RunOptions): Promise<Record<string, Figure>> {
	const image = await pushExample(daemon, benchService);
	const setup = await SlipwayClient.open(daemon);
	await setup.createService(service, image, { concurrency });
	const clients = await Promise.all(Array.from({ length: requests }, () => HttpConnection.open(daemon.url)));
	const request = getRequest(hostOf(daemon, service), "/wait");
	const ours: number[] = [];
	const instances: number[] = [];
	for (let round = samples(options, rounds) + 1; round > 0; round--) {
		await setup.stopService(service);
		await sleep(refillMs);
		ours.push(await step(clients, request));
		instances.push(await setup.stopService(service));
	}
	for (const client of [setup, ...clients]) client.close();
	return {
		"scale.lag": figure({
			name: `a step from 0 to ${requests} requests at once, ${concurrency} for an instance`,
			unit: "ms",
			values: ours.slice(1),
			baselines: { [algorithm]: [await algorithmMs()] },
			how: `from the step until the last of them is in an instance: instances that are ready times ${concurrency} are at least ${requests} then; each request is answered ${waitMs / 1000} s after it got there, so that none finds another one's room, and this time is taken off; ${Math.max(...instances)} instances in the end; the daemon's first step took ${ours[0]?.toFixed(0)} ms`,
			promises: { "at most 1 s over the algorithm's own windows": ({ p50, of }) => p50 - of(algorithm) <= 1000 },
		}),
	};
}

/** Milliseconds until the last request got to an instance. */
async function step(clients: HttpConnection[], request: Buffer): Promise<number> {
	const started = performance.now();
	await Promise.all(clients.map(async (client) => mustBeOk(await client.send(request))));
	const ms = performance.now() - started - waitMs;
	if (ms < waitMs) return ms;
	throw new Error("Requests of the step found the room of others: the machine is too slow for this measure");
}

/** What the daemon's own autoscaler needs when an instance costs no time. */
async function algorithmMs(): Promise<number> {
	const clock = new VirtualClock();
	await using autoscaler = new Autoscaler({ clock, log: silentLog });
	const revision = new IdealRevision();
	autoscaler.add("r", revision, { initialized: true });
	revision.load = requests;
	autoscaler.poke("r");
	while (revision.ready * concurrency < requests) await clock.advance(1);
	return clock.monotonic();
}

/** Its instances are ready as soon as they are asked for. */
class IdealRevision implements ScalableRevision {
	readonly settings = scalingSettings({}, { containerConcurrency: concurrency, profile: "knative" }).settings;
	readonly reachable = true;
	load = 0;
	ready = 0;

	observe(): ScaleObservation {
		const waiting = Math.max(0, this.load - this.ready * concurrency);
		return { ready: this.ready, starting: 0, concurrency: this.load, requests: 0, waiting };
	}

	scaleTo(count: number): void {
		this.ready = count;
	}
}
