/** The form body of the AWS query protocol, inwards (https://smithy.io/2.0/aws/protocols/aws-query-protocol.html). */
import type { Schema } from "../schema/published.ts";
import { CodecError } from "./codec-error.ts";
import { readScalar } from "./scalar.ts";

/** Longer lists than any action takes; also keeps a sparse index from costing anything. */
const maxItems = 1000;
const maxDepth = 16;

/** Reads the members of a structure from parameters such as `Tags.member.1.Key=a`. Throws CodecError. */
export function readQuery(
	schema: Schema,
	params: ReadonlyMap<string, string>,
	prefix = "",
	depth = 0,
): Record<string, unknown> {
	const result: Record<string, unknown> = {};
	for (const [name, member] of schema.structIterator()) {
		const key = prefix + (member.getMergedTraits().xmlName ?? name);
		const value = readMember(member, params, key, depth + 1);
		if (value !== undefined) result[name] = value;
	}
	return result;
}

function readMember(schema: Schema, params: ReadonlyMap<string, string>, key: string, depth: number): unknown {
	if (depth > maxDepth) throw new CodecError(key, "is nested too deeply");
	const flattened = Boolean(schema.getMergedTraits().xmlFlattened);
	if (schema.isStructSchema()) {
		if (!hasPrefix(params, `${key}.`)) return undefined;
		return readQuery(schema, params, `${key}.`, depth);
	}
	if (schema.isListSchema()) {
		const member = schema.getValueSchema();
		const itemName = flattened ? "" : `.${member.getMergedTraits().xmlName ?? "member"}`;
		const items = indexed(params, `${key}${itemName}`, (itemKey) => readMember(member, params, itemKey, depth + 1));
		return items.length > 0 || params.has(key) ? items : undefined;
	}
	if (schema.isMapSchema()) {
		const member = schema.getValueSchema();
		const entries = indexed(params, flattened ? key : `${key}.entry`, (entry) => {
			const name = params.get(`${entry}.key`);
			return name === undefined
				? undefined
				: ([name, readMember(member, params, `${entry}.value`, depth + 1)] as const);
		});
		return entries.length > 0 ? Object.fromEntries(entries) : undefined;
	}
	const text = params.get(key);
	return text === undefined ? undefined : readScalar(schema, text, key, "date-time");
}

function indexed<T>(params: ReadonlyMap<string, string>, key: string, read: (key: string) => T | undefined): T[] {
	const items: T[] = [];
	for (let i = 1; ; i++) {
		const itemKey = `${key}.${i}`;
		if (!params.has(itemKey) && !hasPrefix(params, `${itemKey}.`)) return items;
		if (i > maxItems) throw new CodecError(key, `has more than ${maxItems} items`);
		const item = read(itemKey);
		if (item !== undefined) items.push(item);
	}
}

function hasPrefix(params: ReadonlyMap<string, string>, prefix: string): boolean {
	for (const key of params.keys()) if (key.startsWith(prefix)) return true;
	return false;
}
