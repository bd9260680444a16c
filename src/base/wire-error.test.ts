import assert from "node:assert/strict";
import { test } from "node:test";
import { isSlipwayError, SlipwayError } from "./error.ts";
import { fromWire, toWire } from "./wire-error.ts";

test("An error comes out of another thread with its code, words and cause", () => {
	const cause = new Error("disk I/O error");
	const sent = new SlipwayError("UNAVAILABLE", "It can't be read", { reason: "LogCorrupt", hint: "Restore it", cause });
	const got = fromWire(structuredClone(toWire(sent)));
	assert.ok(isSlipwayError(got, "UNAVAILABLE"));
	assert.deepEqual(
		[got.message, got.reason, got.hint, got.cause],
		["It can't be read", "LogCorrupt", "Restore it", "disk I/O error"],
	);
	const plain = fromWire(structuredClone(toWire(new SlipwayError("INVALID", "No"))));
	assert.ok(isSlipwayError(plain, "INVALID"));
	assert.deepEqual([plain.reason, plain.hint, plain.cause], [undefined, undefined, undefined]);
});

test("A bug stays one, and says where it was", () => {
	const got = fromWire(structuredClone(toWire(new TypeError("x is not a function"))));
	assert.equal(isSlipwayError(got), false);
	assert.equal(got.message, "x is not a function");
	assert.match(String(got.cause), /TypeError: x is not a function\n.*wire-error\.test/);
	assert.equal(fromWire(toWire("text")).message, "text");
});
