/** The native API's shapes. The client imports their types and nothing else; the OpenAPI document is made from them. */

import { z } from "zod";
import { eventComponents } from "./event-schema.ts";
import { maxSpares } from "./limits.ts";
import { serviceComponents } from "./service-schema.ts";

const ms = z.number().describe("Milliseconds since the epoch");
const bytes = z.int().nonnegative();
const digest = z.string().regex(/^sha(256|512):[a-f0-9]{64,128}$/);

/** Lambda's own pattern (FunctionName, API reference), the name alone. */
export const functionNameSchema = z
	.string()
	.regex(/^[a-zA-Z0-9_-]{1,64}$/, "must be 1 to 64 letters, digits, '-' or '_'")
	.describe("Function name");

export const progressSchema = z.object({
	stage: z.enum(["receive", "pull", "unpack"]),
	digest: digest.optional().describe("The layer, where the stage has one"),
	done: bytes.describe("Bytes"),
	total: bytes.describe("Bytes; 0 when it is not known"),
});
export type Progress = z.infer<typeof progressSchema>;

const imageConfigSchema = z.object({
	entryPoint: z.array(z.string()).optional(),
	command: z.array(z.string()).optional(),
	workingDirectory: z.string().optional(),
});

const spareCount = z.union([z.int().min(0).max(maxSpares), z.literal("auto")]);
export const sparesSchema = z.strictObject({
	created: spareCount.describe("Sandboxes that are made and run nothing yet, for each version in use"),
	initialized: spareCount.describe("Sandboxes whose init has run ahead of any event, for each version in use"),
});
export type Spares = z.infer<typeof sparesSchema>;
/** What is left out stays as it is. */
export const changeSparesSchema = sparesSchema.partial();

const duration = z.number().describe("Milliseconds, to the microsecond");
/** What a request waited for because no sandbox stood ready. */
export const coldStartSchema = z.object({
	queueMs: duration.describe("Milliseconds until the start began"),
	sandboxMs: duration.describe("Until the sandbox was made: 0 when it stood made (`spare`)"),
	processMs: duration.describe("Until the function's process first called the platform"),
	initMs: duration.describe("Until it asked for its first event"),
	firstPollMs: duration.describe("Until it had the event"),
	spare: z.boolean(),
});
export type ColdStart = z.infer<typeof coldStartSchema>;

export const usageSchema = z.object({
	invocations: z.int(),
	errors: z.int().describe("Of the invocations"),
	throttles: z.int().describe("Events refused by a limit of concurrency"),
	platformFailures: z.int().describe("Events that the platform could not serve"),
	coldStarts: z.int().describe("Invocations that waited for a start"),
	lastColdStart: coldStartSchema.optional(),
});

export const functionSchema = z.object({
	name: functionNameSchema,
	arn: z.string(),
	state: z.enum(["Pending", "Active", "Failed"]),
	stateReason: z.string().optional(),
	lastUpdateStatus: z.enum(["None", "InProgress", "Successful", "Failed"]),
	lastUpdateReason: z.string().optional(),
	progress: progressSchema.optional().describe("While its image is made ready"),
	image: z.string().describe("As its owner wrote it"),
	resolvedImage: z.string().optional().describe("By digest"),
	imageSize: bytes.optional().describe("Compressed bytes"),
	description: z.string(),
	role: z.string(),
	architecture: z.enum(["x86_64", "arm64"]),
	memoryMiB: z.int(),
	timeoutS: z.int(),
	tmpMiB: z.int(),
	environment: z.record(z.string(), z.string()),
	imageConfig: imageConfigSchema.optional(),
	logGroup: z.string(),
	spares: sparesSchema.describe("What is kept ready while the function is in use"),
	tags: z.record(z.string(), z.string()),
	revisionId: z.string(),
	createdMs: ms,
	lastModifiedMs: ms,
	usage: usageSchema.describe("Since the daemon started"),
});
export type FunctionView = z.infer<typeof functionSchema>;

export const functionListSchema = z.object({
	functions: z.array(functionSchema),
	next: z.string().optional().describe("Pass as `after` for the next page"),
});

export const createFunctionSchema = z.strictObject({
	name: functionNameSchema,
	image: z.string().min(1).max(2048).describe("registry/repository:tag or @digest"),
	role: z.string().optional().describe("Role ARN; a role of this account's own by default"),
	description: z.string().max(256).optional(),
	architecture: z.enum(["x86_64", "arm64"]).optional(),
	memoryMiB: z.int().min(128).max(10_240).optional(),
	timeoutS: z.int().min(1).max(900).optional(),
	tmpMiB: z.int().min(512).max(10_240).optional(),
	environment: z.record(z.string(), z.string()).optional(),
	imageConfig: imageConfigSchema.optional(),
	tags: z.record(z.string(), z.string()).optional(),
});
export type CreateFunction = z.infer<typeof createFunctionSchema>;

