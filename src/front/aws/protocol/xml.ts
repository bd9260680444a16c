/** XML by schema, outwards (https://smithy.io/2.0/spec/protocol-traits.html#xml-bindings). */
import type { Schema } from "../schema/published.ts";
import { writeScalar } from "./scalar.ts";

/** The members of a structure as elements, without an element around them. */
export function writeXmlMembers(schema: Schema, value: Record<string, unknown>): string {
	let text = "";
	for (const [name, member] of schema.structIterator())
		text += writeXmlMember(member.getMergedTraits().xmlName ?? name, member, value[name]);
	return text;
}

function writeXmlMember(name: string, schema: Schema, value: unknown): string {
	if (value === undefined || value === null) return "";
	const flattened = Boolean(schema.getMergedTraits().xmlFlattened);
	if (schema.isListSchema()) {
		const member = schema.getValueSchema();
		const itemName = flattened ? name : (member.getMergedTraits().xmlName ?? "member");
		const items = (value as unknown[]).map((item) => writeXmlMember(itemName, member, item)).join("");
		return flattened ? items : element(name, items);
	}
	if (schema.isMapSchema()) {
		const keySchema = schema.getKeySchema();
		const valueSchema = schema.getValueSchema();
		const keyName = keySchema.getMergedTraits().xmlName ?? "key";
		const valueName = valueSchema.getMergedTraits().xmlName ?? "value";
		const entries = Object.entries(value as Record<string, unknown>)
			.map(([key, item]) => element(keyName, escapeXml(key)) + writeXmlMember(valueName, valueSchema, item))
			.map((entry) => element(flattened ? name : "entry", entry))
			.join("");
		return flattened ? entries : element(name, entries);
	}
	if (schema.isStructSchema()) return element(name, writeXmlMembers(schema, value as Record<string, unknown>));
	return element(name, escapeXml(writeScalar(schema, value, "date-time")));
}

export function element(name: string, content: string): string {
	return content === "" ? `<${name}/>` : `<${name}>${content}</${name}>`;
}

const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;" };

export function escapeXml(text: string): string {
	// XML 1.0 allows no control characters but tab, line feed and carriage return, not even escaped.
	return text
		.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd")
		.replace(/[&<>"']/g, (character) => entities[character]!);
}
