/**
 * Unpacking one realistic layer, beside GNU tar on the same file: gzip and zstd, interleaved, medians.
 *
 * The baseline is `tar -xzf` (or `--zstd`) into a fresh folder and nothing else. Ours does more: a process of its own, two
 * SHA-256 digests, ownership and times to the nanosecond, and syncfs to the disk before the layer counts as there.
 * A second figure compares with `tar` followed by `sync -f`, which is the like for like of durability.
 */
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { createReadStream, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { OverlayRootfsStore } from "../src/adapters/layers-overlay/overlay-rootfs-store.ts";
import type { Digest } from "../src/core/image/digest.ts";
import type { PackedLayer } from "../src/core/image/rootfs-store.ts";
import { type Figure, figure } from "./result.ts";
import type { RunOptions } from "./run-options.ts";

const layerBytes = 200 * 1000 * 1000;
const layerFiles = 10_000;
const rounds = 3;
const sourceFolder = "/usr/lib";

/** Two figures, unpack (gzip) and unpack.zstd. */
export async function unpack(options: RunOptions): Promise<Record<string, Figure>> {
	const folder = mkdtempSync(join(tmpdir(), "slipway-bench-unpack-"));
	try {
		const tarFile = makeLayer(folder);
		const diffId = await sha256(tarFile);
		const megabytes = statSync(tarFile).size / 1e6;
		const figures: Record<string, Figure> = {};
		for (const [key, compression, flag] of [
			["unpack", "gzip", "-z"],
			["unpack.zstd", "zstd", "--zstd"],
		] as const) {
			if (!available(compression)) continue;
			const blob = join(folder, `layer.${compression}`);
			execFileSync("sh", ["-c", `${compression} -c "$1" > "$2"`, "sh", tarFile, blob]);
			const layer: PackedLayer = {
				digest: await sha256(blob),
				diffId,
				mediaType: `application/vnd.oci.image.layer.v1.tar+${compression}`,
				size: statSync(blob).size,
				path: blob,
			};
			const times = await measure(folder, layer, flag, options.quick ? 1 : rounds);
			const rate = (seconds: number[]) => seconds.map((each) => megabytes / each);
			const tar = `tar ${flag} -xf`;
			figures[key] = figure({
				name: `unpacking a layer, ${compression}`,
				unit: "MB/s",
				values: rate(times.ours),
				baselines: { [tar]: rate(times.tar), [`${tar} && sync -f`]: rate(times.tarSync) },
				how: `${layerFiles.toLocaleString("en-US")} files of 200 MB, verified and synced to the disk`,
				promises: { "at least half of tar's speed": ({ p50, of }) => p50 >= of(tar) / 2 },
			});
			rmSync(blob);
		}
		return figures;
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}

/** Shared libraries, locales and scripts of this machine, up to the wanted size; random text where it has too few. */
function makeLayer(folder: string): string {
	const files: string[] = [];
	let bytes = 0;
	let small = 0;
	const found = execFileSync("find", [sourceFolder, "-xdev", "-type", "f", "-size", "-4000k", "-printf", "%s %p\\n"], {
		encoding: "utf8",
		maxBuffer: 64 * 1024 ** 2,
	});
	for (const line of found.trimEnd().split("\n")) {
		const space = line.indexOf(" ");
		const size = Number(line.slice(0, space));
		const path = line.slice(space + 1);
		// Ten thousand files in 200 MB: many small ones, and a few large.
		const isSmall = size < 20_000;
		if (bytes + size > layerBytes || (isSmall ? small >= layerFiles * 0.8 : small < files.length * 0.7)) continue;
		if (isSmall) small++;
		files.push(path);
		bytes += size;
		if (files.length === layerFiles) break;
	}
	const extra = join(folder, "extra");
	mkdirSync(extra);
	for (let i = 0; bytes < layerBytes * 0.9; i++, bytes += 2_000_000) {
		writeFileSync(join(extra, `${i}.txt`), randomBytes(1_000_000).toString("hex"));
		files.push(join(extra, `${i}.txt`));
	}
	const list = join(folder, "files");
	writeFileSync(list, files.join("\n"));
	const tarFile = join(folder, "layer.tar");
	execFileSync("tar", ["-cf", tarFile, "--format=posix", "-P", "--transform=s,^/,,", "-T", list]);
	rmSync(extra, { recursive: true });
	return tarFile;
}

async function measure(folder: string, layer: PackedLayer, flag: string, rounds: number) {
	const times = { ours: [] as number[], tar: [] as number[], tarSync: [] as number[] };
	for (let round = 0; round < rounds; round++) {
		const target = join(folder, "tar");
		mkdirSync(target);
		execFileSync("sync", ["-f", target]);
		const tarStarted = performance.now();
		execFileSync("tar", [flag, "-xf", layer.path, "-C", target]);
		times.tar.push((performance.now() - tarStarted) / 1000);
		execFileSync("sync", ["-f", target]);
		times.tarSync.push((performance.now() - tarStarted) / 1000);
		rmSync(target, { recursive: true });

		const root = join(folder, "store");
		{
			await using store = await OverlayRootfsStore.open({ root });
			execFileSync("sync", ["-f", root]);
			const started = performance.now();
			await store.unpack(layer);
			times.ours.push((performance.now() - started) / 1000);
		}
		rmSync(root, { recursive: true });
	}
	return times;
}

async function sha256(path: string): Promise<Digest> {
	const hash = createHash("sha256");
	await pipeline(createReadStream(path), hash);
	return `sha256:${hash.digest("hex")}`;
}

function available(command: string): boolean {
	try {
		execFileSync(command, ["--version"], { stdio: "ignore" });
		return true;
	} catch {
		return false;
	}
}
