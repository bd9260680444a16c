import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import * as sdk from "@aws-sdk/client-eventbridge";
import { systemClock } from "../../../../base/clock.ts";
import { randomIds } from "../../../../base/ids.ts";
import { silentLog } from "../../../../base/log.ts";
import { queueArn, TestBus, testPlace } from "../../../../engine/bus/testing.ts";
import { createAwsFront } from "../../front.ts";
import { eventBridgeService } from "./service.ts";

const keys = { accessKeyId: "AKIATESTTESTTESTTEST", secretAccessKey: "test-secret-of-forty-characters-or-so" };

async function open() {
	const bus = await new TestBus().open();
	bus.queueKind.queues.add("q");
	const principal = {
		accessKeyId: keys.accessKeyId,
		arn: "arn:aws:iam::123456789012:root",
		userId: "123456789012",
		accountId: "123456789012",
	};
	const front = createAwsFront({
		services: [eventBridgeService({ bus: bus.bus, ...testPlace })],
		credentials: (id) => (id === keys.accessKeyId ? { secretAccessKey: keys.secretAccessKey, principal } : undefined),
		clock: systemClock,
		ids: randomIds,
		log: silentLog,
		...testPlace,
	});
	const server = createServer((request, response) => void front.handle(request, response));
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	const client = new sdk.EventBridgeClient({ endpoint, region: testPlace.region, credentials: keys, maxAttempts: 1 });
	return {
		bus,
		client,
		async [Symbol.asyncDispose]() {
			client.destroy();
			server.closeAllConnections();
			server.close();
			await bus[Symbol.asyncDispose]();
		},
	};
}

test("rules, targets and events by the SDK", async () => {
	await using test = await open();
	const { client } = test;
	await client.send(
		new sdk.CreateEventBusCommand({ Name: "shop", Description: "d", Tags: [{ Key: "k", Value: "v" }] }),
	);
	const rule = await client.send(
		new sdk.PutRuleCommand({ Name: "r", EventBusName: "shop", EventPattern: '{"source":["app"]}' }),
	);
	assert.equal(rule.RuleArn, "arn:aws:events:us-east-1:123456789012:rule/shop/r");
	const Targets: sdk.Target[] = [
		{
			Id: "t",
			Arn: queueArn("q"),
			InputTransformer: { InputPathsMap: { n: "$.detail.n" }, InputTemplate: '{"n":<n>}' },
			RetryPolicy: { MaximumRetryAttempts: 3, MaximumEventAgeInSeconds: 60 },
			DeadLetterConfig: { Arn: queueArn("dlq") },
		},
	];
	const put = await client.send(new sdk.PutTargetsCommand({ Rule: "r", EventBusName: "shop", Targets }));
	assert.equal(put.FailedEntryCount, 0);
	const listed = await client.send(new sdk.ListTargetsByRuleCommand({ Rule: "r", EventBusName: "shop" }));
	assert.deepEqual(listed.Targets, Targets);
	const sent = await client.send(
		new sdk.PutEventsCommand({
			Entries: [
				{ EventBusName: "shop", Source: "app", DetailType: "T", Detail: '{"n":1}' },
				{
					EventBusName: "arn:aws:events:us-east-1:123456789012:event-bus/shop",
					Source: "app",
					DetailType: "T",
					Detail: '{"n":2}',
				},
				{ Source: "aws.ec2", DetailType: "T", Detail: "{}" },
				{ EventBusName: "no", Source: "app", DetailType: "T", Detail: "{}" },
				{ Source: "app", DetailType: "T", Detail: "[" },
			],
		}),
	);
	assert.equal(sent.FailedEntryCount, 3);
	assert.deepEqual(
		sent.Entries?.map(({ EventId, ErrorCode }) => ErrorCode ?? typeof EventId),
		["string", "string", "NotAuthorizedForSourceException", "InvalidArgument", "MalformedDetail"],
	);
	assert.deepEqual(await test.bus.bodies("q"), [{ n: 1 }, { n: 2 }]);
	const names = await client.send(
		new sdk.ListRuleNamesByTargetCommand({ TargetArn: queueArn("q"), EventBusName: "shop" }),
	);
	assert.deepEqual(names.RuleNames, ["r"]);
	await client.send(new sdk.DisableRuleCommand({ Name: "r", EventBusName: "shop" }));
	assert.equal((await client.send(new sdk.DescribeRuleCommand({ Name: "r", EventBusName: "shop" }))).State, "DISABLED");
	const removed = await client.send(new sdk.RemoveTargetsCommand({ Rule: "r", EventBusName: "shop", Ids: ["t", "u"] }));
	assert.equal(removed.FailedEntries?.[0]?.TargetId, "u");
	await client.send(new sdk.DeleteRuleCommand({ Name: "r", EventBusName: "shop" }));
	await client.send(new sdk.DeleteEventBusCommand({ Name: "shop" }));
});

