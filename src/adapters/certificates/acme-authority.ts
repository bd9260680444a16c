import { join } from "node:path";
import { readOptional, writePrivate } from "./files.ts";
import type { KeyPair } from "./x509.ts";

export interface AcmeSettings {
	/** https://acme-v02.api.letsencrypt.org/directory, or another authority's. */
	directoryUrl: string;
	/** The terms of the authority are accepted by whoever sets it up. */
	email?: string;
	/** PEM of what the authority's own server is trusted by, when that is no public one. */
	ca?: string;
}

/** What the authority refused; `rateLimited`: it wants to be left alone for a while. */
export class AcmeError extends Error {
	readonly rateLimited: boolean;

	constructor(message: string, rateLimited: boolean, cause: unknown) {
		super(message, { cause });
		this.rateLimited = rateLimited;
	}
}

/** Milliseconds for an order from its beginning to the certificate. */
const orderMs = 180_000;
/** Milliseconds for one request to the authority. */
const requestMs = 30_000;
/** Tokens that may be waited for at a time: one for each order. */
const maxTokens = 1000;

type Library = typeof import("acme-client");

/** Certificates by ACME with http-01 (RFC 8555, 8.3). One order at a time. */
export class AcmeAuthority {
	readonly #folder: string;
	readonly #settings: AcmeSettings;
	/** By token. */
	readonly #challenges = new Map<string, { host: string; text: string }>();
	#accountKey: Promise<string> | undefined;
	#accountUrl: string | undefined;
	#last: Promise<unknown> = Promise.resolve();

	constructor(folder: string, settings: AcmeSettings) {
		this.#folder = folder;
		this.#settings = settings;
	}

	/** The gateway's AcmeChallenge: the text for /.well-known/acme-challenge/TOKEN of this host. */
	challenge = (host: string, token: string): string | undefined => {
		const found = this.#challenges.get(token);
		return found?.host === host ? found.text : undefined;
	};

	/** AcmeError. */
	issue(host: string): Promise<KeyPair> {
		const done = this.#last.then(() => this.#issue(host));
		this.#last = done.catch(() => {});
		return done;
	}

	async #issue(host: string): Promise<KeyPair> {
		try {
			const acme = await this.#library();
			const client = new acme.Client({
				directoryUrl: this.#settings.directoryUrl,
				accountKey: await this.#key(acme),
				...(this.#accountUrl !== undefined && { accountUrl: this.#accountUrl }),
				backoffAttempts: 30,
				backoffMin: 500,
				backoffMax: 5000,
			});
			const [key, csr] = await acme.crypto.createCsr(
				{ commonName: host.length <= 64 ? host : "", altNames: [host] },
				await acme.crypto.createPrivateEcdsaKey("P-256"),
			);
			const order = client.auto({
				csr,
				...(this.#settings.email !== undefined && { email: this.#settings.email }),
				termsOfServiceAgreed: true,
				challengePriority: ["http-01"],
				// From here the host may not be what it is from outside.
				skipChallengeVerification: true,
				challengeCreateFn: async (_authorization, { token }, text) => {
					if (this.#challenges.size >= maxTokens) this.#challenges.clear();
					this.#challenges.set(token, { host, text });
				},
				challengeRemoveFn: async (_authorization, { token }) => void this.#challenges.delete(token),
			});
			const cert = await within(order, orderMs);
			this.#accountUrl = client.getAccountUrl();
			return { cert: cert.toString(), key: key.toString() };
		} catch (error) {
			const reason = error instanceof Error ? error.message : String(error);
			throw new AcmeError(
				`No certificate for ${host}: ${reason}`,
				/rateLimited|rate limit|too many/i.test(reason),
				error,
			);
		}
	}

	/** 44 MB that only an installation with such a domain spends. */
	async #library(): Promise<Library> {
		const acme = await import("acme-client");
		const { ca } = this.#settings;
		if (ca !== undefined) {
			const { Agent } = await import("node:https");
			acme.axios.defaults.httpsAgent = new Agent({ ca });
		}
		acme.axios.defaults.timeout = requestMs;
		// The library's own tries a request again for a minute or more, and forgets why it failed; whoever asks for a certificate comes again.
		acme.axios.interceptors.response.clear();
		acme.axios.interceptors.response.use(null, ({ response, message }: { response?: unknown; message: string }) => {
			if (response === undefined) throw new Error(`the authority can't be reached: ${message}`);
			return response;
		});
		return acme;
	}

	/** The authority knows the installation by it: kept for good. */
	#key(acme: Library): Promise<string> {
		this.#accountKey ??= this.#openKey(acme).catch((error: unknown) => {
			this.#accountKey = undefined;
			throw error;
		});
		return this.#accountKey;
	}

	async #openKey(acme: Library): Promise<string> {
		const path = join(this.#folder, "account.pem");
		const kept = await readOptional(path);
		if (kept !== undefined) return kept;
		const made = (await acme.crypto.createPrivateEcdsaKey("P-256")).toString();
		await writePrivate(path, made);
		return made;
	}
}

async function within<T>(promise: Promise<T>, ms: number): Promise<T> {
	const late = Promise.withResolvers<never>();
	const timer = setTimeout(() => late.reject(new Error(`The authority took longer than ${ms / 1000} s`)), ms);
	promise.catch(() => {});
	return Promise.race([promise, late.promise]).finally(() => clearTimeout(timer));
}
