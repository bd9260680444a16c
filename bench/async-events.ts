/** Asynchronous invocation: how soon an event is safe, and how fast those that wait are run. */
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { LocalDaemon } from "../tools/local-daemon.ts";
import { accepted, awsRequest } from "./aws-request.ts";
import { answeredAfter, benchFunction } from "./bench-function.ts";
import { HttpConnection } from "./http-connection.ts";
import { closedLoop, openLoop } from "./load.ts";
import { type Figure, figure } from "./result.ts";
import { type RunOptions, samples, timed } from "./run-options.ts";
import { mustBeGood, pushExample, SlipwayClient } from "./slipway-client.ts";

const acceptedPerSecond = 2000;
const acceptSeconds = 6;
const clients = 64;
const drained = 6000;
const drainRounds = 3;
const warmClients = 8;
const warmSeconds = 3;
/** Longer than it takes a slow machine to queue up all that are to wait. */
const holdMs = 15_000;
const pollMs = 20;
/** For the slowest machine to run all that wait. */
const drainTimeoutMs = 120_000;
const fsync = "1 KiB to a file and fdatasync, one after the other";
const warm = "synchronous invocations, 8 clients";

/** One function, which answers at once where its event does not say otherwise. */
class AsyncFunction {
	readonly #daemon: LocalDaemon;
	readonly name: string;

	constructor(daemon: LocalDaemon, name: string) {
		this.#daemon = daemon;
		this.name = name;
	}

	static async create(daemon: LocalDaemon, name: string): Promise<AsyncFunction> {
		const client = await SlipwayClient.open(daemon);
		await client.createFunction(name, await pushExample(daemon, benchFunction), { timeoutS: 60 });
		client.close();
		return new AsyncFunction(daemon, name);
	}

