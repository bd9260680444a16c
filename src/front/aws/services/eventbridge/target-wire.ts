import type * as sdk from "@aws-sdk/client-eventbridge";
import type { TargetRecord } from "../../../../engine/bus/types.ts";
import { invalid } from "./wire.ts";

/** Parameters of kinds of targets that there are none of here. */
const unsupported = [
	"KinesisParameters",
	"RunCommandParameters",
	"EcsParameters",
	"BatchParameters",
	"RedshiftDataParameters",
	"SageMakerPipelineParameters",
	"AppSyncParameters",
] as const;

export function targetRecord(target: sdk.Target): TargetRecord {
	const { Id, Arn, InputTransformer: transformer, HttpParameters: http, RetryPolicy: retry } = target;
	for (const name of unsupported)
		if (target[name])
			throw invalid(
				`Parameter ${name} is not supported: targets here are functions, queues, event buses and services.`,
			);
	return {
		id: Id ?? "",
		arn: Arn ?? "",
		roleArn: target.RoleArn,
		input: target.Input,
		inputPath: target.InputPath,
		...(transformer && {
			transformer: { pathsMap: transformer.InputPathsMap ?? {}, template: transformer.InputTemplate ?? "" },
		}),
		messageGroupId: target.SqsParameters?.MessageGroupId,
		...(http && {
			http: { pathValues: http.PathParameterValues, headers: http.HeaderParameters, query: http.QueryStringParameters },
		}),
		...(retry && { retry: { maxAttempts: retry.MaximumRetryAttempts, maxAgeS: retry.MaximumEventAgeInSeconds } }),
		deadLetterArn: target.DeadLetterConfig?.Arn,
	};
}

export function wireTarget({
	id,
	arn,
	transformer,
	http,
	retry,
	messageGroupId,
	deadLetterArn,
	...rest
}: TargetRecord): sdk.Target {
	return {
		Id: id,
		Arn: arn,
		RoleArn: rest.roleArn,
		Input: rest.input,
		InputPath: rest.inputPath,
		...(transformer && {
			InputTransformer: { InputPathsMap: { ...transformer.pathsMap }, InputTemplate: transformer.template },
		}),
		...(messageGroupId !== undefined && { SqsParameters: { MessageGroupId: messageGroupId } }),
		...(http && {
			HttpParameters: {
				...(http.pathValues && { PathParameterValues: [...http.pathValues] }),
				...(http.headers && { HeaderParameters: { ...http.headers } }),
				...(http.query && { QueryStringParameters: { ...http.query } }),
			},
		}),
		...(retry && { RetryPolicy: { MaximumRetryAttempts: retry.maxAttempts, MaximumEventAgeInSeconds: retry.maxAgeS } }),
		...(deadLetterArn !== undefined && { DeadLetterConfig: { Arn: deadLetterArn } }),
	};
}
