import assert from "node:assert/strict";
import { posix } from "node:path";
import { test } from "node:test";
import { isForTests, type Source, sourcesBelow } from "./sources.ts";

/** What each part of src/ may import, besides itself. ARCHITECTURE.md, "Where things are". */
const allowed: Record<string, readonly string[]> = {
	base: [],
	core: ["base"],
	engine: ["core", "base"],
	contracts: ["engine", "core", "base"],
	front: ["engine", "core", "base", "client"],
	adapters: ["core", "base"],
	daemon: ["adapters", "front", "contracts", "engine", "core", "base", "client"],
	client: ["base"],
	cli: ["client", "base"],
};

/** Single files that may look further, each with its reason. */
const exceptions: Record<string, readonly string[]> = {
	"src/client/version.ts": ["package.json"], // the one place that states the version
};

/** The first folder below src/, and for adapters the second, too. */
function partOf(path: string): string {
	const [, part = "", folder = ""] = path.split("/");
	return part === "adapters" ? `adapters/${folder}` : part;
}

export function importsOf(source: Source): string[] {
	const specifiers =
		/^\s*(?:import|export)\s[^;]*?from\s*"(\.[^"]*)"|\bimport\(\s*"(\.[^"]*)"|^\s*import\s*"(\.[^"]*)"|new URL\(\s*"(\.[^"]*\.ts)"/gm;
	return [...source.text.matchAll(specifiers)]
		.map((match) => match[1] ?? match[2] ?? match[3] ?? match[4] ?? "")
		.map((specifier) => posix.normalize(posix.join(posix.dirname(source.path), specifier)));
}

function isAllowed(from: string, to: string): boolean {
	if (exceptions[from]?.includes(to)) return true;
	if (!to.startsWith("src/")) return false;
	const [fromPart, toPart] = [partOf(from), partOf(to)];
	if (fromPart === toPart) return true;
	const rule = fromPart.startsWith("adapters/") ? allowed.adapters : allowed[fromPart];
	const target = toPart.startsWith("adapters/") ? "adapters" : toPart;
	return rule?.includes(target) === true;
}

test("imports in src/ only go in the allowed directions", () => {
	const offending: string[] = [];
	for (const source of sourcesBelow("src")) {
		if (isForTests(source.path)) continue; // a test may wire anything together
		for (const to of importsOf(source)) if (!isAllowed(source.path, to)) offending.push(`${source.path} -> ${to}`);
	}
	assert.deepEqual(offending, [], "an import goes against the direction in ARCHITECTURE.md");
});

test("only tests import what is for tests", () => {
	const offending: string[] = [];
	for (const source of sourcesBelow("src")) {
		if (isForTests(source.path)) continue;
		for (const to of importsOf(source)) if (isForTests(to)) offending.push(`${source.path} -> ${to}`);
	}
	assert.deepEqual(offending, []);
});

test("every part of src/ has a rule", () => {
	const parts = new Set(sourcesBelow("src").map((source) => source.path.split("/")[1] ?? ""));
	assert.deepEqual(
		[...parts].filter((part) => allowed[part] === undefined),
		[],
	);
});

test("the rule sees every form of import", () => {
	const text = [
		'import { a } from "../engine/a.ts";',
		'import type {\n\tB,\n} from "../engine/b.ts";',
		'export * from "../engine/c.ts";',
		'const d = await import("../engine/d.ts");',
		'import "../engine/e.ts";',
		'new Worker(new URL("../engine/f.worker.ts", import.meta.url));',
	].join("\n");
	const found = importsOf({ path: "src/core/x.ts", text });
	const names = ["a", "b", "c", "d", "e", "f.worker"];
	assert.deepEqual(
		found,
		names.map((name) => `src/engine/${name}.ts`),
	);
	assert.equal(isAllowed("src/core/x.ts", "src/engine/a.ts"), false);
	assert.equal(isAllowed("src/adapters/a/x.ts", "src/adapters/b/y.ts"), false);
	assert.equal(isAllowed("src/adapters/a/x.ts", "src/adapters/a/y.ts"), true);
});
