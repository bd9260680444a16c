/** A request for a service at zero, beside its own process started bare: HTTP request in to response out. */
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { LocalDaemon } from "../tools/local-daemon.ts";
import { benchService, freePort, hostOf, mustBeOk, spawnService, untilListening } from "./bench-service.ts";
import { getRequest } from "./http-connection.ts";
import { endProcess } from "./plain-processes.ts";
import { type Figure, figure, steadyTail } from "./result.ts";
import { type RunOptions, samples, timed } from "./run-options.ts";
import { pushExample, SlipwayClient } from "./slipway-client.ts";

const service = "bench-cold";
/** In the first starts of a daemon its compiler is at work. */
const warmUp = 8;
/** After the instance has gone, until what the machine does for it has too and the pools are filled again. */
const settleMs = 150;
const listening = "bare process from Node, until it listens";
const answered = "bare process from Node, to its answer";

export async function serviceCold(daemon: LocalDaemon, options: RunOptions): Promise<Record<string, Figure>> {
	const image = await pushExample(daemon, benchService);
	const client = await SlipwayClient.open(daemon);
	await client.createService(service, image);
	const request = getRequest(hostOf(daemon, service));
	const ours: number[] = [];
	const bare = { listening: [] as number[], answered: [] as number[] };
	const rounds = samples(options, 80);
	await client.stopService(service);
	for (let round = -warmUp; round < rounds; round++) {
		await sleep(settleMs);
		const ms = await timed(async () => mustBeOk(await client.send(request)));
		// None would mean that something else had kept one ready.
		const instances = await client.stopService(service);
		if (instances !== 1) throw new Error(`A request for a service at zero left ${instances} instances`);
		const process = await bareStart();
		if (round < 0) continue;
		ours.push(ms);
		bare.listening.push(process.listeningMs);
		bare.answered.push(process.answeredMs);
	}
	client.close();
	return {
		"service.cold": figure({
			name: "request for a service at zero",
			unit: "ms",
			values: ours,
			baselines: { [listening]: bare.listening, [answered]: bare.answered },
			how: "HTTP request in to response out through the gateway, for a static binary without an instance; the probe of its port (TCP) is the default one; the bare process is asked to connect again and again, without a pause",
			promises: {
				"at most 15 ms over the bare process's time to listen": ({ p50, of }) => p50 - of(listening) <= 15,
				...steadyTail,
			},
		}),
	};
}

async function bareStart(): Promise<{ listeningMs: number; answeredMs: number }> {
	const port = await freePort();
	const started = performance.now();
	const child = spawnService(port);
	try {
		const socket = await untilListening(port, child);
		const listeningMs = performance.now() - started;
		socket.write(getRequest("baseline"));
		await once(socket, "data");
		const answeredMs = performance.now() - started;
		socket.destroy();
		return { listeningMs, answeredMs };
	} finally {
		await endProcess(child);
	}
}
