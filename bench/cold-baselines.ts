/** What a cold start is measured beside: the same program started by other means, from nothing to its first answer. */
import { existsSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { findBuilder } from "../tools/builder.ts";
import { readExample } from "../tools/examples.ts";
import { isThere, run } from "../tools/run.ts";
import { findOrStartEngine } from "./docker-engine.ts";
import type { ImageRoot } from "./image-root.ts";
import { type Command, OneEventApi } from "./one-event-api.ts";

/** The static example ends after this one, so that its container ends too. */
const lastEvent = '{"do":"last"}';

export interface ColdBaseline extends AsyncDisposable {
	/** Milliseconds by what they are the time of. */
	sample(): Promise<Record<string, number>>;
	/** It is measured once in so many rounds. */
	every: number;
}

/** A baseline, or its name and why there is none. */
export type ColdBaselineOrNone = ColdBaseline | { name: string; missing: string };

export const bareAnswer = "bare process from Node, to its answer";
export const barePoll = "bare process from Node, to its first poll";

/** The same process without any sandbox, spawned from Node. */
export async function bareProcess(command: (api: string) => Command, event: unknown): Promise<ColdBaseline> {
	const api = await OneEventApi.open("127.0.0.1", JSON.stringify(event));
	return {
		every: 1,
		async sample() {
			const { polledMs, answeredMs } = await api.time(command(api.address));
			return { [bareAnswer]: answeredMs, [barePoll]: polledMs };
		},
		[Symbol.asyncDispose]: async () => api.close(),
	};
}

export async function staticCommand(): Promise<(api: string) => Command> {
	const { folder } = await readExample("static");
	return (api) => ({ program: join(folder, "bootstrap"), words: [], env: { AWS_LAMBDA_RUNTIME_API: api } });
}

/** Of an image with one of the real runtime clients; chroot gives it the image's own files and nothing else. */
export function imageCommand(root: ImageRoot): (api: string) => Command {
	return (api) => ({
		program: "chroot",
		words: [root.folder, ...root.args],
		env: { ...root.env, AWS_LAMBDA_RUNTIME_API: api },
	});
}

/** In namespaces of its own, because the emulator's ports are fixed; curl asks until there is an answer. */
const emulatorScript = `
ip link set lo up
start=$(date +%s%N)
chroot "$@" &
until curl -s -f -o /dev/null -d "$EVENT" http://127.0.0.1:8080/2015-03-31/functions/function/invocations; do :; done
echo $((($(date +%s%N) - start) / 1000))`;

/** The stand-in base images' own emulator of the Lambda endpoint, in place of AWS's, which can't be had as a package. */
export async function emulator(root: ImageRoot, event: unknown): Promise<ColdBaselineOrNone> {
	const name = "the base image's local emulator, to curl's first answer";
	if (!existsSync(join(root.folder, "usr/local/bin/aws-lambda-rie"))) return { name, missing: "the image has none" };
	const words = [
		"--net",
		"--pid",
		"--fork",
		"--kill-child",
		"sh",
		"-c",
		emulatorScript,
		"sh",
		root.folder,
		...root.args,
	];
	const env = { ...process.env, ...root.env, EVENT: JSON.stringify(event) };
	return {
		every: 10,
		sample: async () => ({
			[name]: Number((await run("unshare", words, { env, timeoutMs: 20_000 })).trim().split("\n").at(-1)) / 1000,
		}),
		[Symbol.asyncDispose]: async () => {},
	};
}

/** `crun run` (or `runc run`) of the static example: its own namespaces, but the host's network. */
export async function ociRun(program: "crun" | "runc"): Promise<ColdBaselineOrNone> {
	const name = `${program} run (host network)`;
	if (!(await isThere(program))) return { name, missing: `${program} is not installed` };
	const bundle = await OciBundle.make(program);
	return {
		every: 1,
		sample: async () => ({ [name]: (await bundle.api.time(bundle.next())).answeredMs }),
		[Symbol.asyncDispose]: () => bundle[Symbol.asyncDispose](),
	};
}

export class OciBundle implements AsyncDisposable {
	readonly api: OneEventApi;
	readonly #program: string;
	readonly #folder: string;
	#count = 0;

	private constructor(program: string, folder: string, api: OneEventApi) {
		this.#program = program;
		this.#folder = folder;
		this.api = api;
	}

	static async make(program: "crun" | "runc"): Promise<OciBundle> {
		const folder = await mkdtemp(join(tmpdir(), "slipway-bench-bundle-"));
		const api = await OneEventApi.open("127.0.0.1", lastEvent);
		const { folder: example } = await readExample("static");
		await mkdir(join(folder, "rootfs"));
		await copyFile(join(example, "bootstrap"), join(folder, "rootfs", "bootstrap"));
		await run(program, ["spec"], { cwd: folder });
		const file = join(folder, "config.json");
		const config = JSON.parse(await readFile(file, "utf8"));
		config.process.args = ["/bootstrap"];
		config.process.terminal = false;
		config.process.env.push(`AWS_LAMBDA_RUNTIME_API=${api.address}`);
		config.linux.namespaces = config.linux.namespaces.filter(({ type }: { type: string }) => type !== "network");
		await writeFile(file, JSON.stringify(config));
		return new OciBundle(program, folder, api);
	}

	readonly next = (): Command => {
		const id = `slipway-bench-${process.pid}-${++this.#count}`;
		return { program: this.#program, words: ["run", "--bundle", this.#folder, id] };
	};

	async [Symbol.asyncDispose](): Promise<void> {
		this.api.close();
		await rm(this.#folder, { recursive: true, force: true });
	}
}

/** `docker run` of the static example, in the engine that answers here or in one started for this. */
export async function dockerRun(): Promise<ColdBaselineOrNone> {
	const name = "docker run --rm";
	if (!(await isThere("docker"))) return { name, missing: "docker is not installed" };
	const engine = await findOrStartEngine();
	if (typeof engine === "string") return { name, missing: engine };
	const folder = await mkdtemp(join(tmpdir(), "slipway-bench-image-"));
	const { image } = await readExample("static");
	const archive = join(folder, "image.tar");
	await (await findBuilder()).save(image, archive);
	const loaded = await run("docker", ["load", "--input", archive], { env: engine.env });
	const reference = /^Loaded image: (.+)$/m.exec(loaded)?.[1] ?? image;
	const api = await OneEventApi.open(networkInterfaces().docker0?.[0]?.address ?? "172.17.0.1", lastEvent);
	const words = ["run", "--rm", "--env", `AWS_LAMBDA_RUNTIME_API=${api.address}`, reference];
	return {
		every: 6, // it takes half a second
		sample: async () => ({ [name]: (await api.time({ program: "docker", words, env: engine.env })).answeredMs }),
		async [Symbol.asyncDispose]() {
			api.close();
			await engine[Symbol.asyncDispose]();
			await rm(folder, { recursive: true, force: true });
		},
	};
}
