import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { loadBaseImages } from "./base-images/load.ts";
import { recipes } from "./base-images/recipes.ts";
import type { Builder } from "./builder.ts";
import { findGo } from "./go.ts";
import { run } from "./run.ts";

/** One folder of examples/services with what its example.json says. */
export interface ServiceExample {
	folder: string;
	/** Name of the folder. */
	name: string;
	/** Name of the image, its repository and its service. */
	image: string;
	/** A binary that is built before the image is. */
	prepare?: "c" | "go";
	/** Asked for with GET. */
	path: string;
	/** A regular expression that the body of the answer matches. */
	answer: string;
}

const servicesFolder = join(import.meta.dirname, "..", "examples", "services");

export async function readServiceExamples(): Promise<ServiceExample[]> {
	const names = (await readdir(servicesFolder)).sort();
	return await Promise.all(names.map(readServiceExample));
}

export async function readServiceExample(name: string): Promise<ServiceExample> {
	const folder = join(servicesFolder, name);
	const text = await readFile(join(folder, "example.json"), "utf8");
	return { ...(JSON.parse(text) as Omit<ServiceExample, "folder" | "name">), folder, name };
}

/** Builds the example's image, and the base image that its Dockerfile starts from where that is one of the stand-ins. */
export async function buildServiceExample(
	example: ServiceExample,
	builder: Builder,
	say: (line: string) => void,
): Promise<void> {
	const dockerfile = await readFile(join(example.folder, "Dockerfile"), "utf8");
	const bases = recipes.filter((recipe) => new RegExp(`^FROM ${RegExp.escape(recipe.name)}\\b`, "m").test(dockerfile));
	await loadBaseImages(bases, builder, say);
	await prepareService(example);
	await builder.build(example.folder, example.image);
}

async function prepareService({ prepare, folder }: Pick<ServiceExample, "prepare" | "folder">): Promise<void> {
	if (prepare === "c") await run("gcc", [...cFlags, "-o", "server", "server.c"], { cwd: folder });
	if (prepare === "go")
		await run(await findGo(), ["build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", "main", "."], {
			cwd: folder,
			env: { ...process.env, CGO_ENABLED: "0" },
		});
}

const cFlags = [
	"-Os",
	"-static",
	"-nostdlib",
	"-ffreestanding",
	"-fno-stack-protector",
	"-fno-tree-loop-distribute-patterns",
	"-s",
	"-Wl,--build-id=none",
];
