import { mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Builder } from "../builder.ts";
import { buildBaseImage, cacheFolder } from "./build.ts";
import type { Recipe } from "./recipes.ts";

/**
 * Builds what was not built before and loads what the builder does not have yet, one after the other: package managers
 * and compilers inside use every core already.
 */
export async function loadBaseImages(recipes: Recipe[], builder: Builder, say: (line: string) => void): Promise<void> {
	for (const recipe of recipes) {
		const archive = await buildBaseImage(recipe, say);
		if ((await builder.has(recipe.name)) && (await loadedArchive(builder, recipe)) === basename(archive)) continue;
		say(`loading ${recipe.name} into ${builder.name}`);
		await builder.load(archive);
		await mkdir(cacheFolder, { recursive: true });
		await writeFile(noteFile(builder, recipe), basename(archive));
	}
}

/** Which archive was loaded last: a changed recipe has the same image name. */
async function loadedArchive(builder: Builder, recipe: Recipe): Promise<string | undefined> {
	return await readFile(noteFile(builder, recipe), "utf8").catch(() => undefined);
}

function noteFile(builder: Builder, recipe: Recipe): string {
	return join(cacheFolder, `${recipe.folder}.${builder.name}`);
}
