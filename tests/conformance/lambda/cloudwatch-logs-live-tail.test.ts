import assert from "node:assert/strict";
import { describe } from "node:test";
import { clause } from "./clause.ts";
import { area, groupArn, reference, start, stream } from "./cloudwatch-logs.ts";

describe("CloudWatch Logs: Live Tail", () => {
	clause(
		{
			area,
			says: "StartLiveTail sends sessionStart, then every second a sessionUpdate with the events that match, at most 500 of them",
			source: `${reference}/API_StartLiveTail.html`,
		},
		async () => {
			await using t = await start();
			t.append(["before"]);
			const abort = new AbortController();
			const { responseStream } = await t.sdk.startLiveTail(
				{ logGroupIdentifiers: [groupArn], logEventFilterPattern: "ERROR" },
				{ abortSignal: abort.signal },
			);
			let updates = 0;
			for await (const event of responseStream ?? []) {
				if (event.sessionStart) {
					assert.deepEqual(event.sessionStart.logGroupIdentifiers, [groupArn]);
					assert.equal(event.sessionStart.logEventFilterPattern, "ERROR");
					t.append(["ERROR 1", "INFO", "ERROR 2"], 5000);
				}
				const { sessionResults: results, sessionMetadata } = event.sessionUpdate ?? {};
				if (!results) continue;
				if (++updates === 1) {
					assert.deepEqual(
						results.map(({ message, logStreamName, timestamp }) => [message, logStreamName, timestamp]),
						[
							["ERROR 1", stream, 5000],
							["ERROR 2", stream, 5000],
						],
					);
					assert.equal(sessionMetadata?.sampled, false);
					t.append(Array.from({ length: 2000 }, (_, i) => `ERROR ${i}`));
				} else {
					assert.deepEqual([results.length, sessionMetadata?.sampled], [500, true]);
					break;
				}
			}
			abort.abort();
			assert.equal(updates, 2);
		},
		{ timeout: 20_000 },
	);
});
