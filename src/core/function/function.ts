import type { Digest } from "../image/digest.ts";

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
	| { state: "Pending"; reason: string; reasonCode: "Creating" }
	| { state: "Active" }
	| { state: "Failed"; reason: string; reasonCode: string };

export type LastUpdate =
	| { status: "None" }
	| { status: "InProgress"; reason: string; reasonCode: string }
	| { status: "Successful" }
	| { status: "Failed"; reason: string; reasonCode: string };
