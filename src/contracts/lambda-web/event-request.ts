/**
 * An event as an HTTP request, for a web server that knows of no events. Which shapes are requests, and what of them goes
 * where: aws-lambda-rust-runtime, lambda-http/src/request.rs, which the Lambda Web Adapter is built on.
 */
import type { WebSettings } from "./settings.ts";

export type EventKind = "http-api" | "rest-api" | "load-balancer" | "other";

export interface WebRequest {
	kind: EventKind;
	method: string;
	/** With its query. */
	path: string;
	/** By lower-case name, each with its lines. */
	headers: Map<string, string[]>;
	body: Buffer;
	/** As the event has it; null for an event of another kind. */
	requestContext: unknown;
}

type Json = Readonly<Record<string, unknown>>;

export function requestOf(
	payload: Uint8Array,
	settings: Pick<WebSettings, "basePath" | "passThroughPath">,
): WebRequest {
	const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
	const event = parse(bytes);
	const context = event && recordOf(event.requestContext);
	if (event && context) {
		const http = recordOf(context.http);
		if (http) return httpApiRequest(event, context, http, settings);
		const method = textOf(event.httpMethod);
		if (method !== undefined) return proxyRequest(event, context, method, settings);
	}
	return {
		kind: "other",
		method: "POST",
		path: settings.passThroughPath,
		headers: new Map([["content-type", ["application/json"]]]),
		body: bytes,
		requestContext: null,
	};
}

/** Payload format 2.0: HTTP APIs and function URLs. */
function httpApiRequest(
	event: Json,
	context: Json,
	http: Json,
	{ basePath }: Pick<WebSettings, "basePath">,
): WebRequest {
	const query = textOf(event.rawQueryString) ?? "";
	const path = pathOf(textOf(event.rawPath) ?? "/", basePath);
	const headers = new Map<string, string[]>();
	for (const [name, value] of Object.entries(recordOf(event.headers) ?? {})) addHeader(headers, name, [value]);
	if (Array.isArray(event.cookies)) headers.set("cookie", [event.cookies.map(String).join(";")]);
	return {
		kind: "http-api",
		method: textOf(http.method) ?? "GET",
		path: query === "" ? path : `${path}?${escaped(query)}`,
		headers,
		body: bodyOf(event),
		requestContext: context,
	};
}

/** Payload format 1.0 (REST APIs), and an application load balancer's. */
function proxyRequest(
	event: Json,
	context: Json,
	method: string,
	{ basePath }: Pick<WebSettings, "basePath">,
): WebRequest {
	const balanced = context.elb !== undefined;
	const path = pathOf(textOf(event.path) ?? "/", basePath);
	const query = queryOf(event, balanced);
	const headers = new Map<string, string[]>();
	for (const [name, values] of Object.entries(recordOf(event.multiValueHeaders) ?? {}))
		if (Array.isArray(values)) addHeader(headers, name, values);
	for (const [name, value] of Object.entries(recordOf(event.headers) ?? {}))
		if (!headers.has(name.toLowerCase())) addHeader(headers, name, [value]);
	return {
		kind: balanced ? "load-balancer" : "rest-api",
		method,
		path: query === "" ? path : `${path}?${query}`,
		headers,
		body: bodyOf(event),
		requestContext: context,
	};
}

function queryOf(event: Json, balanced: boolean): string {
	const several = Object.entries(recordOf(event.multiValueQueryStringParameters) ?? {});
	const single = Object.entries(recordOf(event.queryStringParameters) ?? {});
	const query = new URLSearchParams();
	// A load balancer passes them on as they came: escaped.
	const plain = (text: string) => (balanced ? decoded(text) : text);
	for (const [name, value] of several.length > 0 ? several : single)
		for (const one of Array.isArray(value) ? value : [value]) query.append(plain(name), plain(String(one ?? "")));
	return query.toString();
}

function decoded(text: string): string {
	try {
		return decodeURIComponent(text.replaceAll("+", " "));
	} catch {
		return text;
	}
}

function pathOf(path: string, basePath: string | undefined): string {
	let rest = path;
	if (basePath !== undefined) while (rest.startsWith(basePath)) rest = rest.slice(basePath.length);
	const safe = escaped(rest).replaceAll("?", "%3F");
	return safe.startsWith("/") ? safe : `/${safe}`;
}

/** What a request line can't hold, escaped; escapes stay as they are. */
function escaped(text: string): string {
	return text.replace(/[^\x21-\x7e]|["<>`{}#\\^|]/gu, (character) => {
		// Half of a pair is no character.
		return encodeURIComponent(character.isWellFormed() ? character : "\ufffd");
	});
}

/** Of the connection to the gateway, and the length, which is counted here. */
const dropped = new Set([
	"connection",
	"content-length",
	"expect",
	"keep-alive",
	"proxy-connection",
	"te",
	"trailer",
	"transfer-encoding",
	"upgrade",
]);

function addHeader(headers: Map<string, string[]>, name: string, values: readonly unknown[]): void {
	const key = name.toLowerCase();
	const lines = values
		.filter((value) => value !== null && value !== undefined)
		.map((value) => headerText(String(value)));
	if (dropped.has(key) || lines.length === 0 || !/^[!#$%&'*+.^_`|~a-z0-9-]+$/.test(key)) return;
	headers.set(key, lines);
}

/** UTF-8 as bytes, which Node writes for characters up to U+00FF; no line breaks. */
export function headerText(text: string): string {
	return Buffer.from(text.replace(/[\0-\x08\x0a-\x1f\x7f]/g, " ")).toString("latin1");
}

function bodyOf({ body, isBase64Encoded }: Json): Buffer {
	const text = textOf(body) ?? "";
	return Buffer.from(text, isBase64Encoded === true ? "base64" : "utf8");
}

function parse(bytes: Buffer): Json | undefined {
	try {
		return recordOf(JSON.parse(bytes.toString()));
	} catch {
		return undefined;
	}
}

function recordOf(value: unknown): Json | undefined {
	return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
}

function textOf(value: unknown): string | undefined {
	return typeof value === "string" ? value : undefined;
}
