import type { Schema } from "../schema/published.ts";
import { CodecError } from "./codec-error.ts";
import { type DocumentCodec, utf8 } from "./http-binding.ts";
import { readJson, writeJson } from "./json.ts";

export function jsonDocument(contentType: string): DocumentCodec {
	return {
		contentType,
		read(schema: Schema, body: Uint8Array): unknown {
			if (hasTooManyValues(body)) throw new CodecError("", `has more than ${maxValues} values`);
			return readJson(schema, parse(utf8(body)));
		},
		write: (schema, value) => JSON.stringify(writeJson(schema, value)) ?? "{}",
	};
}

/**
 * Values in one document: the largest that clients send are 10,000 log events of a few members each. Each costs a hundred bytes and a
 * microsecond: eight megabytes of nothing but brackets would be almost a gigabyte, and seconds in which nobody else is served.
 */
const maxValues = 100_000;
const quote = 0x22;
const backslash = 0x5c;
const beginsValue: ReadonlySet<number> = new Set(Buffer.from(",[{"));

function hasTooManyValues(body: Uint8Array): boolean {
	if (body.length <= maxValues) return false;
	let values = 0;
	let isText = false;
	for (let i = 0; i < body.length; i++) {
		const byte = body[i]!;
		if (isText && byte === backslash) i++;
		else if (byte === quote) isText = !isText;
		else if (!isText && beginsValue.has(byte) && ++values > maxValues) return true;
	}
	return false;
}

function parse(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch (error) {
		throw new CodecError("", `is not valid JSON: ${(error as Error).message.slice(0, 200)}`);
	}
}
