/**
 * The parts of the engine that the Lambda API needs; engine/functions/functions.ts, engine/dispatch/dispatch.ts and their neighbours fit as
 * they are. Messages are the cloud's own. An error whose `reason` ends in "Exception" names the cloud's error where the
 * code alone says less: ValidationException, ProvisionedConcurrencyConfigNotFoundException, PolicyLengthExceededException,
 * AliasLimitExceededException, CodeStorageExceededException, CodeArtifactUserDeletedException, CodeArtifactUserFailedException. A NOT_FOUND names the
 * function with the qualifier it was asked for.
 */
import type { Targets } from "../../../../core/delivery/target.ts";
import type {
	FunctionAlias,
	FunctionRecord,
	FunctionUrl,
	FunctionVersion,
	PolicyStatement,
	ResourcePolicy,
} from "../../../../core/function/function.ts";
import type { InvocationRequest, InvocationResult } from "../../../../core/invocation/invocation.ts";
import type { AsyncEvent } from "../../../../engine/async-invocations/async-invocations.ts";
import type {
	EventInvokeConfig,
	EventInvokeSettings,
} from "../../../../engine/async-invocations/event-invoke-configs.ts";
import type {
	CreateFunctionInput,
	UpdateCodeInput,
	UpdateConfigurationInput,
} from "../../../../engine/functions/inputs.ts";
import type { FunctionUrlInput } from "../../../../engine/functions/urls.ts";
import type { AliasInput, PublishInput } from "../../../../engine/functions/versions.ts";
import type { EventSourceMappingOperations } from "./event-source-mapping-handlers.ts";

export interface Page {
	/** What the page before ended with. */
	after?: string;
	limit: number;
}

export interface LambdaFunctions {
	create(input: CreateFunctionInput): Promise<FunctionRecord>;
	get(name: string): FunctionRecord;
	list(page: Page): FunctionRecord[];
	updateCode(name: string, input: UpdateCodeInput): Promise<FunctionRecord>;
	updateConfiguration(name: string, input: UpdateConfigurationInput): Promise<FunctionRecord>;
	delete(name: string): Promise<void>;
	tag(name: string, tags: Record<string, string>): Promise<void>;
	untag(name: string, keys: readonly string[]): Promise<void>;
	/** "Terminate" ends loops of functions that call themselves through queues; "Allow" lets them run. */
	setRecursiveLoop(name: string, value: FunctionRecord["recursiveLoop"]): Promise<void>;
	readonly count: number;
	/** Bytes of all functions' code. */
	readonly codeBytes: number;
}

/** Versions and aliases. Every method: NOT_FOUND for a function, version or alias that is not there. */
export interface LambdaVersions {
	/** The last version when nothing has changed since. CONFLICT during an update, PRECONDITION, INVALID for another CodeSha256. */
	publish(name: string, input: PublishInput): Promise<FunctionVersion>;
	/** Of a number, not of $LATEST. `FunctionVersion.state` is the version's own. */
	get(name: string, version: string): FunctionVersion;
	/** By number; without $LATEST. */
	list(name: string): FunctionVersion[];
	/** CONFLICT while an alias names it. A version that is not there is no error (the cloud answers 204); a function is. */
	delete(name: string, version: string): Promise<void>;
	createAlias(name: string, alias: string, input: AliasInput): Promise<FunctionAlias>;
	getAlias(name: string, alias: string): FunctionAlias;
	listAliases(name: string, version?: string): FunctionAlias[];
	updateAlias(name: string, alias: string, input: AliasInput & { revisionId?: string }): Promise<FunctionAlias>;
	/** Idempotent. */
	deleteAlias(name: string, alias: string): Promise<void>;
}

/**
 * Resource policies. `qualifier` "" is the function itself, else a version or an alias. Adding and removing give the
 * function, version or alias a new revision id, which is the policy's too. engine/functions/policy-document.ts makes the JSON.
 */
