import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import type { WatchEvent } from "./types.ts";
import { WatchHub } from "./watch-hub.ts";

function event(version: number, name = "hello"): WatchEvent {
	const metadata = { namespace: "default", name, resourceVersion: String(version) };
	return { type: "MODIFIED", object: { kind: "Service", metadata } as WatchEvent["object"] };
}

describe("a watch that is read too slowly", () => {
	it("gets everything up to the first change that it missed, nothing after it, and is told", async () => {
		const hub = new WatchHub(0);
		const { signal } = new AbortController();
		const events = hub.watch("Service", { signal })[Symbol.asyncIterator]();
		for (let version = 1; version <= 10_001; version++) hub.publish(event(version));
		let last = "";
		for (let n = 0; n < 100; n++) last = (await events.next()).value.object.metadata.resourceVersion;
		hub.publish(event(10_002));
		for (let n = 100; n < 10_000; n++) last = (await events.next()).value.object.metadata.resourceVersion;
		assert.equal(last, "10000");
		await assert.rejects(events.next(), (error) => isSlipwayError(error, "CONFLICT") && error.reason === "Expired");
		const again = hub.watch("Service", { signal, resourceVersion: last })[Symbol.asyncIterator]();
		assert.equal((await again.next()).value.object.metadata.resourceVersion, "10001");
	});

	it("is one of a bounded number, which those that have ended are not among", async () => {
		const hub = new WatchHub(0);
		const ends = Array.from({ length: 2000 }, () => new AbortController());
		for (const { signal } of ends) hub.watch("Service", { signal });
		const more = () => hub.watch("Service", { signal: new AbortController().signal });
		assert.throws(more, (error) => isSlipwayError(error, "THROTTLED"));
		ends[0]?.abort();
		more();
		assert.throws(more, (error) => isSlipwayError(error, "THROTTLED"));
	});
});
