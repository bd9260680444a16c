/** What somebody asked for: messages of that queue go to that function or service. */
export type MappingTarget =
	| { kind: "function"; name: string; qualifier: string | undefined }
	/** "cloudevents": one request a message, in binary mode. "batch": the same JSON that a function gets. */
	| { kind: "service"; arn: string; format: "cloudevents" | "batch" };

export interface MappingSettings {
	enabled: boolean;
	/** Messages; 1 to 10,000. */
	batchSize: number;
	/** Seconds, 0 to 300. */
	windowS: number;
	/** Event patterns, one of which a message has to match; none: all do. */
	filters: readonly string[];
	/** The target says which messages failed (ReportBatchItemFailures). */
	reportsItemFailures: boolean;
	/** Batches at once, 2 to 1,000. Undefined: as many as the target takes. */
	maximumConcurrency: number | undefined;
}

/** The document, kind "event-source-mapping", namespace "", name UUID. */
export interface EventSourceMapping extends MappingSettings {
	uuid: string;
	sourceArn: string;
	target: MappingTarget;
	tags: Readonly<Record<string, string>>;
	createdMs: number;
	lastModifiedMs: number;
	/** Somebody deleted it, and batches were in hand. */
	deleting: boolean;
}

export type MappingState = "Creating" | "Enabling" | "Enabled" | "Disabling" | "Disabled" | "Updating" | "Deleting";

export interface MappingView extends EventSourceMapping {
	/** arn:aws:lambda:REGION:ACCOUNT:event-source-mapping:UUID */
	arn: string;
	/** Qualified where the mapping is; a service's for a service. */
	targetArn: string;
	state: MappingState;
	/** Of the newest batch since the daemon began: "OK", "No records processed", "PROBLEM: …". */
	lastProcessingResult: string;
	/** Batches in hand. */
	inHand: number;
}

export interface CreateMapping extends Partial<MappingSettings> {
	source: string;
	target: MappingTarget;
	tags?: Readonly<Record<string, string>> | undefined;
}

export interface UpdateMapping extends Partial<Omit<MappingSettings, "maximumConcurrency">> {
	/** "none" takes the bound away. */
	maximumConcurrency?: number | "none" | undefined;
	target?: MappingTarget | undefined;
}

export interface MappingFilter {
	source?: string | undefined;
	/** Function's name; with a qualifier only those of it. */
	functionName?: string | undefined;
	qualifier?: string | undefined;
}

/** lambda-contract 6.1 */
export const defaultBatchSize = 10;
/** Enough for a configuration by people; each has a document in memory. AWS has no bound but the API's rate. */
export const maxMappings = 10_000;

export const isSqsArn = (arn: string): boolean =>
	/^arn:aws[a-z-]*:sqs:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,80}(?:\.fifo)?$/.test(arn);
