/**
 * What a function answered, as an HTTP response
 * (https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads, lambda-contract 4.5).
 */
import { http } from "../../base/http.ts";

/** Of a response, before the platform's own headers. */
export interface ResponseHead {
	status: number;
	/** By lower-case name, each with its lines. */
	headers: Map<string, string[]>;
}

export interface UrlResponse extends ResponseHead {
	body: Uint8Array;
}

/** An answer that says it is a response, and is none: the client gets 502. */
export class MalformedResponseError extends Error {}

/** Ends the JSON ahead of a streamed body (aws-lambda-nodejs-runtime-interface-client, HttpResponseStream.js). */
export const preludeEnd = Buffer.alloc(8);
export const integrationResponseType = "application/vnd.awslambda.http-integration-response";

/** The connection's own, and the length, which is counted here. */
const dropped = new Set([
	"connection",
	"content-length",
	"keep-alive",
	"transfer-encoding",
	"upgrade",
	"trailer",
	"te",
]);

/** A whole answer. MalformedResponseError. */
export function bufferedResponse(payload: Uint8Array): UrlResponse {
	const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
	const preluded = preludedResponse(bytes);
	if (preluded) return preluded;
	if (!mayNeedParsing(bytes)) return inferred(bytes);
	const value = parseJson(bytes);
	// A string comes without its quotes; objects that say no statusCode are the body as they are.
	if (typeof value === "string") return inferred(Buffer.from(value));
	if (!isObject(value) || value.statusCode === undefined) return inferred(bytes);
	const head = readHead(value, "application/json");
	return { ...head, body: readBody(value) };
}

/** The JSON ahead of a streamed body. MalformedResponseError. */
export function readPrelude(prelude: Buffer): ResponseHead {
	const value = parseJson(prelude);
	if (!isObject(value)) throw new MalformedResponseError("The streamed response's prelude is not a JSON object");
	return readHead({ ...value, statusCode: value.statusCode ?? 200 }, "application/octet-stream");
}

/** A runtime that streams to a URL of InvokeMode BUFFERED: prelude and body in one piece. */
function preludedResponse(bytes: Buffer): UrlResponse | undefined {
	const end = bytes[0] === brace ? bytes.indexOf(preludeEnd) : -1;
	if (end < 0) return undefined;
	return { ...readPrelude(bytes.subarray(0, end)), body: bytes.subarray(end + preludeEnd.length) };
}

const space = 0x20;
const quote = 0x22;
const brace = 0x7b;

/**
 * Whether it can be anything but a body as it is. A response whose body is a string takes JSON.parse some 5 ms for 6 MB,
 * mere lists and objects of that size 20 to 200 ms, in which nobody else would be served. What is left is a response
 * whose body is an object rather than text: 30 ms at the most.
 */
function mayNeedParsing(bytes: Buffer): boolean {
	const first = bytes.find((byte) => byte > space);
	return first === quote || (first === brace && bytes.includes('"statusCode"'));
}

function inferred(body: Uint8Array): UrlResponse {
	return { status: 200, headers: new Map([["content-type", ["application/json"]]]), body };
}

function parseJson(bytes: Buffer): unknown {
	try {
		return JSON.parse(bytes.toString());
	} catch {
		return undefined;
	}
}

function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

function readHead(value: Record<string, unknown>, contentType: string): ResponseHead {
	const { statusCode, headers = {}, cookies = [] } = value;
	// Informational ones end no response.
	const status = typeof statusCode === "string" && /^\d{3}$/.test(statusCode) ? Number(statusCode) : statusCode;
	if (typeof status !== "number" || !Number.isInteger(status) || status < 200 || status > 599)
		throw new MalformedResponseError(
			`The response's statusCode ${String(JSON.stringify(statusCode)).slice(0, 100)} is not a number from 200 to 599`,
		);
	const lines = new Map<string, string[]>();
	if (!isObject(headers ?? {})) throw new MalformedResponseError("The response's headers are not an object");
	for (const [name, given] of Object.entries(headers ?? {})) {
		const key = name.toLowerCase();
		if (given === null || dropped.has(key)) continue;
		lines.set(key, headerLines(name, given));
	}
	if (!Array.isArray(cookies ?? [])) throw new MalformedResponseError("The response's cookies are not a list");
	if (Array.isArray(cookies) && cookies.length > 0)
		lines.set("set-cookie", [...(lines.get("set-cookie") ?? []), ...headerLines("set-cookie", cookies)]);
	if (!lines.has("content-type")) lines.set("content-type", [contentType]);
	return { status, headers: lines };
}

/** Runtimes of Rust write headers with several values as lists. */
function headerLines(name: string, given: unknown): string[] {
	return (Array.isArray(given) ? given : [given]).map((value: unknown) => {
		if (!["string", "number", "boolean"].includes(typeof value))
			throw new MalformedResponseError(`The response's header '${name.slice(0, 100)}' has no text for a value`);
		try {
			http.validateHeaderName(name);
			http.validateHeaderValue(name, String(value));
		} catch (cause) {
			throw new MalformedResponseError(`The response's header '${name.slice(0, 100)}' is malformed`, { cause });
		}
		return String(value);
	});
}

function readBody({ body, isBase64Encoded }: Record<string, unknown>): Buffer {
	if (body === undefined || body === null) return Buffer.alloc(0);
	const text = typeof body === "string" ? body : JSON.stringify(body);
	return Buffer.from(text, isBase64Encoded === true ? "base64" : "utf8");
}
