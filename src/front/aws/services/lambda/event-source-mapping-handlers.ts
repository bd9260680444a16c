/** Event source mappings of the Lambda API: queues as sources, functions as targets (lambda-contract 6). */
import type * as sdk from "@aws-sdk/client-lambda";
import { SlipwayError } from "../../../../base/error.ts";
import type {
	CreateMapping,
	MappingFilter,
	MappingSettings,
	MappingView,
	UpdateMapping,
} from "../../../../engine/event-source-mappings/mapping.ts";
import { otherSource } from "../../../../engine/event-source-mappings/mapping-checks.ts";
import type { Call, Handlers, Input } from "../../service.ts";
import { given } from "./configuration.ts";
import { parseFunctionName } from "./function-name.ts";
import { pageOf } from "./paging.ts";
import { checkTags } from "./tag-handlers.ts";

/** engine/event-source-mappings/event-source-mappings.ts fits. */
export interface EventSourceMappingOperations {
	create(input: CreateMapping): Promise<MappingView>;
	get(uuid: string): MappingView;
	list(filter: MappingFilter): MappingView[];
	update(uuid: string, changes: UpdateMapping): Promise<MappingView>;
	delete(uuid: string): Promise<MappingView>;
	tag(uuid: string, tags: Readonly<Record<string, string>>): Promise<void>;
	untag(uuid: string, keys: readonly string[]): Promise<void>;
}

type Create = Input<typeof sdk, "CreateEventSourceMapping">;
type Update = Input<typeof sdk, "UpdateEventSourceMapping">;

export function eventSourceMappingHandlers({
	eventSourceMappings: mappings,
}: {
	eventSourceMappings: EventSourceMappingOperations;
}): Handlers<typeof sdk> {
	return {
		async CreateEventSourceMapping(input, call) {
			refuseOtherSources(input);
			refuseOtherSettings(input);
			checkTags(input.Tags ?? {});
			const target = targetOf(input.FunctionName, call);
			const maximumConcurrency = input.ScalingConfig?.MaximumConcurrency;
			const source = input.EventSourceArn ?? "";
			return shown(
				await mappings.create({ source, target, tags: input.Tags, ...settingsOf(input), maximumConcurrency }),
			);
		},

		GetEventSourceMapping: (input) => shown(own(mappings.get(input.UUID))),

		async UpdateEventSourceMapping(input, call) {
			own(mappings.get(input.UUID));
			refuseOtherSettings(input);
			const { FunctionName, ScalingConfig } = input;
			const changes: UpdateMapping = settingsOf(input);
			if (FunctionName !== undefined) changes.target = targetOf(FunctionName, call);
			// An empty ScalingConfig takes the bound away (API_ScalingConfig).
			if (ScalingConfig) changes.maximumConcurrency = ScalingConfig.MaximumConcurrency ?? "none";
			return shown(await mappings.update(input.UUID, changes));
		},

		async DeleteEventSourceMapping(input) {
			own(mappings.get(input.UUID));
			return shown(await mappings.delete(input.UUID));
		},

		ListEventSourceMappings(input, call) {
			const { FunctionName, EventSourceArn } = input;
			const target = FunctionName === undefined ? undefined : parseFunctionName(FunctionName, undefined, call);
			const all = mappings
				.list({ source: EventSourceArn, functionName: target?.name, qualifier: target?.qualifier })
				.filter(isFunctions)
				.sort((a, b) => (a.uuid < b.uuid ? -1 : 1));
			const { page, ...marker } = pageOf(all, input, ({ uuid }) => uuid);
			return { EventSourceMappings: page.map(shown), ...marker };
		},
	};
}

/** Those to services are the native API's. */
function isFunctions({ target }: MappingView): boolean {
	return target.kind === "function";
}

function own(view: MappingView): MappingView {
	if (!isFunctions(view)) throw new SlipwayError("NOT_FOUND", "The resource you requested does not exist.");
	return view;
}

