import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import {
	CreateScheduleCommand,
	type CreateScheduleCommandInput,
	CreateScheduleGroupCommand,
	DeleteScheduleCommand,
	DeleteScheduleGroupCommand,
	GetScheduleCommand,
	GetScheduleGroupCommand,
	ListScheduleGroupsCommand,
	ListSchedulesCommand,
	ListTagsForResourceCommand,
	SchedulerClient,
	TagResourceCommand,
	UntagResourceCommand,
	UpdateScheduleCommand,
} from "@aws-sdk/client-scheduler";
import { systemClock } from "../../../../base/clock.ts";
import { randomIds } from "../../../../base/ids.ts";
import { silentLog } from "../../../../base/log.ts";
import { Schedules } from "../../../../engine/schedules/schedules.ts";
import { accountId, functionArn, queueArn, region, ScheduleWorld } from "../../../../engine/schedules/testing.ts";
import { createAwsFront } from "../../front.ts";
import { schedulerService } from "./service.ts";

const keys = { accessKeyId: "AKIATESTTESTTESTTEST", secretAccessKey: "test-secret-of-forty-characters-or-so" };
const principal = { ...keys, arn: `arn:aws:iam::${accountId}:root`, userId: accountId, accountId };
const world = new ScheduleWorld();
const schedules = await Schedules.open(world.process().deps);
const front = createAwsFront({
	services: [schedulerService({ schedules, region, accountId })],
	credentials: (id) => (id === keys.accessKeyId ? { secretAccessKey: keys.secretAccessKey, principal } : undefined),
	clock: systemClock,
	ids: randomIds,
	region,
	accountId,
	log: silentLog,
});
const server = createServer((request, response) => void front.handle(request, response));
let client: SchedulerClient;

before(async () => {
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	client = new SchedulerClient({ endpoint, region, credentials: keys, maxAttempts: 1 });
});
after(() => {
	client.destroy();
	server.closeAllConnections();
	server.close();
	world[Symbol.dispose]();
});

const RoleArn = `arn:aws:iam::${accountId}:role/scheduler`;

function input(change: Partial<CreateScheduleCommandInput> = {}): CreateScheduleCommandInput {
	return {
		Name: "nightly",
		ScheduleExpression: "cron(0 3 * * ? *)",
		FlexibleTimeWindow: { Mode: "OFF" },
		Target: { Arn: functionArn, RoleArn },
		...change,
	};
}

async function refusal(call: Promise<unknown>): Promise<[string, number | undefined, string]> {
	const error: unknown = await call.then(
		() => assert.fail("it was taken"),
		(reason: unknown) => reason,
	);
	assert(error instanceof Error && "$metadata" in error, String(error));
	const { httpStatusCode } = error.$metadata as { httpStatusCode?: number };
	return [error.name, httpStatusCode, error.message];
}

