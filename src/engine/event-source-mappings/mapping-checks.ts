/** The rules that a mapping has to keep, in AWS's words where these are known (lambda-contract 6, 6.1). */
import { SlipwayError } from "../../base/error.ts";
import { defaultBatchSize, isSqsArn, type MappingSettings, type MappingTarget } from "./mapping.ts";
import type { MappedFunction, SourceQueue } from "./ports.ts";

const maxBatchSize = 10_000;
const maxFifoBatchSize = 10;
/** What a batch may have without a window. */
const maxBatchSizeWithoutWindow = 10;
const maxWindowS = 300;
const maxConcurrency = 1000;
const minConcurrency = 2;
/** https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html, "Filter criteria": 5, by request 10. */
const maxFilters = 10;
const maxFilterLength = 4096;

/** By the service in the ARN: what the cloud polls and this platform has another way for. */
const otherSources = new Map([
	["kinesis", "Kinesis streams"],
	["dynamodb", "DynamoDB streams"],
	["kafka", "Amazon MSK"],
	["mq", "Amazon MQ"],
	["rds", "DocumentDB"],
]);

/** Refuses what is no queue of SQS, by name. */
export function checkSource(arn: string | undefined): string {
	if (arn !== undefined && isSqsArn(arn)) return arn;
	const service = /^arn:[a-z0-9-]*:([a-z0-9-]+):/.exec(arn ?? "")?.[1] ?? "";
	const other = otherSources.get(service);
	if (other !== undefined) throw otherSource(other);
	throw invalid("Unrecognized event source.");
}

/** A source that the cloud's API can name and that is no queue of ours. */
export function otherSource(what: string): SlipwayError {
	return new SlipwayError(
		"UNSUPPORTED",
		`Slipway does not poll ${what} by the Lambda API: an event source mapping has a queue (SQS) as its source.`,
		{
			hint: "RabbitMQ, NATS, Redis and PostgreSQL are sources of native triggers: `slipway trigger create --help`",
		},
	);
}

export function missingQueue(): SlipwayError {
	return invalid(
		"Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS Error Message: The specified queue does not exist.",
	);
}

export function withDefaults(given: Partial<MappingSettings>, target: MappingTarget): MappingSettings {
	return {
		enabled: given.enabled ?? true,
		batchSize: given.batchSize ?? (isPerMessage(target) ? 1 : defaultBatchSize),
		windowS: given.windowS ?? 0,
		filters: given.filters ?? [],
		reportsItemFailures: given.reportsItemFailures ?? false,
		maximumConcurrency: given.maximumConcurrency,
	};
}

/** INVALID. `compile` throws INVALID for a pattern that is none. */
export function checkSettings(
	settings: MappingSettings,
	target: MappingTarget,
	queue: SourceQueue,
	compile: (pattern: string) => unknown,
): void {
	checkBatch(settings, queue);
	if (isPerMessage(target) && settings.batchSize !== 1)
		throw invalid("A CloudEvent is one message: the batch size has to be 1. Batches go out in the format 'batch'.");
	if (isPerMessage(target) && settings.reportsItemFailures)
		throw invalid("Item failures are reported for batches: the answer's status says all of a single message.");
	const { maximumConcurrency: concurrency, filters } = settings;
	if (concurrency !== undefined)
		checkRange("scalingConfig.maximumConcurrency", concurrency, minConcurrency, maxConcurrency);
	if (filters.length > maxFilters)
		throw constraint("filterCriteria.filters", filters.length, `have length less than or equal to ${maxFilters}`);
	for (const pattern of filters) {
		if (pattern.length > maxFilterLength)
			throw constraint("filterCriteria.filters", "…", `have length less than or equal to ${maxFilterLength}`);
		checkPattern(pattern, compile);
	}
}

function checkBatch({ batchSize, windowS }: MappingSettings, { fifo }: SourceQueue): void {
	checkRange("batchSize", batchSize, 1, maxBatchSize);
	checkRange("maximumBatchingWindowInSeconds", windowS, 0, maxWindowS);
	if (fifo && windowS > 0) throw invalid("Batching window is not supported for FIFO queues");
	if (fifo && batchSize > maxFifoBatchSize)
		throw invalid(`BatchSize must not be greater than ${maxFifoBatchSize} for FIFO queues`);
	if (batchSize > maxBatchSizeWithoutWindow && windowS === 0)
		throw invalid("Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10");
}

function checkPattern(pattern: string, compile: (pattern: string) => unknown): void {
	try {
		compile(pattern);
	} catch (error) {
		const why = error instanceof Error ? ` ${error.message}` : "";
		throw new SlipwayError("INVALID", `Invalid filter pattern definition.${why}`, { cause: error });
	}
}

export function checkVisibility(queue: SourceQueue, target: MappedFunction | undefined): void {
	if (target && queue.settings.visibilityTimeoutS < target.timeoutS)
		throw invalid(
			`Queue visibility timeout: ${queue.settings.visibilityTimeoutS} seconds is less than Function timeout: ${target.timeoutS} seconds`,
		);
}

function isPerMessage(target: MappingTarget): boolean {
	return target.kind === "service" && target.format === "cloudevents";
}

function checkRange(member: string, value: number, min: number, max: number): void {
	if (!Number.isInteger(value) || value > max)
		throw constraint(member, value, `have value less than or equal to ${max}`);
	if (value < min) throw constraint(member, value, `have value greater than or equal to ${min}`);
}

function constraint(member: string, value: string | number, rule: string): SlipwayError {
	return new SlipwayError(
		"INVALID",
		`1 validation error detected: Value '${value}' at '${member}' failed to satisfy constraint: Member must ${rule}`,
		{ reason: "ValidationException" },
	);
}

function invalid(message: string): SlipwayError {
	return new SlipwayError("INVALID", message);
}
