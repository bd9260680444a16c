import type { JSONWebKeySet, JWK } from "jose";
import type { Clock } from "../../base/clock.ts";
import type { JwtSettings } from "../../core/gateway-route/gateway-route.ts";
import type { FetchJson } from "./fetch-json.ts";
import { WrongTokenError } from "./jwt.ts";

/** Milliseconds that keys are used before they are asked for again. */
const freshMs = 10 * 60_000;
/** And until then at the longest, when the issuer can't be reached. */
const staleMs = 24 * 3_600_000;
/** Milliseconds between two fetches, whatever tokens name: nobody can have us ask the issuer for each request. */
const cooldownMs = 30_000;
/** After one that failed, when there is no key to go on with. */
const retryMs = 5000;
const maxKeys = 100;

/** The keys of one issuer: those of the document, or fetched, kept and fetched anew within bounds. */
export class KeySets {
	readonly #settings: JwtSettings;
	readonly #clock: Pick<Clock, "monotonic">;
	readonly #fetchJson: FetchJson;
	#keys: JSONWebKeySet | undefined;
	#fetchedAt = Number.NEGATIVE_INFINITY;
	#triedAt = Number.NEGATIVE_INFINITY;
	#uri: string | undefined;
	#fetching: Promise<JSONWebKeySet> | undefined;

	constructor(settings: JwtSettings, { clock, fetchJson }: { clock: Pick<Clock, "monotonic">; fetchJson: FetchJson }) {
		this.#settings = settings;
		this.#clock = clock;
		this.#fetchJson = fetchJson;
		this.#uri = settings.jwksUri;
		if (settings.jwks) this.#keys = { keys: settings.jwks.keys.map((key) => key as JWK) };
	}

	/** The same object for as long as the keys are the same. WrongTokenError of status 503. */
	async current(): Promise<JSONWebKeySet> {
		if (this.#settings.jwks && this.#keys) return this.#keys;
		const now = this.#clock.monotonic();
		const ageMs = now - this.#fetchedAt;
		const keys = ageMs > staleMs ? undefined : this.#keys;
		if (!keys) {
			if (!this.#fetching && now - this.#triedAt < retryMs) throw unavailable("The last fetch has just failed");
			return this.#fetch();
		}
		// In the background: nobody waits for keys that are as good as the last ones, which stay when it fails.
		if (ageMs > freshMs && now - this.#triedAt >= cooldownMs) this.#fetch().catch(() => {});
		return keys;
	}

	/** After a token has named a key that is not there: undefined when it is too early to ask again. */
	async newer(): Promise<JSONWebKeySet | undefined> {
		if (this.#settings.jwks) return undefined;
		if (this.#fetching) return this.#fetching;
		if (this.#clock.monotonic() - this.#triedAt < cooldownMs) return undefined;
		return this.#fetch();
	}

	#fetch(): Promise<JSONWebKeySet> {
		this.#fetching ??= this.#load().finally(() => {
			this.#fetching = undefined;
		});
		return this.#fetching;
	}

	async #load(): Promise<JSONWebKeySet> {
		this.#triedAt = this.#clock.monotonic();
		try {
			this.#uri ??= await this.#discover();
			const found = await this.#fetchJson(this.#uri);
			const keys = isRecord(found) && Array.isArray(found.keys) ? found.keys : undefined;
			if (!keys) throw new Error("It is no JSON Web Key Set");
			// A secret among public keys would be one that everybody can sign with.
			const usable = keys.filter(
				(key): key is JWK => isRecord(key) && typeof key.kty === "string" && key.kty !== "oct",
			);
			this.#keys = { keys: usable.slice(0, maxKeys) };
			this.#fetchedAt = this.#clock.monotonic();
			return this.#keys;
		} catch (error) {
			throw unavailable(`The keys of ${this.#settings.issuer} could not be fetched`, error);
		}
	}

	/** OpenID Connect Discovery 1.0, 4. */
	async #discover(): Promise<string> {
		const base = this.#settings.issuer.replace(/\/$/, "");
		const found = await this.#fetchJson(`${base}/.well-known/openid-configuration`);
		if (!isRecord(found) || found.issuer !== this.#settings.issuer || typeof found.jwks_uri !== "string")
			throw new Error("Its OpenID configuration is not that of this issuer");
		return found.jwks_uri;
	}
}

function unavailable(reason: string, cause?: unknown): WrongTokenError {
	return new WrongTokenError(503, cause instanceof Error ? `${reason}: ${cause.message}` : reason, undefined, cause);
}

function isRecord(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}
