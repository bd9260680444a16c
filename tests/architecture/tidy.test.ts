import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOnly, isForTests, sourcesBelow } from "./sources.ts";

const folders = ["src", "tools", "bench", "tests"];

/** A function fits a screen. */
const maxFunctionLines = 70;
/** Look for a second concept in a longer file. */
const maxFileLines = 500;

/**
 * The ratchet: functions and files that are longer, with the length they may not grow beyond. Shorten one, and lower or
 * remove its number here; do not add any.
 */
const longFunctions: Record<string, number> = {};
const longFiles: Record<string, number> = {};

interface Rule {
	name: string;
	pattern: RegExp;
	/** Where the rule does not hold, with the reason in the rule's name. */
	except: (path: string) => boolean;
}

const inSrc = (path: string) => path.startsWith("src/");
const outer = /^src\/(base|daemon|cli|adapters)\//;

const rules: Rule[] = [
	{
		name: "process.env is read in src/daemon/config and src/cli only",
		pattern: /\bprocess\.env\b/,
		except: (path) => !inSrc(path) || /^src\/(daemon\/config|cli)\//.test(path),
	},
	{
		name: "time and randomness are injected (Clock, Ids) outside of base, daemon, cli and adapters",
		pattern: /\bDate\.now\(|\bMath\.random\(|\bsetTimeout\(|\bsetInterval\(|\brandomUUID\(|\bperformance\.now\(/,
		except: (path) => !inSrc(path) || outer.test(path),
	},
	{
		name: "no `any`",
		pattern: /(?::|<|\bas|\||,)\s*any\b(?!\w)|\bany\[\]/,
		except: () => false,
	},
	{ name: "no @ts-ignore", pattern: /@ts-ignore|@ts-nocheck/, except: (path) => path.endsWith("tidy.test.ts") },
	{
		name: "process.exit in daemon, cli and entry points only",
		pattern: /\bprocess\.exit\(/,
		except: (path) => !inSrc(path) || /^src\/(daemon|cli)\//.test(path) || path.endsWith(".worker.ts"),
	},
];

for (const rule of rules) {
	test(rule.name, () => {
		const found: string[] = [];
		for (const source of folders.flatMap(sourcesBelow)) {
			if (rule.except(source.path) || isForTests(source.path)) continue;
			const text = rule.name.includes("@ts-ignore") ? source.text : codeOnly(source.text);
			text.split("\n").forEach((line, index) => {
				if (rule.pattern.test(line)) found.push(`${source.path}:${index + 1}: ${line.trim()}`);
			});
		}
		assert.deepEqual(found, []);
	});
}

test(`no function is longer than ${maxFunctionLines} lines`, () => {
	const found: string[] = [];
	for (const source of folders.flatMap(sourcesBelow)) {
		if (/\.(test|contract)\.ts$/.test(source.path)) continue; // a suite's outer function holds its tests
		for (const { name, lines } of functionsOf(source.text)) {
			const key = `${source.path} ${name}`;
			if (lines > (longFunctions[key] ?? maxFunctionLines)) found.push(`${key}: ${lines} lines`);
		}
	}
	assert.deepEqual(found, []);
});

test(`no file is longer than ${maxFileLines} lines`, () => {
	const found: string[] = [];
	for (const { path, text } of folders.flatMap(sourcesBelow)) {
		const lines = text.split("\n").length;
		if (lines > (longFiles[path] ?? maxFileLines)) found.push(`${path}: ${lines} lines`);
	}
	assert.deepEqual(found, []);
});

/**
 * Functions and methods by their indentation, which the formatter guarantees: from the line that opens one to the first
 * line of the same indentation that closes it.
 */
function functionsOf(text: string): { name: string; lines: number }[] {
	const lines = text.split("\n");
	const opening =
		/^(\t*)(?:export )?(?:default )?(?:(?:static|override|private|protected|public|get|set) )*(?:async )?(?:function\*? ?(\w*)|(?:const|let) (\w+)(?:: [^=]+)? = (?:async )?(?:\([^)]*\)|\w+)(?:: [^=]+)? =>|\*?(#?\w+)\()[^;]*\{$/;
	const found: { name: string; lines: number }[] = [];
	lines.forEach((line, start) => {
		const match = opening.exec(line);
		if (!match || /^\t*(if|for|while|switch|catch|return|await|test|describe)\b/.test(line)) return;
		const indent = match[1] ?? "";
		const end = lines.findIndex((later, index) => index > start && later.startsWith(`${indent}}`));
		if (end > start) found.push({ name: match[2] ?? match[3] ?? match[4] ?? "", lines: end - start + 1 });
	});
	return found;
}

test("the measuring sees functions, arrows and methods", () => {
	const body = "\t\tx();\n".repeat(3);
	const text = `export async function a(b: string): Promise<void> {\n${body}}\nclass C {\n\tasync #d(e: number) {\n${body}\t}\n}\nconst f = (g: string) => {\n${body}};\n`;
	assert.deepEqual(functionsOf(text), [
		{ name: "a", lines: 5 },
		{ name: "#d", lines: 5 },
		{ name: "f", lines: 5 },
	]);
});
