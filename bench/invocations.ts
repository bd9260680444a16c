import { setTimeout as sleep } from "node:timers/promises";
import type { LocalDaemon } from "../tools/local-daemon.ts";
import { type ColdBaseline, dockerBaseline, ociBaseline, startBroker } from "./baselines.ts";
import { type Answer, HttpConnection, plainRequest } from "./http-connection.ts";
import { type Baseline, type Figure, single, summarize } from "./result.ts";
import { pushStaticImage, SlipwayClient } from "./slipway-client.ts";

const coldSamples = 60;
/** `docker run` takes half a second. */
const dockerEvery = 3;
/** After an answer with which the process ended: until it is gone and the machine is quiet again. */
const settleMs = 300;
const warmSamples = 2_000;
const warmUp = 200;
const throughputSeconds = 5;
const throughputRounds = 3;
const sandboxes = 8;
const idleFunctions = 100;

/** Its process ends after the answer: the next invocation finds no sandbox. */
const lastEvent = { do: "last" };

function mustBe(answer: Answer, status = 200): Answer {
	if (answer.status === status && !/^x-amz-function-error:/im.test(answer.head)) return answer;
	throw new Error(`An invocation answered ${answer.status}: ${answer.body}`);
}

/** The log's REPORT line has an Init Duration only when a sandbox was started for the invocation. */
function wasCold(answer: Answer): boolean {
	const log = /^x-amz-log-result: *(\S+)/im.exec(answer.head)?.[1] ?? "";
	return Buffer.from(log, "base64").toString().includes("Init Duration");
}

export async function coldStatic(daemon: LocalDaemon): Promise<Figure> {
	const imageUri = await pushStaticImage(daemon);
	const client = await SlipwayClient.open(daemon);
	await client.createFunction("bench-cold", imageUri);
	const started = await Promise.all([dockerBaseline(), ociBaseline("crun"), ociBaseline("runc")]);
	const baselines = started.map((baseline) => ({ baseline, times: [] as number[] }));
	const times: number[] = [];
	try {
		for (let round = 0; round < coldSamples; round++) {
			times.push(await coldSample(client));
			for (const { baseline, times: own } of baselines) {
				if (typeof baseline === "string") continue;
				if (baseline.name.startsWith("docker") && round % dockerEvery !== 0) continue;
				own.push(await baseline.sample());
			}
		}
	} finally {
		client.close();
		for (const { baseline } of baselines) if (typeof baseline !== "string") await baseline[Symbol.asyncDispose]();
	}
	const summary = summarize(times);
	const names = ["docker run --rm", "crun run", "runc run"];
	return {
		key: "cold.static",
		name: "cold invocation, static binary",
		unit: "ms",
		summary,
		baselines: baselines.map(({ baseline, times: own }, index) => describe(baseline, own, names[index] ?? "")),
		promise: { text: "at most 25 ms", kept: summary.p50 <= 25 },
	};
}

function describe(baseline: ColdBaseline | string, times: number[], name: string): Baseline {
	return typeof baseline === "string"
		? { name, missing: baseline }
		: { name: baseline.name, summary: summarize(times) };
}

async function coldSample(client: SlipwayClient): Promise<number> {
	const request = client.invokeRequest("bench-cold", lastEvent, { "x-amz-log-type": "Tail" });
	const started = performance.now();
	const answer = await client.send(request);
	const ms = performance.now() - started;
	if (!wasCold(mustBe(answer))) throw new Error("An invocation that was meant to be cold found a sandbox");
	await sleep(settleMs);
	return ms;
}