	connections(count: number): Promise<HttpConnection[]> {
		return Promise.all(Array.from({ length: count }, () => HttpConnection.open(this.#daemon.url)));
	}

	request(type: "Event" | "RequestResponse", ms = 0): Buffer {
		const path = `/2015-03-31/functions/${this.name}/invocations`;
		const headers = { "x-amz-invocation-type": type };
		// JSON has a zero with a sign, and JSON.stringify does not write it.
		const body = `-${Math.abs(answeredAfter(ms))}`;
		return awsRequest(this.#daemon, { service: "lambda", method: "POST", path, headers, body });
	}

	/** `concurrency` events at once at most; undefined for no such bound. */
	async reserve(concurrency: number | undefined): Promise<void> {
		const path = `/2017-10-31/functions/${this.name}/concurrency`;
		const body = concurrency === undefined ? "" : JSON.stringify({ ReservedConcurrentExecutions: concurrency });
		await this.#once(concurrency === undefined ? "DELETE" : "PUT", path, body);
	}

	/** One event keeps the only sandbox busy: all that come wait. */
	async hold(): Promise<void> {
		await this.reserve(1);
		const [connection] = (await this.connections(1)) as [HttpConnection];
		accepted(await connection.send(this.request("Event", holdMs)));
		connection.close();
		await this.until(({ ready, inFlight }) => ready === 0 && inFlight === 1);
	}

	/** Until as many wait or run. */
	async until(isSo: (lane: LaneView) => boolean): Promise<void> {
		const [connection] = (await this.connections(1)) as [HttpConnection];
		const events = { service: "", method: "GET", path: "/_slipway/events", body: "" };
		const request = awsRequest(this.#daemon, events, "token");
		for (const until = performance.now() + drainTimeoutMs; ; await sleep(pollMs)) {
			const { lanes } = accepted(await connection.send(request)) as { lanes: LaneView[] };
			const lane = lanes.find(({ name }) => name.endsWith(this.name)) ?? {
				name: "",
				ready: 0,
				delayed: 0,
				inFlight: 0,
			};
			if (isSo(lane)) break;
			if (performance.now() > until) throw new Error(`Events still wait: ${JSON.stringify(lane)}`);
		}
		connection.close();
	}

	untilIdle(): Promise<void> {
		return this.until(({ ready, delayed, inFlight }) => ready + delayed + inFlight === 0);
	}

	async #once(method: string, path: string, body: string): Promise<void> {
		const [connection] = (await this.connections(1)) as [HttpConnection];
		accepted(await connection.send(awsRequest(this.#daemon, { service: "lambda", method, path, body })));
		connection.close();
	}
}

interface LaneView {
	name: string;
	ready: number;
	delayed: number;
	inFlight: number;
}

/** Milliseconds of each. */
function syncedWrites(count: number): number[] {
	const folder = mkdtempSync(join(tmpdir(), "slipway-bench-"));
	const file = openSync(join(folder, "file"), "w");
	const bytes = Buffer.alloc(1024, "x");
	const times = Array.from({ length: count }, () => {
		const started = performance.now();
		writeSync(file, bytes);
		fdatasyncSync(file);
		return performance.now() - started;
	});
	closeSync(file);
	rmSync(folder, { recursive: true });
	return times;
}

export async function asyncAccept(daemon: LocalDaemon, options: RunOptions): Promise<Record<string, Figure>> {
	const target = await AsyncFunction.create(daemon, "bench-accept");
	const event = target.request("Event");
	const seconds = options.quick ? 2 : acceptSeconds;
	const atRate = async (during: number) => {
		const connections = await target.connections(clients);
		const load = { perSecond: acceptedPerSecond, seconds: during };
		const times = await openLoop(connections, load, async (one) => accepted(await one.send(event)));
		for (const connection of connections) connection.close();
		return times;
	};
	await atRate(1);
	const busy = await atRate(seconds);
	await target.untilIdle();
	await target.hold();
	const ours = await atRate(seconds);
	const theirs = syncedWrites(samples(options, 500));
	await target.reserve(undefined);
	await target.untilIdle();
	const [connection] = (await target.connections(1)) as [HttpConnection];
	const invoke = target.request("RequestResponse");
	const warm: number[] = [];
	for (let i = 0; i < samples(options, 500); i++)
		warm.push(await timed(async () => mustBeGood(await connection.send(invoke))));
	connection.close();
	const baselines = { [fsync]: theirs, "synchronous invocation, one client": warm };
	const how = `HTTP request in to 202 out, signed, ${acceptedPerSecond} a second by the clock, counted from when each was due, over ${clients} connections`;
	return {
		"async.accept": figure({
			name: `event accepted, on the disk, at ${acceptedPerSecond} a second`,
			unit: "ms",
			values: ours,
			baselines,
			how: `${how}; the function is held up meanwhile`,
			promises: { "p99 below 5 ms": ({ p99 }) => p99 < 5 },
		}),
		"async.accept.busy": figure({
			name: `the same while the events run`,
			unit: "ms",
			values: busy,
			baselines,
			how: `${how}; the function runs those that were accepted as they come, and takes the same two CPUs`,
		}),
	};
}

export async function asyncDrain(daemon: LocalDaemon, { quick }: RunOptions): Promise<Record<string, Figure>> {
	const target = await AsyncFunction.create(daemon, "bench-drain");
	const events = quick ? drained / 5 : drained;
	const [ours, theirs]: [number[], number[]] = [[], []];
	const invoke = target.request("RequestResponse");
	for (let round = 0; round <= (quick ? 1 : drainRounds); round++) {
		const callers = await target.connections(warmClients);
		const rate = await closedLoop(callers, quick ? 1 : warmSeconds, async (one) => mustBeGood(await one.send(invoke)));
		for (const connection of callers) connection.close();
		await target.hold();
		await sendAll(target, events);
		await target.until(({ ready, inFlight }) => ready + inFlight === events + 1);
		const ms = await timed(async () => {
			await target.reserve(undefined);
			await target.until(({ ready, delayed, inFlight }) => ready + delayed === 0 && inFlight <= 1);
		});
		await target.untilIdle();
		// Compilers warm up.
		if (round === 0) continue;
		ours.push(events / (ms / 1000));
		theirs.push(rate);
	}
	return {
		"async.drain": figure({
			name: "waiting events of a short function, run",
			unit: "events/s",
			values: ours,
			baselines: { [warm]: theirs },
			how: `${events} events that wait because the function is held up, from when more of it may run until the last one is settled`,
			promises: { "at least 2,000 a second": ({ p50 }) => p50 >= 2000 },
		}),
	};
}

async function sendAll(target: AsyncFunction, count: number): Promise<void> {
	const connections = await target.connections(clients);
	const event = target.request("Event");
	let sent = 0;
	const work = connections.map(async (connection) => {
		while (sent++ < count) accepted(await connection.send(event));
	});
	await Promise.all(work);
	for (const connection of connections) connection.close();
}
