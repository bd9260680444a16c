import type { LocalDaemon } from "../tools/local-daemon.ts";
import { type Answer, HttpConnection, plainRequest } from "./http-connection.ts";
import { startBroker } from "./plain-processes.ts";
import { type Figure, figure } from "./result.ts";
import { type RunOptions, samples, timed } from "./run-options.ts";
import { mustBeGood, pushStaticImage, SlipwayClient } from "./slipway-client.ts";

const warmUp = 500;
const throughputRounds = 3;
const throughputSeconds = 5;
const clients = 8;
/** More requests than one client sends in a round. */
const signedAhead = 12_000;
const broker = "plain Node broker, no sandbox";

export async function warm(daemon: LocalDaemon, options: RunOptions): Promise<Record<string, Figure>> {
	const imageUri = await pushStaticImage(daemon);
	const client = await SlipwayClient.open(daemon);
	await client.createFunction("bench-warm", imageUri);
	await using server = await startBroker(1);
	const plain = await HttpConnection.open(server.url);
	const ours: number[] = [];
	const theirs: number[] = [];
	const rounds = samples(options, 3_000);
	for (let round = -warmUp; round < rounds; round++) {
		const request = client.invokeRequest("bench-warm", {});
		const first = await timed(async () => mustBeGood(await client.send(request)));
		const second = await timed(async () => mustBeGood(await plain.send(plainRequest("/invoke", "{}"))));
		if (round < 0) continue;
		ours.push(first);
		theirs.push(second);
	}
	client.close();
	plain.close();
	return {
		warm: figure({
			name: "warm invocation, one client",
			unit: "ms",
			values: ours,
			baselines: { [broker]: theirs },
			how: "HTTP request in to response out, signed (Signature Version 4), with logs and metrics; one after the other on one connection",
			promises: { "at most 0.3 ms over the plain broker": ({ p50, of }) => p50 - of(broker) <= 0.3 },
		}),
	};
}

export async function throughput(daemon: LocalDaemon, options: RunOptions): Promise<Record<string, Figure>> {
	const imageUri = await pushStaticImage(daemon);
	const setup = await SlipwayClient.open(daemon);
	await setup.createFunction("bench-throughput", imageUri);
	setup.close();
	await using server = await startBroker(clients);
	const ours = await Promise.all(Array.from({ length: clients }, () => SlipwayClient.open(daemon)));
	const plain = await Promise.all(Array.from({ length: clients }, () => HttpConnection.open(server.url)));
	const [ourRates, theirRates]: [number[], number[]] = [[], []];
	const seconds = options.quick ? 1 : throughputSeconds;
	for (let round = 0; round <= throughputRounds; round++) {
		const count = round === 0 ? 200 : signedAhead;
		// A signature costs the client more than the whole exchange: each is made before the clock starts and used once.
		const signed = ours.map((client) =>
			Array.from({ length: count }, () => client.invokeRequest("bench-throughput", {})),
		);
		const first = await rate(seconds, ours, signed);
		const request = plainRequest("/invoke", "{}");
		const second = await rate(
			seconds,
			plain,
			plain.map(() => Array.from({ length: signedAhead }, () => request)),
		);
		if (round === 0) continue; // sandboxes start, compilers warm up
		ourRates.push(first);
		theirRates.push(second);
	}
	for (const connection of [...ours, ...plain]) connection.close();
	return {
		"warm.throughput": figure({
			name: `throughput, ${clients} sandboxes, ${clients} clients`,
			unit: "invocations/s",
			values: ourRates,
			baselines: { [broker]: theirRates },
			how: `rounds of ${seconds} s, each client one request after the other, signed ahead; clients, functions and the daemon share the machine`,
			promises: { "at least 60 % of the plain broker": ({ p50, of }) => p50 >= 0.6 * of(broker) },
		}),
	};
}

/** Every client sends its requests one after the other, until they or the time are used up. */
async function rate(
	seconds: number,
	senders: { send: (request: Buffer) => Promise<Answer> }[],
	requests: Buffer[][],
): Promise<number> {
	const started = performance.now();
	const until = started + seconds * 1000;
	let count = 0;
	const work = senders.map(async (sender, index) => {
		for (const request of requests[index] ?? []) {
			if (performance.now() > until) break;
			mustBeGood(await sender.send(request));
			count++;
		}
	});
	await Promise.all(work);
	return count / ((performance.now() - started) / 1000);
}
