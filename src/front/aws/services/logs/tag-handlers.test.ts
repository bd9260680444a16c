import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../../../base/clock.ts";
import { randomIds } from "../../../../base/ids.ts";
import { FakeLogStore } from "../../../../core/log/fake-log-store.ts";
import type { Call } from "../../service.ts";
import { tagHandlers } from "./tag-handlers.ts";

test("Of tags that are added at one time none is lost, and a refusal does not hold up the others", async () => {
	await using logs = new FakeLogStore();
	await logs.createGroup("g");
	const { TagLogGroup } = tagHandlers({ logs, clock: systemClock, ids: randomIds });
	const tag = (tags: Record<string, string>) => TagLogGroup!({ logGroupName: "g", tags }, {} as Call);
	const results = await Promise.allSettled([tag({ a: "1" }), tag({ "aws:x": "" }), tag({ b: "2" }), tag({ c: "3" })]);
	assert.deepEqual(
		results.map(({ status }) => status),
		["fulfilled", "rejected", "fulfilled", "fulfilled"],
	);
	assert.deepEqual({ ...(await logs.describeGroup("g")).tags }, { a: "1", b: "2", c: "3" });
});
