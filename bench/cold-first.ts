/** The first event that a daemon ever sees: nothing is pooled, nothing compiled, the layers are unpacked. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type LocalDaemon, startDaemon } from "../tools/local-daemon.ts";
import { bareAnswer, bareProcess, staticCommand } from "./cold-baselines.ts";
import { type Figure, figure, summarize } from "./result.ts";
import { type RunOptions, samples } from "./run-options.ts";
import { coldStartOf, mustBeGood, pushStaticImage, SlipwayClient } from "./slipway-client.ts";

const functionName = "bench-first";

export async function coldFirst(options: RunOptions): Promise<Record<string, Figure>> {
	const home = await mkdtemp(join(tmpdir(), "slipway-bench-first-"));
	try {
		await prepare(home);
		await using bare = await bareProcess(await staticCommand(), { do: "last" });
		const ours: number[] = [];
		const theirs: number[] = [];
		const sandboxMs: number[] = [];
		for (let round = samples(options, 20); round > 0; round--) {
			await using daemon = await startDaemon({ home });
			const sample = await firstInvocation(daemon);
			ours.push(sample.ms);
			sandboxMs.push(sample.sandboxMs);
			theirs.push((await bare.sample())[bareAnswer] as number);
		}
		const made = summarize(sandboxMs).p50.toFixed(1);
		return {
			"cold.first": figure({
				name: "first cold start of a daemon that has just been started",
				unit: "ms",
				values: ours,
				baselines: { [bareAnswer]: theirs },
				how: `HTTP request in to response out of a static binary, as soon as the daemon listens: pools are empty, its code has not run before; of it ${made} ms for the sandbox; a daemon each`,
			}),
		};
	} finally {
		await rm(home, { recursive: true, force: true });
	}
}

async function prepare(home: string): Promise<void> {
	await using daemon = await startDaemon({ home });
	const imageUri = await pushStaticImage(daemon);
	const client = await SlipwayClient.open(daemon);
	await client.createFunction(functionName, imageUri);
	client.close();
}

async function firstInvocation(daemon: LocalDaemon): Promise<{ ms: number; sandboxMs: number }> {
	const client = await SlipwayClient.open(daemon);
	try {
		const request = client.invokeRequest(functionName, {});
		const started = performance.now();
		const answer = mustBeGood(await client.send(request));
		const ms = performance.now() - started;
		const stages = coldStartOf(answer);
		if (!stages) throw new Error("The first invocation was not cold");
		return { ms, sandboxMs: stages.sandboxMs };
	} finally {
		client.close();
	}
}
