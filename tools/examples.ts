import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { loadBaseImages } from "./base-images/load.ts";
import { recipes } from "./base-images/recipes.ts";
import type { Builder } from "./builder.ts";
import { compileGo, compileStatic } from "./compile.ts";

/** One folder of examples/functions with what its example.json says. */
export interface Example {
	folder: string;
	/** Name of the folder: python, node, … */
	name: string;
	/** Name of the image, its repository and its function. */
	image: string;
	/** A binary that is built before the image is. */
	prepare?: "c" | "go";
	event: unknown;
	/** The expected answer as JSON, or … */
	answer?: unknown;
	/** … as it comes, for one that is not JSON. */
	answerText?: string;
	memoryMiB?: number;
}

const functionsFolder = join(import.meta.dirname, "..", "examples", "functions");

export async function readExamples(): Promise<Example[]> {
	const names = (await readdir(functionsFolder)).sort();
	return await Promise.all(names.map(readExample));
}

export async function readExample(name: string): Promise<Example> {
	const folder = join(functionsFolder, name);
	const description = JSON.parse(await readFile(join(folder, "example.json"), "utf8")) as Omit<
		Example,
		"folder" | "name"
	>;
	return { ...description, folder, name };
}

/** Whether `body` is the answer that the example promises. */
export function isRightAnswer(example: Example, body: string): boolean {
	if (example.answerText !== undefined) return body === example.answerText;
	try {
		return isDeepStrictEqual(JSON.parse(body), example.answer);
	} catch {
		return false;
	}
}

/** Builds the example's image, and the base image that its Dockerfile starts from where that is one of the stand-ins. */
export async function buildExample(example: Example, builder: Builder, say: (line: string) => void): Promise<void> {
	await loadBaseOf(example.folder, builder, say);
	await prepare(example);
	await builder.build(example.folder, example.image);
}

export async function prepare(example: Example): Promise<void> {
	if (example.prepare === "c") await compileStatic(example.folder, "bootstrap");
	if (example.prepare === "go") await compileGo(example.folder);
}

/** The base image that a folder's Dockerfile starts from, where it is one of the stand-ins. */
export async function loadBaseOf(folder: string, builder: Builder, say: (line: string) => void): Promise<void> {
	const dockerfile = await readFile(join(folder, "Dockerfile"), "utf8");
	const bases = recipes.filter((recipe) => new RegExp(`^FROM ${RegExp.escape(recipe.name)}\\b`, "m").test(dockerfile));
	await loadBaseImages(bases, builder, say);
}
