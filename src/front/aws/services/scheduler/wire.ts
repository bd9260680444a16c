import type * as sdk from "@aws-sdk/client-scheduler";
import type { ScheduleRecord, ScheduleSpec, ScheduleTarget } from "../../../../engine/schedules/schedule-record.ts";
import { AwsError } from "../../errors.ts";
import type { Input } from "../../service.ts";

export function validation(message: string): AwsError {
	return new AwsError("ValidationException", 400, message);
}

type ScheduleInput = Input<typeof sdk, "CreateSchedule">;

/** Parameters of targets that nothing here can be called as. */
const unsupported = [
	"EcsParameters",
	"KinesisParameters",
	"SageMakerPipelineParameters",
	"EventBridgePutEventsV2Parameters",
	"EventBridgePutRawEventsParameters",
] as const;

export function specOf(input: ScheduleInput): ScheduleSpec {
	return {
		expression: input.ScheduleExpression,
		timeZone: input.ScheduleExpressionTimezone,
		description: input.Description,
		startMs: input.StartDate?.getTime(),
		endMs: input.EndDate?.getTime(),
		enabled: input.State !== "DISABLED",
		windowMinutes: windowOf(input.FlexibleTimeWindow),
		deleteAfterCompletion: input.ActionAfterCompletion === "DELETE",
		kmsKeyArn: input.KmsKeyArn,
		target: targetOf(input.Target),
	};
}

function windowOf({ Mode, MaximumWindowInMinutes: minutes }: sdk.FlexibleTimeWindow): number | undefined {
	if (Mode === "FLEXIBLE" && minutes === undefined)
		throw validation("MaximumWindowInMinutes must be provided when the flexible time window mode is FLEXIBLE.");
	if (Mode !== "FLEXIBLE" && minutes !== undefined)
		throw validation("MaximumWindowInMinutes can't be set when the flexible time window mode is OFF.");
	return minutes;
}

function targetOf(target: sdk.Target): ScheduleTarget {
	const parameters = unsupported.find((member) => target[member] !== undefined);
	if (parameters !== undefined) throw validation(`${parameters} is not supported by Slipway.`);
	const { EventBridgeParameters: bus, RetryPolicy: retry } = target;
	return {
		arn: target.Arn ?? "",
		roleArn: target.RoleArn ?? "",
		input: target.Input,
		deadLetterArn: target.DeadLetterConfig?.Arn,
		maxRetries: retry?.MaximumRetryAttempts,
		maxAgeSeconds: retry?.MaximumEventAgeInSeconds,
		eventBridge: bus && { detailType: bus.DetailType ?? "", source: bus.Source ?? "" },
		messageGroupId: target.SqsParameters?.MessageGroupId,
	};
}

export function scheduleOutput(record: ScheduleRecord, arn: string): Omit<sdk.GetScheduleOutput, "$metadata"> {
	const { spec } = record;
	return {
		Arn: arn,
		GroupName: record.group,
		Name: record.name,
		ScheduleExpression: spec.expression,
		ScheduleExpressionTimezone: spec.timeZone ?? "UTC",
		Description: spec.description,
		StartDate: dateOf(spec.startMs),
		EndDate: dateOf(spec.endMs),
		State: spec.enabled ? "ENABLED" : "DISABLED",
		CreationDate: new Date(record.createdMs),
		LastModificationDate: new Date(record.modifiedMs),
		KmsKeyArn: spec.kmsKeyArn,
		ActionAfterCompletion: spec.deleteAfterCompletion ? "DELETE" : "NONE",
		FlexibleTimeWindow:
			spec.windowMinutes === undefined
				? { Mode: "OFF" }
				: { Mode: "FLEXIBLE", MaximumWindowInMinutes: spec.windowMinutes },
		Target: targetOutput(spec.target),
	};
}

function targetOutput(target: ScheduleTarget): sdk.Target {
	const { eventBridge, messageGroupId, deadLetterArn } = target;
	return {
		Arn: target.arn,
		RoleArn: target.roleArn,
		Input: target.input,
		...(deadLetterArn !== undefined && { DeadLetterConfig: { Arn: deadLetterArn } }),
		RetryPolicy: {
			MaximumEventAgeInSeconds: target.maxAgeSeconds ?? 86_400,
			MaximumRetryAttempts: target.maxRetries ?? 185,
		},
		...(eventBridge && {
			EventBridgeParameters: { DetailType: eventBridge.detailType, Source: eventBridge.source },
		}),
		...(messageGroupId !== undefined && { SqsParameters: { MessageGroupId: messageGroupId } }),
	};
}

export function scheduleSummary(record: ScheduleRecord, arn: string): sdk.ScheduleSummary {
	return {
		Arn: arn,
		Name: record.name,
		GroupName: record.group,
		State: record.spec.enabled ? "ENABLED" : "DISABLED",
		CreationDate: new Date(record.createdMs),
		LastModificationDate: new Date(record.modifiedMs),
		Target: { Arn: record.spec.target.arn },
	};
}

function dateOf(ms: number | undefined): Date | undefined {
	return ms === undefined ? undefined : new Date(ms);
}

const defaultPage = 100;

/** The part of a sorted listing that follows the token: the key of the last one before it. */
export function pageOf<T>(
	all: readonly T[],
	keyOf: (item: T) => string,
	{ NextToken, MaxResults = defaultPage }: { NextToken?: string | undefined; MaxResults?: number | undefined },
): { items: T[]; NextToken?: string } {
	const after = NextToken === undefined ? "" : keyOfToken(NextToken);
	const items = all.filter((item) => keyOf(item) > after).slice(0, MaxResults);
	const last = items.at(-1);
	const isEnd = last === undefined || last === all.at(-1);
	return { items, ...(!isEnd && { NextToken: Buffer.from(`k:${keyOf(last)}`).toString("base64url") }) };
}

function keyOfToken(token: string): string {
	const text = Buffer.from(token, "base64url").toString("utf8");
	if (!text.startsWith("k:")) throw validation("Invalid NextToken.");
	return text.slice("k:".length);
}
