/** Cross-origin requests, answered by the platform where the URL's configuration says how (https://fetch.spec.whatwg.org/#http-cors-protocol). */
import type { IncomingMessage } from "node:http";
import type { FunctionUrlCors } from "../../core/function/function.ts";

/** Asks whether a request may be sent; the function never sees it. */
export function isPreflight({ method, headers }: Pick<IncomingMessage, "method" | "headers">): boolean {
	return method === "OPTIONS" && headers.origin !== undefined && headers["access-control-request-method"] !== undefined;
}

/** Nothing but `vary` for an origin, method or header that is not allowed: the browser then refuses by itself. */
export function preflightHeaders(cors: FunctionUrlCors, headers: IncomingMessage["headers"]): Map<string, string[]> {
	const answer = corsHeaders(cors, headers);
	const method = headers["access-control-request-method"] ?? "";
	const wanted = listed(headers["access-control-request-headers"]);
	const allowed =
		answer.has("access-control-allow-origin") &&
		includes(cors.allowMethods, method) &&
		wanted.every((name) => includes(cors.allowHeaders, name));
	if (!allowed) return new Map([["vary", ["Origin"]]]);
	const { maxAge } = cors;
	// Named, not "*": with credentials the wildcard means a method or header of that name.
	answer.set("access-control-allow-methods", [named(cors.allowMethods, [method])]);
	if (wanted.length > 0) answer.set("access-control-allow-headers", [named(cors.allowHeaders, wanted)]);
	if (maxAge !== undefined) answer.set("access-control-max-age", [String(maxAge)]);
	return answer;
}

const decidedHere = [
	"access-control-allow-origin",
	"access-control-allow-credentials",
	"access-control-expose-headers",
];

/** The function's headers with those of the configuration, which alone decides who may read: its own words on that go. */
export function withCorsHeaders(
	own: ReadonlyMap<string, string[]>,
	cors: FunctionUrlCors,
	headers: IncomingMessage["headers"],
): Map<string, string[]> {
	const answer = new Map(own);
	for (const name of decidedHere) answer.delete(name);
	// A cache must heed what the function's answer depends on, too.
	for (const [name, lines] of corsHeaders(cors, headers))
		answer.set(name, name === "vary" ? [...(own.get(name) ?? []), ...lines] : lines);
	return answer;
}

function corsHeaders(cors: FunctionUrlCors, { origin }: IncomingMessage["headers"]): Map<string, string[]> {
	const answer = new Map([["vary", ["Origin"]]]);
	if (origin === undefined || !includes(cors.allowOrigins, origin)) return answer;
	const anybody = cors.allowOrigins?.includes("*") === true && !cors.allowCredentials;
	answer.set("access-control-allow-origin", [anybody ? "*" : origin]);
	if (cors.allowCredentials) answer.set("access-control-allow-credentials", ["true"]);
	if (cors.exposeHeaders && cors.exposeHeaders.length > 0)
		answer.set("access-control-expose-headers", [cors.exposeHeaders.join(",")]);
	return answer;
}

function includes(allowed: readonly string[] = [], value: string): boolean {
	return allowed.some((each) => each === "*" || each.toLowerCase() === value.toLowerCase());
}

function named(allowed: readonly string[] = [], wanted: readonly string[]): string {
	return (allowed.includes("*") ? wanted : allowed).join(",");
}

function listed(header: string | undefined): string[] {
	return (header ?? "")
		.split(",")
		.map((name) => name.trim())
		.filter((name) => name !== "");
}
