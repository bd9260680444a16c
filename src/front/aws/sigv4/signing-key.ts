import { createHmac } from "node:crypto";
import type { Scope } from "./authorization.ts";
import { HmacKey } from "./hmac-key.ts";

/** Clients sign for a handful of (day, region, service); more than this is somebody trying scopes. */
const maxCached = 256;

export function hmac(key: Uint8Array | string, text: string): Buffer {
	return createHmac("sha256", key).update(text).digest();
}

/** Derived keys by (access key, secret, scope): four HMACs that are the same all day. */
export class SigningKeys {
	readonly #keys = new Map<string, HmacKey>();

	get(accessKeyId: string, secretAccessKey: string, scope: Scope): HmacKey {
		const id = `${accessKeyId}/${secretAccessKey}/${scope.date}/${scope.region}/${scope.service}`;
		const cached = this.#keys.get(id);
		if (cached) return cached;
		const derived = [scope.date, scope.region, scope.service, "aws4_request"].reduce<Buffer | string>(
			(previous, part) => hmac(previous, part),
			`AWS4${secretAccessKey}`,
		) as Buffer;
		// Oldest first: yesterday's keys go when today's come.
		if (this.#keys.size >= maxCached) this.#keys.delete(this.#keys.keys().next().value!);
		const key = new HmacKey(derived);
		this.#keys.set(id, key);
		return key;
	}
}
