/** Settings of asynchronous invocation, as AWS's own SDK sends them and recorded answers have them, and events that run by them. */
import assert from "node:assert/strict";
import { describe } from "node:test";
import {
	DeleteFunctionCommand,
	DeleteFunctionEventInvokeConfigCommand,
	type DestinationConfig,
	GetFunctionConfigurationCommand,
	GetFunctionEventInvokeConfigCommand,
	InvokeCommand,
	ListFunctionEventInvokeConfigsCommand,
	PutFunctionEventInvokeConfigCommand,
	type PutFunctionEventInvokeConfigCommandInput,
	UpdateFunctionConfigurationCommand,
	UpdateFunctionEventInvokeConfigCommand,
} from "@aws-sdk/client-lambda";
import { systemClock } from "../../../src/base/clock.ts";
import { SlipwayError } from "../../../src/base/error.ts";
import type { TargetKind } from "../../../src/core/delivery/target.ts";
import { type TestFront, testAccount, testRegion } from "../../../src/front/aws/test-front.ts";
import { clause } from "./clause.ts";
import { api, arnOf, create, invalid, notFound, publish, recorded, refused, start, validation } from "./control-api.ts";

const area = "Asynchronous invocation";
const queue = (name: string) => `arn:aws:sqs:${testRegion}:${testAccount}:${name}`;

/** Queues of any name, but for "missing": what they get is in the lane sqs/NAME. */
const queues: TargetKind = {
	owns: (arn) => arn.startsWith("arn:aws:sqs:"),
	check(arn) {
		if (arn.endsWith(":missing")) throw new SlipwayError("NOT_FOUND", "There is no such queue");
	},
	handOver: (arn, { id, body, correlation }) => ({
		kind: "append",
		changes: [{ change: "append", lane: `sqs/${arn.split(":")[5]}`, id, body, correlation }],
	}),
};

async function startWithQueues(...names: string[]) {
	const test = await start(...names);
	test.front.targets.add(queues);
	const put = (more: Partial<PutFunctionEventInvokeConfigCommandInput>) =>
		test.client.send(new PutFunctionEventInvokeConfigCommand({ FunctionName: "f", ...more }));
	const destinations = (DestinationConfig: DestinationConfig) => put({ DestinationConfig });
	return Object.assign(test, { put, destinations });
}

/** Bodies of what a queue has, as soon as it has some. */
async function received({ log }: TestFront, name: string): Promise<Record<string, unknown>[]> {
	for (;;) {
		const messages = await log.scan(`sqs/${name}`, { limit: 10 });
		if (messages.length > 0) return messages.map(({ body }) => JSON.parse(Buffer.from(body).toString()));
		await systemClock.sleep(5);
	}
}

const none = { DestinationConfig: { OnSuccess: {}, OnFailure: {} } };

function plain<T extends { $metadata?: unknown; LastModified?: Date | undefined }>(answer: T) {
	const { $metadata: _, LastModified, ...rest } = answer;
	assert.ok(LastModified instanceof Date && Math.abs(LastModified.getTime() - Date.now()) < 60_000);
	return rest;
}

