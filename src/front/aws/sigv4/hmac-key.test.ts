import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { it } from "node:test";
import { HmacKey } from "./hmac-key.ts";

it("is HMAC-SHA-256 for keys and texts of any length", () => {
	for (const keyLength of [0, 1, 20, 32, 63, 64, 65, 131])
		for (const length of [0, 1, 55, 56, 150, 340, 341, 342, 1024, 5000]) {
			const key = new HmacKey(randomBytes(keyLength));
			const text = "ä€x".repeat(length).slice(0, length);
			const expected = createHmac("sha256", key.key).update(text).digest("hex");
			assert.equal(key.sign(text).toString("hex"), expected, `${keyLength} ${length}`);
		}
});

it("RFC 4231, test cases 1 and 2", () => {
	const sign = (key: Buffer, text: string) => new HmacKey(key).sign(text).toString("hex");
	assert.equal(
		sign(Buffer.alloc(20, 0x0b), "Hi There"),
		"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
	);
	assert.equal(
		sign(Buffer.from("Jefe"), "what do ya want for nothing?"),
		"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
	);
});

it("does not mix up texts that are signed one after the other", () => {
	const key = new HmacKey(randomBytes(32));
	const first = key.sign("a longer text first");
	const second = key.sign("short");
	assert.notDeepEqual(first, second);
	assert.deepEqual(key.sign("a longer text first"), first);
	assert.deepEqual(key.sign("short"), second);
});
