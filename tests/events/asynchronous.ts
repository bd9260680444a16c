/** Invoke with InvocationType Event: what is promised with the 202, and where a failed event goes. */
import assert from "node:assert/strict";
import { PutRuleCommand, PutTargetsCommand } from "@aws-sdk/client-eventbridge";
import {
	InvokeCommand,
	PutFunctionConcurrencyCommand,
	PutFunctionEventInvokeConfigCommand,
	type PutFunctionEventInvokeConfigCommandInput,
	UpdateFunctionConfigurationCommand,
	waitUntilFunctionUpdatedV2,
} from "@aws-sdk/client-lambda";
import type { Clause, World } from "./world.ts";

/** Two waits of a minute, and what a busy machine adds. */
const slowTimeoutMs = 300_000;
const waiting = { maxWaitTime: 60, minDelay: 0.1, maxDelay: 0.5 };

/** Returns the request id. */
async function invokeLater(w: World, name: string, event: unknown): Promise<string> {
	const answer = await w.lambda.send(
		new InvokeCommand({ FunctionName: name, InvocationType: "Event", Payload: JSON.stringify(event) }),
	);
	assert.equal(answer.StatusCode, 202);
	assert.equal(answer.Payload?.length ?? 0, 0);
	return answer.$metadata.requestId ?? "";
}

async function configure(
	w: World,
	FunctionName: string,
	{
		success,
		failure,
		...change
	}: { success?: string; failure?: string } & Partial<PutFunctionEventInvokeConfigCommandInput>,
): Promise<void> {
	const DestinationConfig = {
		...(success !== undefined && { OnSuccess: { Destination: success } }),
		...(failure !== undefined && { OnFailure: { Destination: failure } }),
	};
	await w.lambda.send(new PutFunctionEventInvokeConfigCommand({ FunctionName, DestinationConfig, ...change }));
}

