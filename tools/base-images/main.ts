/**
 * Builds the stand-in base images and puts them into the Docker engine or buildah's storage:
 *   node tools/setup.mjs --run tools/base-images/main.ts [NAME…]
 */
import { findBuilder } from "../builder.ts";
import { loadBaseImages } from "./load.ts";
import { recipes } from "./recipes.ts";

const wanted = process.argv.slice(2);
const chosen = recipes.filter(
	(recipe) => wanted.length === 0 || wanted.includes(recipe.name) || wanted.includes(recipe.folder),
);
if (chosen.length === 0) {
	console.error(`No such base image; there are:\n${recipes.map((recipe) => `  ${recipe.name}`).join("\n")}`);
	process.exit(2);
}
await loadBaseImages(chosen, await findBuilder(), (line) => console.error(line));
for (const recipe of chosen) console.log(recipe.name);
