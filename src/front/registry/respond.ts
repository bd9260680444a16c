import type { Digest } from "../../core/image/digest.ts";
import { isDigest } from "../../core/image/digest.ts";
import type { Exchange } from "./exchange.ts";
import { refuse } from "./oci-error.ts";

export function respondEmpty({ response }: Exchange, status: number, headers: Record<string, string> = {}): void {
	response.writeHead(status, { "Content-Length": "0", ...headers });
	response.end();
}

export function respondJson(
	{ request, response }: Exchange,
	body: string,
	headers: Record<string, string> = {},
	contentType = "application/json",
): void {
	response.writeHead(200, {
		"Content-Type": contentType,
		"Content-Length": String(Buffer.byteLength(body)),
		...headers,
	});
	response.end(request.method === "HEAD" ? undefined : body);
}

/** A digest in a path or a query. INVALID with reason "DigestInvalid". */
export function requireDigest(text: string): Digest {
	if (isDigest(text)) return text;
	throw refuse(
		"DigestInvalid",
		`'${text.slice(0, 100)}' is not a digest of the form sha256:<64 hexadecimal characters>`,
	);
}

/** RFC 9110, 13.1.2: whether the client already has what `digest` names. The entity tag is the digest in quotes. */
export function notModified({ request }: Exchange, digest: Digest): boolean {
	const header = request.headers["if-none-match"];
	if (header === undefined) return false;
	return header.split(",").some((tag) => ["*", `"${digest}"`, `W/"${digest}"`].includes(tag.trim()));
}

export function contentHeaders(digest: Digest): Record<string, string> {
	return { "Docker-Content-Digest": digest, ETag: `"${digest}"` };
}

/** `n` and `last` of a listing. INVALID with reason "PageInvalid". Past the limit a page is shorter and says how to go on. */
export function pageOf({ query, limits }: Exchange): { n: number; last: string | undefined } {
	const last = query.get("last") ?? undefined;
	const text = query.get("n");
	if (text === null) return { n: limits.pageEntries, last };
	if (!/^[0-9]{1,9}$/.test(text)) throw refuse("PageInvalid", `Page size n='${text.slice(0, 20)}' is not a number`);
	return { n: Math.min(Number(text), limits.pageEntries), last };
}

/** RFC 8288. The address is relative, so that it is right behind any proxy. */
export function nextLink(path: string, parameters: Record<string, string>): string {
	return `<${path}?${new URLSearchParams(parameters)}>; rel="next"`;
}
