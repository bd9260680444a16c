import assert from "node:assert/strict";
import { describe } from "node:test";
import { clause } from "./clause.ts";
import { area, group, groupArn, noGroup, noStream, reference, refused, start } from "./cloudwatch-logs.ts";

describe("CloudWatch Logs: groups and streams", () => {
	clause(
		{
			area,
			says: "A log group that a function has written to is described with its creation time, ARNs and stored bytes",
			source: `${reference}/API_LogGroup.html`,
		},
		async () => {
			await using t = await start();
			t.append(["line"]);
			const { logGroups } = await t.sdk.describeLogGroups({ logGroupNamePrefix: "/aws/lambda/" });
			const [found] = logGroups ?? [];
			assert.equal(found?.logGroupName, group);
			assert.equal(found?.arn, `${groupArn}:*`);
			assert.equal(found?.logGroupArn, groupArn);
			assert.equal(found?.logGroupClass, "STANDARD");
			assert.equal(found?.retentionInDays, undefined);
			assert.ok(Math.abs((found?.creationTime ?? 0) - Date.now()) < 10_000);
		},
	);

	clause(
		{
			area,
			says: "Groups are listed in ASCII order, 50 a page, by prefix or by a part of the name, which exclude each other",
			source: `${reference}/API_DescribeLogGroups.html`,
		},
		async () => {
			await using t = await start();
			for (let i = 0; i < 60; i++) await t.sdk.createLogGroup({ logGroupName: `g${String(i).padStart(2, "0")}` });
			const first = await t.sdk.describeLogGroups({});
			assert.equal(first.logGroups?.length, 50);
			const second = await t.sdk.describeLogGroups({ nextToken: first.nextToken });
			assert.deepEqual(
				[...first.logGroups, ...(second.logGroups ?? [])].map((g) => g.logGroupName),
				Array.from({ length: 60 }, (_, i) => `g${String(i).padStart(2, "0")}`),
			);
			assert.equal(second.nextToken, undefined);
			const names = async (query: object) =>
				(await t.sdk.describeLogGroups(query)).logGroups?.map((g) => g.logGroupName);
			assert.deepEqual(await names({ logGroupNamePattern: "59" }), ["g59"]);
			assert.deepEqual(await names({ logGroupNamePattern: "^g0", limit: 1 }), ["g00"]);
			assert.deepEqual(await names({ logGroupIdentifiers: ["g01", groupArn.replace(group, "g02")] }), ["g01", "g02"]);
			await refused(
				t.sdk.describeLogGroups({ logGroupNamePrefix: "a", logGroupNamePattern: "b" }),
				"InvalidParameterException",
				/mutually exclusive/,
			);
			await refused(t.sdk.describeLogGroups({ nextToken: "x" }), "InvalidParameterException", /nextToken is invalid/);
			await refused(t.sdk.describeLogGroups({ limit: 51 }), "InvalidParameterException", /'limit'/);
		},
	);

	clause(
		{
			area,
			says: "Creating what exists is ResourceAlreadyExistsException; using what does not is ResourceNotFoundException",
			source: `${reference}/API_CreateLogGroup.html`,
		},
		async () => {
			await using t = await start();
			const at = { logGroupName: group, logStreamName: "s" };
			await refused(t.sdk.createLogStream(at), "ResourceNotFoundException", noGroup);
			await t.sdk.createLogGroup({ logGroupName: group });
			const exists = "ResourceAlreadyExistsException";
			await refused(t.sdk.createLogGroup({ logGroupName: group }), exists, "The specified log group already exists");
			await refused(t.sdk.getLogEvents(at), "ResourceNotFoundException", noStream);
			await refused(t.sdk.deleteLogStream(at), "ResourceNotFoundException", noStream);
			await t.sdk.createLogStream(at);
			await refused(t.sdk.createLogStream(at), exists, "The specified log stream already exists");
			await t.sdk.deleteLogStream(at);
			await t.sdk.deleteLogGroup({ logGroupName: group });
			for (const sent of [
				t.sdk.deleteLogGroup({ logGroupName: group }),
				t.sdk.describeLogStreams({ logGroupName: group }),
				t.sdk.getLogEvents(at),
				t.sdk.filterLogEvents({ logGroupName: group }),
				t.sdk.putRetentionPolicy({ logGroupName: group, retentionInDays: 1 }),
				t.sdk.deleteRetentionPolicy({ logGroupName: group }),
				t.sdk.listTagsForResource({ resourceArn: groupArn }),
				t.sdk.putLogEvents({ ...at, logEvents: [{ timestamp: Date.now(), message: "x" }] }),
				t.sdk.startLiveTail({ logGroupIdentifiers: [groupArn] }),
			])
				await refused(sent, "ResourceNotFoundException", noGroup);
			await refused(t.sdk.createLogGroup({ logGroupName: "a b" }), "InvalidParameterException", /regular expression/);
			await refused(
				t.sdk.createLogStream({ ...at, logStreamName: "a:b" }),
				"InvalidParameterException",
				/'logStreamName'/,
			);
		},
	);

	clause(
		{
			area,
			says: "Streams are listed by name or by their last event, in either direction, by prefix and 50 a page",
			source: `${reference}/API_DescribeLogStreams.html`,
		},
		async () => {
			await using t = await start();
			for (let i = 0; i < 60; i++) t.append(["x"], 1_000_000 - i, `s${String(i).padStart(2, "0")}`);
			const query = { logGroupName: group, orderBy: "LastEventTime", descending: true } as const;
			const first = await t.sdk.describeLogStreams(query);
			const second = await t.sdk.describeLogStreams({ ...query, nextToken: first.nextToken });
			const names = [...(first.logStreams ?? []), ...(second.logStreams ?? [])].map((s) => s.logStreamName);
			assert.deepEqual(
				names,
				Array.from({ length: 60 }, (_, i) => `s${String(i).padStart(2, "0")}`),
			);
			assert.equal(first.logStreams?.[0]?.lastEventTimestamp, 1_000_000);
			assert.equal(first.logStreams?.[0]?.arn, `${groupArn}:log-stream:s00`);
			const byPrefix = await t.sdk.describeLogStreams({ logGroupIdentifier: groupArn, logStreamNamePrefix: "s1" });
			assert.equal(byPrefix.logStreams?.length, 10);
			await refused(
				t.sdk.describeLogStreams({ ...query, logStreamNamePrefix: "s" }),
				"InvalidParameterException",
				"Cannot order by LastEventTime with a logStreamNamePrefix.",
			);
		},
	);

	clause(
		{
			area,
			says: "A retention policy is one of a set of days; events past it are not returned",
			source: `${reference}/API_PutRetentionPolicy.html`,
		},
		async () => {
			await using t = await start();
			t.append(["old"], Date.now() - 3 * 86_400_000);
			t.append(["new"]);
			await t.sdk.putRetentionPolicy({ logGroupName: group, retentionInDays: 1 });
			const { logGroups } = await t.sdk.describeLogGroups({});
			assert.equal(logGroups?.[0]?.retentionInDays, 1);
			const { events } = await t.sdk.filterLogEvents({ logGroupName: group });
			assert.deepEqual(
				events?.map((event) => event.message),
				["new"],
			);
			await refused(
				t.sdk.putRetentionPolicy({ logGroupName: group, retentionInDays: 2 }),
				"InvalidParameterException",
				/Value '2' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: \[1, 3, 5,/,
			);
			await t.sdk.deleteRetentionPolicy({ logGroupName: group });
			assert.equal((await t.sdk.describeLogGroups({})).logGroups?.[0]?.retentionInDays, undefined);
		},
	);

	clause(
		{
			area,
			says: "A log group has tags by ARN and by name, with or without ':*' behind the ARN",
			source: `${reference}/API_ListTagsForResource.html`,
		},
		async () => {
			await using t = await start();
			await t.sdk.createLogGroup({ logGroupName: group, tags: { a: "1" } });
			await t.sdk.tagResource({ resourceArn: groupArn, tags: { b: "2" } });
			const both = { a: "1", b: "2" };
			assert.deepEqual((await t.sdk.listTagsForResource({ resourceArn: groupArn })).tags, both);
			assert.deepEqual((await t.sdk.listTagsForResource({ resourceArn: `${groupArn}:*` })).tags, both);
			await t.sdk.untagResource({ resourceArn: groupArn, tagKeys: ["a"] });
			assert.deepEqual((await t.sdk.listTagsLogGroup({ logGroupName: group })).tags, { b: "2" });
			const tooMany = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`k${i}`, ""]));
			await refused(t.sdk.tagResource({ resourceArn: groupArn, tags: tooMany }), "TooManyTagsException");
		},
	);
});
