/**
 * A web server's answer as the answer to the event: what whoever made the event expects (lambda-http/src/response.rs).
 */
import type { IncomingHttpHeaders } from "node:http";
import { http } from "../../base/http.ts";
import type { EventKind } from "./event-request.ts";

export interface WebResponse {
	status: number;
	/** Node's: each name with its lines. */
	headers: NodeJS.Dict<string[]>;
	body: Buffer;
}

export function answerOf(kind: EventKind, response: WebResponse): Uint8Array {
	const { status, headers, body } = response;
	if (kind === "other") return jsonOrNull(response);
	const text = isText(headers);
	const lines = Object.entries(kept(headers));
	const common = {
		statusCode: status,
		body: text ? decode(body, headers["content-type"]?.[0]) : body.toString("base64"),
		isBase64Encoded: !text && body.length > 0,
	};
	if (kind === "http-api") {
		const { "set-cookie": cookies = [] } = headers;
		const single = lines.filter(([name]) => name !== "set-cookie").map(([name, values]) => [name, values.join(", ")]);
		return json({ ...common, headers: Object.fromEntries(single), cookies });
	}
	// A REST API would write what stands in both twice.
	if (kind === "rest-api") return json({ ...common, headers: {}, multiValueHeaders: kept(headers) });
	return json({
		...common,
		statusDescription: `${status} ${http.STATUS_CODES[status] ?? ""}`.trim(),
		headers: Object.fromEntries(lines.map(([name, values]) => [name, values.join(", ")])),
		multiValueHeaders: kept(headers),
	});
}

/** Ahead of a streamed body (aws-lambda-nodejs-runtime-interface-client, HttpResponseStream.js). */
export function preludeOf({ status, headers }: Omit<WebResponse, "body">): Buffer {
	const { "set-cookie": cookies = [], ...others } = kept(headers);
	const single = Object.entries(others).map(([name, values]) => [name, values.join(", ")]);
	return Buffer.concat([json({ statusCode: status, headers: Object.fromEntries(single), cookies }), Buffer.alloc(8)]);
}

export const preludeType = "application/vnd.awslambda.http-integration-response";

/** Of the connection to the server. Its length is the gateway's to say again. */
const dropped = new Set(["connection", "keep-alive", "transfer-encoding", "upgrade", "trailer"]);

function kept(headers: NodeJS.Dict<string[]>): Record<string, string[]> {
	const lines = Object.entries(headers).filter(([name]) => !dropped.has(name));
	// Node reads bytes as Latin-1; what a server wrote is UTF-8 or ASCII.
	return Object.fromEntries(
		lines.map(([name, values = []]) => [name, values.map((one) => Buffer.from(one, "latin1").toString())]),
	);
}

const textPrefixes = ["text", "application/json", "application/javascript", "application/xml", "application/yaml"];
const textSuffixes = ["+xml", "+yaml", "+json"];

function isText(headers: NodeJS.Dict<string[]>): boolean {
	if (headers["content-encoding"]) return false;
	const type = headers["content-type"]?.[0];
	if (type === undefined || textPrefixes.some((prefix) => type.startsWith(prefix))) return true;
	const essence = type.split(";", 1)[0]!.trim();
	return (
		textSuffixes.some((suffix) => essence.endsWith(suffix)) || headers["x-lambda-http-content-encoding"]?.[0] === "text"
	);
}

function decode(body: Buffer, type = ""): string {
	const [, charset = "utf-8"] = /;\s*charset="?([\w.:-]+)/i.exec(type) ?? [];
	if (/^utf-?8$/i.test(charset)) return body.toString();
	try {
		return new TextDecoder(charset).decode(body);
	} catch {
		return body.toString();
	}
}

/** An event that is no request has an answer that is no response: the JSON that the server wrote, else null. */
function jsonOrNull({ headers, body }: WebResponse): Uint8Array {
	if (!isText(headers)) return Buffer.from("null");
	try {
		JSON.parse(body.toString());
		return body;
	} catch {
		return Buffer.from("null");
	}
}

function json(value: unknown): Buffer {
	return Buffer.from(JSON.stringify(value));
}

/** Whether whoever asked takes a compressed body, and in which coding. */
export function codingFor(
	accepted: IncomingHttpHeaders["accept-encoding"],
	{ headers, body }: WebResponse,
): "br" | "gzip" | undefined {
	// What is shorter, or compressed already, gets no shorter by it.
	if (body.length < 64 || headers["content-encoding"] || !isText(headers)) return undefined;
	const codings = String(accepted ?? "").toLowerCase();
	if (/\bbr\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/.test(codings)) return "br";
	return /\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/.test(codings) ? "gzip" : undefined;
}
