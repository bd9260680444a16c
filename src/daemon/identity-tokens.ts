/** Identity tokens of containers: JWTs that this installation signs, so that its services can tell each other who they are. */
import { chmod, readFile, stat } from "node:fs/promises";
import type { JWK } from "jose";
import { writeFileAtomic } from "../base/atomic-file.ts";
import { fromSystemError, SlipwayError, systemCode } from "../base/error.ts";

const algorithm = "ES256";

type Jose = typeof import("jose");
let loaded: Promise<Jose> | undefined;

/** 11 MB and 60 ms that only an installation whose containers ask for tokens spends. */
function jose(): Promise<Jose> {
	loaded ??= import("jose");
	return loaded;
}

interface SigningKey {
	key: CryptoKey;
	/** With its `kid`, and nothing that is secret. */
	published: JWK;
}

/**
 * The installation's own key for them, an EC P-256 JWK in a file that only the daemon reads; made when it is first needed. Whoever verifies
 * tokens finds the public half as OpenID Connect Discovery 1.0 (section 4) has it.
 */
export class IdentityTokens {
	readonly #file: string;
	#key: Promise<SigningKey> | undefined;

	constructor(file: string) {
		this.#file = file;
	}

	/** INVALID for a file that is damaged: it is never silently replaced, as its tokens are verified elsewhere. */
	readonly sign = async (claims: Readonly<Record<string, unknown>>): Promise<string> => {
		const { SignJWT } = await jose();
		const { key, published } = await this.#load();
		return new SignJWT({ ...claims }).setProtectedHeader({ alg: algorithm, kid: published.kid, typ: "JWT" }).sign(key);
	};

	/** RFC 7517, section 5. */
	async keys(): Promise<{ keys: JWK[] }> {
		return { keys: [(await this.#load()).published] };
	}

	/** What stands under a path of the issuer; undefined for others. */
	async answer(pathname: string, issuer: string): Promise<object | undefined> {
		if (pathname === "/.well-known/jwks.json") return this.keys();
		if (pathname !== "/.well-known/openid-configuration") return undefined;
		return {
			issuer,
			jwks_uri: `${issuer}/.well-known/jwks.json`,
			id_token_signing_alg_values_supported: [algorithm],
			response_types_supported: ["id_token"],
			subject_types_supported: ["public"],
			claims_supported: ["aud", "azp", "email", "email_verified", "exp", "iat", "iss", "sub"],
		};
	}

	#load(): Promise<SigningKey> {
		this.#key ??= this.#readOrMake().catch((error: unknown) => {
			// A disk that is full now may not be later.
			this.#key = undefined;
			throw error;
		});
		return this.#key;
	}

	async #readOrMake(): Promise<SigningKey> {
		let text: string;
		try {
			text = await readFile(this.#file, "utf8");
			if (((await stat(this.#file)).mode & 0o077) !== 0) await chmod(this.#file, 0o600);
		} catch (error) {
			if (systemCode(error) !== "ENOENT") throw fromSystemError(error, `reading ${this.#file}`);
			return this.#make();
		}
		return this.#parse(text);
	}

	async #make(): Promise<SigningKey> {
		const { exportJWK, generateKeyPair } = await jose();
		const { privateKey } = await generateKeyPair(algorithm, { extractable: true });
		const jwk = await exportJWK(privateKey);
		const text = `${JSON.stringify(jwk, null, "\t")}\n`;
		await writeFileAtomic(this.#file, text, 0o600);
		return this.#parse(text);
	}

	async #parse(text: string): Promise<SigningKey> {
		const { calculateJwkThumbprint, importJWK } = await jose();
		try {
			const jwk = JSON.parse(text) as JWK;
			const key = await importJWK(jwk, algorithm);
			if (!(key instanceof CryptoKey) || key.type !== "private") throw new TypeError("it is no private key");
			const { kty = "", crv = "", x = "", y = "" } = jwk;
			const kid = await calculateJwkThumbprint({ kty, crv, x, y });
			return { key, published: { kty, crv, x, y, kid, alg: algorithm, use: "sig" } };
		} catch (error) {
			throw new SlipwayError("INVALID", `${this.#file} is damaged: ${error instanceof Error ? error.message : ""}`, {
				cause: error,
				hint: "Restore it from a backup, or remove it: a new key is made then, and tokens that were given out hold no more",
			});
		}
	}
}
