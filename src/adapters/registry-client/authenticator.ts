import { z } from "zod";
import type { Clock } from "../../base/clock.ts";
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import { type Challenge, parseChallenges } from "./challenge.ts";
import { checkLink } from "./endpoint.ts";
import type { RegistryLimits } from "./limits.ts";
import { isTransientStatus, parseRetryAfter, TransientError } from "./retry.ts";
import type { Transport } from "./transport.ts";

export interface RegistryCredentials {
	username: string;
	password: string;
}
export type CredentialSource = (
	host: string,
) => Promise<RegistryCredentials | undefined> | RegistryCredentials | undefined;

/** distribution, "Token Authentication": `access_token` is OAuth's name for the same thing; 60 s when nothing is said. */
const tokenSchema = z.looseObject({
	token: z.string().optional(),
	access_token: z.string().optional(),
	expires_in: z.number().optional(),
});

/** Tokens kept: one for each repository that was pulled from lately. */
const maxTokens = 256;
/** A token is renewed this long before it ends, for the clocks and the way. */
const tokenMarginMs = 5_000;
const defaultTokenS = 60;

interface Held {
	authorization: string;
	untilMs: number;
}

/** Answers a registry's challenges, and remembers the answers by host and repository. */
export class Authenticator {
	readonly #transport: Transport;
	readonly #credentials: CredentialSource;
	readonly #insecureHosts: ReadonlySet<string>;
	readonly #clock: Clock;
	readonly #limits: RegistryLimits;
	readonly #held = new Map<string, Promise<Held>>();

	constructor(options: {
		transport: Transport;
		credentials: CredentialSource;
		insecureHosts: ReadonlySet<string>;
		clock: Clock;
		limits: RegistryLimits;
	}) {
		this.#transport = options.transport;
		this.#credentials = options.credentials;
		this.#insecureHosts = options.insecureHosts;
		this.#clock = options.clock;
		this.#limits = options.limits;
	}

	/** The Authorization header that worked last, if it still should. */
	async current(key: string): Promise<string | undefined> {
		const held = await this.#held.get(key)?.catch(() => undefined);
		return held && held.untilMs > this.#clock.now() ? held.authorization : undefined;
	}

	/**
	 * Answers a 401. `refused` is the header that was just turned down: two requests that meet the same challenge share
	 * one answer. UNAUTHENTICATED when there is nothing to answer with.
	 */
	async answer(
		key: string,
		request: { url: URL; credentialHost: string; scope: string; header: string; refused: string | undefined },
		signal?: AbortSignal,
	): Promise<string> {
		const known = await this.current(key);
		if (known !== undefined && known !== request.refused) return known;
		const pending = this.#authorize(request, signal);
		this.#held.delete(key);
		this.#held.set(key, pending);
		pending.catch(() => this.#held.get(key) === pending && this.#held.delete(key));
		const oldest = this.#held.keys().next().value;
		if (this.#held.size > maxTokens && oldest !== undefined) this.#held.delete(oldest);
		return (await pending).authorization;
	}

	async #authorize(
		request: { url: URL; credentialHost: string; scope: string; header: string; refused: string | undefined },
		signal?: AbortSignal,
	): Promise<Held> {
		const challenges = parseChallenges(request.header);
		const credentials = await this.#credentials(request.credentialHost);
		const basic =
			credentials && `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString("base64")}`;
		const bearer = challenges.find((challenge) => challenge.scheme === "bearer");
		if (bearer) return this.#fetchToken(bearer, request, basic, signal);
		if (challenges.some((challenge) => challenge.scheme === "basic") && basic && request.refused !== basic)
			return { authorization: basic, untilMs: Number.POSITIVE_INFINITY };
		throw unauthenticated(request.credentialHost, credentials !== undefined);
	}

	async #fetchToken(
		challenge: Challenge,
		request: { url: URL; credentialHost: string; scope: string },
		basic: string | undefined,
		signal?: AbortSignal,
	): Promise<Held> {
		const { realm, service, scope } = challenge.parameters;
		if (realm === undefined)
			throw new SlipwayError("UNAVAILABLE", `${request.url.host} sent a challenge that names no token service`);
		const url = checkLink(realm, request.url, this.#insecureHosts);
		if (service !== undefined) url.searchParams.set("service", service);
		url.searchParams.set("scope", scope ?? request.scope);
		const response = await this.#transport.get(url, basic ? { authorization: basic } : {}, signal);
		const status = response.statusCode ?? 0;
		const body = await this.#transport.read(response, this.#limits.smallBodyBytes, signal);
		if (isTransientStatus(status)) {
			const retryAfterMs = parseRetryAfter(response.headers["retry-after"], this.#clock.now());
			throw new TransientError(`Token service ${url.host} answered ${status}`, {
				...(retryAfterMs === undefined ? {} : { retryAfterMs }),
			});
		}
		if (status === 401 || status === 403) throw unauthenticated(request.credentialHost, basic !== undefined);
		if (status !== 200) throw new SlipwayError("UNAVAILABLE", `Token service ${url.host} answered ${status}`);
		return readToken(body, url.host, this.#clock.now());
	}
}

function readToken(body: Buffer, host: string, now: number): Held {
	try {
		const parsed = tokenSchema.parse(JSON.parse(body.toString("utf8")));
		const token = parsed.token ?? parsed.access_token;
		// A line break in it would end the header.
		if (token === undefined || !/^[\x21-\x7e]+$/.test(token))
			throw new SlipwayError("UNAVAILABLE", `Token service ${host} sent no usable token`);
		const lifeMs = (parsed.expires_in ?? defaultTokenS) * 1000;
		return { authorization: `Bearer ${token}`, untilMs: now + Math.max(lifeMs - tokenMarginMs, lifeMs / 2) };
	} catch (error) {
		if (isSlipwayError(error)) throw error;
		throw new SlipwayError("UNAVAILABLE", `Token service ${host} sent something else than a token`, { cause: error });
	}
}

function unauthenticated(host: string, hadCredentials: boolean): SlipwayError {
	return new SlipwayError(
		"UNAUTHENTICATED",
		hadCredentials
			? `Registry ${host} refused the credentials that are kept for it`
			: `Registry ${host} asks for a login`,
		{ hint: `Log in with 'docker login ${host}', and check that the repository exists and may be read` },
	);
}
