import assert from "node:assert/strict";
import { describe } from "node:test";
import { clause } from "./clause.ts";
import { area, group, noGroup, noStream, reference, refused, start, stream, userGuide } from "./cloudwatch-logs.ts";

describe("CloudWatch Logs: events", () => {
	clause(
		{
			area,
			says: "GetLogEvents returns the latest events first in pages that its tokens go through in both directions; at an end the token is the one that was passed",
			source: `${reference}/API_GetLogEvents.html`,
		},
		async () => {
			await using t = await start();
			for (let i = 0; i < 25; i++) t.append([`m${i}`], 1000 + Math.floor(i / 4));
			const get = async (more: object) => {
				const page = await t.sdk.getLogEvents({ logGroupName: group, logStreamName: stream, limit: 10, ...more });
				return { ...page, messages: page.events?.map((event) => Number(event.message?.slice(1))) };
			};
			const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
			const latest = await get({});
			assert.deepEqual(latest.messages, range(15, 25));
			assert.match(latest.nextForwardToken ?? "", /^f\/\d{56}\/s$/);
			const before = await get({ nextToken: latest.nextBackwardToken });
			assert.deepEqual(before.messages, range(5, 15));
			const first = await get({ nextToken: before.nextBackwardToken });
			assert.deepEqual(first.messages, range(0, 5));
			const none = await get({ nextToken: first.nextBackwardToken });
			assert.deepEqual([none.messages, none.nextBackwardToken], [[], first.nextBackwardToken]);
			const again = await get({ nextToken: first.nextForwardToken, startFromHead: true });
			assert.deepEqual(again.messages, range(5, 15));
			assert.deepEqual((await get({ startFromHead: true })).messages, range(0, 10));
			assert.deepEqual((await get({ startTime: 1001, endTime: 1002 })).messages, range(4, 8));
			await refused(get({ nextToken: "f/1/s" }), "InvalidParameterException", "The specified nextToken is invalid.");
		},
	);

	clause(
		{
			area,
			says: "A poller that repeats GetLogEvents with the forward token sees every event once, from an empty stream on",
			source: `${reference}/API_GetLogEvents.html`,
		},
		async () => {
			await using t = await start();
			await t.sdk.createLogGroup({ logGroupName: group });
			await t.sdk.createLogStream({ logGroupName: group, logStreamName: stream });
			const seen: (string | undefined)[] = [];
			let nextToken: string | undefined;
			for (let round = 0; round < 5; round++) {
				const page = await t.sdk.getLogEvents({
					logGroupName: group,
					logStreamName: stream,
					startFromHead: true,
					...(nextToken !== undefined && { nextToken }),
				});
				seen.push(...(page.events ?? []).map((event) => event.message));
				if (round % 2 === 1) assert.equal(page.nextForwardToken === nextToken, page.events?.length === 0);
				nextToken = page.nextForwardToken;
				if (round < 3) t.append([`a${round}`, `b${round}`]);
			}
			assert.deepEqual(seen, ["a0", "b0", "a1", "b1", "a2", "b2"]);
		},
	);

	clause(
		{
			area,
			says: "FilterLogEvents returns events of all streams in the order of their times, by pages, streams, time and pattern; its end time is inclusive",
			source: `${reference}/API_FilterLogEvents.html`,
		},
		async () => {
			await using t = await start();
			for (let i = 0; i < 30; i++) t.append([`${i % 3 ? "INFO" : "ERROR"} m${i}`], 1000 + i, `s${i % 2}`);
			const messages = async (more: object) => {
				const found: (string | undefined)[] = [];
				let nextToken: string | undefined;
				do {
					const page = await t.sdk.filterLogEvents({
						logGroupName: group,
						limit: 4,
						...more,
						...(nextToken && { nextToken }),
					});
					assert.deepEqual(page.searchedLogStreams, []);
					for (const event of page.events ?? []) {
						assert.match(event.eventId ?? "", /^\d{56}$/);
						assert.ok(Math.abs((event.ingestionTime ?? 0) - Date.now()) < 10_000);
						found.push(event.message?.split(" m")[1]);
					}
					nextToken = page.nextToken;
				} while (nextToken);
				return found.map(Number);
			};
			const all = Array.from({ length: 30 }, (_, i) => i);
			assert.deepEqual(await messages({ interleaved: true }), all);
			assert.deepEqual(
				await messages({ filterPattern: "ERROR" }),
				all.filter((i) => i % 3 === 0),
			);
			assert.deepEqual(
				await messages({ logStreamNames: ["s1"] }),
				all.filter((i) => i % 2 === 1),
			);
			assert.deepEqual(
				await messages({ logStreamNamePrefix: "s0", filterPattern: "?ERROR ?m2" }),
				all.filter((i) => i % 2 === 0 && (i % 3 === 0 || String(i).startsWith("2"))),
			);
			assert.deepEqual(await messages({ startTime: 1003, endTime: 1005 }), [3, 4, 5]);
			await refused(
				t.sdk.filterLogEvents({ logGroupName: group, logStreamNames: ["s1"], logStreamNamePrefix: "s" }),
				"InvalidParameterException",
			);
			await refused(
				t.sdk.filterLogEvents({ logGroupName: group, filterPattern: "{ $.a" }),
				"InvalidParameterException",
				/^Invalid filter pattern/,
			);
			await refused(
				t.sdk.filterLogEvents({ logGroupName: group, logStreamNames: ["none"] }),
				"ResourceNotFoundException",
				noStream,
			);
		},
	);

	clause(
		{
			area,
			says: "A follower that asks again from the newest time and passes over the event ids it knows, as `aws logs tail --follow` does, has every line once",
			source: "https://github.com/aws/aws-cli/blob/v2/awscli/customizations/logs/tail.py",
		},
		async () => {
			await using t = await start();
			t.append(["line 0"]);
			const seen: (string | undefined)[] = [];
			const known = new Set<string | undefined>();
			let startTime = Date.now() - 600_000;
			for (let round = 1; round <= 20; round++) {
				let nextToken: string | undefined;
				do {
					const page = await t.sdk.filterLogEvents({
						logGroupName: group,
						interleaved: true,
						startTime,
						limit: 3,
						...(nextToken !== undefined && { nextToken }),
					});
					for (const event of page.events ?? []) {
						if (!known.has(event.eventId)) seen.push(event.message);
						known.add(event.eventId);
						startTime = Math.max(startTime, event.timestamp ?? 0);
					}
					nextToken = page.nextToken;
				} while (nextToken !== undefined);
				t.append([`line ${round}`], Date.now(), `s${round % 2}`);
			}
			assert.deepEqual(
				seen,
				Array.from({ length: 20 }, (_, i) => `line ${i}`),
			);
		},
	);

	clause(
		{
			area,
			says: "PutLogEvents rejects events of more than 14 days ago or 2 hours ahead by their indexes and keeps the others",
			source: `${reference}/API_PutLogEvents.html`,
		},
		async () => {
			await using t = await start();
			await t.sdk.createLogGroup({ logGroupName: group });
			await t.sdk.createLogStream({ logGroupName: group, logStreamName: stream });
			const now = Date.now();
			const at = { logGroupName: group, logStreamName: stream };
			const event = (timestamp: number, message = "m") => ({ timestamp, message });
			const put = await t.sdk.putLogEvents({
				...at,
				logEvents: [
					event(now - 15 * 86_400_000),
					event(now - 1000, "line\nof two\n"),
					event(now),
					event(now + 3 * 3_600_000),
				],
			});
			assert.deepEqual(put.rejectedLogEventsInfo, { tooNewLogEventStartIndex: 3, tooOldLogEventEndIndex: 1 });
			assert.match(put.nextSequenceToken ?? "", /^\d{56}$/);
			const { events } = await t.sdk.getLogEvents(at);
			assert.deepEqual(
				events?.map(({ timestamp, message }) => [timestamp, message]),
				[
					[now - 1000, "line\nof two\n"],
					[now, "m"],
				],
			);
			await t.sdk.putRetentionPolicy({ logGroupName: group, retentionInDays: 1 });
			const expired = await t.sdk.putLogEvents({
				...at,
				logEvents: [event(now - 2 * 86_400_000), event(now - 86_400_001)],
			});
			assert.deepEqual(expired.rejectedLogEventsInfo, { expiredLogEventEndIndex: 2 });
		},
	);

	clause(
		{
			area,
			says: "PutLogEvents refuses a batch that is out of order, spans more than 24 hours, or is larger than 1,048,576 bytes with 26 for each event",
			source: `${reference}/API_PutLogEvents.html`,
		},
		async () => {
			await using t = await start();
			await t.sdk.createLogGroup({ logGroupName: group });
			await t.sdk.createLogStream({ logGroupName: group, logStreamName: stream });
			const now = Date.now();
			const put = (...events: [number, string][]) =>
				t.sdk.putLogEvents({
					logGroupName: group,
					logStreamName: stream,
					logEvents: events.map(([timestamp, message]) => ({ timestamp, message })),
				});
			const invalid = "InvalidParameterException";
			await refused(
				put([now, "a"], [now - 1, "b"]),
				invalid,
				"Log events in a single PutLogEvents request must be in chronological order.",
			);
			await refused(put([now - 86_400_001, "a"], [now, "b"]), invalid, /cannot span more than 24 hours/);
			await refused(put([now, ""]), invalid, /length greater than or equal to 1/);
			const largest = 1_048_576 - 26;
			await refused(put([now, "x".repeat(largest + 1)]), invalid, /^Upload too large: 1048577 bytes exceeds limit/);
			await put([now, "\u0001".repeat(largest)]);
			const { events } = await t.sdk.getLogEvents({ logGroupName: group, logStreamName: stream });
			assert.equal(events?.[0]?.message?.length, largest);
		},
	);

	clause(
		{
			area,
			says: "A deleted group is there again with the next line that a function writes",
			source: `${reference}/API_DeleteLogGroup.html`,
		},
		async () => {
			await using t = await start();
			t.append(["before"]);
			await t.sdk.deleteLogGroup({ logGroupName: group });
			await refused(t.sdk.filterLogEvents({ logGroupName: group }), "ResourceNotFoundException", noGroup);
			t.append(["after"]);
			const { events } = await t.sdk.filterLogEvents({ logGroupName: group });
			assert.deepEqual(
				events?.map((event) => event.message),
				["after"],
			);
		},
	);

	clause(
		{
			area,
			says: "TestMetricFilter tells which messages a pattern matches and what it extracts",
			source: `${reference}/API_TestMetricFilter.html`,
		},
		async () => {
			await using t = await start();
			const { matches } = await t.sdk.testMetricFilter({
				filterPattern: "[ip, ..., status = 4*, bytes]",
				logEventMessages: ['127.0.0.1 - "GET /" 404 12', '127.0.0.1 - "GET /" 200 12'],
			});
			assert.deepEqual(matches, [
				{
					eventNumber: 1,
					eventMessage: '127.0.0.1 - "GET /" 404 12',
					extractedValues: { $ip: "127.0.0.1", $status: "404", $bytes: "12" },
				},
			]);
		},
	);

	clause(
		{
			area,
			says: "Logs Insights queries run over log groups",
			source: `${userGuide}/AnalyzingLogData.html`,
			differs:
				"There is no Insights query engine: StartQuery is refused with InvalidOperationException, which says what to use",
		},
		async () => {
			await using t = await start();
			await refused(
				t.sdk.startQuery({ logGroupName: group, startTime: 0, endTime: 1, queryString: "fields @message" }),
				"InvalidOperationException",
				/FilterLogEvents/,
			);
		},
	);
});