export const sandboxSchema = z.object({
	id: z.string(),
	functionName: z.string(),
	version: z.string().describe('"$LATEST" or a number'),
	initializationType: z.string().describe("on-demand or provisioned-concurrency"),
	preInitialized: z.boolean().describe("Its init ran ahead of any event, as a spare"),
	state: z.string(),
	startedMs: ms,
	startMs: z
		.number()
		.optional()
		.describe("Milliseconds that its last start took, from its beginning to the end of its init"),
	lastUsedMs: ms,
	invocations: z.int(),
	memoryMiB: z.int().describe("Limit"),
	memoryBytes: bytes.optional().describe("In use now"),
});
export type SandboxState = z.infer<typeof sandboxSchema>;
export const stoppedSchema = z.object({ sandboxes: z.int().describe("That were told to end") });
export const sandboxListSchema = z.object({ sandboxes: z.array(sandboxSchema) });

export const imageSchema = z.object({
	reference: z.string().describe("What create-function takes"),
	repository: z.string(),
	tag: z.string().optional(),
	digest,
	mediaType: z.string(),
	size: bytes.describe("Compressed bytes of configuration and layers"),
	pushedMs: ms,
});
export type ImageView = z.infer<typeof imageSchema>;
export const imageListSchema = z.object({ images: z.array(imageSchema) });

export const imageDetailSchema = z.object({
	repository: z.string(),
	tags: z.array(z.string()),
	digest,
	mediaType: z.string(),
	size: bytes,
	pushedMs: ms,
	usedBy: z.array(z.string()).describe("Functions that run it"),
	image: z
		.object({
			architecture: z.string(),
			os: z.string(),
			created: z.string().optional(),
			entrypoint: z.array(z.string()),
			cmd: z.array(z.string()),
			env: z.record(z.string(), z.string()),
			workingDir: z.string(),
			user: z.string(),
			labels: z.record(z.string(), z.string()),
			layers: z.array(z.object({ digest, diffId: digest, mediaType: z.string(), size: bytes, unpacked: z.boolean() })),
		})
		.optional()
		.describe("Of a single image"),
	manifests: z
		.array(z.object({ digest, platform: z.string(), size: bytes }))
		.optional()
		.describe("Of an index"),
});
export type ImageDetailView = z.infer<typeof imageDetailSchema>;

export const storedImageSchema = z.object({ references: z.array(z.string()), digest });
export type StoredImage = z.infer<typeof storedImageSchema>;

export const pullSchema = z.strictObject({
	reference: z.string().min(1).max(2048).describe("registry/repository:tag or @digest of another registry"),
});

export const statusSchema = z.object({
	version: z.string(),
	pid: z.int(),
	address: z.string(),
	home: z.string(),
	runtime: z.string().describe("Program that runs containers, with its version"),
	startedMs: ms,
	uptimeMs: z.number(),
	region: z.string(),
	accountId: z.string(),
	functions: z.int(),
	sandboxes: z.int(),
	memoryBytes: bytes.describe("Resident memory of the daemon"),
});
export type Status = z.infer<typeof statusSchema>;

/** RFC 9457, with the error's code, reason and hint as extension members. */
export const problemSchema = z.object({
	type: z.literal("about:blank"),
	title: z.string(),
	status: z.int(),
	detail: z.string(),
	code: z.string(),
	reason: z.string().optional(),
	hint: z.string().optional(),
	requestId: z.string(),
});
export type Problem = z.infer<typeof problemSchema>;

export const logLineSchema = z.object({
	type: z.literal("log"),
	timestamp: ms,
	stream: z.string(),
	message: z.string(),
});
export type LogLine = z.infer<typeof logLineSchema>;

/** Lines of the streams (application/x-ndjson). A stream that fails after its head was sent ends with a problem. */
const problemLine = z.object({ type: z.literal("problem"), problem: problemSchema });
export const logStreamSchema = z.discriminatedUnion("type", [logLineSchema, problemLine]);
export type LogStreamLine = z.infer<typeof logStreamSchema>;

export const imageStreamSchema = z.discriminatedUnion("type", [
	progressSchema.extend({ type: z.literal("progress") }),
	z.object({ type: z.literal("result"), images: z.array(storedImageSchema) }),
	problemLine,
]);
export type ImageStreamLine = z.infer<typeof imageStreamSchema>;

/** Names of the OpenAPI document's components. */
export const components = {
	Function: functionSchema,
	FunctionList: functionListSchema,
	CreateFunction: createFunctionSchema,
	ChangeSpares: changeSparesSchema,
	Stopped: stoppedSchema,
	SandboxList: sandboxListSchema,
	ImageList: imageListSchema,
	ImageDetail: imageDetailSchema,
	PullImage: pullSchema,
	Status: statusSchema,
	Problem: problemSchema,
	LogStreamLine: logStreamSchema,
	ImageStreamLine: imageStreamSchema,
	...serviceComponents,
	...eventComponents,
} as const satisfies Record<string, z.ZodType>;
