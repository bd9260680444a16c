/** The form body of the AWS query protocol, inwards (https://smithy.io/2.0/aws/protocols/aws-query-protocol.html). */
import type { Schema } from "../schema/published.ts";
import { CodecError } from "./codec-error.ts";
import { readScalar } from "./scalar.ts";

/** Longer lists than any action takes; also keeps a sparse index from costing anything. */
const maxItems = 1000;
const maxDepth = 16;

/** Characters and dots of a name up to which it may stand for a structure; the longest that any action reads has some 60 and 5. */
const maxPrefixLength = 1024;
const maxPrefixes = 32;

interface Form {
	params: ReadonlyMap<string, string>;
	/** What stands before a dot in any name: "Tags", "Tags.member", … To look through all names each time would be quadratic. */
	prefixes: ReadonlySet<string>;
}

/** Reads the members of a structure from parameters such as `Tags.member.1.Key=a`. Throws CodecError. */
export function readQuery(schema: Schema, params: ReadonlyMap<string, string>): Record<string, unknown> {
	const prefixes = new Set<string>();
	for (const name of params.keys()) {
		let dot = name.indexOf(".");
		for (let count = 0; dot !== -1 && dot <= maxPrefixLength && count < maxPrefixes; count++) {
			prefixes.add(name.slice(0, dot));
			dot = name.indexOf(".", dot + 1);
		}
	}
	return readStruct(schema, { params, prefixes }, "", 0);
}

function readStruct(schema: Schema, form: Form, prefix: string, depth: number): Record<string, unknown> {
	const result: Record<string, unknown> = {};
	for (const [name, member] of schema.structIterator()) {
		const key = prefix + (member.getMergedTraits().xmlName ?? name);
		const value = readMember(member, form, key, depth + 1);
		if (value !== undefined) result[name] = value;
	}
	return result;
}

function readMember(schema: Schema, form: Form, key: string, depth: number): unknown {
	if (depth > maxDepth) throw new CodecError(key, "is nested too deeply");
	const flattened = Boolean(schema.getMergedTraits().xmlFlattened);
	if (schema.isStructSchema()) {
		if (!form.prefixes.has(key)) return undefined;
		return readStruct(schema, form, `${key}.`, depth);
	}
	if (schema.isListSchema()) {
		const member = schema.getValueSchema();
		const itemName = flattened ? "" : `.${member.getMergedTraits().xmlName ?? "member"}`;
		const items = indexed(form, `${key}${itemName}`, (itemKey) => readMember(member, form, itemKey, depth + 1));
		return items.length > 0 || form.params.has(key) ? items : undefined;
	}
	if (schema.isMapSchema()) {
		const member = schema.getValueSchema();
		const keyName = schema.getKeySchema().getMergedTraits().xmlName ?? "key";
		const valueName = member.getMergedTraits().xmlName ?? "value";
		const entries = indexed(form, flattened ? key : `${key}.entry`, (entry) => {
			const name = form.params.get(`${entry}.${keyName}`);
			const item = name === undefined ? undefined : readMember(member, form, `${entry}.${valueName}`, depth + 1);
			return name === undefined || item === undefined ? undefined : ([name, item] as const);
		});
		return entries.length > 0 ? Object.fromEntries(entries) : undefined;
	}
	const text = form.params.get(key);
	return text === undefined ? undefined : readScalar(schema, text, key, "date-time");
}

function indexed<T>({ params, prefixes }: Form, key: string, read: (key: string) => T | undefined): T[] {
	const items: T[] = [];
	for (let i = 1; ; i++) {
		const itemKey = `${key}.${i}`;
		if (!params.has(itemKey) && !prefixes.has(itemKey)) return items;
		if (i > maxItems) throw new CodecError(key, `has more than ${maxItems} items`);
		const item = read(itemKey);
		if (item !== undefined) items.push(item);
	}
}
