import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Builder } from "./builder.ts";
import { compileGo, compileStatic } from "./compile.ts";
import { loadBaseOf } from "./examples.ts";

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
	const { folder, prepare, image } = example;
	await loadBaseOf(folder, builder, say);
	if (prepare === "c") await compileStatic(folder, "server");
	if (prepare === "go") await compileGo(folder);
	await builder.build(folder, image);
}