export const asynchronousClauses: readonly Clause[] = [
	{
		says: "an event is answered with 202 and no body, and the function sees its request id",
		run: async (w) => {
			const report = await w.queue("async-report");
			await w.function("async-plain", { env: { REPORT: report.name } });
			const requestId = await invokeLater(w, "async-plain", { do: "echo", value: 1 });
			assert.deepEqual(await w.values(report, 1), [{ event: { do: "echo", value: 1 }, requestId }]);
		},
	},
	{
		says: "a failed event's record goes to the queue on failure, and the event to the dead-letter queue",
		run: async (w) => {
			const [failed, dead] = [await w.queue("async-failed"), await w.queue("async-dead")];
			const arn = await w.function("async-failing", { DeadLetterConfig: { TargetArn: dead.arn } });
			await configure(w, "async-failing", { failure: failed.arn, MaximumRetryAttempts: 0 });
			const event = { do: "fail", message: "no stock" };
			const requestId = await invokeLater(w, "async-failing", event);
			const [record] = await w.values(failed, 1);
			const { timestamp, responsePayload, ...rest } = record ?? {};
			assert.match(String(timestamp), /^\d{4}-\d\d-\d\dT[\d:]+\.\d{3}Z$/);
			assert.deepEqual(rest, {
				version: "1.0",
				requestContext: {
					requestId,
					functionArn: `${arn}:$LATEST`,
					condition: "RetriesExhausted",
					approximateInvokeCount: 1,
				},
				requestPayload: event,
				responseContext: { statusCode: 200, executedVersion: "$LATEST", functionError: "Unhandled" },
			});
			const { errorType, errorMessage } = responsePayload as Record<string, unknown>;
			assert.deepEqual([errorType, errorMessage], ["RangeError", "no stock"]);

			const [letter] = await w.take(dead, 1);
			assert.equal(letter?.Body, JSON.stringify(event));
			const attributes = Object.entries(letter?.MessageAttributes ?? {}).map(([name, { DataType, StringValue }]) => [
				name,
				DataType,
				StringValue,
			]);
			assert.deepEqual(attributes.sort(), [
				["ErrorCode", "Number", "200"],
				["ErrorMessage", "String", "no stock"],
				["RequestID", "String", requestId],
			]);
		},
	},
	{
		says: "a success's record goes to a bus, whose rules see it, and to a function",
		run: async (w) => {
			const [queue, report] = [await w.queue("async-on-bus"), await w.queue("async-next")];
			const arn = await w.function("async-to-bus");
			const EventPattern = JSON.stringify({ source: ["lambda"], resources: [`${arn}:$LATEST`] });
			await w.eventBridge.send(new PutRuleCommand({ Name: "async-results", EventPattern }));
			await w.eventBridge.send(
				new PutTargetsCommand({ Rule: "async-results", Targets: [{ Id: "q", Arn: queue.arn }] }),
			);
			await configure(w, "async-to-bus", { success: w.arn("events", "event-bus/default") });
			const requestId = await invokeLater(w, "async-to-bus", { do: "echo", value: { ok: true } });
			const [event] = await w.values(queue, 1);
			assert.equal(event?.["detail-type"], "Lambda Function Invocation Result - Success");
			const detail = event?.detail as { requestContext: Record<string, unknown>; responsePayload: unknown };
			assert.deepEqual(detail.responsePayload, { ok: true });
			assert.deepEqual([detail.requestContext.requestId, detail.requestContext.condition], [requestId, "Success"]);

			const next = await w.function("async-next", { env: { REPORT: report.name } });
			await configure(w, "async-to-bus", { success: next });
			const second = await invokeLater(w, "async-to-bus", { do: "echo", value: 2 });
			const [seen] = await w.values(report, 1);
			const record = seen?.event as { requestContext: Record<string, unknown>; responsePayload: unknown };
			assert.deepEqual([record.requestContext.requestId, record.responsePayload], [second, 2]);
		},
	},
	{
		says: "with reserved concurrency 0 an event goes to its destination without having run",
		run: async (w) => {
			const queue = await w.queue("async-zero");
			await w.function("async-zero");
			await configure(w, "async-zero", { failure: queue.arn });
			await w.lambda.send(
				new PutFunctionConcurrencyCommand({ FunctionName: "async-zero", ReservedConcurrentExecutions: 0 }),
			);
			await invokeLater(w, "async-zero", { do: "echo", value: 1 });
			const [record] = await w.values(queue, 1);
			const context = record?.requestContext as Record<string, unknown>;
			assert.deepEqual([context.condition, context.approximateInvokeCount], ["ZeroReservedConcurrency", 0]);
			assert.equal(record?.responseContext, undefined);
		},
	},
	{
		says: "a crash is retried after a minute with the same id, with the newest code; an event past its age is not",
		timeoutMs: slowTimeoutMs,
		run: async (w) => {
			const [report, done, old] = [
				await w.queue("async-retry"),
				await w.queue("async-done"),
				await w.queue("async-old"),
			];
			const env = { REPORT: report.name, VERSION: "1" };
			await w.function("async-retry", { env });
			await configure(w, "async-retry", { success: done.arn, MaximumRetryAttempts: 1 });
			await w.function("async-old");
			await configure(w, "async-old", { failure: old.arn, MaximumEventAgeInSeconds: 60 });
			const aged = invokeLater(w, "async-old", { do: "crash" });
			const requestId = await invokeLater(w, "async-retry", { do: "crash" });
			assert.deepEqual(await w.values(report, 1), [{ event: { do: "crash" }, requestId, version: "1" }]);
			const mended = { Variables: { ...env, VERSION: "2", FIXED: "1" } };
			const change = { FunctionName: "async-retry", Environment: mended };
			await w.lambda.send(new UpdateFunctionConfigurationCommand(change));
			await waitUntilFunctionUpdatedV2({ client: w.lambda, ...waiting }, { FunctionName: "async-retry" });

			assert.deepEqual(await w.values(report, 1, 120), [{ event: { do: "crash" }, requestId, version: "2" }]);
			const [success] = await w.values(done, 1);
			const context = success?.requestContext as Record<string, unknown>;
			assert.deepEqual(
				[context.requestId, context.condition, context.approximateInvokeCount],
				[requestId, "Success", 2],
			);
			const [record] = await w.values(old, 1, 120);
			const last = record?.requestContext as Record<string, unknown>;
			assert.deepEqual([last.requestId, last.condition], [await aged, "EventAgeExceeded"]);
		},
	},
];
