/** How long a function of a large image is Pending, and that it starts as fast as any afterwards. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LocalDaemon } from "../tools/local-daemon.ts";
import { coldTimesInTurns } from "./cold-times.ts";
import { type LargeImage, makeLargeImage } from "./large-image.ts";
import { pushLargeImage } from "./push-image.ts";
import { type Figure, figure } from "./result.ts";
import { type RunOptions, samples, timed } from "./run-options.ts";
import { pushStaticImage, SlipwayClient } from "./slipway-client.ts";

const small = "the same program in an image of 17 kB";
const tar = "tar -z -xf of each layer, then sync -f";
/** Far slower than any disk that such an image would be put on. */
const msForEachByte = 1 / 10_000;

interface Size {
	gigabytes: number;
	/** Of the figure of its creation, and of its cold start. */
	create: string;
	cold: string;
}

export const oneGigabyte: Size = { gigabytes: 1, create: "create.1gb", cold: "cold.large" };
export const tenGigabytes: Size = { gigabytes: 10, create: "create.10gb", cold: "cold.10gb" };

export async function createLarge(
	daemon: LocalDaemon,
	options: RunOptions,
	size: Size,
): Promise<Record<string, Figure>> {
	const bytes = size.gigabytes * 1e9;
	using image = await makeLargeImage(bytes);
	const imageUri = await pushLargeImage(daemon, image, "bench-large");
	const client = await SlipwayClient.open(daemon);
	execFileSync("sync");
	const patient = { activeTimeoutMs: bytes * msForEachByte };
	const seconds = (await timed(() => client.createFunction("bench-large", imageUri, patient))) / 1000;
	const tarSeconds = unpackWithTar(image);
	await client.createFunction("bench-small", await pushStaticImage(daemon));
	const rounds = samples(options, 40);
	const { first, second } = await coldTimesInTurns({ client, functions: ["bench-large", "bench-small"], rounds });
	client.close();
	const name = `${size.gigabytes} GB`;
	return {
		[size.create]: figure({
			name: `creating a function of a ${name} image`,
			unit: "s",
			values: [seconds],
			baselines: { [tar]: [tarSeconds] },
			how: `from CreateFunction to Active: four layers, gzip, ${name} unpacked in files of 1 MB; the image was pushed before`,
			promises: { "at most 2 times tar": ({ p50, of }) => p50 <= 2 * of(tar) },
		}),
		[size.cold]: figure({
			name: `cold start of a function of a ${name} image`,
			unit: "ms",
			values: first,
			baselines: { [small]: second },
			how: "as cold.created",
			promises: { "at most 1.2 times the small image's": ({ p50, of }) => p50 <= 1.2 * of(small) },
		}),
	};
}

function unpackWithTar({ layers }: LargeImage): number {
	const folder = mkdtempSync(join(tmpdir(), "slipway-bench-tar-"));
	try {
		execFileSync("sync", ["-f", folder]);
		const started = performance.now();
		layers.forEach(({ path }, index) => {
			const target = join(folder, String(index));
			mkdirSync(target);
			execFileSync("tar", ["-z", "-xf", path, "-C", target]);
		});
		execFileSync("sync", ["-f", folder]);
		return (performance.now() - started) / 1000;
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}