describe("EventBridge Scheduler with the AWS SDK", () => {
	test("a schedule is made, read, changed, listed and deleted", async () => {
		const EndDate = new Date("2027-01-01T00:00:00Z");
		const made = await client.send(
			new CreateScheduleCommand(
				input({
					ScheduleExpressionTimezone: "Europe/Berlin",
					EndDate,
					FlexibleTimeWindow: { Mode: "FLEXIBLE", MaximumWindowInMinutes: 15 },
					Target: { Arn: functionArn, RoleArn, Input: '{"a":1}', DeadLetterConfig: { Arn: queueArn } },
				}),
			),
		);
		const arn = `arn:aws:scheduler:${region}:${accountId}:schedule/default/nightly`;
		assert.equal(made.ScheduleArn, arn);
		const {
			$metadata: _metadata,
			CreationDate,
			LastModificationDate,
			...seen
		} = await client.send(new GetScheduleCommand({ Name: "nightly" }));
		assert(CreationDate instanceof Date && LastModificationDate instanceof Date);
		assert.deepEqual(seen, {
			Arn: arn,
			GroupName: "default",
			Name: "nightly",
			ScheduleExpression: "cron(0 3 * * ? *)",
			ScheduleExpressionTimezone: "Europe/Berlin",
			EndDate,
			State: "ENABLED",
			ActionAfterCompletion: "NONE",
			FlexibleTimeWindow: { Mode: "FLEXIBLE", MaximumWindowInMinutes: 15 },
			Target: {
				Arn: functionArn,
				RoleArn,
				Input: '{"a":1}',
				DeadLetterConfig: { Arn: queueArn },
				RetryPolicy: { MaximumEventAgeInSeconds: 86_400, MaximumRetryAttempts: 185 },
			},
		});
		await client.send(new UpdateScheduleCommand(input({ State: "DISABLED" })));
		const changed = await client.send(new GetScheduleCommand({ Name: "nightly" }));
		assert.deepEqual([changed.State, changed.EndDate, changed.Target?.Input], ["DISABLED", undefined, undefined]);
		const listed = await client.send(new ListSchedulesCommand({ State: "DISABLED" }));
		assert.deepEqual(
			listed.Schedules?.map(({ Name, Target }) => [Name, Target?.Arn]),
			[["nightly", functionArn]],
		);
		await client.send(new DeleteScheduleCommand({ Name: "nightly" }));
		assert.deepEqual(await refusal(client.send(new GetScheduleCommand({ Name: "nightly" }))), [
			"ResourceNotFoundException",
			404,
			"Schedule nightly does not exist.",
		]);
	});

	test("groups, their schedules and tags; pages", async () => {
		const Tags = [{ Key: "team", Value: "a" }];
		const { ScheduleGroupArn: ResourceArn } = await client.send(new CreateScheduleGroupCommand({ Name: "g", Tags }));
		assert.equal(ResourceArn, `arn:aws:scheduler:${region}:${accountId}:schedule-group/g`);
		await client.send(new TagResourceCommand({ ResourceArn, Tags: [{ Key: "slipway:missed-ticks", Value: "all" }] }));
		await client.send(new UntagResourceCommand({ ResourceArn, TagKeys: ["team"] }));
		const tagged = await client.send(new ListTagsForResourceCommand({ ResourceArn }));
		assert.deepEqual(tagged.Tags, [{ Key: "slipway:missed-ticks", Value: "all" }]);
		for (const Name of ["a", "a-b", "a.c", "b"]) {
			await client.send(new CreateScheduleCommand(input({ Name, GroupName: "g" })));
			await client.send(new CreateScheduleCommand(input({ Name })));
		}
		const names: string[] = [];
		let NextToken: string | undefined;
		do {
			const page = await client.send(new ListSchedulesCommand({ MaxResults: 3, NextToken }));
			names.push(...(page.Schedules ?? []).map(({ GroupName, Name }) => `${GroupName}/${Name}`));
			NextToken = page.NextToken;
		} while (NextToken !== undefined);
		const inEach = ["a", "a-b", "a.c", "b"];
		assert.deepEqual(names, [...inEach.map((name) => `default/${name}`), ...inEach.map((name) => `g/${name}`)]);
		await client.send(new DeleteScheduleGroupCommand({ Name: "g" }));
		assert.equal(
			(await refusal(client.send(new GetScheduleGroupCommand({ Name: "g" }))))[0],
			"ResourceNotFoundException",
		);
		const groups = await client.send(new ListScheduleGroupsCommand({}));
		assert.deepEqual(
			groups.ScheduleGroups?.map(({ Name, State }) => [Name, State]),
			[["default", "ACTIVE"]],
		);
	});

	test("the same call again is the same schedule; another one conflicts", async () => {
		const once = input({ Name: "once", ClientToken: "token-1" });
		await client.send(new CreateScheduleCommand(once));
		await client.send(new CreateScheduleCommand(once));
		assert.deepEqual(await refusal(client.send(new CreateScheduleCommand({ ...once, ClientToken: "token-2" }))), [
			"ConflictException",
			409,
			"Schedule once already exists.",
		]);
	});

	test("what is wrong is refused in AWS's words", async () => {
		const cases: [Partial<CreateScheduleCommandInput>, RegExp][] = [
			[{ ScheduleExpression: "cron(0 3 * * * *)" }, /^Invalid Schedule Expression cron\(0 3 \* \* \* \*\)\./],
			[{ ScheduleExpressionTimezone: "Mars/Phobos" }, /Invalid ScheduleExpressionTimezone Mars\/Phobos\./],
			[{ Name: "a b" }, /Value 'a b' at 'name' failed to satisfy constraint: Member must satisfy regular expression/],
			[{ FlexibleTimeWindow: { Mode: "FLEXIBLE" } }, /MaximumWindowInMinutes must be provided/],
			[{ FlexibleTimeWindow: { Mode: "FLEXIBLE", MaximumWindowInMinutes: 1441 } }, /less than or equal to 1440/],
			[{ Target: { Arn: functionArn, RoleArn: "role" } }, /target\.roleArn/],
			[
				{ Target: { Arn: functionArn, RoleArn, RetryPolicy: { MaximumRetryAttempts: 186 } } },
				/less than or equal to 185/,
			],
			[
				{ Target: { Arn: functionArn, RoleArn, KinesisParameters: { PartitionKey: "k" } } },
				/KinesisParameters is not supported/,
			],
			[
				{ Target: { Arn: "arn:aws:scheduler:::aws-sdk:ec2:stopInstances", RoleArn, Input: "{}" } },
				/ec2:stopInstances is not supported/,
			],
			[{ EndDate: new Date(0) }, /EndDate you specify must be in the future/],
		];
		for (const [change, words] of cases) {
			const [name, status, message] = await refusal(
				client.send(new CreateScheduleCommand(input({ Name: "x", ...change }))),
			);
			assert.deepEqual([name, status], ["ValidationException", 400], message);
			assert.match(message, words);
		}
		const nowhere = await refusal(client.send(new CreateScheduleCommand(input({ GroupName: "nowhere" }))));
		assert.deepEqual(nowhere, ["ResourceNotFoundException", 404, "Schedule group nowhere does not exist."]);
	});
});
