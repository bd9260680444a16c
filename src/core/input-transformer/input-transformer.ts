/** What a rule's target gets of an event: a constant, a part of it, or a template with parts of it put in. */
import { SlipwayError } from "../../base/error.ts";
import { type JsonPath, parseJsonPath, valueAt } from "./json-path.ts";

/** At most one of the three; the whole event without any. */
export interface TargetInput {
	/** JSON text. */
	input?: string | undefined;
	/** JSONPath of the part. */
	inputPath?: string | undefined;
	transformer?: { pathsMap: Readonly<Record<string, string>>; template: string } | undefined;
}

export interface TransformContext {
	ruleArn: string;
	ruleName: string;
	/** Epoch milliseconds when the bus took the event. */
	ingestedMs: number;
}

/**
 * Parsed event, its JSON text as it came, and whose target it is. Always a text; JSON unless a value that was put into a quoted text
 * broke it. TOO_LARGE past `maxOutputLength`.
 */
export type InputShape = (event: unknown, text: string, context: TransformContext) => string;

/** https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_InputTransformer.html */
export const maxTemplateLength = 8_192;
export const maxPaths = 100;
/** Characters of what a template makes: the whole event may stand in it three hundred times. The log takes no more bytes anyway. */
export const maxOutputLength = 1_310_720;

/** INVALID for what AWS refuses. */
export function compileInput({ input, inputPath, transformer }: TargetInput): InputShape {
	if ([input, inputPath, transformer].filter((one) => one !== undefined).length > 1)
		throw new SlipwayError("INVALID", "Only one of Input, InputPath, or InputTransformer must be provided");
	if (input !== undefined) {
		if (!isJson(input)) throw new SlipwayError("INVALID", "JSON syntax error in input");
		return () => input;
	}
	if (inputPath !== undefined) {
		const path = parseJsonPath(inputPath);
		return (event, text) => (path.length === 0 ? text : JSON.stringify(valueAt(path, event) ?? null));
	}
	return transformer ? compileTemplate(transformer.pathsMap, transformer.template) : (_event, text) => text;
}

function isJson(text: string): boolean {
	try {
		JSON.parse(text);
		return true;
	} catch {
		return false;
	}
}

const builtIns = [
	"aws.events.rule-arn",
	"aws.events.rule-name",
	"aws.events.event.ingestion-time",
	"aws.events.event",
	"aws.events.event.json",
] as const;

type Value = (event: unknown, text: string, context: TransformContext) => unknown;

interface Piece {
	/** Text before the variable. */
	before: string;
	variable: string;
	/** Inside of a quoted text: its value stands there without quotes of its own. */
	quoted: boolean;
}

function compileTemplate(pathsMap: Readonly<Record<string, string>>, template: string): InputShape {
	const names = Object.keys(pathsMap);
	if (names.length > maxPaths)
		throw new SlipwayError("INVALID", `InputPathsMap has ${names.length} entries, at most ${maxPaths} are allowed`);
	if (template.length === 0 || template.length > maxTemplateLength)
		throw new SlipwayError("INVALID", `InputTemplate must have 1 to ${maxTemplateLength} characters`);
	const paths = new Map<string, JsonPath>();
	for (const [name, path] of Object.entries(pathsMap)) {
		if (!/^[A-Za-z0-9_-]+$/.test(name) || /^aws/i.test(name))
			throw new SlipwayError(
				"INVALID",
				`InputPathsMap has the invalid key '${name}': it must match [A-Za-z0-9_-]+ and not begin with AWS`,
			);
		paths.set(name, parseJsonPath(path));
	}
	const { pieces, rest } = split(template, (name) => paths.has(name) || builtIns.some((one) => one === name));
	checkTemplate(pieces, rest);
	return (event, text, context) => {
		let output = "";
		for (const { before, variable, quoted } of pieces) {
			output += before + render(readerOf(paths, variable)(event, text, context), quoted);
			if (output.length > maxOutputLength)
				throw new SlipwayError("TOO_LARGE", `The target's input has more than ${maxOutputLength} characters`);
		}
		return output + rest;
	};
}

/** Where the template's variables are, and which of them stand inside of quotes. */
function split(template: string, isKnown: (name: string) => boolean): { pieces: Piece[]; rest: string } {
	const pieces: Piece[] = [];
	let quoted = false;
	let from = 0;
	const token = /\\[\s\S]|"|<([A-Za-z0-9._-]+)>/g;
	for (let match = token.exec(template); match; match = token.exec(template)) {
		const [all, variable] = match;
		if (all === '"') quoted = !quoted;
		if (variable === undefined) continue;
		if (!isKnown(variable))
			throw new SlipwayError(
				"INVALID",
				`InputTemplate contains the placeholder <${variable}>, which InputPathsMap does not define`,
			);
		pieces.push({ before: template.slice(from, match.index), variable, quoted });
		from = match.index + all.length;
	}
	return { pieces, rest: template.slice(from) };
}

/** JSON, or lines of quoted texts; looked at with a word in the place of each variable. */
function checkTemplate(pieces: readonly Piece[], rest: string): void {
	for (const [i, piece] of pieces.entries()) {
		const after = pieces[i + 1]?.before ?? rest;
		const isKey = piece.quoted ? /^[^"]*"\s*:/.test(after) : /^\s*:/.test(after);
		if (isKey)
			throw new SlipwayError(
				"INVALID",
				`Invalid InputTemplate: the placeholder <${piece.variable}> can't be an object's key`,
			);
	}
	const sample = pieces.map(({ before, quoted }) => before + (quoted ? "x" : "null")).join("") + rest;
	const lines = sample.split("\n").filter((line) => line.trim() !== "");
	if (isJson(sample) || (lines.length > 0 && lines.every((line) => line.trim().startsWith('"') && isJson(line))))
		return;
	throw new SlipwayError(
		"INVALID",
		"Invalid InputTemplate: it must be JSON, or text in double quotes, with its variables filled in",
	);
}

function readerOf(paths: ReadonlyMap<string, JsonPath>, variable: string): Value {
	const path = paths.get(variable);
	if (path) return (event) => valueAt(path, event);
	switch (variable) {
		case "aws.events.rule-arn":
			return (_event, _text, context) => context.ruleArn;
		case "aws.events.rule-name":
			return (_event, _text, context) => context.ruleName;
		case "aws.events.event.ingestion-time":
			return (_event, _text, context) => new Date(context.ingestedMs).toISOString().replace(/\.\d+Z$/, "Z");
		case "aws.events.event":
			return withoutDetail;
		default:
			return (event) => event;
	}
}

function withoutDetail(event: unknown): unknown {
	if (typeof event !== "object" || event === null) return event;
	const { detail: _, ...rest } = event as Record<string, unknown>;
	return rest;
}

/** A missing value is an empty text. Inside of quotes nothing is escaped, as EventBridge has it. */
function render(value: unknown, quoted: boolean): string {
	if (value === undefined) return quoted ? "" : '""';
	return quoted && typeof value === "string" ? value : JSON.stringify(value);
}
