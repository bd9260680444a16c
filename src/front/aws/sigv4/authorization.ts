/** Reads what a client says about its signature, from the Authorization header or a presigned query. Verifies nothing. */
import { AwsError } from "../errors.ts";
import { headerValues, type SignedRequest } from "./request.ts";

export const algorithm = "AWS4-HMAC-SHA256";

export interface Scope {
	/** YYYYMMDD. */
	date: string;
	region: string;
	service: string;
	terminator: string;
}

export interface Authorization {
	kind: "header" | "query";
	accessKeyId: string;
	scope: Scope;
	/** Sorted, lower case. */
	signedHeaders: readonly string[];
	/** 64 hexadecimal characters. */
	signature: string;
	/** YYYYMMDDThhmmssZ. */
	timestamp: string;
	/** The same in milliseconds since the epoch. */
	timeMs: number;
	/** Presigned: seconds that the signature is good for. */
	expiresS: number | undefined;
	securityToken: string | undefined;
}

/** AWS's limit for presigned requests: seven days. */
const maxExpiresS = 604_800;
/** Longest header that is parsed; a genuine one has some 300 characters, tokens travel elsewhere. */
const maxHeaderLength = 8192;

/** Undefined when the request carries no AWS signature at all. Throws AwsError when it carries a broken one. */
export function readAuthorization(request: SignedRequest): Authorization | undefined {
	const headers = headerValues(request, "authorization").filter((value) => /^\s*AWS4-/.test(value));
	const presigned = request.query !== "" && /(^|&)X-Amz-(Algorithm|Signature|Credential)=/.test(request.query);
	if (headers.length === 0 && !presigned) return undefined;
	if (headers.length > 1 || (headers.length === 1 && presigned))
		throw incomplete("A request can carry one signature only, in one Authorization header or in the query string.");
	return presigned ? readQuery(request) : readHeader(request, headers[0]!);
}

function readHeader(request: SignedRequest, header: string): Authorization {
	if (header.length > maxHeaderLength) throw incomplete("Authorization header is too long.");
	const [, name = "", rest = ""] = /^\s*(\S+)\s*(.*)$/.exec(header) ?? [];
	if (name !== algorithm) throw incomplete(`Unsupported AWS 'algorithm': '${name.slice(0, 40)}', use '${algorithm}'.`);
	const parameters = new Map<string, string>();
	for (const part of rest.split(",")) {
		const equals = part.indexOf("=");
		const key = part.slice(0, Math.max(equals, 0)).trim();
		if (equals < 1)
			throw incomplete(
				`'${part.trim().slice(0, 40)}' not a valid key=value pair (missing equal-sign) in Authorization header.`,
			);
		if (parameters.has(key)) throw incomplete(`Authorization header repeats '${key.slice(0, 40)}'.`);
		parameters.set(key, part.slice(equals + 1).trim());
	}
	const dates = headerValues(request, "x-amz-date");
	if (dates.length > 1) throw incomplete("Authorization header requires exactly one 'X-Amz-Date' header.");
	const tokens = headerValues(request, "x-amz-security-token");
	const date = dates[0] ?? httpDate(headerValues(request, "date")[0]);
	const credential = parameters.get("Credential");
	const signedHeaders = parameters.get("SignedHeaders");
	const signature = parameters.get("Signature");
	if (!credential || !signedHeaders || !signature || date === undefined) throw missingParts(parameters, date);
	const [securityToken] = tokens;
	return build("header", { credential, signedHeaders, signature, timestamp: date, expiresS: undefined, securityToken });
}

function missingParts(parameters: ReadonlyMap<string, string>, date: string | undefined): AwsError {
	const missing = ["Credential", "Signature", "SignedHeaders"]
		.filter((key) => !parameters.get(key))
		.map((key) => `Authorization header requires '${key}' parameter.`);
	if (date === undefined)
		missing.push("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.");
	return incomplete(missing.join(" "));
}

