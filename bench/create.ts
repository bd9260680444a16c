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

const unpackedBytes = 1e9;
const small = "the same program in an image of 17 kB";
const tar = "tar -z -xf of each layer, then sync -f";

export async function createLarge(daemon: LocalDaemon, options: RunOptions): Promise<Record<string, Figure>> {
	using image = await makeLargeImage(unpackedBytes);
	const imageUri = await pushLargeImage(daemon, image, "bench-large");
	const client = await SlipwayClient.open(daemon);
	execFileSync("sync");
	const seconds = (await timed(() => client.createFunction("bench-large", imageUri))) / 1000;
	const tarSeconds = unpackWithTar(image);
	await client.createFunction("bench-small", await pushStaticImage(daemon));
	const rounds = samples(options, 40);
	const { first, second } = await coldTimesInTurns({ client, functions: ["bench-large", "bench-small"], rounds });
	client.close();
	return {
		"create.1gb": figure({
			name: "creating a function of a 1 GB image",
			unit: "s",
			values: [seconds],
			baselines: { [tar]: [tarSeconds] },
			how: "from CreateFunction to Active: four layers, gzip, 1 GB unpacked in files of 1 MB; the image was pushed before",
			promises: { "at most 2 times tar": ({ p50, of }) => p50 <= 2 * of(tar) },
		}),
		"create.1gb.cold": figure({
			name: "cold start of that function",
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