export async function warm(daemon: LocalDaemon): Promise<Figure> {
	const imageUri = await pushStaticImage(daemon);
	const client = await SlipwayClient.open(daemon);
	await client.createFunction("bench-warm", imageUri);
	await using broker = await startBroker(1);
	const plain = await HttpConnection.open(broker.url);
	const ours: number[] = [];
	const theirs: number[] = [];
	for (let count = 0; count < warmUp + warmSamples; count++) {
		const request = client.invokeRequest("bench-warm", {});
		const first = await timed(() => client.send(request));
		const second = await timed(() => plain.send(plainRequest("/invoke", "{}")));
		if (count < warmUp) continue;
		ours.push(first);
		theirs.push(second);
	}
	client.close();
	plain.close();
	const summary = summarize(ours);
	const baseline = summarize(theirs);
	return {
		key: "warm",
		name: "warm invocation, one client",
		unit: "ms",
		summary,
		baselines: [{ name: "plain Node broker, no sandbox", summary: baseline }],
		promise: { text: "at most 1 ms on top of the function", kept: summary.p50 - baseline.p50 <= 1 },
	};
}

async function timed(send: () => Promise<Answer>): Promise<number> {
	const started = performance.now();
	mustBe(await send());
	return performance.now() - started;
}

export async function throughput(daemon: LocalDaemon): Promise<Figure> {
	const imageUri = await pushStaticImage(daemon);
	const setup = await SlipwayClient.open(daemon);
	await setup.createFunction("bench-throughput", imageUri);
	setup.close();
	await using broker = await startBroker(sandboxes);
	const clients = await Promise.all(Array.from({ length: sandboxes }, () => SlipwayClient.open(daemon)));
	const plain = await Promise.all(Array.from({ length: sandboxes }, () => HttpConnection.open(broker.url)));
	// A signature costs the client more than the whole exchange: each is made before the clock starts and used once.
	const perClient = 12_000;
	const ours: number[] = [];
	const theirs: number[] = [];
	for (let round = 0; round <= throughputRounds; round++) {
		const prepared = clients.map((client) =>
			Array.from({ length: round === 0 ? 200 : perClient }, () => client.invokeRequest("bench-throughput", {})),
		);
		const first = await rate(
			clients.map((client, index) => ({ send: (r) => client.send(r), requests: prepared[index] ?? [] })),
		);
		const request = plainRequest("/invoke", "{}");
		const repeated = Array.from({ length: perClient }, () => request);
		const second = await rate(plain.map((connection) => ({ send: (r) => connection.send(r), requests: repeated })));
		if (round === 0) continue; // sandboxes start, compilers warm up
		ours.push(first);
		theirs.push(second);
	}
	for (const connection of [...clients, ...plain]) connection.close();
	const summary = summarize(ours);
	return {
		key: "warm.throughput",
		name: `throughput, ${sandboxes} sandboxes, ${sandboxes} clients`,
		unit: "invocations/s",
		summary: single(summary.p50),
		baselines: [{ name: "plain Node broker, no sandbox", summary: single(summarize(theirs).p50) }],
		promise: { text: "at least 3,000 invocations/s", kept: summary.p50 >= 3_000 },
	};
}

/** Every client sends its requests one after the other, until they or the time are used up. */
async function rate(clients: { send: (request: Buffer) => Promise<Answer>; requests: Buffer[] }[]): Promise<number> {
	const started = performance.now();
	const until = started + throughputSeconds * 1000;
	let count = 0;
	const work = clients.map(async ({ send, requests }) => {
		for (const request of requests) {
			if (performance.now() > until) break;
			mustBe(await send(request));
			count++;
		}
	});
	await Promise.all(work);
	return count / ((performance.now() - started) / 1000);
}

/** Functions that were invoked once and have no sandbox now. */
export async function createIdleFunctions(daemon: LocalDaemon): Promise<void> {
	const imageUri = await pushStaticImage(daemon);
	const client = await SlipwayClient.open(daemon);
	for (let index = 0; index < idleFunctions; index++) {
		await client.createFunction(`bench-idle-${index}`, imageUri);
		mustBe(await client.send(client.invokeRequest(`bench-idle-${index}`, lastEvent)));
	}
	client.close();
}
