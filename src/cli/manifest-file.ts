/** Manifests in YAML or JSON files: what is wrong with one is told with file, line and field. */
import { readFile } from "node:fs/promises";
import { type Document, isNode, LineCounter, parseAllDocuments } from "yaml";
import { isSlipwayError, SlipwayError, systemCode } from "../base/error.ts";

/** A manifest is some kilobytes; more is another kind of file. */
const maxFileBytes = 4 * 1024 * 1024;
/** YAML's "billion laughs": aliases that a document may follow. */
const maxAliases = 100;

export interface ManifestDocument {
	manifest: Record<string, unknown>;
	/** `FILE:LINE` of a field's path, or of the nearest thing around it that is there. */
	locate: (path: readonly (string | number)[]) => string;
}

/** `-` is standard input. */
export async function readManifests(path: string): Promise<ManifestDocument[]> {
	return path === "-"
		? parseManifests(await readManifestStream(process.stdin), "standard input")
		: parseManifests(await readManifestFile(path), path);
}

export function parseManifests(content: string, file: string): ManifestDocument[] {
	const lineCounter = new LineCounter();
	const documents = parseAllDocuments(content, { lineCounter, uniqueKeys: true, prettyErrors: false });
	if (!Array.isArray(documents)) throw new SlipwayError("INVALID", `'${file}' is empty`);
	const found = documents.flatMap((document) => {
		const [error] = document.errors;
		if (error) {
			const { line, col } = lineCounter.linePos(error.pos[0]);
			throw new SlipwayError("INVALID", `${file}:${line}:${col}: ${error.message}`);
		}
		const manifest = toPlain(document, file);
		if (manifest === null || manifest === undefined) return []; // Nothing between two `---`.
		const at = (offset: number) => `${file}:${lineCounter.linePos(offset).line}`;
		if (typeof manifest !== "object" || Array.isArray(manifest))
			throw new SlipwayError("INVALID", `${at(document.range[0])}: a manifest must be an object`);
		return [{ manifest: manifest as Record<string, unknown>, locate: locator(document, at) }];
	});
	if (found.length === 0) throw new SlipwayError("INVALID", `'${file}' holds no manifest`);
	return found;
}

/** Reads no further than its bound. */
export async function readManifestStream(stream: AsyncIterable<Uint8Array>): Promise<string> {
	const parts: Uint8Array[] = [];
	let size = 0;
	for await (const part of stream) {
		size += part.length;
		if (size > maxFileBytes)
			throw new SlipwayError(
				"TOO_LARGE",
				`Standard input has more than ${maxFileBytes} bytes, which is the most a manifest has`,
			);
		parts.push(part);
	}
	try {
		return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(parts));
	} catch (error) {
		throw new SlipwayError("INVALID", `Standard input can't be read: ${(error as Error).message}`);
	}
}

async function readManifestFile(path: string): Promise<string> {
	try {
		const bytes = await readFile(path);
		if (bytes.length > maxFileBytes)
			throw new SlipwayError(
				"TOO_LARGE",
				`'${path}' has ${bytes.length} bytes; a manifest has at most ${maxFileBytes}`,
			);
		return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
	} catch (error) {
		if (isSlipwayError(error)) throw error;
		if (systemCode(error) === undefined && !(error instanceof TypeError)) throw error;
		throw new SlipwayError("INVALID", `'${path}' can't be read: ${(error as Error).message}`);
	}
}

function toPlain(document: Document.Parsed, file: string): unknown {
	try {
		return document.toJS({ maxAliasCount: maxAliases });
	} catch (error) {
		throw new SlipwayError("INVALID", `${file}: ${(error as Error).message}`, { cause: error });
	}
}

function locator(document: Document.Parsed, at: (offset: number) => string): ManifestDocument["locate"] {
	return (path) => {
		for (let length = path.length; length > 0; length--) {
			const node = document.getIn(path.slice(0, length), true);
			if (isNode(node) && node.range) return at(node.range[0]);
		}
		const start = document.contents?.range?.[0] ?? document.range[0];
		return at(start);
	};
}

/** What the daemon said of a manifest, with the place of each field it names. Other errors are returned as they are. */
export function withPlaces(error: unknown, { locate }: ManifestDocument): unknown {
	if (!isSlipwayError(error, "INVALID")) return error;
	const paths = error.message
		.split("\n")
		.flatMap(
			(line) =>
				line.match(
					/(?:^|[\s'"(:,])((?:apiVersion|kind|metadata|spec|hosts|rules|cors)(?:\.[^\s,'":]+|\[[^\]]+\])*)/g,
				) ?? [],
		)
		.map((match) => match.replace(/^[\s'"(:,]+/, "").replace(/[.:]+$/, ""));
	const places = [...new Set(paths)].map((path) => `${locate(segmentsOf(path))}: ${path}`);
	if (places.length === 0) return new SlipwayError(error.code, `${locate([])}: ${error.message}`, optionsOf(error));
	return new SlipwayError(error.code, `${error.message}\n${places.join("\n")}`, optionsOf(error));
}

function optionsOf({ hint, reason }: SlipwayError) {
	return { ...(hint !== undefined && { hint }), ...(reason !== undefined && { reason }) };
}

/** `spec.containers[0].image` and `metadata.annotations[a.b/c]`; an annotation's own dots are tried as one name as well. */
export function segmentsOf(path: string): (string | number)[] {
	const annotation = /^(.*\b(?:annotations|labels|limits|requests))\.(.+)$/.exec(path);
	const [start, last] = annotation ? [annotation[1]!, annotation[2]] : [path, undefined];
	const segments = [...start.matchAll(/\[([^\]]+)\]|[^.[\]]+/g)].map(([whole, inner]) => {
		const word = inner ?? whole;
		return /^\d+$/.test(word) ? Number(word) : word;
	});
	return last === undefined ? segments : [...segments, last];
}
