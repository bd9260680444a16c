import { createHash } from "node:crypto";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { loadBaseImages } from "./base-images/load.ts";
import { recipes } from "./base-images/recipes.ts";
import type { Builder } from "./builder.ts";
import { findGo } from "./go.ts";
import { run } from "./run.ts";

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
	const dockerfile = await readFile(join(example.folder, "Dockerfile"), "utf8");
	const bases = recipes.filter((recipe) => new RegExp(`^FROM ${RegExp.escape(recipe.name)}\\b`, "m").test(dockerfile));
	await loadBaseImages(bases, builder, say);
	await prepare(example);
	await builder.build(example.folder, example.image);
}

export async function prepare(example: Example): Promise<void> {
	if (example.prepare === "c") await compileStatic(example.folder);
	if (example.prepare === "go") await compileGo(example.folder);
}

async function compileStatic(folder: string): Promise<void> {
	const flags = "-Os -static -nostdlib -ffreestanding -fno-stack-protector -fno-tree-loop-distribute-patterns -s";
	const words = [...flags.split(" "), "-Wl,--build-id=none", "-o", "bootstrap", "bootstrap.c"];
	await unlessCurrent(folder, ["bootstrap.c"], "bootstrap", words.join(" "), () => run("gcc", words, { cwd: folder }));
}

async function compileGo(folder: string): Promise<void> {
	const words = [
		"build",
		"-trimpath",
		"-buildvcs=false",
		"-tags",
		"lambda.norpc",
		"-ldflags",
		"-s -w",
		"-o",
		"main",
		".",
	];
	const env = { ...process.env, CGO_ENABLED: "0" };
	await unlessCurrent(folder, ["main.go", "go.mod", "go.sum"], "main", words.join(" "), async () =>
		run(await findGo(), words, { cwd: folder, env }),
	);
}

/** Builds `target` when the sources or the command changed since; a note beside it, not under version control, says so. */
async function unlessCurrent(
	folder: string,
	sources: string[],
	target: string,
	command: string,
	build: () => Promise<unknown>,
): Promise<void> {
	const hash = createHash("sha256").update(`${command}\n${process.arch}\n`);
	for (const source of sources) hash.update(await readFile(join(folder, source)));
	const digest = hash.digest("hex");
	const note = join(folder, `.${target}.sha256`);
	const built = await stat(join(folder, target)).catch(() => undefined);
	if (built && (await readFile(note, "utf8").catch(() => "")) === digest) return;
	await build();
	await writeFile(note, digest);
}
