/** How an AWS service is described to the front: a protocol, where its published schemas are, and a table of handlers. */
import type { ErrorCode, SlipwayError } from "../../base/error.ts";

/** Smithy protocol names: https://smithy.io/2.0/aws/protocols/index.html */
export type ProtocolName = "rest-json" | "rest-xml" | "aws-json-1.0" | "aws-json-1.1" | "query";

/** Who signed the request. */
export interface Principal {
	accessKeyId: string;
	/** arn:aws:iam::ACCOUNT:root or :user/NAME. */
	arn: string;
	/** AIDA… or the account id for the root user. */
	userId: string;
	/** 12 digits. */
	accountId: string;
	/** Code inside of a function, with the keys of its environment: may do what session-policy.ts says. */
	isSession?: boolean;
}

/** What a handler may know of the request besides its input. */
export interface Call {
	/** Also the `x-amzn-RequestId` header of the answer. */
	readonly requestId: string;
	/** Credential scope name, such as "lambda". */
	readonly service: string;
	readonly operation: string;
	readonly principal: Principal;
	readonly region: string;
	/** 12 digits; of the resources, not of the caller. */
	readonly accountId: string;
	/** Host header: what the client calls this daemon. */
	readonly host: string;
	/** Functions come over plain HTTP also where clients outside come over TLS. */
	readonly isTls: boolean;
	/** `Root=1-…;Parent=…;Sampled=…`: the caller's, or one that begins here (front/trace-id.ts). */
	traceId(): string;
	/** Aborts when the client goes away; for operations that wait. */
	gone(): AbortSignal;
}

// A command class of an SDK client tells its own input and output types.
type CommandTypes<Command> = Command extends abstract new (
	...args: never[]
) => {
	readonly input: infer Input;
	resolveMiddleware: (...args: never[]) => (...args: never[]) => Promise<{ output: infer Output }>;
}
	? { input: Input; output: Output }
	: never;

/** The SDK types required members as `T | undefined`; the front has refused requests that lack them. */
type Present<Input> = {
	[Key in keyof Input]: Record<never, never> extends Pick<Input, Key> ? Input[Key] : Exclude<Input[Key], undefined>;
};

/** Names of the operations of an SDK client module (`typeof import("@aws-sdk/client-lambda")`). */
export type OperationName<Sdk> =
	Extract<keyof Sdk, `${string}Command`> extends `${infer Name}Command` ? (Name extends "$" ? never : Name) : never;

export type Input<Sdk, Name extends string> = Present<CommandTypes<Sdk[`${Name}Command` & keyof Sdk]>["input"]>;
export type Output<Sdk, Name extends string> = Omit<
	CommandTypes<Sdk[`${Name}Command` & keyof Sdk]>["output"],
	"$metadata"
>;

/** Blobs arrive as Uint8Array, timestamps as Date. Throws SlipwayError or AwsError; anything else is answered as an internal failure. */
export type Handler<In, Out> = (input: In, call: Call) => Promise<Out> | Out;

/**
 * Handlers by operation name, each typed by the SDK's own shapes. Operations that are left out answer 501 with their name.
 * @example const handlers: Handlers<typeof import("@aws-sdk/client-sts")> = { GetCallerIdentity: (_input, call) => ({ Arn: call.principal.arn }) }
 */
export type Handlers<Sdk> = { [Name in OperationName<Sdk>]?: Handler<Input<Sdk, Name>, Output<Sdk, Name>> };

/** A request that no codec has touched: for operations whose body is the caller's own bytes and whose path must be fast. */
export interface RawRequest {
	/** Decoded path labels by member name. */
	readonly labels: Readonly<Record<string, string>>;
	/** The query string without "?", undecoded. */
	readonly query: string;
	header(name: string): string | undefined;
	readonly body: Uint8Array;
}

export interface RawResponse {
	status: number;
	headers: Record<string, string>;
	body: Uint8Array;
}

export type RawHandler = (request: RawRequest, call: Call) => Promise<RawResponse>;

/** One event of an answer of type application/vnd.amazon.eventstream (https://smithy.io/2.0/aws/amazon-eventstream.html). */
export interface StreamEvent {
	/** `:event-type`, the member's name in the operation's event union: "PayloadChunk", "sessionUpdate"; "initial-response" with aws-json. */
	type: string;
	/** `:content-type`: "application/json" for structures, "application/octet-stream" for blobs; no header when left out. */
	contentType?: string;
	body: Uint8Array;
}

