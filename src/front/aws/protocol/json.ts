/**
 * JSON by schema, from the server's side: what a client sent is checked against the schema's types (the SDK's own codec
 * trusts its peer). Rules: https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html ("Body serialization").
 */
import type { Schema } from "../schema/published.ts";
import { CodecError } from "./codec-error.ts";
import { readBase64, timestampFormat, writeTimestamp } from "./scalar.ts";

/** Deeper than any published shape; recursive shapes could otherwise exhaust the stack. */
const maxDepth = 64;

/** Throws CodecError. Members the schema does not know are ignored, as AWS does. */
export function readJson(schema: Schema, value: unknown, where = "", depth = 0): unknown {
	if (value === null || value === undefined) return undefined;
	if (depth > maxDepth) throw new CodecError(where, "is nested too deeply");
	if (schema.isStructSchema()) return readStruct(schema, value, where, depth);
	if (schema.isListSchema()) {
		if (!Array.isArray(value)) throw wrongType(where, "a list", value);
		const member = schema.getValueSchema();
		return value.map((item, i) => {
			// A list without the trait "sparse", as all of these are, has no nulls.
			if (item === null) throw new CodecError(`${where}[${i}]`, "must not be null");
			return readJson(member, item, `${where}[${i}]`, depth + 1);
		});
	}
	if (schema.isMapSchema()) {
		const member = schema.getValueSchema();
		// fromEntries defines properties, so that a key such as "__proto__" is only a key.
		return Object.fromEntries(
			Object.entries(object(value, where))
				.map(([key, item]) => [key, readJson(member, item, `${where}.${key}`, depth + 1)] as const)
				.filter(([, item]) => item !== undefined),
		);
	}
	return readSimple(schema, value, where);
}

function readStruct(schema: Schema, value: unknown, where: string, depth: number): Record<string, unknown> {
	const source = object(value, where);
	const result: Record<string, unknown> = {};
	for (const [name, member] of schema.structIterator()) {
		const jsonName = member.getMergedTraits().jsonName ?? name;
		if (!Object.hasOwn(source, jsonName)) continue;
		const item = readJson(member, source[jsonName], where === "" ? name : `${where}.${name}`, depth + 1);
		if (item !== undefined) result[name] = item;
	}
	return result;
}

function readSimple(schema: Schema, value: unknown, where: string): unknown {
	if (schema.isDocumentSchema()) return value;
	if (schema.isNumericSchema()) return typed(value, "number", where);
	if (schema.isBooleanSchema()) return typed(value, "boolean", where);
	if (schema.isBlobSchema()) return readBase64(typed(value, "string", where) as string, where);
	if (schema.isTimestampSchema()) {
		const date = new Date(typeof value === "number" ? value * 1000 : (typed(value, "string", where) as string));
		if (Number.isNaN(date.getTime())) throw new CodecError(where, "must be a timestamp");
		return date;
	}
	return typed(value, "string", where);
}

/** A value for JSON.stringify. Undefined members are left out. */
export function writeJson(schema: Schema, value: unknown): unknown {
	if (value === undefined || value === null) return undefined;
	if (schema.isStructSchema()) {
		const source = value as Record<string, unknown>;
		const result: Record<string, unknown> = {};
		for (const [name, member] of schema.structIterator()) {
			const item = writeJson(member, source[name]);
			if (item !== undefined) result[member.getMergedTraits().jsonName ?? name] = item;
		}
		return result;
	}
	if (schema.isListSchema()) {
		const member = schema.getValueSchema();
		return (value as unknown[]).map((item) => writeJson(member, item) ?? null);
	}
	if (schema.isMapSchema()) {
		const member = schema.getValueSchema();
		return Object.fromEntries(
			Object.entries(value as Record<string, unknown>).map(([key, item]) => [key, writeJson(member, item)]),
		);
	}
	if (value instanceof Date) {
		const format = timestampFormat(schema, "epoch-seconds");
		return format === "epoch-seconds" ? value.getTime() / 1000 : writeTimestamp(value, format);
	}
	return value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value;
}

function object(value: unknown, where: string): Record<string, unknown> {
	if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
	throw wrongType(where, "an object", value);
}

function typed(value: unknown, type: "string" | "number" | "boolean", where: string): unknown {
	if (typeof value === type) return value;
	throw wrongType(where, `a ${type}`, value);
}

function wrongType(where: string, expected: string, value: unknown): CodecError {
	const got = value === null ? "null" : Array.isArray(value) ? "a list" : `a value of type ${typeof value}`;
	return new CodecError(where, `must be ${expected}, not ${got}`);
}