test("lists go page by page, tags and policies are kept", async () => {
	await using test = await open();
	const { client } = test;
	for (const Name of ["c", "a", "b"])
		await client.send(
			new sdk.PutRuleCommand({ Name, EventPattern: '{"source":["x"]}', Tags: [{ Key: "n", Value: Name }] }),
		);
	const first = await client.send(new sdk.ListRulesCommand({ Limit: 2 }));
	const second = await client.send(new sdk.ListRulesCommand({ Limit: 2, NextToken: first.NextToken }));
	assert.deepEqual(
		[...(first.Rules ?? []), ...(second.Rules ?? [])].map(({ Name }) => Name),
		["a", "b", "c"],
	);
	assert.equal(second.NextToken, undefined);
	const ResourceARN = "arn:aws:events:us-east-1:123456789012:rule/a";
	await client.send(new sdk.TagResourceCommand({ ResourceARN, Tags: [{ Key: "m", Value: "1" }] }));
	await client.send(new sdk.UntagResourceCommand({ ResourceARN, TagKeys: ["n"] }));
	assert.deepEqual((await client.send(new sdk.ListTagsForResourceCommand({ ResourceARN }))).Tags, [
		{ Key: "m", Value: "1" },
	]);
	await client.send(
		new sdk.PutPermissionCommand({ Action: "events:PutEvents", Principal: "111122223333", StatementId: "s" }),
	);
	const { Policy } = await client.send(new sdk.DescribeEventBusCommand({}));
	assert.equal(JSON.parse(Policy ?? "").Statement[0].Principal.AWS, "arn:aws:iam::111122223333:root");
	await client.send(new sdk.RemovePermissionCommand({ StatementId: "s" }));
	await assert.rejects(client.send(new sdk.RemovePermissionCommand({ StatementId: "s" })), {
		name: "ResourceNotFoundException",
	});
});

test("patterns are tried, archives made and replayed", async () => {
	await using test = await open();
	const { client } = test;
	const event = {
		id: "1",
		account: "1",
		source: "s",
		time: "t",
		region: "r",
		resources: [],
		"detail-type": "d",
		detail: { a: 5 },
	};
	const tryPattern = (EventPattern: string, Event: object = event) =>
		client.send(new sdk.TestEventPatternCommand({ EventPattern, Event: JSON.stringify(Event) }));
	assert.equal((await tryPattern('{"detail":{"a":[{"numeric":["<",6]}]}}')).Result, true);
	assert.equal((await tryPattern('{"source":["x"]}')).Result, false);
	await assert.rejects(tryPattern("[]"), {
		name: "InvalidEventPatternException",
		message: "Event pattern is not valid. Reason: Filter is not an object",
	});
	await assert.rejects(tryPattern('{"a":["b"]}', {}), {
		name: "ValidationException",
		message: /the field id is missing/,
	});
	const EventSourceArn = "arn:aws:events:us-east-1:123456789012:event-bus/default";
	const archive = await client.send(new sdk.CreateArchiveCommand({ ArchiveName: "arc", EventSourceArn }));
	await client.send(new sdk.PutEventsCommand({ Entries: [{ Source: "app", DetailType: "T", Detail: "{}" }] }));
	assert.equal((await client.send(new sdk.DescribeArchiveCommand({ ArchiveName: "arc" }))).EventCount, 1);
	await client.send(new sdk.PutRuleCommand({ Name: "r", EventPattern: '{"source":["app"]}' }));
	await client.send(new sdk.PutTargetsCommand({ Rule: "r", Targets: [{ Id: "t", Arn: queueArn("q") }] }));
	const times = { EventStartTime: new Date(0), EventEndTime: new Date(test.bus.clock.now() + 1000) };
	const Destination = { Arn: EventSourceArn, FilterArns: ["arn:aws:events:us-east-1:123456789012:rule/r"] };
	await client.send(
		new sdk.StartReplayCommand({ ReplayName: "rep", EventSourceArn: archive.ArchiveArn, Destination, ...times }),
	);
	await test.bus.clock.advance(1000);
	const replay = await client.send(new sdk.DescribeReplayCommand({ ReplayName: "rep" }));
	assert.equal(replay.State, "COMPLETED");
	assert.deepEqual(replay.Destination, Destination);
	assert.equal((await test.bus.bodies("q")).length, 1);
});

