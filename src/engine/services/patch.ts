import { isDeepStrictEqual } from "node:util";
import { SlipwayError } from "../../base/error.ts";
import { shown } from "../../core/service/field-problems.ts";

/** Operations of one patch, and how deep a patch may go: a manifest is 12 deep. */
const [maxOperations, maxDepth] = [1000, 64];

/** RFC 7396 for an object, RFC 6902 for an array. INVALID. The document itself is left alone. */
export function patched(document: unknown, patch: unknown): unknown {
	if (!Array.isArray(patch)) {
		if (typeof patch !== "object" || patch === null) throw invalid("A patch is an object or a list of operations");
		return mergePatch(structuredClone(document), patch, 0);
	}
	if (patch.length > maxOperations) throw invalid(`A patch has at most ${maxOperations} operations`);
	return patch.reduce<unknown>(
		(current, operation, index) => applied(current, operation, index),
		structuredClone(document),
	);
}

function mergePatch(target: unknown, patch: unknown, depth: number): unknown {
	if (depth > maxDepth) throw invalid(`A patch goes at most ${maxDepth} deep`);
	if (!isObject(patch)) return patch;
	const result = new Map(isObject(target) ? Object.entries(target) : []);
	for (const [key, value] of Object.entries(patch)) {
		if (value === null) result.delete(key);
		else result.set(key, mergePatch(result.get(key), value, depth + 1));
	}
	return Object.fromEntries(result);
}

function applied(document: unknown, operation: unknown, index: number): unknown {
	if (!isObject(operation)) throw invalid(`Operation ${index} is not an object`);
	const at = (name: "path" | "from") => pointer(operation[name], `Operation ${index}: ${name}`);
	// Its own copy: a later operation may change it.
	const value = () => {
		if (!Object.hasOwn(operation, "value")) throw invalid(`Operation ${index}: value is missing`);
		return structuredClone(operation.value);
	};
	try {
		switch (operation.op) {
			case "add":
				return added(document, at("path"), value());
			case "replace":
				return replaced(document, at("path"), value());
			case "remove":
				return removed(document, at("path"));
			case "move": {
				const moved = valueAt(document, at("from"));
				return added(removed(document, at("from")), at("path"), moved);
			}
			case "copy":
				return added(document, at("path"), structuredClone(valueAt(document, at("from"))));
			case "test":
				if (isDeepStrictEqual(valueAt(document, at("path")), value())) return document;
				throw new Misfit(`the value at ${shownPath(at("path"))} is another one`);
			default:
				throw new Misfit("op must be one of add, remove, replace, move, copy, test");
		}
	} catch (error) {
		throw error instanceof Misfit ? invalid(`Operation ${index}: ${error.message}`) : error;
	}
}

/** An operation that does not fit the document. */
class Misfit extends Error {}

/** RFC 6901. */
function pointer(text: unknown, what: string): string[] {
	if (typeof text !== "string" || (text !== "" && !text.startsWith("/")) || /~(?![01])/.test(text))
		throw invalid(`${what} must be a JSON pointer such as /spec/traffic`);
	const parts = text.split("/").slice(1);
	if (parts.length > maxDepth) throw invalid(`${what} is too deep`);
	return parts.map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function valueAt(document: unknown, path: readonly string[]): unknown {
	return path.reduce((current: unknown, part) => {
		if (Array.isArray(current) && positionIn(current, part) < current.length) return current[Number(part)];
		if (isObject(current) && Object.hasOwn(current, part)) return current[part];
		throw new Misfit(`there is nothing at ${shownPath(path)}`);
	}, document);
}

/** Infinite for what is no index (RFC 6901, section 4: no leading zeros). */
function positionIn(list: readonly unknown[], part: string): number {
	if (part === "-") return list.length;
	return /^(?:0|[1-9]\d{0,9})$/.test(part) ? Number(part) : Number.POSITIVE_INFINITY;
}

function added(document: unknown, path: readonly string[], value: unknown): unknown {
	const last = path.at(-1);
	if (last === undefined) return value;
	const parent = valueAt(document, path.slice(0, -1));
	if (isObject(parent)) setField(parent, last, value);
	else if (Array.isArray(parent) && positionIn(parent, last) <= parent.length)
		parent.splice(positionIn(parent, last), 0, value);
	else throw new Misfit(`nothing can be added at ${shownPath(path)}`);
	return document;
}

function replaced(document: unknown, path: readonly string[], value: unknown): unknown {
	valueAt(document, path);
	const last = path.at(-1);
	if (last === undefined) return value;
	const parent = valueAt(document, path.slice(0, -1));
	if (Array.isArray(parent)) parent[Number(last)] = value;
	else if (isObject(parent)) setField(parent, last, value);
	return document;
}

function removed(document: unknown, path: readonly string[]): unknown {
	valueAt(document, path);
	const last = path.at(-1);
	if (last === undefined) return undefined;
	const parent = valueAt(document, path.slice(0, -1));
	if (Array.isArray(parent)) parent.splice(Number(last), 1);
	else if (isObject(parent)) delete parent[last];
	return document;
}

/** Also one of the name "__proto__". */
function setField(object: Record<string, unknown>, name: string, value: unknown): void {
	Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
}

function shownPath(path: readonly string[]): string {
	return shown(`/${path.join("/")}`);
}

function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

function invalid(message: string): SlipwayError {
	return new SlipwayError("INVALID", message, { reason: "Invalid" });
}
