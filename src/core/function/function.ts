import type { Digest } from "../image/digest.ts";
import type { SpareSetting } from "./spare-setting.ts";

/**
 * A function as its owner configured it (Lambda's FunctionConfiguration, in our words) and the image that its code was
 * resolved to. `revisionId` changes on every change, as the cloud's does.
 */
export interface FunctionRecord {
	name: string;
	/** Unqualified ARN. */
	arn: string;
	revisionId: string;
	/** Milliseconds since the epoch. */
	lastModifiedMs: number;
	createdMs: number;
	configuration: FunctionConfiguration;
	code: FunctionCode;
	state: FunctionState;
	lastUpdate: LastUpdate;
	/** The revision that serves while an update is in progress or has failed. */
	active: { configuration: FunctionConfiguration; code: FunctionCode } | undefined;
	tags: Record<string, string>;
	/** The number that the next published version gets; numbers are never used twice. */
	nextVersion: number;
	/** By name. */
	aliases: Record<string, FunctionAlias>;
	/** Resource policies by qualifier; "" is the function itself. */
	policies: Record<string, ResourcePolicy>;
	/** Undefined: shares what is unreserved. 0: always throttled. */
	reservedConcurrency: number | undefined;
	/** By qualifier: a version's number or an alias's name. */
	provisionedConcurrency: Record<string, ProvisionedConcurrency>;
	/** By qualifier; "" is the function itself. */
	urls: Record<string, FunctionUrl>;
	recursiveLoop: "Terminate" | "Allow";
	/** What is kept ready of each of its versions that is in use. */
	spares: SpareSetting;
}

/** A published version: what $LATEST was at that time, for good. */
export interface FunctionVersion {
	functionName: string;
	/** "1", "2", … */
	version: string;
	/** Of the version: where it differs from the function's description. */
	configuration: FunctionConfiguration;
	code: FunctionCode;
	/** Milliseconds since the epoch, of the code or configuration as it was published. */
	lastModifiedMs: number;
	revisionId: string;
	/** Pending or Failed only when it was published together with a new function or new code whose image is on its way. */
	state: FunctionState;
	/** The function's own description at that time: PublishVersion may give the version another. */
	functionDescription: string;
}

export interface FunctionAlias {
	name: string;
	description: string;
	version: string;
	/** At most one other version and its share of the events, 0 to 1. */
	routing: { version: string; weight: number } | undefined;
	revisionId: string;
}

export interface ResourcePolicy {
	statements: PolicyStatement[];
	revisionId: string;
}

/** One AddPermission, as it was asked for (API_AddPermission). */
export interface PolicyStatement {
	sid: string;
	/** "lambda:InvokeFunction". */
	action: string;
	/** An account, a service ("s3.amazonaws.com"), an ARN or "*". */
	principal: string;
	sourceArn?: string;
	sourceAccount?: string;
	principalOrgId?: string;
	eventSourceToken?: string;
	functionUrlAuthType?: "NONE" | "AWS_IAM";
	invokedViaFunctionUrl?: boolean;
}

export interface ProvisionedConcurrency {
	requested: number;
	lastModifiedMs: number;
}

export interface FunctionUrl {
	/** The first label of its host name: 32 characters of [a-z0-9]. */
	urlId: string;
	authType: "NONE" | "AWS_IAM";
	/** Undefined when it was never given, which means BUFFERED. */
	invokeMode: "BUFFERED" | "RESPONSE_STREAM" | undefined;
	cors: FunctionUrlCors | undefined;
	createdMs: number;
	lastModifiedMs: number;
}

export interface FunctionUrlCors {
	allowOrigins?: string[];
	allowMethods?: string[];
	allowHeaders?: string[];
	exposeHeaders?: string[];
	allowCredentials?: boolean;
	/** Seconds. */
	maxAge?: number;
}

export interface FunctionConfiguration {
	description: string;
	role: string;
	memoryMiB: number;
	/** Seconds. */
	timeoutS: number;
	/** Size of /tmp. */
	tmpMiB: number;
	architecture: "x86_64" | "arm64";
	environment: Record<string, string> | undefined;
	imageConfig: ImageOverrides | undefined;
	tracingMode: "PassThrough" | "Active";
	logFormat: "Text" | "JSON";
	applicationLogLevel: string | undefined;
	systemLogLevel: string | undefined;
	logGroup: string;
	/** ARN of the queue that gets asynchronous events which the function could not be run with. */
	deadLetterArn?: string | undefined;
}

export interface ImageOverrides {
	entryPoint?: string[];
	command?: string[];
	workingDirectory?: string;
}

export interface FunctionCode {
	/** As the caller wrote it. */
	imageUri: string;
	/** `registry/repository@sha256:…`; undefined until resolved. */
	resolvedImageUri: string | undefined;
	manifestDigest: Digest | undefined;
	/** What a sandbox needs of the image, so that starting one reads no registry and no store. */
	image: RunnableImage | undefined;
}

export interface RunnableImage {
	diffIds: Digest[];
	entrypoint: string[];
	cmd: string[];
	env: Record<string, string>;
	workingDir: string;
	/** The image's own USER, which functions ignore. */
	user: string;
	architecture: string;
	/** Compressed bytes. */
	size: number;
}

export type FunctionState =
	/** Restoring: the image's files were gone and are being brought back. */
	| { state: "Pending"; reason: string; reasonCode: "Creating" | "Restoring" }
	| { state: "Active" }
	| { state: "Failed"; reason: string; reasonCode: string };

export type LastUpdate =
	| { status: "None" }
	| { status: "InProgress"; reason: string; reasonCode: string }
	| { status: "Successful" }
	| { status: "Failed"; reason: string; reasonCode: string };
