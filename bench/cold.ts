/** Cold starts of one function at a time, each beside the same program started by other means. */
import { readExample } from "../tools/examples.ts";
import type { LocalDaemon } from "../tools/local-daemon.ts";
import { bareAnswer, bareProcess, dockerRun, emulator, imageCommand, ociRun, staticCommand } from "./cold-baselines.ts";
import { coldTimes, stagesOf } from "./cold-times.ts";
import { unpackImage } from "./image-root.ts";
import { type Figure, figure, type Measured, steadyTail } from "./result.ts";
import { type RunOptions, samples, twoCpusMiB } from "./run-options.ts";
import { pushExample, pushStaticImage, SlipwayClient } from "./slipway-client.ts";

export async function coldCreated(daemon: LocalDaemon, options: RunOptions): Promise<Record<string, Figure>> {
	const imageUri = await pushStaticImage(daemon);
	const client = await SlipwayClient.open(daemon);
	await client.createFunction("bench-created", imageUri);
	await client.setSpares("bench-created", { created: 1, initialized: 0 });
	const baselines = [await bareProcess(await staticCommand(), { do: "last" })];
	const rounds = samples(options, 200);
	const run = { client, functions: ["bench-created"], event: {}, spare: true, rounds, baselines };
	const { ours, stages, theirs } = await coldTimes(run);
	client.close();
	return {
		"cold.created": figure({
			name: "cold start of a static binary, sandbox standing ready",
			unit: "ms",
			values: ours,
			baselines: theirs,
			how: `HTTP request in to response out of a function at zero whose next sandbox is created and not started, ${stagesOf(stages)}`,
			promises: {
				"at most 3 ms": ({ p50 }) => p50 <= 3,
				"faster than the bare process spawned from Node": ({ p50, of }) => p50 < of(bareAnswer),
				...steadyTail,
			},
		}),
	};
}

export async function coldStatic(daemon: LocalDaemon, options: RunOptions): Promise<Record<string, Figure>> {
	const imageUri = await pushStaticImage(daemon);
	const client = await SlipwayClient.open(daemon);
	const functions = ["bench-static"];
	await client.createFunction("bench-static", imageUri);
	await client.setSpares("bench-static", { created: 0, initialized: 0 });
	const bare = bareProcess(await staticCommand(), { do: "last" });
	const baselines = await Promise.all([bare, ociRun("crun"), ociRun("runc"), dockerRun()]);
	const rounds = samples(options, 200);
	const { ours, stages, theirs } = await coldTimes({ client, functions, event: {}, spare: false, rounds, baselines });
	client.close();
	return {
		"cold.static": figure({
			name: "cold start of a static binary, sandbox made for it",
			unit: "ms",
			values: ours,
			baselines: theirs,
			how: `HTTP request in to response out of a function at zero without a sandbox of its own standing ready; blank sandboxes, which any function could have become, and /tmp disks pooled, ${stagesOf(stages)}`,
			promises: {
				"at most 14 ms": ({ p50 }) => p50 <= 14,
				"docker run at least 40 times slower": ({ p50, of }) => of("docker run --rm") >= 40 * p50,
				...steadyTail,
			},
		}),
	};
}

export const coldNode = (daemon: LocalDaemon, options: RunOptions) => coldImage(daemon, options, "node", twoCpusMiB);
export const coldNodeSmall = (daemon: LocalDaemon, options: RunOptions) => coldImage(daemon, options, "node", smallMiB);
export const coldPython = (daemon: LocalDaemon, options: RunOptions) =>
	coldImage(daemon, options, "python", twoCpusMiB);

/** Lambda's least. Its share of a CPU is 7 %, and the whole of one until its init is over. */
const smallMiB = 128;

/** An example on one of the base images, with the real runtime client. */
async function coldImage(
	daemon: LocalDaemon,
	options: RunOptions,
	language: "node" | "python",
	memoryMiB: number,
): Promise<Record<string, Figure>> {
	const example = await readExample(language);
	const imageUri = await pushExample(daemon, example);
	using root = await unpackImage(example.image);
	const client = await SlipwayClient.open(daemon);
	const small = memoryMiB === smallMiB;
	const name = `bench-${language}${small ? "-small" : ""}`;
	await client.createFunction(name, imageUri, { memoryMiB, timeoutS: 30 });
	await client.setSpares(name, { created: 1, initialized: 0 });
	const baselines = [await bareProcess(imageCommand(root), example.event), await emulator(root, example.event)];
	const rounds = samples(options, 150);
	const run = { client, functions: [name], event: example.event, spare: true, rounds, baselines };
	const { ours, stages, theirs } = await coldTimes(run);
	client.close();
	const promise = ({ p50, of }: Measured) => p50 <= 1.1 * of(bareAnswer);
	return {
		[`cold.${language}${small ? ".small" : ""}`]: figure({
			name: `cold start of a ${language === "node" ? "Node" : "Python"} function${small ? ` of ${memoryMiB} MB` : ""} with its runtime client`,
			unit: "ms",
			values: ours,
			baselines: theirs,
			how: `as cold.created, with ${small ? "the least memory that a function can have" : "memory for two CPUs"}; ${stagesOf(stages)}; the bare process has the image's own files (chroot), the same client and handler, and a server for one event`,
			promises: small ? {} : { "at most 1.1 times the bare process with the same code": promise, ...steadyTail },
		}),
	};
}
