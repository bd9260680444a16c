/** How functions, versions and aliases deal with asynchronous events (lambda-contract 5; the words are recorded ones). */
import type * as sdk from "@aws-sdk/client-lambda";
import { isSlipwayError, SlipwayError } from "../../../../base/error.ts";
import type { Call, Handlers } from "../../service.ts";
import { type FunctionName, invalidParameter, notFoundError, parseFunctionName } from "./function-name.ts";
import { compareText, pageOf } from "./paging.ts";
import type { EventInvokeView, LambdaDeps } from "./ports.ts";
import { orElse, orElseAsync, resolve } from "./qualifiers.ts";

type Deps = Pick<LambdaDeps, "functions" | "versions" | "asyncInvocations" | "targets">;

interface Addressed {
	FunctionName: string;
	Qualifier?: string | undefined;
}

interface Settings extends Addressed {
	MaximumRetryAttempts?: number | undefined;
	MaximumEventAgeInSeconds?: number | undefined;
	DestinationConfig?: sdk.DestinationConfig | undefined;
}

const noFunction = () => notFoundError("The function doesn't exist.");

export function eventInvokeConfigHandlers(deps: Deps): Handlers<typeof sdk> {
	const { configs } = deps.asyncInvocations;
	return {
		async PutFunctionEventInvokeConfig(input, call) {
			const target = checkSettings(deps, input, call);
			const put = () => configs.put(target.name, qualifierOf(target), readSettings(input));
			return shown(target, await orElseAsync(noFunction, put));
		},
		async UpdateFunctionEventInvokeConfig(input, call) {
			const target = checkSettings(deps, input, call);
			const update = () => configs.update(target.name, qualifierOf(target), readSettings(input));
			return shown(target, await orElseAsync(() => none(target), update));
		},
		GetFunctionEventInvokeConfig(input, call) {
			const target = parse(input, call);
			const config = configs.find(target.name, qualifierOf(target));
			if (!config) throw none(target);
			return shown(target, config);
		},
		async DeleteFunctionEventInvokeConfig(input, call) {
			const target = parse(input, call);
			await orElseAsync(
				() => none(target),
				() => configs.delete(target.name, qualifierOf(target)),
			);
			return {};
		},
		ListFunctionEventInvokeConfigs(input, call) {
			const { name, arn } = parseFunctionName(input.FunctionName, undefined, call);
			orElse(noFunction, () => deps.functions.get(name));
			const { page, ...marker } = pageOf(configs.list(name), input, ({ qualifier }) => qualifier, compareText);
			return {
				FunctionEventInvokeConfigs: page.map(({ qualifier, config }) => shown({ name, arn, qualifier }, config)),
				...marker,
			};
		},
	};
}

function parse(input: Addressed, call: Call): FunctionName {
	return parseFunctionName(input.FunctionName, input.Qualifier, call);
}

function qualifierOf({ qualifier = "$LATEST" }: FunctionName): string {
	return qualifier;
}

// Asked of a function that is not there, they say the same.
function none(target: FunctionName): Error {
	return notFoundError(`The function ${target.arn}:${qualifierOf(target)} doesn't have an EventInvokeConfig`);
}

/** Throws AwsError or SlipwayError. */
function checkSettings(deps: Deps, input: Settings, call: Call): FunctionName {
	const target = parse(input, call);
	const { MaximumRetryAttempts, MaximumEventAgeInSeconds, DestinationConfig } = input;
	if ([MaximumRetryAttempts, MaximumEventAgeInSeconds, DestinationConfig].every((item) => item === undefined))
		throw invalidParameter("You must specify at least one of error handling or destination setting.");
	resolve(deps, target, noFunction);
	for (const arn of [DestinationConfig?.OnFailure?.Destination, DestinationConfig?.OnSuccess?.Destination])
		if (arn) checkDestination(deps, target, arn, DestinationConfig ?? {});
	return target;
}

const unsupportedKinds = new Map([
	["sns", "SNS topics"],
	["s3", "S3 buckets"],
]);

