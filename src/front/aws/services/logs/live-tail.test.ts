import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../../../base/clock.ts";
import { randomIds } from "../../../../base/ids.ts";
import { FakeLogStore } from "../../../../core/log/fake-log-store.ts";
import type { Call, StreamRequest } from "../../service.ts";
import { startLiveTail } from "./live-tail.ts";

test("An update holds some megabytes, however long the lines are, and says that it is a sample", async () => {
	await using logs = new FakeLogStore();
	await logs.createGroup("g");
	const clock = { ...systemClock, sleep: () => new Promise<void>((resolve) => setImmediate(resolve)) };
	const request = { input: () => ({ logGroupIdentifiers: ["g"] }) } as unknown as StreamRequest;
	const call = { requestId: "r", region: "us-east-1", accountId: "1" } as Call;
	const stop = new AbortController();
	const { events } = await startLiveTail({ logs, clock, ids: randomIds }, request, call, stop.signal);
	const message = "x".repeat(256 * 1024);
	const update = { bytes: 0, sampled: false };
	for await (const event of events) {
		if (event.type === "sessionStart")
			logs.append(
				"g",
				"s",
				Array.from({ length: 100 }, () => ({ timestamp: 1, message })),
			);
		if (event.type !== "sessionUpdate") continue;
		const { sessionMetadata } = JSON.parse(Buffer.from(event.body).toString());
		update.bytes = event.body.length;
		update.sampled = sessionMetadata.sampled;
		if (update.bytes > message.length) break;
	}
	stop.abort();
	assert.ok(update.bytes < 5 * 1024 * 1024, `${update.bytes}`);
	assert.equal(update.sampled, true);
});
