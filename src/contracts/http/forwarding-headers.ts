/**
 * What of a message's headers goes on through a proxy, and what it adds: RFC 9110 7.6.1 (hop-by-hop), RFC 7239 (Forwarded),
 * the X-Forwarded-… that Knative's and Cloud Run's containers get. All as Node has raw headers: name, value, name, value, …
 */
import type { ForwardOptions } from "../../core/service/forward.ts";

/** Of one connection only (RFC 9110, 7.6.1; HTTP2-Settings: RFC 7540, 3.2.1), and what tells where a body ends, which each side says for itself. */
const hopByHop = new Set([
	"connection",
	"proxy-connection",
	"keep-alive",
	"te",
	"transfer-encoding",
	"upgrade",
	"http2-settings",
	"content-length",
]);
/** Names in a Connection header that are not hop-by-hop whoever says so: what is set for every request, and framing. */
const never = new Set(["host", "content-length", "transfer-encoding", "forwarded", "cookie", "authorization"]);
const none: ReadonlySet<string> = new Set();

/** The end-to-end headers for the container, Host first. Framing is not among them. */
export function forwardedRequestHeaders(raw: readonly string[], options: ForwardOptions): string[] {
	const named = namedByConnection(raw);
	const { requestHeaders: own = {}, clientAddress, scheme, host, trustsPeer = false } = options;
	const headers = ["Host", host];
	let forwardedFor = "";
	let forwarded = "";
	let forwardedProto = "";
	let forwardedHost = "";
	let cookie = "";
	for (let i = 0; i + 1 < raw.length; i += 2) {
		const name = raw[i]!;
		const value = raw[i + 1]!;
		const lower = name.toLowerCase();
		if (hopByHop.has(lower) || Object.hasOwn(own, lower) || lower.charCodeAt(0) === 58 /* : */ || named.has(lower))
			continue;
		switch (lower) {
			case "host":
				break;
			case "x-forwarded-for":
				forwardedFor = join(forwardedFor, value);
				break;
			case "x-forwarded-proto":
				forwardedProto ||= value;
				break;
			case "x-forwarded-host":
				forwardedHost ||= value;
				break;
			case "forwarded":
				forwarded = join(forwarded, value);
				break;
			case "cookie":
				// HTTP/2 sends one field for each crumb (RFC 9113, 8.2.3).
				cookie = cookie === "" ? value : `${cookie}; ${value}`;
				break;
			default:
				headers.push(name, value);
		}
	}
	if (cookie !== "") headers.push("Cookie", cookie);
	const element = `for=${node(clientAddress)};host=${quoted(host)};proto=${scheme}`;
	headers.push(
		"Forwarded",
		trustsPeer ? join(forwarded, element) : element,
		"X-Forwarded-For",
		join(forwardedFor, clientAddress),
		"X-Forwarded-Proto",
		(trustsPeer && forwardedProto) || scheme,
		"X-Forwarded-Host",
		(trustsPeer && forwardedHost) || host,
	);
	for (const name in own) {
		const value = own[name];
		if (value !== undefined) headers.push(name, value);
	}
	return headers;
}

/** The end-to-end headers for the client. `keepTrailer`: the answer is sent in chunks, which alone can have trailers. */
export function forwardedResponseHeaders(
	raw: readonly string[],
	added: readonly (readonly [string, string | undefined])[],
	keepTrailer: boolean,
): string[] {
	const named = namedByConnection(raw);
	const removed = removedBy(added);
	const headers: string[] = [];
	for (let i = 0; i + 1 < raw.length; i += 2) {
		const name = raw[i]!;
		const lower = name.toLowerCase();
		if (hopByHop.has(lower) || lower.charCodeAt(0) === 58 || named.has(lower)) continue;
		if ((lower === "trailer" && !keepTrailer) || removed.has(lower)) continue;
		headers.push(name, raw[i + 1]!);
	}
	for (const [name, value] of added) if (value !== undefined) headers.push(name, value);
	return headers;
}

function removedBy(added: readonly (readonly [string, string | undefined])[]): ReadonlySet<string> {
	let removed: Set<string> | undefined;
	for (const [name, value] of added) {
		if (value !== undefined) continue;
		removed ??= new Set();
		removed.add(name);
	}
	return removed ?? none;
}

/** Cloud Run's answers that set a cookie are for their client alone (https://cloud.google.com/run/docs/container-contract). */
export function keptFromCaches(raw: readonly string[]): readonly string[] {
	if (rawHeader(raw, "set-cookie") === undefined) return raw;
	if (/\b(?:private|no-store)\b/i.test(rawHeader(raw, "cache-control") ?? "")) return raw;
	const headers: string[] = [];
	for (let i = 0; i + 1 < raw.length; i += 2)
		if (raw[i]!.toLowerCase() !== "cache-control") headers.push(raw[i]!, raw[i + 1]!);
	headers.push("Cache-Control", "private");
	return headers;
}

/** Fields that must not be trailers because they are read before the body (RFC 9110, 6.5.1). */
const notInTrailers = new Set([
	...hopByHop,
	"host",
	"trailer",
	"content-encoding",
	"content-type",
	"content-range",
	"authorization",
	"set-cookie",
	"cookie",
]);

export function forwardedTrailers(raw: readonly string[]): [string, string][] {
	const trailers: [string, string][] = [];
	for (let i = 0; i + 1 < raw.length; i += 2) {
		const lower = raw[i]!.toLowerCase();
		if (!notInTrailers.has(lower) && lower.charCodeAt(0) !== 58) trailers.push([raw[i]!, raw[i + 1]!]);
	}
	return trailers;
}

/** The first value of a header, or undefined. `name` in lower case. */
export function rawHeader(raw: readonly string[], name: string): string | undefined {
	for (let i = 0; i + 1 < raw.length; i += 2)
		if (raw[i]!.length === name.length && raw[i]!.toLowerCase() === name) return raw[i + 1];
	return undefined;
}

function namedByConnection(raw: readonly string[]): ReadonlySet<string> {
	let named: Set<string> | undefined;
	for (let i = 0; i + 1 < raw.length; i += 2) {
		if (raw[i]!.length !== 10 || raw[i]!.toLowerCase() !== "connection") continue;
		for (const part of raw[i + 1]!.split(",")) {
			const name = part.trim().toLowerCase();
			if (name === "" || hopByHop.has(name) || never.has(name)) continue;
			named ??= new Set();
			named.add(name);
		}
	}
	return named ?? none;
}

function join(before: string, value: string): string {
	return before === "" ? value : `${before}, ${value}`;
}

/** RFC 7239, 6: an IPv6 address is in brackets and quotes. */
function node(address: string): string {
	return address.includes(":") ? `"[${address}]"` : address;
}

const token = /^[\w!#$%&'*+.^`|~-]+$/;
function quoted(value: string): string {
	return token.test(value) ? value : `"${value.replace(/["\\]/g, "\\$&")}"`;
}