function targetOf(text: string, call: Call): CreateMapping["target"] {
	const { name, qualifier } = parseFunctionName(text, undefined, call);
	return { kind: "function", name, qualifier };
}

function settingsOf(input: Create | Update): Partial<Omit<MappingSettings, "maximumConcurrency">> {
	const { FilterCriteria, FunctionResponseTypes } = input;
	return given({
		enabled: input.Enabled,
		batchSize: input.BatchSize,
		windowS: input.MaximumBatchingWindowInSeconds,
		filters: FilterCriteria && (FilterCriteria.Filters ?? []).flatMap(({ Pattern }) => Pattern ?? []),
		reportsItemFailures: FunctionResponseTypes?.includes("ReportBatchItemFailures"),
	});
}

/** Sources that are not named by an ARN. */
function refuseOtherSources(input: Create): void {
	if (input.SelfManagedEventSource || input.SelfManagedKafkaEventSourceConfig || input.Topics?.length)
		throw otherSource("Apache Kafka");
	if (input.AmazonManagedKafkaEventSourceConfig) throw otherSource("Amazon MSK");
	if (input.Queues?.length) throw otherSource("Amazon MQ");
	if (input.DocumentDBEventSourceConfig) throw otherSource("DocumentDB");
	if (input.EventSourceArn === undefined) throw new SlipwayError("INVALID", "Unrecognized event source.");
	if (input.StartingPosition !== undefined && /:sqs:/.test(input.EventSourceArn))
		throw new SlipwayError("INVALID", "StartingPosition is not valid for SQS event sources.");
}

/** Members that are for streams alone. */
const streamMembers = [
	"ParallelizationFactor",
	"MaximumRecordAgeInSeconds",
	"BisectBatchOnFunctionError",
	"MaximumRetryAttempts",
	"TumblingWindowInSeconds",
] as const;
/** Members that queues may have in the cloud and that nothing here would do anything with. */
const otherMembers = ["ProvisionedPollerConfig", "KMSKeyArn", "MetricsConfig", "LoggingConfig"] as const;

/** Never ignored: refused by name. Empty ones, which tools send, are none. */
function refuseOtherSettings(input: Create | Update): void {
	const forStreams = streamMembers.filter((name) => input[name] !== undefined && input[name] !== false);
	if (!isEmpty(input.DestinationConfig) || forStreams.length > 0) {
		const names = [...forStreams, ...(isEmpty(input.DestinationConfig) ? [] : ["DestinationConfig"])];
		throw new SlipwayError(
			"INVALID",
			`${names.join(", ")} can't be used with SQS event sources: retries and dead letters are the queue's own (RedrivePolicy)`,
		);
	}
	const others = otherMembers.filter((name) => !isEmpty(input[name]));
	if (others.length > 0)
		throw new SlipwayError("UNSUPPORTED", `Slipway does not support ${others.join(", ")} of event source mappings`);
}

function isEmpty(value: unknown): boolean {
	if (value === undefined || value === null || value === "") return true;
	if (Array.isArray(value)) return value.length === 0;
	return typeof value === "object" && Object.values(value).every(isEmpty);
}

/** As it was recorded of the cloud: no LastProcessingResult, which is for streams. */
function shown(view: MappingView): sdk.EventSourceMappingConfiguration {
	const { maximumConcurrency, filters } = view;
	return {
		UUID: view.uuid,
		BatchSize: view.batchSize,
		MaximumBatchingWindowInSeconds: view.windowS,
		EventSourceArn: view.sourceArn,
		...(filters.length > 0 && { FilterCriteria: { Filters: filters.map((Pattern) => ({ Pattern })) } }),
		...(maximumConcurrency !== undefined && { ScalingConfig: { MaximumConcurrency: maximumConcurrency } }),
		FunctionArn: view.targetArn,
		LastModified: new Date(view.lastModifiedMs),
		State: view.state,
		StateTransitionReason: "USER_INITIATED",
		FunctionResponseTypes: view.reportsItemFailures ? ["ReportBatchItemFailures"] : [],
		EventSourceMappingArn: view.arn,
	};
}
