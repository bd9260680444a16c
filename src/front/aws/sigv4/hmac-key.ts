import { createHmac, hash } from "node:crypto";

/** Of SHA-256's input, bytes. */
const blockBytes = 64;
const digestBytes = 32;
/** Longer texts are for the library; a string to sign has some 150 bytes. */
const maxTextBytes = 1024;

/**
 * HMAC-SHA-256 (RFC 2104) with one key again and again. Two one-shot hashes of what the key is padded to: OpenSSL takes twice
 * as long to set an Hmac object up.
 */
export class HmacKey {
	readonly key: Buffer;
	readonly #inner = Buffer.alloc(blockBytes + maxTextBytes, 0);
	readonly #outer = Buffer.alloc(blockBytes + digestBytes, 0);

	/** At most 64 bytes. */
	constructor(key: Buffer) {
		this.key = key;
		for (let i = 0; i < blockBytes; i++) {
			const byte = key[i] ?? 0;
			this.#inner[i] = byte ^ 0x36;
			this.#outer[i] = byte ^ 0x5c;
		}
	}

	sign(text: string): Buffer {
		// A character has at most three bytes of UTF-8 for each unit of length.
		if (text.length * 3 > maxTextBytes || this.key.length > blockBytes)
			return createHmac("sha256", this.key).update(text).digest();
		const length = this.#inner.write(text, blockBytes);
		this.#outer.set(hash("sha256", this.#inner.subarray(0, blockBytes + length), "buffer"), blockBytes);
		return hash("sha256", this.#outer, "buffer");
	}
}
