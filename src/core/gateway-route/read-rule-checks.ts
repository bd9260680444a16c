import type { FieldProblems } from "../service/field-problems.ts";
import type { ObjectReader } from "../service/object-reader.ts";
import type { JsonSchema, JwtSettings, RateLimitSettings, RequestSchema } from "./gateway-route.ts";

/** Bytes of the longest body: API Gateway's (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html). */
export const maxBodyBytes = 10 * 1024 * 1024;
/** What nobody says is less: JSON of this length is parsed in some 10 ms, in which nobody else is served. */
export const defaultBodyBytes = 1024 * 1024;
/** Seconds by which the clocks of issuer and gateway may differ. */
const maxClockSkewS = 60;
const maxKeys = 100;
const maxListed = 50;
/** Requests in a second; past it a limit is none. */
const maxRate = 100_000;
/** Bytes of a schema as JSON: what compiling it costs is its author's time, but not the gateway's memory. */
const maxSchemaBytes = 256 * 1024;

export function readJwt(reader: ObjectReader | undefined): JwtSettings | undefined {
	if (!reader) return undefined;
	const { problems } = reader;
	const issuer = reader.text("issuer");
	if (issuer === undefined || issuer === "") problems.missing(reader.at("issuer"));
	const audience = listOf(reader, "audience");
	if (audience.length === 0) problems.missing(reader.at("audience"));
	const identitySource = reader.text("identitySource");
	if (
		identitySource !== undefined &&
		!/^\$request\.(header\.[A-Za-z0-9-]+|querystring\.[\w.~-]+)$/.test(identitySource)
	)
		problems.invalid(
			identitySource,
			reader.at("identitySource"),
			"must be $request.header.NAME or $request.querystring.NAME",
		);
	const jwks = readKeys(reader);
	const jwksUri = reader.text("jwksUri");
	if (jwksUri !== undefined) checkUrl(jwksUri, reader.at("jwksUri"), problems);
	if (jwks && jwksUri !== undefined) problems.both(reader.path, ["jwks", "jwksUri"]);
	// Its configuration is asked for there.
	if (!jwks && jwksUri === undefined && issuer) checkUrl(issuer, reader.at("issuer"), problems);
	const scopes = listOf(reader, "scopes");
	const settings = {
		issuer: issuer ?? "",
		audience,
		...optional("jwks", jwks),
		...optional("jwksUri", jwksUri),
		...(scopes.length > 0 && { scopes }),
		...optional("identitySource", identitySource),
		...optional("clockSkewS", reader.bounded("clockSkewS", 0, maxClockSkewS)),
	};
	reader.end();
	return settings;
}

function readKeys(reader: ObjectReader): JwtSettings["jwks"] | undefined {
	const jwks = reader.object("jwks");
	if (!jwks) return undefined;
	const keys: Record<string, unknown>[] = [];
	for (const [index, key] of jwks.list("keys").slice(0, maxKeys).entries()) {
		const path = `${jwks.at("keys")}[${index}]`;
		const isKey = isRecord(key) && typeof key.kty === "string";
		// A private or a symmetric key has no business in a document that many may read.
		if (!isKey || key.kty === "oct" || "d" in key)
			jwks.problems.invalid(
				isKey ? "a secret key" : key,
				path,
				"must be a public key as a JSON Web Key (kty RSA, EC or OKP, without d)",
			);
		else keys.push(key);
	}
	if (!jwks.has("keys")) jwks.problems.missing(jwks.at("keys"));
	jwks.end();
	return { keys };
}

/** A plain http:// one is for an issuer on this machine. */
function checkUrl(text: string, path: string, problems: FieldProblems): void {
	const url = URL.canParse(text) ? new URL(text) : undefined;
	const local = url && ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
	if (url?.protocol === "https:" || (url?.protocol === "http:" && local)) return;
	problems.invalid(text, path, "must be an https:// URL, or http:// of this machine");
}

export function readRateLimit(reader: ObjectReader | undefined, hasJwt: boolean): RateLimitSettings | undefined {
	if (!reader) return undefined;
	const { problems } = reader;
	const key = reader.text("key") ?? "ip";
	if (!/^(ip|header:[A-Za-z0-9-]{1,64}|jwt:[\w:./-]{1,64})$/.test(key))
		problems.invalid(key, reader.at("key"), "must be ip, header:NAME or jwt:CLAIM");
	else if (key.startsWith("jwt:") && !hasJwt)
		problems.invalid(key, reader.at("key"), "needs the rule's jwt: without a checked token a claim is anybody's");
	const rate = readRate(reader);
	const burst = reader.bounded("burst", 1, maxRate) ?? Math.max(1, Math.ceil(rate));
	reader.end();
	return { key, rate, burst };
}

/** Fractions are allowed: 0.1 is six in a minute. */
function readRate(reader: ObjectReader): number {
	const rate = reader.any("rate");
	if (rate === undefined) reader.problems.missing(reader.at("rate"));
	else if (typeof rate === "number" && rate >= 0.001 && rate <= maxRate) return rate;
	else
		reader.problems.invalid(rate, reader.at("rate"), `must be a number of requests in a second, 0.001 to ${maxRate}`);
	return 1;
}

export function readSchema(reader: ObjectReader | undefined): RequestSchema | undefined {
	if (!reader) return undefined;
	const schema = {
		...optional("body", readJsonSchema(reader, "body")),
		...optional("query", readJsonSchema(reader, "query")),
		...optional("headers", readJsonSchema(reader, "headers")),
		...optional("maxBodyBytes", reader.bounded("maxBodyBytes", 1, maxBodyBytes)),
	};
	reader.end();
	return schema;
}

function readJsonSchema(reader: ObjectReader, field: string): JsonSchema | undefined {
	const value = reader.any(field);
	if (value === undefined || typeof value === "boolean") return value;
	if (!isRecord(value))
		reader.problems.invalid(value, reader.at(field), "must be a JSON Schema: an object, true or false");
	else if (JSON.stringify(value).length > maxSchemaBytes)
		reader.problems.invalid(value, reader.at(field), `must be at most ${maxSchemaBytes} bytes of JSON`);
	else return value;
	return undefined;
}

/** A list of texts, or one alone. */
function listOf(reader: ObjectReader, field: string): string[] {
	const value = reader.any(field);
	const list = typeof value === "string" ? [value] : (reader.texts(field) ?? []);
	if (list.length > maxListed)
		reader.problems.invalid(`a list of ${list.length}`, reader.at(field), `must have at most ${maxListed} items`);
	return list;
}

function isRecord(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A field that is left out rather than undefined. */
export function optional<Name extends string, T>(name: Name, value: T | undefined): { [Key in Name]?: T } {
	return value === undefined ? {} : ({ [name]: value } as { [Key in Name]: T });
}
