/** Images of the runtime clients: built from a folder's Dockerfile once, kept by the image builder under a name with a hash. */
import { createHash } from "node:crypto";
import { cp, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join, relative } from "node:path";
import { loadBaseImages } from "../../tools/base-images/load.ts";
import { recipes } from "../../tools/base-images/recipes.ts";
import type { Builder } from "../../tools/builder.ts";
import type { LocalDaemon } from "../../tools/local-daemon.ts";

/** Compilers' own caches and fetched programs. Images stay with the image builder. */
export const cacheFolder = join(
	process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"),
	"slipway",
	"conformance-runtimes",
);

export interface ImageSource {
	name: string;
	/** Its Dockerfile and what that copies, below this folder. */
	folder: string;
	/** Sources from elsewhere that `prepare` uses: a change of one makes a new image. */
	sources?: string[];
	/** Versions of what `prepare` fetches. */
	versions?: string[];
	/** Compiles or fetches into the build's folder, a copy of `folder`. Throws `Unavailable` where this machine can't. */
	prepare?: (context: string) => Promise<void>;
}

/** A tool chain that this machine has not and can't install: its tests are skipped with this reason. */
export class Unavailable extends Error {}

/** Builds the image unless the builder has it; returns its name there. */
export async function buildImage(source: ImageSource, builder: Builder, say: (line: string) => void): Promise<string> {
	const image = `localhost/slipway-runtimes/${source.name}:${await hashOf(source)}`;
	if (await builder.has(image)) return image;
	const started = performance.now();
	const dockerfile = await readFile(join(source.folder, "Dockerfile"), "utf8");
	const bases = recipes.filter((recipe) => new RegExp(`^FROM ${RegExp.escape(recipe.name)}\\b`, "m").test(dockerfile));
	await loadBaseImages(bases, builder, say);
	const context = await mkdtemp(join(tmpdir(), "slipway-runtimes-"));
	try {
		await cp(source.folder, context, { recursive: true });
		await source.prepare?.(context);
		await builder.build(context, image);
	} finally {
		await rm(context, { recursive: true, force: true });
	}
	say(`built ${image} in ${((performance.now() - started) / 1000).toFixed(0)} s`);
	return image;
}

/** Returns its reference in the daemon's registry. */
export async function pushImage(daemon: LocalDaemon, builder: Builder, image: string, name: string): Promise<string> {
	const target = `${daemon.registry}/${name}:v1`;
	await builder.push(image, target, { username: "AWS", password: daemon.credentials.registryPassword });
	return target;
}

async function hashOf(source: ImageSource): Promise<string> {
	const hash = createHash("sha256").update(JSON.stringify([source.versions ?? [], process.arch]));
	const files = (await readdir(source.folder, { recursive: true, withFileTypes: true }))
		.filter((entry) => entry.isFile())
		.map((entry) => join(entry.parentPath, entry.name))
		.sort();
	for (const path of [...files, ...(source.sources ?? [])])
		hash.update(`${relative(source.folder, path)}\n`).update(await readFile(path));
	return hash.digest("hex").slice(0, 16);
}
