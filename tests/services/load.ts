/** The load generators wrk and hey, and what they counted. */
import assert from "node:assert/strict";
import type { LocalDaemon } from "../../tools/local-daemon.ts";
import { run } from "../../tools/run.ts";
import { hostOf } from "./service-client.ts";

/** Longer than anything that a request may have to wait for: a request that the generator gives up is an error. */
const answerTimeoutS = 30;

export interface Load {
	connections: number;
	seconds: number;
	path?: string;
}

export interface Counts {
	requests: number;
	/** Answers that are not 200. */
	refused: number;
	/** Requests without an answer: connections that failed or broke, time limits. */
	failed: number;
}

/** Connections that stay open, each with its next request as soon as the last one is answered. */
export async function wrk(daemon: LocalDaemon, service: string, load: Load): Promise<Counts> {
	const words = [
		...["-t", "1", "-c", String(load.connections), "-d", `${load.seconds}s`, "--timeout", `${answerTimeoutS}s`],
		...["-H", `Host: ${hostOf(daemon, service)}`, `${daemon.url}${load.path ?? "/"}`],
	];
	return readWrk(await run("wrk", words));
}

function readWrk(output: string): Counts {
	const requests = /^\s*(\d+) requests in /m.exec(output)?.[1];
	assert.ok(Number(requests) > 0, output);
	const errors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(output)?.slice(1) ?? [];
	return {
		requests: Number(requests),
		refused: Number(/Non-2xx or 3xx responses: (\d+)/.exec(output)?.[1] ?? 0),
		failed: errors.reduce((sum, count) => sum + Number(count), 0),
	};
}

/** `rate`: requests of each connection in a second, as many as it can otherwise. `fresh`: a connection for each request. */
export async function hey(
	daemon: LocalDaemon,
	service: string,
	load: Load & { rate?: number; fresh?: boolean },
): Promise<Counts> {
	const words = [
		...["-z", `${load.seconds}s`, "-c", String(load.connections), "-t", String(answerTimeoutS)],
		...(load.rate === undefined ? [] : ["-q", String(load.rate)]),
		...(load.fresh ? ["-disable-keepalive"] : []),
		...["-host", hostOf(daemon, service), `${daemon.url}${load.path ?? "/"}`],
	];
	return readHey(await run("hey", words));
}

function readHey(output: string): Counts {
	const codes = [...output.matchAll(/^\s*\[(\d{3})\]\s+(\d+) responses/gm)].map(([, code, count]) => ({
		code,
		count: Number(count),
	}));
	const errors = /Error distribution:\n([\s\S]*)$/.exec(output)?.[1] ?? "";
	const failed = [...errors.matchAll(/^\s*\[(\d+)\]/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
	const requests = codes.reduce((sum, { count }) => sum + count, 0) + failed;
	assert.ok(requests > 0, output);
	const refused = codes.filter(({ code }) => code !== "200").reduce((sum, { count }) => sum + count, 0);
	return { requests, refused, failed };
}
