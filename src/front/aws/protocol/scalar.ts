/** Text forms of simple values in labels, headers, query strings, forms and XML. */
import type { Schema } from "../schema/published.ts";
import { CodecError } from "./codec-error.ts";

export type TimestampFormat = "date-time" | "http-date" | "epoch-seconds";

// @smithy/types: timestamp schemas 5 to 7 name their format, 4 takes the binding's default.
const timestampFormats: Record<number, TimestampFormat> = { 5: "date-time", 6: "http-date", 7: "epoch-seconds" };

export function timestampFormat(schema: Schema, otherwise: TimestampFormat): TimestampFormat {
	return timestampFormats[schema.getSchema() as number] ?? otherwise;
}

export function readScalar(schema: Schema, text: string, where: string, timestamps: TimestampFormat): unknown {
	if (schema.isStringSchema()) return text;
	if (schema.isNumericSchema()) return readNumber(text, where);
	if (schema.isBooleanSchema()) {
		if (text === "true") return true;
		if (text === "false") return false;
		throw new CodecError(where, "must be true or false");
	}
	if (schema.isTimestampSchema()) return readTimestamp(text, where, timestampFormat(schema, timestamps));
	if (schema.isBlobSchema()) return readBase64(text, where);
	throw new CodecError(where, "has a type that can't be written as text");
}

export function writeScalar(schema: Schema, value: unknown, timestamps: TimestampFormat): string {
	if (value instanceof Date) return writeTimestamp(value, timestampFormat(schema, timestamps));
	if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
	return String(value);
}

export function writeTimestamp(date: Date, format: TimestampFormat): string {
	if (format === "http-date") return date.toUTCString();
	if (format === "epoch-seconds") return String(date.getTime() / 1000);
	return date.toISOString().replace(".000Z", "Z");
}

function readNumber(text: string, where: string): number {
	const number = Number(text);
	if (text.trim() === "" || !Number.isFinite(number)) throw new CodecError(where, "must be a number");
	return number;
}

function readTimestamp(text: string, where: string, format: TimestampFormat): Date {
	const date = format === "epoch-seconds" ? new Date(readNumber(text, where) * 1000) : new Date(text);
	if (Number.isNaN(date.getTime())) throw new CodecError(where, `must be a timestamp (${format})`);
	return date;
}

export function readBase64(text: string, where: string): Uint8Array {
	if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) throw new CodecError(where, "must be base64");
	return Buffer.from(text, "base64");
}