export interface LambdaPolicies {
	add(name: string, qualifier: string, statement: PolicyStatement, revisionId?: string): Promise<ResourcePolicy>;
	get(name: string, qualifier: string): ResourcePolicy;
	remove(name: string, qualifier: string, sid: string, revisionId?: string): Promise<void>;
}

export interface ProvisionedView {
	requested: number;
	allocated: number;
	available: number;
	status: "IN_PROGRESS" | "READY" | "FAILED";
	statusReason: string | undefined;
	lastModifiedMs: number;
}

/** Reserved and provisioned concurrency. */
export interface LambdaConcurrency {
	/** INVALID when less than 100 of the account's would stay unreserved. */
	reserve(name: string, executions: number): Promise<void>;
	/** Idempotent. */
	unreserve(name: string): Promise<void>;
	/** CONFLICT, INVALID; the words of lambda-contract 4.4. */
	provision(name: string, qualifier: string, executions: number): Promise<ProvisionedView>;
	/** NOT_FOUND without a configuration. */
	provisioned(name: string, qualifier: string): ProvisionedView;
	/** By qualifier. */
	listProvisioned(name: string): { qualifier: string; view: ProvisionedView }[];
	/** Idempotent. */
	unprovision(name: string, qualifier: string): Promise<void>;
	/** Of the account. */
	readonly unreserved: number;
}

/** Function URLs' configurations. `qualifier` "" is the function itself, else an alias. */
export interface LambdaUrls {
	create(name: string, qualifier: string, input: FunctionUrlInput): Promise<FunctionUrl>;
	get(name: string, qualifier: string): FunctionUrl;
	list(name: string): { qualifier: string; url: FunctionUrl }[];
	update(name: string, qualifier: string, input: Partial<FunctionUrlInput>): Promise<FunctionUrl>;
	delete(name: string, qualifier: string): Promise<void>;
	/** As clients of this machine reach it: `http://ID.lambda-url.REGION.HOST:PORT/`. */
	address(url: FunctionUrl): string;
}

export interface LambdaDispatcher {
	/** NOT_FOUND (also for a qualifier), CONFLICT, THROTTLED with lambda-contract 4.2's reasons. */
	invoke(functionName: string, request: InvocationRequest): Promise<InvocationResult>;
}

/** As `EventInvokeConfig` of engine/async-invocations. */
export type EventInvokeView = EventInvokeConfig;

/** Asynchronous invocation and its settings. `qualifier` "$LATEST" is the function itself. */
export interface LambdaAsyncInvocations {
	/** Resolves when the event is on the disk. NOT_FOUND, CONFLICT as an invocation; TOO_LARGE; THROTTLED, EXHAUSTED, UNAVAILABLE. */
	accept(name: string, qualifier: string | undefined, event: AsyncEvent): Promise<void>;
	readonly configs: {
		find(name: string, qualifier: string): EventInvokeView | undefined;
		/** By qualifier. */
		list(name: string): { qualifier: string; config: EventInvokeView }[];
		/** NOT_FOUND without the function, version or alias. */
		put(name: string, qualifier: string, settings: EventInvokeSettings): Promise<EventInvokeView>;
		/** What is given changes. NOT_FOUND without a configuration. */
		update(name: string, qualifier: string, settings: EventInvokeSettings): Promise<EventInvokeView>;
		/** NOT_FOUND without a configuration. */
		delete(name: string, qualifier: string): Promise<void>;
	};
}

export interface LambdaDeps {
	functions: LambdaFunctions;
	versions: LambdaVersions;
	policies: LambdaPolicies;
	concurrency: LambdaConcurrency;
	urls: LambdaUrls;
	dispatcher: LambdaDispatcher;
	asyncInvocations: LambdaAsyncInvocations;
	eventSourceMappings: EventSourceMappingOperations;
	/** Of destinations and dead-letter queues. */
	targets: Pick<Targets, "check">;
	/** Invocations at one time that the account allows, for GetAccountSettings. */
	accountConcurrency: number;
}