function readQuery(request: SignedRequest): Authorization {
	const query = new URLSearchParams(request.query);
	const names = ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"];
	for (const name of [...names, "X-Amz-Expires", "X-Amz-Security-Token"])
		if (query.getAll(name).length > 1) throw incomplete(`AWS query-string parameters may not be repeated: '${name}'.`);
	const missing = names.filter((name) => !query.get(name));
	if (missing.length > 0)
		throw incomplete(missing.map((name) => `AWS query-string parameters must include '${name}'.`).join(" "));
	if (query.get("X-Amz-Algorithm") !== algorithm)
		throw incomplete(
			`Unsupported AWS 'algorithm': '${query.get("X-Amz-Algorithm")?.slice(0, 40)}', use '${algorithm}'.`,
		);
	const expires = query.get("X-Amz-Expires");
	const expiresS = expires === null ? undefined : Number(expires);
	if (expiresS !== undefined && (!/^\d{1,7}$/.test(expires!) || expiresS < 1 || expiresS > maxExpiresS))
		throw incomplete(`X-Amz-Expires must be a number of seconds from 1 to ${maxExpiresS}.`);
	return build("query", {
		credential: query.get("X-Amz-Credential")!,
		signedHeaders: query.get("X-Amz-SignedHeaders")!,
		signature: query.get("X-Amz-Signature")!,
		timestamp: query.get("X-Amz-Date")!,
		expiresS,
		securityToken: query.get("X-Amz-Security-Token") ?? undefined,
	});
}

interface Parts {
	credential: string;
	signedHeaders: string;
	signature: string;
	timestamp: string;
	expiresS: number | undefined;
	securityToken: string | undefined;
}

function build(kind: "header" | "query", parts: Parts): Authorization {
	const { accessKeyId, scope } = readCredential(parts.credential);
	const signedHeaders = readSignedHeaders(parts.signedHeaders);
	if (!/^[0-9a-f]{64}$/.test(parts.signature))
		throw incomplete("Signature must be 64 lower-case hexadecimal characters.");
	return {
		kind,
		accessKeyId,
		scope,
		signedHeaders,
		signature: parts.signature,
		timestamp: parts.timestamp,
		timeMs: parseTimestamp(parts.timestamp),
		expiresS: parts.expiresS,
		securityToken: parts.securityToken,
	};
}

/**
 * A client's requests of one day have the same credential and mostly the same list of names: each is read once. Bounded, since
 * anybody may send some: what is longer than real ones is not kept, and all go when there are too many.
 */
const maxRemembered = 256;
const maxRememberedLength = 256;

function remembered<T>(read: (text: string) => T): (text: string) => T {
	const known = new Map<string, T>();
	return (text) => {
		const before = known.get(text);
		if (before !== undefined) return before;
		const value = read(text);
		if (known.size >= maxRemembered) known.clear();
		if (text.length <= maxRememberedLength) known.set(text, value);
		return value;
	};
}

const readCredential = remembered((text): { accessKeyId: string; scope: Scope } => {
	const credential = /^([^/]{1,128})\/([^/]*)\/([^/]*)\/([^/]*)\/([^/]*)$/.exec(text);
	if (!credential)
		throw incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.");
	const [, accessKeyId = "", date = "", region = "", service = "", terminator = ""] = credential;
	return { accessKeyId, scope: { date, region, service, terminator } };
});

const readSignedHeaders = remembered((text): readonly string[] => {
	const signedHeaders = text.split(";");
	if (
		signedHeaders.some(
			(name, i) => !/^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name) || (i > 0 && signedHeaders[i - 1]! >= name),
		)
	)
		throw incomplete("SignedHeaders must be lower-case header names, sorted, each once, with semicolons between.");
	return signedHeaders;
});

/** Clients sign many requests in a second. */
let lastTimestamp: string | undefined;
let lastTimeMs = 0;

function parseTimestamp(text: string): number {
	if (text === lastTimestamp) return lastTimeMs;
	const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
	const [, year, month, day, hour, minute, second] = match ?? [];
	const timeMs = match ? Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`) : Number.NaN;
	if (Number.isNaN(timeMs))
		throw incomplete(
			`Date must be in ISO-8601 'basic format'. Got '${text.slice(0, 40)}'. See http://en.wikipedia.org/wiki/ISO_8601`,
		);
	lastTimestamp = text;
	lastTimeMs = timeMs;
	return timeMs;
}

/** SigV4 takes the time from `Date` where there is no `X-Amz-Date`. */
function httpDate(text: string | undefined): string | undefined {
	if (text === undefined) return undefined;
	const timeMs = Date.parse(text);
	return Number.isNaN(timeMs) ? text : basicTimestamp(timeMs);
}

/** YYYYMMDDThhmmssZ. */
export function basicTimestamp(timeMs: number): string {
	return new Date(timeMs).toISOString().replace(/[-:]|\.\d{3}/g, "");
}

export function incomplete(message: string): AwsError {
	return new AwsError("IncompleteSignatureException", 403, message);
}
