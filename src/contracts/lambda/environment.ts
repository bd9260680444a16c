import type { FunctionRevision, SandboxIdentity } from "../../core/invocation/function-contract.ts";

export interface TemporaryCredentials {
	accessKeyId: string;
	secretAccessKey: string;
	sessionToken: string;
}

/**
 * The environment of a function's process (lambda-contract 3.1). Later ones win: the image's ENV, the function's own
 * variables, the platform's. Images get no `_HANDLER`, and PATH, LANG and TZ from themselves.
 */
export function functionEnvironment(
	revision: FunctionRevision,
	sandbox: SandboxIdentity,
	region: string,
	credentials: TemporaryCredentials,
): Record<string, string> {
	const { configuration, image } = revision;
	return {
		PATH: "/usr/local/bin:/usr/bin:/bin:/opt/bin",
		...image.env,
		...configuration.environment,
		...(configuration.logFormat === "JSON"
			? { AWS_LAMBDA_LOG_FORMAT: "JSON", AWS_LAMBDA_LOG_LEVEL: configuration.applicationLogLevel ?? "INFO" }
			: {}),
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
		AWS_LAMBDA_INITIALIZATION_TYPE: "on-demand",
	};
}

/** lambda-contract 3.2: ImageConfig replaces the image's own, each part by itself. */
export function functionProcess(revision: FunctionRevision): { args: string[]; cwd: string } {
	const { image } = revision;
	const overrides = revision.configuration.imageConfig ?? {};
	const entrypoint = overrides.entryPoint ?? image.entrypoint;
	const command = overrides.command ?? image.cmd;
	return { args: [...entrypoint, ...command], cwd: overrides.workingDirectory ?? (image.workingDir || "/") };
}
