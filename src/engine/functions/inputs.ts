import type { ImageOverrides } from "../../core/function/function.ts";

export interface CreateFunctionInput {
	name: string;
	role: string;
	imageUri: string;
	architecture?: "x86_64" | "arm64";
	description?: string;
	memoryMiB?: number;
	timeoutS?: number;
	tmpMiB?: number;
	environment?: Record<string, string>;
	imageConfig?: ImageOverrides;
	tracingMode?: "PassThrough" | "Active";
	logFormat?: "Text" | "JSON";
	applicationLogLevel?: string;
	systemLogLevel?: string;
	logGroup?: string;
	/** "" for none. */
	deadLetterArn?: string;
	tags?: Record<string, string>;
	/** Version 1 as well, in the same write; it is Pending as the function is. */
	publish?: boolean;
}

export type UpdateConfigurationInput = Partial<
	Omit<CreateFunctionInput, "name" | "imageUri" | "architecture" | "tags" | "publish">
> & {
	revisionId?: string;
};

export interface UpdateCodeInput {
	imageUri: string;
	architecture?: "x86_64" | "arm64";
	revisionId?: string;
	dryRun?: boolean;
	/** A version of the new code as well, in the same write; `String(record.nextVersion - 1)` of the answer is its number. */
	publish?: boolean;
}
