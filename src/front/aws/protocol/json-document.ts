import type { Schema } from "../schema/published.ts";
import { CodecError } from "./codec-error.ts";
import { type DocumentCodec, utf8 } from "./http-binding.ts";
import { readJson, writeJson } from "./json.ts";

export function jsonDocument(contentType: string): DocumentCodec {
	return {
		contentType,
		read(schema: Schema, body: Uint8Array): unknown {
			return readJson(schema, parse(utf8(body)));
		},
		write: (schema, value) => JSON.stringify(writeJson(schema, value)) ?? "{}",
	};
}

function parse(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch (error) {
		throw new CodecError("", `is not valid JSON: ${(error as Error).message.slice(0, 200)}`);
	}
}