/** An answer that is made while it is sent. */
export interface StreamResponse {
	status: number;
	headers: Record<string, string>;
	/**
	 * Asked for the next event when the client's connection has room for it, so that a slow client holds up whoever makes
	 * them. What it throws ends the answer with an exception event, by the service's table of errors. When the client goes
	 * away nothing more is asked for and `return()` is called; a `next` that is under way then should end by the signal.
	 */
	events: AsyncIterable<StreamEvent>;
}

export interface StreamRequest extends RawRequest {
	/** The operation's input, read by its published schema, with the checks that handlers get. Throws as those do. */
	input(): Record<string, unknown>;
}

/**
 * For operations that answer with an event stream, in any protocol. What is thrown before the promise resolves is an
 * ordinary refusal with its status; an answer that is not a stream (a dry run's) is sent as it is. `signal` aborts when the
 * client goes away.
 */
export type StreamHandler = (
	request: StreamRequest,
	call: Call,
	signal: AbortSignal,
) => Promise<StreamResponse | RawResponse>;

/** An error of the service's own, by its published name. `details` are further members of the error shape. */
export interface WireError {
	/** Such as "ResourceNotFoundException". */
	name: string;
	/** HTTP status. */
	status: number;
	details?: Record<string, unknown>;
}

export interface BodyTooLarge {
	/** Bytes the client announced, or had sent when reading stopped. */
	size: number;
	limit: number;
	operation: string | undefined;
}

export interface AwsService {
	/** The name in the credential scope: "lambda", "ecr", "sts". */
	readonly name: string;
	readonly protocol: ProtocolName;
	/** Package whose `dist-es/schemas/schemas_0.js` publishes the operations. */
	readonly sdkPackage: string;
	/** aws-json: what stands before the dot in `X-Amz-Target`. */
	readonly targetPrefix?: string;
	/** query: namespace of the answers' XML, and the accepted `Version`. */
	readonly xmlNamespace?: string;
	readonly apiVersion?: string;
	/**
	 * aws.protocols#awsQueryCompatible: besides its JSON protocol the service speaks the older query protocol, and its JSON
	 * errors name the older codes in `x-amzn-query-error` (https://smithy.io/2.0/aws/protocols/aws-query-protocol.html).
	 */
	readonly queryCompatible?: boolean;
	/** Unsigned requests to these paths are for this service. */
	readonly ownsPath?: RegExp;
	/** Regions besides the configured one that a signature may be scoped to (global endpoints). */
	readonly otherRegions?: readonly string[];
	/** `Handlers<typeof import(sdkPackage)>`; use `handlersOf` to keep the types while it is built. */
	readonly handlers: HandlerTable;
	/** Of a service with two protocols: for JSON requests only. */
	readonly rawHandlers?: Readonly<Record<string, RawHandler>>;
	readonly streamHandlers?: Readonly<Record<string, StreamHandler>>;
	/** Longest body, in bytes, by operation; the front's own limit otherwise. */
	readonly maxBodyBytes?: Readonly<Record<string, number>>;
	/** One row for every SlipwayError code: the service's own name for it. */
	readonly errors: Readonly<Record<ErrorCode, WireError>>;
	/** Finer than `errors`: looks at reason or operation. Undefined falls back to `errors`. */
	translate?(error: SlipwayError, operation: string | undefined): WireError | undefined;
	/** Constraints that the published schemas leave out (patterns, ranges, enumerations). Throws AwsError. */
	validate?(operation: string, input: Readonly<Record<string, unknown>>): void;
	/** Members that the request's path says when its body does not; called before required members are looked for. */
	completeInput?(input: Record<string, unknown>, path: string): void;
	/** The service's own words for required members that are not there. ValidationException otherwise. */
	missingMembers?(names: readonly string[]): Error;
	/** The service's name and words for a body that is not what its schema says. SerializationException 400 otherwise. */
	malformedBody?(why: string): { error: WireError; message: string };
	/** An error of ours that nobody foresaw; shown without details. InternalFailure 500 otherwise. */
	readonly internalError?: WireError;
	/** The service's own words for a body past its limit. */
	bodyTooLarge?(body: BodyTooLarge): { error: WireError; message: string };
}

/** Handlers with their types erased, as the front calls them. */
export type HandlerTable = Readonly<Record<string, Handler<Record<string, unknown>, unknown>>>;

/** The only place where a typed table loses its types: the front reads the input by the very schema the types were made of. */
export function handlersOf<Sdk>(handlers: Handlers<Sdk>): HandlerTable {
	return handlers as unknown as HandlerTable;
}
