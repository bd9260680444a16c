/** The canonical request (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html). */
import { hash } from "node:crypto";
import { headerValues, type SignedRequest } from "./request.ts";

export interface CanonicalOptions {
	/** Sorted, lower case. */
	signedHeaders: readonly string[];
	/** Hexadecimal digest, or one of the literals such as UNSIGNED-PAYLOAD. */
	payloadHash: string;
	/** S3 signs the path as it is; every other service signs it normalized and encoded once more. */
	encodePath: boolean;
	/** Presigned: the parameter that holds the signature is not part of what is signed. */
	skipQuery?: string;
}

export function canonicalRequest(request: SignedRequest, options: CanonicalOptions): string {
	let headers = "";
	for (const name of options.signedHeaders) headers += `${name}:${canonicalHeader(headerValues(request, name))}\n`;
	const path = options.encodePath ? encodedPath(request.path) : request.path || "/";
	const query = canonicalQuery(request.query, options.skipQuery);
	const names = options.signedHeaders.join(";");
	return `${request.method}\n${path}\n${query}\n${headers}\n${names}\n${options.payloadHash}`;
}

/** Values of a repeated header are joined by commas; white space around is dropped, and runs of it inside fold into one space. */
function canonicalHeader(values: string[]): string {
	if (values.length === 1 && !/\s/.test(values[0]!)) return values[0]!;
	return values.map((value) => utf8FromLatin1(value).trim().replace(/\s+/g, " ")).join(",");
}

/** "." and ".." are resolved, empty segments dropped (RFC 3986, 5.2.4), and what is left is percent-encoded, "/" excepted. */
function encodedPath(path: string): string {
	const plain = /^[A-Za-z0-9\-_~/]*$/.test(path) && !path.includes("//");
	if (plain) return path || "/";
	const segments: string[] = [];
	for (const segment of utf8FromLatin1(path).split("/")) {
		if (segment === "..") segments.pop();
		else if (segment !== "" && segment !== ".") segments.push(percentEncode(segment));
	}
	const normalized = `/${segments.join("/")}`;
	const endsInFolder = /\/(\.{1,2})?$/.test(path) && segments.length > 0;
	return endsInFolder ? `${normalized}/` : normalized;
}

/** Parameters encoded anew and sorted by code point, first by name, then by value. */
function canonicalQuery(query: string, skip: string | undefined): string {
	if (query === "") return "";
	const params: [string, string][] = [];
	for (const part of query.split("&")) {
		if (part === "") continue;
		const equals = part.indexOf("=");
		const name = reencode(equals === -1 ? part : part.slice(0, equals));
		if (name !== skip) params.push([name, equals === -1 ? "" : reencode(part.slice(equals + 1))]);
	}
	params.sort(([a, x], [b, y]) => (a === b ? compare(x, y) : compare(a, b)));
	return params.map(([name, value]) => `${name}=${value}`).join("&");
}

function compare(a: string, b: string): number {
	return a < b ? -1 : a > b ? 1 : 0;
}

function reencode(text: string): string {
	if (/^[A-Za-z0-9\-._~]*$/.test(text)) return text;
	const plain = utf8FromLatin1(text);
	try {
		return percentEncode(decodeURIComponent(plain));
	} catch {
		// Not valid percent-encoding: whatever it is, it was signed as it stands or not at all.
		return percentEncode(plain);
	}
}

/** RFC 3986: everything but the unreserved characters. */
function percentEncode(text: string): string {
	return encodeURIComponent(text.toWellFormed()).replace(
		/[!'()*]/g,
		(character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
	);
}

/** node:http hands over bytes above 0x7f as Latin-1 characters; what was signed is the UTF-8 text. */
function utf8FromLatin1(text: string): string {
	return /[\u0080-\u00ff]/.test(text) && !/[^\u0000-\u00ff]/.test(text)
		? Buffer.from(text, "latin1").toString("utf8")
		: text;
}

export function sha256Hex(data: Uint8Array | string): string {
	return hash("sha256", data, "hex");
}

export const emptySha256 = sha256Hex("");
