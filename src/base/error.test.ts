import assert from "node:assert/strict";
import { test } from "node:test";
import { fromSystemError, SlipwayError } from "./error.ts";

test("What the machine ran out of is named, with the next step", () => {
	for (const [code, message] of [
		["ENOSPC", /^No space is left on the device while making a sandbox$/],
		["EMFILE", /^The machine ran out of open files \(EMFILE\) while making a sandbox$/],
		["ENFILE", /ran out of open files/],
		["ENOMEM", /ran out of memory/],
		["EAGAIN", /ran out of processes/],
	] as const) {
		const cause = Object.assign(new Error(code), { code });
		const error = fromSystemError(cause, "making a sandbox");
		assert.ok(error instanceof SlipwayError && error.code === "EXHAUSTED");
		assert.match(error.message, message);
		assert.ok(error.hint && error.cause === cause);
	}
});

test("Every other error is left as it is", () => {
	const other = Object.assign(new Error("no"), { code: "EIO" });
	assert.equal(fromSystemError(other, "reading"), other);
	const ours = new SlipwayError("INVALID", "no");
	assert.equal(fromSystemError(ours, "reading"), ours);
});
