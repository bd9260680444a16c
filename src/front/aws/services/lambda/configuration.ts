/** Our records as Lambda's shapes (lambda-contract 4.3), and the other way round. */
import type * as sdk from "@aws-sdk/client-lambda";
import type {
	FunctionCode,
	FunctionConfiguration,
	FunctionRecord,
	FunctionState,
	FunctionVersion,
	LastUpdate,
} from "../../../../core/function/function.ts";
import type { UpdateConfigurationInput } from "../../../../engine/functions/inputs.ts";
import type { Input } from "../../service.ts";

type Wire = Omit<sdk.FunctionConfiguration, "$metadata">;

/** One version, or $LATEST, of a function, as it is to be shown. */
interface Shown {
	name: string;
	arn: string;
	/** "$LATEST" or a number. */
	version: string;
	configuration: FunctionConfiguration;
	code: FunctionCode;
	lastModifiedMs: number;
	revisionId: string;
}

/** $LATEST under the ARN that the caller used: without a qualifier, with $LATEST, or with an alias. Lists leave the states out. */
export function listedConfiguration(record: FunctionRecord, arn = record.arn): Wire {
	return shown({ ...record, arn, version: "$LATEST" });
}

export function fullConfiguration(record: FunctionRecord, arn = record.arn): Wire {
	return { ...listedConfiguration(record, arn), ...states(record.state, record.lastUpdate) };
}

export function listedVersion(
	record: FunctionRecord,
	version: FunctionVersion,
	arn = versionArn(record, version),
): Wire {
	return shown({ ...version, name: record.name, arn });
}

export function fullVersion(record: FunctionRecord, version: FunctionVersion, arn = versionArn(record, version)): Wire {
	// A version knows no updates: it is Successful with its first state that serves.
	const lastUpdate: LastUpdate = { status: version.state.state === "Active" ? "Successful" : "None" };
	return { ...listedVersion(record, version, arn), ...states(version.state, lastUpdate) };
}

export function versionArn(record: FunctionRecord, version: FunctionVersion): string {
	return `${record.arn}:${version.version}`;
}

function states(state: FunctionState, lastUpdate: LastUpdate): Wire {
	return {
		State: state.state,
		...(state.state !== "Active" && {
			StateReason: state.reason,
			StateReasonCode: state.reasonCode as sdk.StateReasonCode,
		}),
		...(lastUpdate.status !== "None" && { LastUpdateStatus: lastUpdate.status }),
		...("reason" in lastUpdate && {
			LastUpdateStatusReason: lastUpdate.reason,
			LastUpdateStatusReasonCode: lastUpdate.reasonCode as sdk.LastUpdateStatusReasonCode,
		}),
	};
}

function shown({ name, arn, version, configuration, code, lastModifiedMs, revisionId }: Shown): Wire {
	const { environment, imageConfig } = configuration;
	return {
		FunctionName: name,
		FunctionArn: arn,
		Role: configuration.role,
		CodeSize: code.image?.size ?? 0,
		Description: configuration.description,
		Timeout: configuration.timeoutS,
		MemorySize: configuration.memoryMiB,
		LastModified: new Date(lastModifiedMs).toISOString().replace("Z", "+0000"),
		...(code.manifestDigest && { CodeSha256: code.manifestDigest.slice("sha256:".length) }),
		Version: version,
		...(environment && { Environment: { Variables: environment } }),
		...(configuration.deadLetterArn !== undefined && {
			DeadLetterConfig: { TargetArn: configuration.deadLetterArn },
		}),
		TracingConfig: { Mode: configuration.tracingMode },
		RevisionId: revisionId,
		PackageType: "Image",
		...(imageConfig && {
			ImageConfigResponse: {
				ImageConfig: {
					...(imageConfig.entryPoint && { EntryPoint: imageConfig.entryPoint }),
					...(imageConfig.command && { Command: imageConfig.command }),
					...(imageConfig.workingDirectory !== undefined && { WorkingDirectory: imageConfig.workingDirectory }),
				},
			},
		}),
		Architectures: [configuration.architecture],
		EphemeralStorage: { Size: configuration.tmpMiB },
		SnapStart: { ApplyOn: "None", OptimizationStatus: "Off" },
		LoggingConfig: loggingConfig(configuration),
	};
}

function loggingConfig(configuration: FunctionConfiguration): sdk.LoggingConfig {
	return {
		LogFormat: configuration.logFormat,
		...(configuration.applicationLogLevel !== undefined && {
			ApplicationLogLevel: configuration.applicationLogLevel as sdk.ApplicationLogLevel,
		}),
		...(configuration.systemLogLevel !== undefined && {
			SystemLogLevel: configuration.systemLogLevel as sdk.SystemLogLevel,
		}),
		LogGroup: configuration.logGroup,
	};
}

/** What CreateFunction and UpdateFunctionConfiguration have in common. */
export function readConfiguration(
	input: Input<typeof sdk, "UpdateFunctionConfiguration"> | Input<typeof sdk, "CreateFunction">,
): Omit<UpdateConfigurationInput, "revisionId"> {
	const { ImageConfig, LoggingConfig } = input;
	return given({
		role: input.Role,
		description: input.Description,
		memoryMiB: input.MemorySize,
		timeoutS: input.Timeout,
		tmpMiB: input.EphemeralStorage?.Size,
		environment: input.Environment && (input.Environment.Variables ?? {}),
		imageConfig:
			ImageConfig &&
			given({
				entryPoint: nonEmpty(ImageConfig.EntryPoint),
				command: nonEmpty(ImageConfig.Command),
				workingDirectory: ImageConfig.WorkingDirectory || undefined,
			}),
		tracingMode: input.TracingConfig?.Mode,
		logFormat: LoggingConfig?.LogFormat,
		applicationLogLevel: LoggingConfig?.ApplicationLogLevel,
		systemLogLevel: LoggingConfig?.SystemLogLevel,
		logGroup: LoggingConfig?.LogGroup,
		deadLetterArn: input.DeadLetterConfig && (input.DeadLetterConfig.TargetArn ?? ""),
	});
}

/** An empty list means "as the image has it", as leaving it out does. */
function nonEmpty(list: string[] | undefined): string[] | undefined {
	return list && list.length > 0 ? list : undefined;
}

type Given<T> = { [Key in keyof T]?: Exclude<T[Key], undefined> };

/** Without the members that are undefined, so that "not given" and "given" stay apart. */
export function given<T extends object>(value: T): Given<T> {
	return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as Given<T>;
}