describe("Settings of asynchronous events", () => {
	clause({ area, says: "Put replaces all, Update what is given, Get and List show it", source: recorded }, async () => {
		await using test = await startWithQueues("f");
		const FunctionName = "f";
		const FunctionArn = `${arnOf("f")}:$LATEST`;
		assert.deepEqual(plain(await test.put({ MaximumRetryAttempts: 0 })), {
			...none,
			FunctionArn,
			MaximumRetryAttempts: 0,
		});
		assert.deepEqual(plain(await test.put({ MaximumEventAgeInSeconds: 60 })), {
			...none,
			FunctionArn,
			MaximumEventAgeInSeconds: 60,
		});
		const update = new UpdateFunctionEventInvokeConfigCommand({ FunctionName, MaximumRetryAttempts: 1 });
		const all = { ...none, FunctionArn, MaximumEventAgeInSeconds: 60, MaximumRetryAttempts: 1 };
		assert.deepEqual(plain(await test.client.send(update)), all);
		for (const Qualifier of [undefined, "$LATEST"]) {
			const get = new GetFunctionEventInvokeConfigCommand({ FunctionName, Qualifier });
			assert.deepEqual(plain(await test.client.send(get)), all);
		}
		const list = await test.client.send(new ListFunctionEventInvokeConfigsCommand({ FunctionName }));
		assert.deepEqual(list.FunctionEventInvokeConfigs?.map(plain), [all]);
	});

	clause({ area, says: "Versions have settings of their own, and lists have pages", source: recorded }, async () => {
		await using test = await startWithQueues("f");
		await publish(test, "f", 2);
		const FunctionName = "f";
		for (const Qualifier of ["1", "2", "$LATEST"]) await test.put({ Qualifier, MaximumRetryAttempts: 1 });
		const first = await test.client.send(new ListFunctionEventInvokeConfigsCommand({ FunctionName, MaxItems: 2 }));
		const rest = await test.client.send(
			new ListFunctionEventInvokeConfigsCommand({ FunctionName, Marker: first.NextMarker }),
		);
		const pages = [first, rest].map((page) => page.FunctionEventInvokeConfigs?.map(({ FunctionArn }) => FunctionArn));
		assert.deepEqual(pages, [[`${arnOf("f")}:$LATEST`, `${arnOf("f")}:1`], [`${arnOf("f")}:2`]]);
		assert.equal(rest.NextMarker, undefined);
		await test.client.send(new DeleteFunctionEventInvokeConfigCommand({ FunctionName, Qualifier: "1" }));
		await refused(
			test.client.send(new GetFunctionEventInvokeConfigCommand({ FunctionName: "f:1" })),
			404,
			notFound,
			`The function ${arnOf("f")}:1 doesn't have an EventInvokeConfig`,
		);
	});

	clause({ area, says: "What can't be set is refused in AWS's words", source: recorded }, async () => {
		await using test = await startWithQueues("f", "g");
		const { put, destinations } = test;
		await refused(put({ FunctionName: "h", MaximumRetryAttempts: 1 }), 404, notFound, "The function doesn't exist.");
		await refused(put({ Qualifier: "nope", MaximumRetryAttempts: 1 }), 404, notFound, "The function doesn't exist.");
		await refused(put({}), 400, invalid, "You must specify at least one of error handling or destination setting.");
		await refused(
			put({ MaximumRetryAttempts: 3 }),
			400,
			validation,
			"1 validation error detected: Value '3' at 'maximumRetryAttempts' failed to satisfy constraint: Member must have value less than or equal to 2",
		);
		await refused(put({ MaximumEventAgeInSeconds: 59 }), 400, validation, /greater than or equal to 60$/);
		await refused(put({ MaximumEventAgeInSeconds: 21_601 }), 400, validation, /less than or equal to 21600$/);
		const missing = arnOf("doesnotexist");
		await refused(
			destinations({ OnSuccess: { Destination: missing } }),
			400,
			invalid,
			`The destination ARN ${missing} is invalid.`,
		);
		await refused(
			destinations({ OnSuccess: { Destination: arnOf("f") } }),
			400,
			invalid,
			"You can't specify the function as a destination for itself.",
		);
		const iam = arnOf("f").replace(":lambda:", ":iam:");
		await refused(
			destinations({ OnSuccess: { Destination: iam } }),
			400,
			invalid,
			`The provided destination config DestinationConfig(onSuccess=OnSuccess(destination=${iam}), onFailure=null) is invalid.`,
		);
		const odd = arnOf("f").replace(":lambda:", ":_-/!lambda:");
		await refused(
			destinations({ OnFailure: { Destination: odd } }),
			400,
			validation,
			`1 validation error detected: Value '${odd}' at 'destinationConfig.onFailure.destination' failed to satisfy constraint: Member must satisfy regular expression pattern: $|kafka://([^.]([a-zA-Z0-9\\-_.]{0,248}))|arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\\-])+:((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1})?:(\\d{12})?:(.*)`,
		);
		await destinations({ OnSuccess: { Destination: arnOf("g") }, OnFailure: { Destination: queue("q") } });
		await destinations({ OnSuccess: {}, OnFailure: {} });
	});

	clause(
		{
			area,
			says: "Destinations are standard queues, functions, buses, topics and buckets",
			source: api("PutFunctionEventInvokeConfig"),
			differs:
				"There are no topics and buckets here: they are refused by name, as are FIFO queues and queues that are not there",
		},
		async () => {
			await using test = await startWithQueues("f");
			for (const [arn, words] of [
				[`arn:aws:sns:${testRegion}:${testAccount}:t`, /does not support SNS topics as destinations/],
				["arn:aws:s3:::bucket", /does not support S3 buckets as destinations/],
				[queue("q.fifo"), /A FIFO queue can't be a destination/],
				[queue("missing"), /The destination ARN .* is invalid/],
			] as const)
				await refused(test.destinations({ OnFailure: { Destination: arn } }), 400, invalid, words);
		},
	);

	clause({ area, says: "They go with their function", source: api("DeleteFunction") }, async () => {
		await using test = await startWithQueues("f");
		await test.put({ MaximumRetryAttempts: 0 });
		await test.client.send(new DeleteFunctionCommand({ FunctionName: "f" }));
		await test.client.send(create("f"));
		await test.front.functions.settled();
		await test.front.asyncInvocations.configs.settled();
		await refused(
			test.client.send(new GetFunctionEventInvokeConfigCommand({ FunctionName: "f" })),
			404,
			notFound,
			`The function ${arnOf("f")}:$LATEST doesn't have an EventInvokeConfig`,
		);
	});

	clause({ area, says: "A function's dead-letter queue is shown, kept and taken away", source: recorded }, async () => {
		await using test = await startWithQueues("f");
		const FunctionName = "f";
		const read = async () =>
			(await test.client.send(new GetFunctionConfigurationCommand({ FunctionName }))).DeadLetterConfig;
		const update = async (TargetArn: string | undefined) => {
			const DeadLetterConfig = TargetArn === undefined ? undefined : { TargetArn };
			await test.client.send(new UpdateFunctionConfigurationCommand({ FunctionName, DeadLetterConfig }));
			await test.front.functions.settled();
			return read();
		};
		assert.equal(await read(), undefined);
		assert.deepEqual(await update(queue("dead")), { TargetArn: queue("dead") });
		assert.deepEqual(await update(undefined), { TargetArn: queue("dead") });
		assert.equal(await update(""), undefined);
		const made = await test.client.send(create("g", { DeadLetterConfig: { TargetArn: queue("dead") } }));
		assert.deepEqual(made.DeadLetterConfig, { TargetArn: queue("dead") });
		await refused(update(queue("missing")), 400, invalid, /there is no such queue/);
		await refused(update(`arn:aws:sns:${testRegion}:${testAccount}:t`), 400, invalid, /does not support SNS topics/);
		await refused(update("queue"), 400, validation, /'deadLetterConfig.targetArn' failed to satisfy constraint/);
	});
});

describe("Asynchronous events", () => {
	clause(
		{ area, says: "An event runs with its answer's request id, and its destination gets the record", source: recorded },
		async () => {
			await using test = await startWithQueues("f");
			await test.destinations({ OnSuccess: { Destination: queue("good") } });
			const Payload = Buffer.from('{"n":1}');
			const answer = await test.client.send(new InvokeCommand({ FunctionName: "f", InvocationType: "Event", Payload }));
			assert.equal(answer.StatusCode, 202);
			const [record] = await received(test.front, "good");
			const { timestamp, ...rest } = record ?? {};
			assert.match(String(timestamp), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
			assert.deepEqual(rest, {
				version: "1.0",
				requestContext: {
					requestId: answer.$metadata.requestId,
					functionArn: `${arnOf("f")}:$LATEST`,
					condition: "Success",
					approximateInvokeCount: 1,
				},
				requestPayload: { n: 1 },
				responseContext: { statusCode: 200, executedVersion: "$LATEST" },
				responsePayload: { n: 1 },
			});
			const [invocation] = test.front.invocations;
			assert.equal(invocation?.request.requestId, answer.$metadata.requestId);
			assert.equal(invocation?.request.invokedArn, arnOf("f"));
		},
	);

	clause({ area, says: "One that fails reaches the dead-letter queue as it was sent", source: recorded }, async () => {
		await using test = await startWithQueues();
		await test.client.send(create("f", { DeadLetterConfig: { TargetArn: queue("dead") } }));
		await test.front.functions.settled();
		await test.put({ MaximumRetryAttempts: 0, DestinationConfig: { OnFailure: { Destination: queue("bad") } } });
		test.front.answer = () => ({ functionError: "Unhandled", payload: Buffer.from('{"errorMessage":"no"}') });
		const Payload = Buffer.from('{"n":1}');
		await test.client.send(new InvokeCommand({ FunctionName: "f", InvocationType: "Event", Payload }));
		assert.deepEqual(await received(test.front, "dead"), [{ n: 1 }]);
		const [record] = await received(test.front, "bad");
		assert.deepEqual(record?.responseContext, {
			statusCode: 200,
			executedVersion: "$LATEST",
			functionError: "Unhandled",
		});
	});
});