const refusals: [string, (client: sdk.EventBridgeClient) => Promise<unknown>, string, RegExp][] = [
	[
		"a rule that is not there",
		(client) => client.send(new sdk.DescribeRuleCommand({ Name: "no" })),
		"ResourceNotFoundException",
		/^Rule no does not exist on EventBus default\.$/,
	],
	[
		"a bus twice",
		(client) => client.send(new sdk.CreateEventBusCommand({ Name: "default" })),
		"ResourceAlreadyExistsException",
		/^Event bus default already exists\.$/,
	],
	[
		"a name with a space",
		(client) => client.send(new sdk.PutRuleCommand({ Name: "a b", EventPattern: "{}" })),
		"ValidationException",
		/1 validation error detected: Value 'a b' at 'name' failed to satisfy constraint/,
	],
	[
		"eleven entries",
		(client) =>
			client.send(
				new sdk.PutEventsCommand({
					Entries: Array.from({ length: 11 }, () => ({ Source: "a", DetailType: "b", Detail: "{}" })),
				}),
			),
		"ValidationException",
		/less than or equal to 10/,
	],
	[
		"too much in all",
		(client) =>
			client.send(
				new sdk.PutEventsCommand({
					Entries: [1, 2].map(() => ({
						Source: "a",
						DetailType: "b",
						Detail: JSON.stringify({ a: "x".repeat(600_000) }),
					})),
				}),
			),
		"ValidationException",
		/Total size of the entries in the request is over the limit/,
	],
	[
		"a bad schedule",
		(client) => client.send(new sdk.PutRuleCommand({ Name: "r", ScheduleExpression: "rate(0 minutes)" })),
		"ValidationException",
		/Parameter ScheduleExpression is not valid/,
	],
	[
		"API destinations",
		(client) => client.send(new sdk.ListApiDestinationsCommand({})),
		"OperationDisabledException",
		/no API destinations: ListApiDestinations is not supported/,
	],
	[
		"connections",
		(client) => client.send(new sdk.DescribeConnectionCommand({ Name: "c" })),
		"OperationDisabledException",
		/no connections/,
	],
];

for (const [what, call, name, message] of refusals)
	test(`refuses ${what}`, async () => {
		await using test = await open();
		await assert.rejects(call(test.client), { name, message });
	});

test("a sixth target is refused, with what a target may say", async () => {
	await using test = await open();
	const { client } = test;
	await client.send(new sdk.PutRuleCommand({ Name: "r", EventPattern: '{"source":["app"]}' }));
	const put = (Targets: sdk.Target[]) => client.send(new sdk.PutTargetsCommand({ Rule: "r", Targets }));
	const six = Array.from({ length: 6 }, (_, index) => ({ Id: `t${index}`, Arn: queueArn("q") }));
	await assert.rejects(put(six), { name: "LimitExceededException" });
	await assert.rejects(
		put([{ Id: "t", Arn: queueArn("q"), RetryPolicy: { MaximumRetryAttempts: 186 } }]),
		/less than or equal to 185/,
	);
	await assert.rejects(put([{ Id: "t", Arn: queueArn("q"), InputPath: "$.a[*]" }]), {
		name: "ValidationException",
		message: /Invalid JSONPath/,
	});
	await assert.rejects(put([{ Id: "t", Arn: "arn:aws:kinesis:us-east-1:123456789012:stream/s" }]), {
		name: "ValidationException",
	});
});
