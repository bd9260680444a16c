/** HTTP bindings of the REST protocols, from the server's side (https://smithy.io/2.0/spec/http-bindings.html). */
import type { Schema } from "../schema/published.ts";
import { CodecError } from "./codec-error.ts";
import { readScalar, writeScalar } from "./scalar.ts";

export interface HttpRequestParts {
	labels: Readonly<Record<string, string>>;
	/** Without "?". */
	query: string;
	/** Lower-case names. */
	headers: Readonly<Record<string, string | string[] | undefined>>;
	body: Uint8Array;
}

export interface DocumentCodec {
	contentType: string;
	read(schema: Schema, body: Uint8Array): unknown;
	write(schema: Schema, value: Record<string, unknown>): string;
}

export interface HttpResponseParts {
	status: number;
	headers: Record<string, string>;
	body: Uint8Array | string;
}

export function readHttp(input: Schema, request: HttpRequestParts, codec: DocumentCodec): Record<string, unknown> {
	const result: Record<string, unknown> = {};
	const query = new URLSearchParams(request.query);
	let hasBodyMembers = false;
	let payload = false;
	for (const [name, member] of input.structIterator()) {
		const traits = member.getMergedTraits();
		let value: unknown;
		if (traits.httpLabel) value = readScalar(member, request.labels[name] ?? "", name, "date-time");
		else if (traits.httpQuery) value = readQueryMember(member, query.getAll(traits.httpQuery), name);
		else if (traits.httpQueryParams) value = Object.fromEntries(query);
		else if (traits.httpHeader) value = readHeader(member, request.headers[traits.httpHeader.toLowerCase()], name);
		else if (traits.httpPrefixHeaders !== undefined)
			value = readPrefixHeaders(traits.httpPrefixHeaders, request.headers);
		else if (traits.httpPayload) {
			payload = true;
			value = readPayload(member, request.body, codec);
		} else hasBodyMembers = true;
		if (value !== undefined) result[name] = value;
	}
	if (!hasBodyMembers || payload || request.body.length === 0) return result;
	// Members bound elsewhere are not taken from the body, even if a body names them.
	const body = codec.read(input, request.body) as Record<string, unknown> | undefined;
	for (const [name, member] of input.structIterator())
		if (body?.[name] !== undefined && !isBound(member)) result[name] = body[name];
	return result;
}

function isBound(member: Schema): boolean {
	const traits = member.getMergedTraits();
	return Boolean(
		traits.httpLabel ||
			traits.httpQuery ||
			traits.httpQueryParams ||
			traits.httpHeader ||
			traits.httpPrefixHeaders !== undefined,
	);
}

function readQueryMember(member: Schema, values: string[], name: string): unknown {
	if (values.length === 0) return undefined;
	if (!member.isListSchema()) return readScalar(member, values[0]!, name, "date-time");
	const item = member.getValueSchema();
	return values.map((value) => readScalar(item, value, name, "date-time"));
}

function readHeader(member: Schema, header: string | string[] | undefined, name: string): unknown {
	if (header === undefined) return undefined;
	const text = Array.isArray(header) ? header.join(", ") : header;
	if (!member.isListSchema()) return readScalar(member, text, name, "http-date");
	const item = member.getValueSchema();
	return text.split(",").map((value) => readScalar(item, value.trim(), name, "http-date"));
}

function readPrefixHeaders(prefix: string, headers: HttpRequestParts["headers"]): Record<string, string> {
	const lower = prefix.toLowerCase();
	return Object.fromEntries(
		Object.entries(headers)
			.filter(([name]) => name.startsWith(lower))
			.map(([name, value]) => [name.slice(lower.length), String(value)]),
	);
}

function readPayload(member: Schema, body: Uint8Array, codec: DocumentCodec): unknown {
	if (member.isBlobSchema()) return body;
	if (member.isStringSchema()) return utf8(body);
	return body.length === 0 ? undefined : codec.read(member, body);
}

export function utf8(body: Uint8Array): string {
	try {
		return new TextDecoder("utf-8", { fatal: true }).decode(body);
	} catch {
		throw new CodecError("", "is not valid UTF-8");
	}
}

export function writeHttp(
	output: Schema,
	value: Record<string, unknown>,
	status: number,
	codec: DocumentCodec,
): HttpResponseParts {
	const response: HttpResponseParts = { status, headers: {}, body: "" };
	let payload = false;
	const bodyMembers: Record<string, unknown> = {};
	for (const [name, member] of output.structIterator()) {
		const traits = member.getMergedTraits();
		const item = value[name];
		if (traits.httpPayload) {
			payload = true;
			writePayload(response, member, item, codec);
		} else if (item === undefined || item === null) continue;
		else if (traits.httpResponseCode) response.status = item as number;
		else if (traits.httpHeader) response.headers[traits.httpHeader] = writeHeader(member, item);
		else if (traits.httpPrefixHeaders !== undefined)
			for (const [key, text] of Object.entries(item)) response.headers[traits.httpPrefixHeaders + key] = String(text);
		else bodyMembers[name] = item;
	}
	// 204 and 304 have no body (RFC 9110, 15.3.5).
	if (payload || response.status === 204 || response.status === 304) return response;
	response.headers["Content-Type"] = codec.contentType;
	response.body = codec.write(output, bodyMembers);
	return response;
}

function writeHeader(member: Schema, value: unknown): string {
	if (!member.isListSchema()) return writeScalar(member, value, "http-date");
	const item = member.getValueSchema();
	return (value as unknown[]).map((one) => writeScalar(item, one, "http-date")).join(", ");
}

function writePayload(response: HttpResponseParts, member: Schema, item: unknown, codec: DocumentCodec): void {
	if (item === undefined || item === null) return;
	if (member.isBlobSchema()) response.body = item as Uint8Array;
	else if (member.isStringSchema()) response.body = String(item);
	else {
		response.headers["Content-Type"] = codec.contentType;
		response.body = codec.write(member, item as Record<string, unknown>);
	}
}
