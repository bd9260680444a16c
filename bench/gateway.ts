/** What the gateway adds to a request, and how many it passes on, beside other proxies before the same server. */
import type { LocalDaemon } from "../tools/local-daemon.ts";
import { run } from "../tools/run.ts";
import { benchService, hostOf, mustBeOk, startBareService } from "./bench-service.ts";
import { getRequest, HttpConnection } from "./http-connection.ts";
import { startNginx } from "./nginx.ts";
import { startServer } from "./plain-processes.ts";
import { type Figure, figure, type Series } from "./result.ts";
import { type RunOptions, samples, timed } from "./run-options.ts";
import { pushExample, SlipwayClient } from "./slipway-client.ts";

export const nginx = "nginx, one process";
export const plainProxy = "plain Node proxy, no sandbox";
const direct = "the same server bare, without a proxy";
/** One instance that stays, whatever it gets. */
const oneInstance = { "autoscaling.knative.dev/min-scale": "1", "autoscaling.knative.dev/max-scale": "1" };

const warmUp = 1_000;
const clients = 16;
const throughputRounds = 3;
const throughputSeconds = 3;

export async function gatewayAdded(daemon: LocalDaemon, options: RunOptions): Promise<Record<string, Figure>> {
	const host = await deployed(daemon, "bench-added");
	await using server = await startBareService();
	await using proxy = await startServer("plain-proxy.ts", [String(server.port)]);
	const sides = await Promise.all(
		[daemon, proxy, server].map(async ({ url }) => ({
			connection: await HttpConnection.open(url),
			times: [] as number[],
		})),
	);
	const request = getRequest(host);
	const rounds = samples(options, 5_000);
	for (let round = -warmUp; round < rounds; round++)
		for (const { connection, times } of sides) {
			const ms = await timed(async () => mustBeOk(await connection.send(request)));
			if (round >= 0) times.push(ms);
		}
	for (const { connection } of sides) connection.close();
	const [ours, plain, bare] = sides.map(({ times }) => times) as [number[], number[], number[]];
	return {
		"gateway.added": figure({
			name: "request through the gateway to a service's instance",
			unit: "ms",
			values: ours,
			baselines: { [direct]: bare, [plainProxy]: plain },
			how: "HTTP request in to response out, one after the other on one connection; a static binary that answers at once",
			promises: { "at most 0.3 ms over the server bare": ({ p50, of }) => p50 - of(direct) <= 0.3 },
		}),
	};
}

export async function gatewayThroughput(daemon: LocalDaemon, options: RunOptions): Promise<Record<string, Figure>> {
	const host = await deployed(daemon, "bench-through");
	await using server = await startBareService();
	await using proxy = await startServer("plain-proxy.ts", [String(server.port)]);
	const found = await startNginx(server.port);
	await using other = typeof found === "string" ? undefined : found;
	const sides = [daemon, proxy, ...(other ? [other] : [])].map(({ url }) => ({ url, rates: [] as number[] }));
	const seconds = options.quick ? 1 : throughputSeconds;
	for (let round = 0; round <= throughputRounds; round++)
		for (const { url, rates } of sides) {
			const perSecond = await rateOf(url, host, round === 0 ? 1 : seconds);
			if (round > 0) rates.push(perSecond);
		}
	const [ours, plain, theirs] = sides.map(({ rates }) => rates) as [number[], number[], number[] | undefined];
	const baselines: Series = { [plainProxy]: plain, [nginx]: theirs ?? String(found) };
	return {
		"gateway.throughput": figure({
			name: `requests through the gateway, ${clients} clients`,
			unit: "requests/s",
			values: ours,
			baselines,
			how: `wrk, one thread, rounds of ${seconds} s in turns, each client one request after the other; a static binary that answers at once; wrk, the proxies and the server share the machine`,
			promises: { "at least 70 % of the plain proxy": ({ p50, of }) => p50 >= 0.7 * of(plainProxy) },
		}),
	};
}

/** Requests a second that wrk got answered, all of them with 200. */
async function rateOf(url: string, host: string, seconds: number): Promise<number> {
	const words = ["--threads", "1", "--connections", String(clients), "--duration", `${seconds}s`];
	const report = await run("wrk", [...words, "--header", `Host: ${host}`, `${url}/`]);
	const trouble = /^ *(Non-2xx.*|Socket errors.*)$/m.exec(report)?.[1];
	if (trouble !== undefined) throw new Error(`${url}: ${trouble}`);
	return Number(/^Requests\/sec: *([\d.]+)/m.exec(report)?.[1]);
}

/** The benches' service with one instance; its host name. */
export async function deployed(daemon: LocalDaemon, service: string): Promise<string> {
	const image = await pushExample(daemon, benchService);
	const client = await SlipwayClient.open(daemon);
	await client.createService(service, image, { annotations: oneInstance });
	client.close();
	return hostOf(daemon, service);
}
