import assert from "node:assert/strict";
import { test } from "node:test";
import type * as sdk from "@aws-sdk/client-lambda";
import { VirtualClock } from "../../../../../tests/simulation/virtual-clock.ts";
import { isSlipwayError } from "../../../../base/error.ts";
import { FakeMessageLog } from "../../../../core/message-log/fake-message-log.ts";
import { EventSourceMappings } from "../../../../engine/event-source-mappings/event-source-mappings.ts";
import { FakeFunctions, FakeQueues, queueArn, testDeps } from "../../../../engine/event-source-mappings/testing.ts";
import type { Call } from "../../service.ts";
import { eventSourceMappingHandlers } from "./event-source-mapping-handlers.ts";
import { taggedMapping, tagHandlers } from "./tag-handlers.ts";

const call = {
	region: "us-east-1",
	accountId: "000000000000",
	operation: "CreateEventSourceMapping",
	principal: { arn: "arn:aws:iam::000000000000:root" },
} as Call;

type Mapping = sdk.EventSourceMappingConfiguration;

async function setUp() {
	const clock = new VirtualClock();
	const log = new FakeMessageLog({ clock });
	const queues = new FakeQueues(log);
	await queues.create("work");
	await queues.create("other");
	const mappings = await EventSourceMappings.open(
		testDeps({ clock, log, queues, functions: new FakeFunctions(() => null) }),
	);
	const table = eventSourceMappingHandlers({ eventSourceMappings: mappings }) as unknown as Record<
		string,
		(input: object, call: Call) => unknown
	>;
	const run = async <T = Mapping>(name: string, input: object): Promise<T> => (await table[name]?.(input, call)) as T;
	const tags = tagHandlers({} as never, mappings);
	return { clock, mappings, run, tags };
}

test("a mapping is answered as the cloud does", async () => {
	const { run, clock } = await setUp();
	const created = await run("CreateEventSourceMapping", {
		FunctionName: "worker:live",
		EventSourceArn: queueArn("work"),
	});
	const { UUID, LastModified, EventSourceMappingArn, ...rest } = created;
	assert.deepEqual(rest, {
		BatchSize: 10,
		MaximumBatchingWindowInSeconds: 0,
		EventSourceArn: queueArn("work"),
		FunctionArn: "arn:aws:lambda:us-east-1:000000000000:function:worker:live",
		State: "Creating",
		StateTransitionReason: "USER_INITIATED",
		FunctionResponseTypes: [],
	});
	assert.equal(EventSourceMappingArn, `arn:aws:lambda:us-east-1:000000000000:event-source-mapping:${UUID}`);
	assert.equal(taggedMapping(EventSourceMappingArn ?? ""), UUID);
	assert.ok(LastModified instanceof Date);
	await clock.advance(1);
	assert.equal((await run("GetEventSourceMapping", { UUID })).State, "Enabled");
	const more = {
		Enabled: false,
		ScalingConfig: { MaximumConcurrency: 7 },
		FilterCriteria: { Filters: [{ Pattern: '{"body":["x"]}' }] },
	};
	const updated = await run("UpdateEventSourceMapping", {
		UUID,
		...more,
		FunctionResponseTypes: ["ReportBatchItemFailures"],
	});
	assert.equal(updated.State, "Disabling");
	assert.deepEqual([updated.ScalingConfig, updated.FilterCriteria], [more.ScalingConfig, more.FilterCriteria]);
	assert.deepEqual(updated.FunctionResponseTypes, ["ReportBatchItemFailures"]);
	const cleared = await run("UpdateEventSourceMapping", { UUID, ScalingConfig: {}, FilterCriteria: {} });
	assert.deepEqual([cleared.ScalingConfig, cleared.FilterCriteria], [undefined, undefined]);
	assert.equal((await run("DeleteEventSourceMapping", { UUID })).State, "Deleting");
	await clock.advance(1);
	await assert.rejects(run("GetEventSourceMapping", { UUID }), (error) => isSlipwayError(error, "NOT_FOUND"));
});

test("lists are filtered by function and source, and leave out what is the native API's", async () => {
	const { run, mappings } = await setUp();
	await run("CreateEventSourceMapping", { FunctionName: "worker", EventSourceArn: queueArn("work") });
	await run("CreateEventSourceMapping", { FunctionName: "worker", EventSourceArn: queueArn("other") });
	const arn = "arn:slipway:run:us-east-1:000000000000:service/default/s";
	const { uuid } = await mappings.create({
		source: queueArn("work"),
		target: { kind: "service", arn, format: "batch" },
	});
	const count = async (input: object) =>
		(await run<sdk.ListEventSourceMappingsResponse>("ListEventSourceMappings", input)).EventSourceMappings?.length;
	assert.deepEqual([await count({}), await count({ EventSourceArn: queueArn("work") })], [2, 1]);
	assert.deepEqual([await count({ FunctionName: "worker" }), await count({ FunctionName: "nobody" })], [2, 0]);
	const first = await run<sdk.ListEventSourceMappingsResponse>("ListEventSourceMappings", { MaxItems: 1 });
	assert.equal(await count({ MaxItems: 1, Marker: first.NextMarker }), 1);
	for (const name of ["GetEventSourceMapping", "UpdateEventSourceMapping", "DeleteEventSourceMapping"])
		await assert.rejects(run(name, { UUID: uuid }), (error) => isSlipwayError(error, "NOT_FOUND"), name);
});

test("what is for other sources is refused by name", async () => {
	const { run } = await setUp();
	const cases: [object, RegExp][] = [
		[{ EventSourceArn: undefined, Topics: ["t"] }, /Apache Kafka/],
		[{ EventSourceArn: "arn:aws:mq:us-east-1:000000000000:broker:b", Queues: ["q"] }, /Amazon MQ/],
		[{ EventSourceArn: undefined }, /^Unrecognized event source\.$/],
		[{ StartingPosition: "LATEST" }, /^StartingPosition is not valid for SQS event sources\.$/],
		[{ MaximumRetryAttempts: 3 }, /MaximumRetryAttempts can't be used with SQS/],
		[{ DestinationConfig: { OnFailure: { Destination: "arn:x" } } }, /DestinationConfig can't be used/],
		[{ ProvisionedPollerConfig: { MinimumPollers: 2 } }, /does not support ProvisionedPollerConfig/],
	];
	for (const [more, message] of cases)
		await assert.rejects(
			run("CreateEventSourceMapping", { FunctionName: "worker", EventSourceArn: queueArn("work"), ...more }),
			(error) => {
				assert.ok(isSlipwayError(error));
				assert.match(error.message, message);
				return true;
			},
		);
});

test("tags of a mapping are its ARN's", async () => {
	const { run, tags } = await setUp();
	const input = { FunctionName: "worker", EventSourceArn: queueArn("work"), Tags: { team: "a" } };
	const { EventSourceMappingArn: Resource = "" } = await run("CreateEventSourceMapping", input);
	await tags.TagResource?.({ Resource, Tags: { cost: "1" } }, call);
	await tags.UntagResource?.({ Resource, TagKeys: ["team"] }, call);
	assert.deepEqual(await tags.ListTags?.({ Resource }, call), { Tags: { cost: "1" } });
	const other = Resource.replace(/.{4}$/, "ffff");
	assert.throws(
		() => tags.ListTags?.({ Resource: other }, call),
		(error) => isSlipwayError(error, "NOT_FOUND"),
	);
});
