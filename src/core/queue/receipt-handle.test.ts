import assert from "node:assert/strict";
import { test } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import { ReceiptHandles } from "./receipt-handle.ts";

const handles = new ReceiptHandles("key");

const receipt = {
	queue: "orders.fifo",
	token: "123456.7-abc",
	messageId: "0198f000-0000-7000-8000-000000000001",
	receivedMs: 1_700_000_000_123,
};
const isRefused = (error: unknown) => isSlipwayError(error) && error.reason === "ReceiptHandleIsInvalid";

test("A handle says what was received", () => {
	const handle = handles.write(receipt);
	assert.match(handle, /^[A-Za-z0-9+/=]{40,400}$/);
	assert.deepEqual(handles.read(handle, "orders.fifo"), receipt);
});

test("A handle of another queue is none", () => {
	assert.throws(() => handles.read(handles.write(receipt), "orders"), isRefused);
});

test("A handle that was changed is none, wherever it was", () => {
	const handle = handles.write(receipt);
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/= \u0000é";
	for (let at = 0; at < handle.length; at++)
		for (const character of alphabet) {
			const changed = handle.slice(0, at) + character + handle.slice(at + 1);
			// The last characters of base64 have bits that mean nothing.
			const same = Buffer.from(changed, "base64").equals(Buffer.from(handle, "base64"));
			if (!same) assert.throws(() => handles.read(changed, receipt.queue), isRefused, changed);
		}
	for (let length = 0; length < handle.length - 2; length++)
		assert.throws(() => handles.read(handle.slice(0, length), receipt.queue), isRefused);
});

test("Nonsense is no handle", () => {
	// Park and Miller's generator: the same nonsense each time.
	let seed = 42;
	const random = () => {
		seed = (seed * 48_271) % 2_147_483_647;
		return seed;
	};
	for (let i = 0; i < 5000; i++) {
		const bytes = Buffer.from(Array.from({ length: random() % 100 }, () => random() % 256));
		for (const text of [bytes.toString("base64"), bytes.toString("latin1")])
			assert.throws(() => handles.read(text, receipt.queue), isRefused);
	}
	assert.throws(() => handles.read("A".repeat(10_000_000), receipt.queue), isRefused);
});

test("A handle that was made with another key is none", () => {
	assert.throws(() => handles.read(new ReceiptHandles("other").write(receipt), receipt.queue), isRefused);
});
