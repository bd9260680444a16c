/**
 * Cold starts, HTTP request in to response out, in turns with what they are measured beside. Between two samples the function
 * is brought to zero and the daemon comes to rest, so that nothing of one start falls into the next.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { ColdBaselineOrNone } from "./cold-baselines.ts";
import { type Series, summarize } from "./result.ts";
import { type ColdStart, coldStartOf, mustBeGood, type SlipwayClient } from "./slipway-client.ts";

/** In the first starts of a daemon its compiler is at work. */
const warmUp = 8;
/** After the daemon came to rest, until what the machine does for it has too. */
const settleMs = 120;
/** Milliseconds above which a sandbox was made for the event, and below which it stood ready. */
const madeMs = 0.5;
export interface ColdRun {
	client: SlipwayClient;
	/** Invoked in turns. */
	functions: string[];
	event: unknown;
	/** Whether a sandbox of the function stands ready at its turn. */
	spare: boolean;
	rounds: number;
	baselines: ColdBaselineOrNone[];
}

export interface ColdTimes {
	ours: number[];
	stages: ColdStart[];
	theirs: Series;
}

export async function coldTimes(run: ColdRun): Promise<ColdTimes> {
	const times: ColdTimes = { ours: [], stages: [], theirs: {} };
	const theirs: Record<string, number[]> = {};
	try {
		for (let round = -warmUp; round < run.rounds; round++) {
			const name = run.functions[(round + warmUp) % run.functions.length] as string;
			const { ms, stages } = await coldSample(run, name);
			if (round < 0) continue;
			times.ours.push(ms);
			times.stages.push(stages);
			for (const baseline of run.baselines) {
				if ("missing" in baseline || round % baseline.every !== 0) continue;
				for (const [title, value] of Object.entries(await baseline.sample()))
					theirs[title] = [...(theirs[title] ?? []), value];
			}
		}
	} finally {
		for (const baseline of run.baselines) if (!("missing" in baseline)) await baseline[Symbol.asyncDispose]();
	}
	Object.assign(times.theirs, theirs);
	for (const baseline of run.baselines) if ("missing" in baseline) times.theirs[baseline.name] = baseline.missing;
	return times;
}

async function coldSample({ client, event, spare }: ColdRun, name: string): Promise<{ ms: number; stages: ColdStart }> {
	await client.quiet((sandboxes) => {
		const own = sandboxes.filter(({ functionName }) => functionName === name);
		return spare ? own.length > 0 && own.every(({ state }) => state === "created") : own.length === 0;
	});
	await sleep(settleMs);
	const request = client.invokeRequest(name, event);
	const started = performance.now();
	const answer = mustBeGood(await client.send(request));
	const ms = performance.now() - started;
	const stages = coldStartOf(answer);
	if (!stages) throw new Error("An invocation that was meant to be cold found a sandbox");
	if (stages.sandboxMs > madeMs === spare)
		throw new Error(`A sandbox ${spare ? "stood ready and was not used" : "stood ready"}: ${stages.sandboxMs} ms`);
	await client.toZero(name);
	// The new configuration's own spare is made now, and not while something is measured.
	if (spare)
		await client.quiet((sandboxes) => sandboxes.some((each) => each.functionName === name && each.state === "created"));
	return { ms, stages };
}

/** Of two functions in turns, both with a sandbox standing ready. */
export async function coldTimesInTurns(options: {
	client: SlipwayClient;
	functions: readonly [string, string];
	rounds: number;
}): Promise<{ first: number[]; second: number[] }> {
	const { client, functions, rounds } = options;
	const run = { client, functions: [...functions], event: {}, spare: true, rounds: 2 * rounds, baselines: [] };
	const { ours } = await coldTimes(run);
	return { first: ours.filter((_, index) => index % 2 === 0), second: ours.filter((_, index) => index % 2 === 1) };
}

/** What the answers say of where the time went. */
export function stagesOf(stages: ColdStart[]): string {
	const of = (pick: (stage: ColdStart) => number) => summarize(stages.map(pick)).p50.toFixed(1);
	return `of it ${of((s) => s.sandboxMs)} ms for the sandbox and ${of((s) => s.initMs)} ms from its release to the first poll`;
}
