/**
 * Tokens of a rule's issuer, checked as an HTTP API's JWT authorizer does
 * (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html) and RFC 8725 asks for.
 */
import type { JSONWebKeySet, JWTPayload } from "jose";
import type { Clock } from "../../base/clock.ts";
import type { JwtSettings } from "../../core/gateway-route/gateway-route.ts";
import type { FetchJson } from "./fetch-json.ts";
import { KeySets } from "./key-sets.ts";

export interface Verified {
	claims: JWTPayload;
	/** What the token was found to be allowed; empty where the rule asks for nothing. */
	scopes: string[];
}

/** 401: no token, or none that counts. 403: it lacks a scope. 503: the issuer's keys can't be had. */
export class WrongTokenError extends Error {
	readonly status: 401 | 403 | 503;
	/** WWW-Authenticate (RFC 6750, 3). */
	readonly challenge: string | undefined;

	constructor(status: 401 | 403 | 503, reason: string, challenge?: string, cause?: unknown) {
		super(reason, { cause });
		this.status = status;
		this.challenge = challenge;
	}
}

/** Asymmetric ones alone: a public key is no secret to sign with, and "none" is no signature (RFC 8725, 3.1). */
const algorithms = [
	"RS256",
	"RS384",
	"RS512",
	"PS256",
	"PS384",
	"PS512",
	"ES256",
	"ES384",
	"ES512",
	"EdDSA",
	"Ed25519",
];
/** Characters; a whole head has 32 KiB. */
const maxTokenLength = 12_000;
/** Keys that a token without a key id is tried with; each try is a signature's check. */
const maxTries = 5;
const defaultClockSkewS = 10;
const defaultSource = "$request.header.Authorization";

export class JwtVerifier {
	readonly #settings: JwtSettings;
	readonly #clock: Pick<Clock, "now">;
	readonly #keys: KeySets;
	readonly #resolvers = new WeakMap<JSONWebKeySet, ReturnType<Jose["createLocalJWKSet"]>>();

	constructor(settings: JwtSettings, deps: { clock: Pick<Clock, "now" | "monotonic">; fetchJson: FetchJson }) {
		this.#settings = settings;
		this.#clock = deps.clock;
		this.#keys = new KeySets(settings, deps);
	}

	/** `rawHeaders`: names and values in turn, as they came. WrongTokenError. */
	async verify(rawHeaders: readonly string[], query: string): Promise<Verified> {
		const token = tokenIn(this.#settings.identitySource ?? defaultSource, rawHeaders, query);
		if (token === undefined) throw new WrongTokenError(401, "There is no token", "Bearer");
		if (token.length > maxTokenLength) throw invalidToken(`The token is longer than ${maxTokenLength} characters`);
		// The head is looked at before any key is fetched: what can't be right costs the issuer no request.
		const { kid } = this.#head(await jose(), token);
		let claims = await this.#verifyWith(await this.#keys.current(), token);
		if (claims === "no-key" && kid !== undefined) {
			const newer = await this.#keys.newer();
			if (newer) claims = await this.#verifyWith(newer, token);
		}
		if (claims === "no-key") throw invalidToken("None of the issuer's keys is the token's");
		this.#checkAudience(claims);
		this.#checkIssuedAt(claims);
		return { claims, scopes: this.#checkScopes(claims) };
	}

	#head({ decodeProtectedHeader }: Jose, token: string): { kid?: string } {
		try {
			const { alg, kid } = decodeProtectedHeader(token);
			if (typeof alg !== "string" || !algorithms.includes(alg))
				throw new Error("Its algorithm is none of those allowed");
			if (kid !== undefined && (typeof kid !== "string" || kid.length > 256))
				throw new Error("Its key id is no short text");
			return kid === undefined ? {} : { kid };
		} catch (error) {
			throw invalidToken("The token's header is malformed", error);
		}
	}

	/** One for each set of keys: it keeps those that it has imported. */
	#resolver(jwks: JSONWebKeySet, make: Jose["createLocalJWKSet"]): ReturnType<Jose["createLocalJWKSet"]> {
		const resolver = this.#resolvers.get(jwks) ?? make(jwks);
		this.#resolvers.set(jwks, resolver);
		return resolver;
	}

	async #verifyWith(jwks: JSONWebKeySet, token: string): Promise<JWTPayload | "no-key"> {
		const { createLocalJWKSet, errors, jwtVerify } = await jose();
		const options = {
			algorithms,
			issuer: this.#settings.issuer,
			requiredClaims: ["exp"],
			clockTolerance: this.#settings.clockSkewS ?? defaultClockSkewS,
			currentDate: new Date(this.#clock.now()),
		};
		try {
			const { payload } = await jwtVerify(token, this.#resolver(jwks, createLocalJWKSet), options);
			return payload;
		} catch (error) {
			if (error instanceof errors.JWKSNoMatchingKey) return "no-key";
			if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw invalidToken("The token is not valid", error);
			let tries = 0;
			for await (const key of error) {
				if (++tries > maxTries) break;
				try {
					return (await jwtVerify(token, key, options)).payload;
				} catch (inner) {
					if (!(inner instanceof errors.JWSSignatureVerificationFailed))
						throw invalidToken("The token is not valid", inner);
				}
			}
			throw invalidToken("No key of the issuer has made the token's signature", error);
		}
	}

	#checkAudience({ aud, client_id }: JWTPayload): void {
		const { audience } = this.#settings;
		const given = aud === undefined ? [client_id] : Array.isArray(aud) ? aud : [aud];
		if (!given.some((one) => typeof one === "string" && audience.includes(one)))
			throw invalidToken("The token is for somebody else");
	}

	#checkIssuedAt({ iat }: JWTPayload): void {
		const { clockSkewS = defaultClockSkewS } = this.#settings;
		if (iat !== undefined && (typeof iat !== "number" || iat > this.#clock.now() / 1000 + clockSkewS))
			throw invalidToken("The token is of the future");
	}

	#checkScopes({ scope, scp }: JWTPayload): string[] {
		const { scopes = [] } = this.#settings;
		if (scopes.length === 0) return [];
		const given = [scope, scp].flatMap((value: unknown) =>
			typeof value === "string" ? value.split(" ") : Array.isArray(value) ? value.map(String) : [],
		);
		const allowed = scopes.filter((one) => given.includes(one));
		if (allowed.length > 0) return allowed;
		const challenge = `Bearer error="insufficient_scope", scope="${scopes.join(" ").replace(/["\\\r\n]/g, "")}"`;
		throw new WrongTokenError(403, "The token lacks a scope", challenge);
	}
}

type Jose = typeof import("jose");
let loaded: Promise<Jose> | undefined;

/** 11 MB and 60 ms that only an installation with such a rule spends. */
function jose(): Promise<Jose> {
	loaded ??= import("jose");
	return loaded;
}

function invalidToken(reason: string, cause?: unknown): WrongTokenError {
	return new WrongTokenError(401, reason, 'Bearer error="invalid_token"', cause);
}

/** With or without "Bearer", as API Gateway takes it. */
function tokenIn(source: string, rawHeaders: readonly string[], query: string): string | undefined {
	const [, place, name = ""] = /^\$request\.(header|querystring)\.(.+)$/.exec(source) ?? [];
	const values =
		place === "header"
			? rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === name.toLowerCase())
			: new URLSearchParams(query).getAll(name);
	// Of two tokens nobody knows which one the target looks at.
	if (values.length !== 1) return undefined;
	const token = values[0]!.replace(/^bearer +/i, "").trim();
	return token === "" ? undefined : token;
}
