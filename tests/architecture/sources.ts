import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export const root = join(import.meta.dirname, "..", "..");

export interface Source {
	/** Path from the repository's root, with forward slashes. */
	path: string;
	text: string;
}

/** Every TypeScript file below a folder of the repository. */
export function sourcesBelow(folder: string): Source[] {
	const names = readdirSync(join(root, folder), { recursive: true, encoding: "utf8" });
	return names
		.filter((name) => name.endsWith(".ts") && !name.includes("node_modules"))
		.sort()
		.map((name) => ({ path: `${folder}/${name}`, text: readFileSync(join(root, folder, name), "utf8") }));
}

/** Tests, contract suites, fakes and what else only tests import. */
export function isForTests(path: string): boolean {
	return /\.(test|contract|programs)\.ts$|\/testing\/|\/testing\.ts$|\/(fake|test)-[^/]*\.ts$/.test(path);
}

/** The text with comments and the insides of strings blanked out, line breaks kept, so that words in them don't count. */
export function codeOnly(text: string): string {
	return text.replace(
		/\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|\/(?![*/\s])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[dgimsuvy]*(?=[\s).,;:])/g,
		(match) => match.replace(/[^\n]/g, " "),
	);
}