function checkDestination({ targets }: Deps, { name }: FunctionName, arn: string, all: sdk.DestinationConfig): void {
	const [, , service = "", , , , resource] = arn.split(":");
	const kind = unsupportedKinds.get(service);
	if (kind !== undefined)
		throw new SlipwayError(
			"UNSUPPORTED",
			`Slipway does not support ${kind} as destinations (${arn}): use an SQS queue, a function or an event bus.`,
		);
	if (!["sqs", "lambda", "events"].includes(service))
		throw invalidParameter(`The provided destination config ${describe(all)} is invalid.`);
	if (service === "lambda" && resource === name)
		throw invalidParameter("You can't specify the function as a destination for itself.");
	if (isFifo(arn))
		throw invalidParameter(`The destination ARN ${arn} is invalid. A FIFO queue can't be a destination.`);
	checkTarget(targets, arn, `The destination ARN ${arn} is invalid.`);
}

/** As AWS prints it. */
function describe({ OnSuccess, OnFailure }: sdk.DestinationConfig): string {
	const success = OnSuccess?.Destination ? `OnSuccess(destination=${OnSuccess.Destination})` : "null";
	const failure = OnFailure?.Destination ? `OnFailure(destination=${OnFailure.Destination})` : "null";
	return `DestinationConfig(onSuccess=${success}, onFailure=${failure})`;
}

/** Of CreateFunction and UpdateFunctionConfiguration; "" and none are fine. Throws AwsError or SlipwayError. */
export function checkDeadLetterConfig({ targets }: Pick<LambdaDeps, "targets">, arn: string | undefined): void {
	if (arn === undefined || arn === "") return;
	const service = arn.split(":", 3)[2] ?? "";
	const kind = unsupportedKinds.get(service);
	if (kind !== undefined)
		throw new SlipwayError(
			"UNSUPPORTED",
			`Slipway does not support ${kind} as dead-letter queues (${arn}): use an SQS queue.`,
		);
	if (service !== "sqs" || isFifo(arn))
		throw invalidParameter(`The dead-letter target ${arn} is invalid: it must be a standard SQS queue.`);
	checkTarget(targets, arn, `The dead-letter target ${arn} is invalid: there is no such queue.`);
}

function isFifo(arn: string): boolean {
	return arn.startsWith("arn:aws:sqs:") && arn.endsWith(".fifo");
}

function checkTarget(targets: LambdaDeps["targets"], arn: string, words: string): void {
	try {
		targets.check(arn);
	} catch (error) {
		if (isSlipwayError(error, "NOT_FOUND") || isSlipwayError(error, "INVALID")) throw invalidParameter(words);
		throw error;
	}
}

function readSettings({ MaximumRetryAttempts, MaximumEventAgeInSeconds, DestinationConfig }: Settings) {
	return {
		...(MaximumRetryAttempts !== undefined && { maximumRetryAttempts: MaximumRetryAttempts }),
		...(MaximumEventAgeInSeconds !== undefined && { maximumEventAgeS: MaximumEventAgeInSeconds }),
		...(DestinationConfig !== undefined && {
			onSuccess: DestinationConfig.OnSuccess?.Destination || undefined,
			onFailure: DestinationConfig.OnFailure?.Destination || undefined,
		}),
	};
}

function shown(target: FunctionName, config: EventInvokeView): Omit<sdk.FunctionEventInvokeConfig, "$metadata"> {
	const { onSuccess, onFailure, maximumRetryAttempts, maximumEventAgeS, lastModifiedMs } = config;
	return {
		LastModified: new Date(lastModifiedMs),
		FunctionArn: `${target.arn}:${qualifierOf(target)}`,
		...(maximumRetryAttempts !== undefined && { MaximumRetryAttempts: maximumRetryAttempts }),
		...(maximumEventAgeS !== undefined && { MaximumEventAgeInSeconds: maximumEventAgeS }),
		DestinationConfig: {
			OnSuccess: onSuccess === undefined ? {} : { Destination: onSuccess },
			OnFailure: onFailure === undefined ? {} : { Destination: onFailure },
		},
	};
}
