import assert from "node:assert/strict";
import { test } from "node:test";
import { untilAborted } from "./abort.ts";

test("Work that goes on is left when the signal aborts; its own failure after that disturbs nobody", async () => {
	const { signal } = new AbortController();
	assert.equal(await untilAborted(Promise.resolve(1), signal), 1);
	await assert.rejects(untilAborted(Promise.reject(new Error("its own")), signal), /its own/);

	const left = new AbortController();
	const work = Promise.withResolvers<void>();
	const waiting = untilAborted(work.promise, left.signal);
	left.abort(new Error("stopped"));
	await assert.rejects(waiting, /stopped/);
	work.reject(new Error("late"));
	await new Promise((resolve) => setImmediate(resolve));

	await assert.rejects(untilAborted(Promise.resolve(), left.signal), /stopped/);
});
