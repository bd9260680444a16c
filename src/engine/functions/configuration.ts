import { SlipwayError } from "../../base/error.ts";
import type { FunctionConfiguration, ImageOverrides } from "../../core/function/function.ts";
import type { CreateFunctionInput, UpdateConfigurationInput } from "./inputs.ts";

/** Bytes of all variables, as the JSON text that AWS measures (lambda-contract 3.1). */
export const maxEnvironmentBytes = 4096;

/** Defaults: lambda-contract 4.3. */
export function newConfiguration(input: CreateFunctionInput): FunctionConfiguration {
	return applyConfiguration(
		{
			description: "",
			role: input.role,
			memoryMiB: 128,
			timeoutS: 3,
			tmpMiB: 512,
			architecture: input.architecture ?? "x86_64",
			environment: undefined,
			imageConfig: undefined,
			tracingMode: "PassThrough",
			logFormat: "Text",
			applicationLogLevel: undefined,
			systemLogLevel: undefined,
			logGroup: `/aws/lambda/${input.name}`,
		},
		input,
	);
}

/** Only what is given changes; an empty ImageConfig removes it, an empty environment too. */
export function applyConfiguration(
	current: FunctionConfiguration,
	input: UpdateConfigurationInput,
): FunctionConfiguration {
	const { environment, imageConfig } = input;
	const { deadLetterArn: before, ...unchanged } = current;
	const deadLetterArn = input.deadLetterArn ?? before ?? "";
	const json = (input.logFormat ?? current.logFormat) === "JSON";
	return {
		...unchanged,
		description: input.description ?? current.description,
		role: input.role ?? current.role,
		memoryMiB: input.memoryMiB ?? current.memoryMiB,
		timeoutS: input.timeoutS ?? current.timeoutS,
		tmpMiB: input.tmpMiB ?? current.tmpMiB,
		tracingMode: input.tracingMode ?? current.tracingMode,
		logFormat: input.logFormat ?? current.logFormat,
		applicationLogLevel: json ? (input.applicationLogLevel ?? current.applicationLogLevel ?? "INFO") : undefined,
		systemLogLevel: json ? (input.systemLogLevel ?? current.systemLogLevel ?? "INFO") : undefined,
		logGroup: input.logGroup ?? current.logGroup,
		...(deadLetterArn !== "" && { deadLetterArn }),
		environment: environment === undefined ? current.environment : emptyToNone(environment),
		imageConfig: imageConfig === undefined ? current.imageConfig : givenOverrides(imageConfig),
	};
}

/** Ranges of lambda-contract 3.8, whichever front the values came through. */
export function checkConfiguration(configuration: FunctionConfiguration): void {
	within("Memory size", configuration.memoryMiB, 128, 10_240, "MB");
	within("Timeout", configuration.timeoutS, 1, 900, "seconds");
	within("Ephemeral storage", configuration.tmpMiB, 512, 10_240, "MB");
	checkOverrides(configuration.imageConfig ?? {});
	const json = JSON.stringify(configuration.environment ?? {});
	if (Buffer.byteLength(json) > maxEnvironmentBytes)
		throw new SlipwayError(
			"INVALID",
			`Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit. String measured: ${json}`,
		);
	for (const name of Object.keys(configuration.environment ?? {}))
		if (reservedVariables.has(name))
			throw new SlipwayError(
				"INVALID",
				`Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys that are currently not supported for modification. Reserved keys used in this request: ${name}`,
			);
}

/** Of an entry point or a command, and of a working directory: the API's model. */
const maxArguments = 1500;
const maxWorkingDirectoryLength = 1000;

/** An update replaces all three; an empty one is as good as none, and leaves the image's own. */
function givenOverrides({ entryPoint, command, workingDirectory }: ImageOverrides): ImageOverrides | undefined {
	return emptyToNone({
		...(entryPoint?.length ? { entryPoint } : {}),
		...(command?.length ? { command } : {}),
		...(workingDirectory ? { workingDirectory } : {}),
	});
}

function checkOverrides({ entryPoint, command, workingDirectory = "" }: ImageOverrides): void {
	for (const [member, list] of [
		["entryPoint", entryPoint ?? []],
		["command", command ?? []],
	] as const)
		if (list.length > maxArguments) throw tooLong(member, `[${list.slice(0, 5).join(", ")}, …]`, maxArguments);
	if (workingDirectory.length > maxWorkingDirectoryLength)
		throw tooLong("workingDirectory", workingDirectory, maxWorkingDirectoryLength);
	// No program can be started with one.
	const all = [...(entryPoint ?? []), ...(command ?? []), workingDirectory];
	if (all.some((text) => text.includes("\0")))
		throw new SlipwayError("INVALID", "An ImageConfig has no place for a NUL character");
}

function tooLong(member: string, value: string, most: number): SlipwayError {
	return new SlipwayError(
		"INVALID",
		`1 validation error detected: Value '${value.slice(0, 256)}' at 'imageConfig.${member}' failed to satisfy constraint: Member must have length less than or equal to ${most}`,
		{ reason: "ValidationException" },
	);
}

/** Set by the platform for every function (AWS Lambda developer guide, "Defined runtime environment variables"). */
const reservedVariables = new Set([
	"_HANDLER",
	"_X_AMZN_TRACE_ID",
	"AWS_REGION",
	"AWS_DEFAULT_REGION",
	"AWS_EXECUTION_ENV",
	"AWS_LAMBDA_FUNCTION_NAME",
	"AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
	"AWS_LAMBDA_FUNCTION_VERSION",
	"AWS_LAMBDA_INITIALIZATION_TYPE",
	"AWS_LAMBDA_LOG_GROUP_NAME",
	"AWS_LAMBDA_LOG_STREAM_NAME",
	"AWS_ACCESS_KEY",
	"AWS_ACCESS_KEY_ID",
	"AWS_SECRET_ACCESS_KEY",
	"AWS_SESSION_TOKEN",
	"AWS_LAMBDA_RUNTIME_API",
	"LAMBDA_TASK_ROOT",
	"LAMBDA_RUNTIME_DIR",
]);

function within(what: string, value: number, low: number, high: number, unit: string): void {
	if (!Number.isInteger(value) || value < low || value > high)
		throw new SlipwayError("INVALID", `${what} is ${value}; it must be a whole number from ${low} to ${high} ${unit}`);
}

function emptyToNone<T extends object>(value: T): T | undefined {
	return Object.keys(value).length === 0 ? undefined : value;
}
