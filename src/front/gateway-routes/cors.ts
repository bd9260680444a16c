/** Cross-origin requests, as an HTTP API answers them (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html). */
import type { RouteCors } from "../../core/gateway-route/gateway-route.ts";
import type { Answer } from "./answer.ts";

type Headers = Readonly<Record<string, string | string[] | undefined>>;

export function isPreflight(method: string | undefined, headers: Headers): boolean {
	return method === "OPTIONS" && headers.origin !== undefined && headers["access-control-request-method"] !== undefined;
}

/** 204 either way; without a word of what is allowed the browser refuses by itself. */
export function preflightAnswer(cors: RouteCors, headers: Headers): Answer {
	const answer = new Map(corsHeaders(cors, headers));
	const method = String(headers["access-control-request-method"]);
	const wanted = listed(headers["access-control-request-headers"]);
	const allowed =
		answer.has("access-control-allow-origin") &&
		// Simple methods need no leave (https://fetch.spec.whatwg.org/#cors-safelisted-method).
		(includes(cors.allowMethods, method) || ["GET", "HEAD", "POST"].includes(method)) &&
		wanted.every((name) => includes(cors.allowHeaders, name));
	const lines = new Map([["vary", ["Origin"]]]);
	if (!allowed) return { status: 204, headers: lines, body: Buffer.alloc(0) };
	for (const [name, value] of answer) lines.set(name, [value]);
	lines.delete("access-control-expose-headers");
	// Named, not "*": with credentials the wildcard means a method or header of that name.
	lines.set("access-control-allow-methods", [named(cors.allowMethods ?? [method], method)]);
	if (wanted.length > 0) lines.set("access-control-allow-headers", [named(cors.allowHeaders ?? [], wanted.join(","))]);
	if (cors.maxAge !== undefined) lines.set("access-control-max-age", [String(cors.maxAge)]);
	return { status: 204, headers: lines, body: Buffer.alloc(0) };
}

/** For the answer to a request that is none: the configuration alone decides who may read it. */
export function corsHeaders(cors: RouteCors, headers: Headers): [string, string][] {
	const answer: [string, string][] = [["vary", "Origin"]];
	const origin = headers.origin;
	if (typeof origin !== "string" || !allowsOrigin(cors.allowOrigins ?? [], origin)) return answer;
	const anybody = cors.allowOrigins?.includes("*") === true && !cors.allowCredentials;
	answer.push(["access-control-allow-origin", anybody ? "*" : origin]);
	if (cors.allowCredentials) answer.push(["access-control-allow-credentials", "true"]);
	if (cors.exposeHeaders && cors.exposeHeaders.length > 0)
		answer.push(["access-control-expose-headers", cors.exposeHeaders.join(",")]);
	return answer;
}

/** What a target says of it itself does not count: API Gateway ignores it too. */
export const decidedHere: readonly string[] = [
	"access-control-allow-origin",
	"access-control-allow-credentials",
	"access-control-allow-methods",
	"access-control-allow-headers",
	"access-control-expose-headers",
	"access-control-max-age",
];

function allowsOrigin(allowed: readonly string[], origin: string): boolean {
	return allowed.some((each) => {
		if (each === "*") return true;
		if (each.endsWith("://*")) return origin.toLowerCase().startsWith(each.slice(0, -1).toLowerCase());
		return each.toLowerCase() === origin.toLowerCase();
	});
}

function includes(allowed: readonly string[] = [], value: string): boolean {
	return allowed.some((each) => each === "*" || each.toLowerCase() === value.toLowerCase());
}

function named(allowed: readonly string[], wanted: string): string {
	return allowed.includes("*") ? wanted : allowed.join(",");
}

function listed(header: string | string[] | undefined): string[] {
	return String(header ?? "")
		.split(",")
		.map((name) => name.trim())
		.filter((name) => name !== "");
}
