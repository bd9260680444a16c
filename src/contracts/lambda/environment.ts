import type { FunctionRevision, SandboxIdentity } from "../../core/invocation/function-contract.ts";

export interface TemporaryCredentials {
	accessKeyId: string;
	secretAccessKey: string;
	sessionToken: string;
}

export interface EnvironmentSetting {
	region: string;
	credentials: TemporaryCredentials;
	/** https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html */
	awsEndpoint: string | undefined;
}

/** Where X-Ray's SDKs send their segments. Nobody listens: they are lost, as on a machine without the daemon. */
const xrayHost = "127.0.0.1";
const xrayPort = "2000";

/** RIE, lambda-managed-instances/rapidcore/env/environment.go: the platform's, which nothing else sets; those that a function may set are not among them. */
const reserved: ReadonlySet<string> = new Set([
	"AWS_ACCESS_KEY_ID",
	"AWS_DEFAULT_REGION",
	"AWS_EXECUTION_ENV",
	"AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
	"AWS_LAMBDA_FUNCTION_NAME",
	"AWS_LAMBDA_FUNCTION_VERSION",
	"AWS_LAMBDA_INITIALIZATION_TYPE",
	"AWS_LAMBDA_LOG_GROUP_NAME",
	"AWS_LAMBDA_LOG_STREAM_NAME",
	"AWS_LAMBDA_MAX_CONCURRENCY",
	"AWS_LAMBDA_RUNTIME_API",
	"AWS_REGION",
	"AWS_SECRET_ACCESS_KEY",
	"AWS_SESSION_TOKEN",
	"AWS_XRAY_DAEMON_PORT",
	"AWS_XRAY_TRACE_ID",
	"LAMBDA_RUNTIME_DIR",
	"LAMBDA_TASK_ROOT",
]);

/** What extensions don't get of a function's environment, beside the names that start with `_` (lambda-contract 2.2). */
const functionOnly: ReadonlySet<string> = new Set([
	"AWS_EXECUTION_ENV",
	"AWS_LAMBDA_LOG_GROUP_NAME",
	"AWS_LAMBDA_LOG_STREAM_NAME",
	"AWS_XRAY_CONTEXT_MISSING",
	"LAMBDA_RUNTIME_DIR",
	"LAMBDA_TASK_ROOT",
]);

/**
 * The environment of a function's process (lambda-contract 3.1). Later ones win: what the platform suggests, the image's
 * ENV, the function's own variables, what the platform says. Images get no `_HANDLER`, and PATH, LANG, LD_LIBRARY_PATH and
 * TZ from themselves.
 */
export function functionEnvironment(
	revision: FunctionRevision,
	sandbox: SandboxIdentity,
	{ region, credentials, awsEndpoint }: EnvironmentSetting,
): Record<string, string> {
	const { configuration, image } = revision;
	return {
		PATH: "/usr/local/bin:/usr/bin:/bin:/opt/bin",
		AWS_XRAY_CONTEXT_MISSING: "LOG_ERROR",
		AWS_XRAY_DAEMON_ADDRESS: `${xrayHost}:${xrayPort}`,
		...(awsEndpoint !== undefined && { AWS_ENDPOINT_URL: awsEndpoint }),
		...(configuration.logFormat === "JSON" && {
			AWS_LAMBDA_LOG_FORMAT: "JSON",
			AWS_LAMBDA_LOG_LEVEL: configuration.applicationLogLevel ?? "INFO",
		}),
		...unreserved(image.env),
		...withoutUnderscore(unreserved(configuration.environment ?? {})),
		_AWS_XRAY_DAEMON_ADDRESS: xrayHost,
		_AWS_XRAY_DAEMON_PORT: xrayPort,
		AWS_ACCESS_KEY_ID: credentials.accessKeyId,
		AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
		AWS_SESSION_TOKEN: credentials.sessionToken,
		AWS_EXECUTION_ENV: "AWS_Lambda_Image",
		AWS_LAMBDA_LOG_GROUP_NAME: configuration.logGroup,
		AWS_LAMBDA_LOG_STREAM_NAME: sandbox.logStream,
		LAMBDA_TASK_ROOT: "/var/task",
		LAMBDA_RUNTIME_DIR: "/var/runtime",
		AWS_REGION: region,
		AWS_DEFAULT_REGION: region,
		AWS_LAMBDA_FUNCTION_NAME: revision.name,
		AWS_LAMBDA_FUNCTION_VERSION: revision.version,
		AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(configuration.memoryMiB),
		AWS_LAMBDA_INITIALIZATION_TYPE: sandbox.initializationType,
	};
}

/** An external extension's environment: the function's, less what is the runtime's own (lambda-contract 2.2). */
export function extensionEnvironment(functionsOwn: Readonly<Record<string, string>>): Record<string, string> {
	return chosen(withoutUnderscore(functionsOwn), (name) => !functionOnly.has(name));
}

function unreserved(env: Readonly<Record<string, string>>): Record<string, string> {
	return chosen(env, (name) => !reserved.has(name));
}

function withoutUnderscore(env: Readonly<Record<string, string>>): Record<string, string> {
	return chosen(env, (name) => !name.startsWith("_"));
}

function chosen(env: Readonly<Record<string, string>>, keep: (name: string) => boolean): Record<string, string> {
	return Object.fromEntries(Object.entries(env).filter(([name]) => keep(name)));
}

/** lambda-contract 3.2: ImageConfig replaces the image's own, each part by itself. */
export function functionProcess(revision: FunctionRevision): { args: string[]; cwd: string } {
	const { image } = revision;
	const overrides = revision.configuration.imageConfig ?? {};
	const entrypoint = overrides.entryPoint ?? image.entrypoint;
	return {
		args: [...entrypoint, ...imageCommand(revision)],
		cwd: overrides.workingDirectory ?? (image.workingDir || "/"),
	};
}

/** What is passed to the entrypoint; its first word is what AWS's base images take as the handler. */
export function imageCommand({ configuration, image }: FunctionRevision): readonly string[] {
	return configuration.imageConfig?.command ?? image.cmd;
}
