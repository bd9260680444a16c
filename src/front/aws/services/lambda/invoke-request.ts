/** What Invoke and InvokeWithResponseStream have in common: one request, read and checked (lambda-contract 4.2). */
import { SlipwayError } from "../../../../base/error.ts";
import type { InvocationRequest } from "../../../../core/invocation/invocation.ts";
import { AwsError } from "../../errors.ts";
import type { Call, RawRequest } from "../../service.ts";
import { validateLambda } from "./constraints.ts";
import { type FunctionName, notFound, parseFunctionName, qualifiedArn } from "./function-name.ts";
import { checkEventSize } from "./invoke-async.ts";
import { checkJson, isShortJson } from "./json-syntax.ts";
import type { LambdaAsyncInvocations, LambdaDispatcher, LambdaFunctions, LambdaVersions } from "./ports.ts";
import { resolve } from "./qualifiers.ts";

export interface InvokeDeps {
	dispatcher: LambdaDispatcher;
	functions: Pick<LambdaFunctions, "get">;
	versions: Pick<LambdaVersions, "get" | "getAlias">;
	asyncInvocations: Pick<LambdaAsyncInvocations, "accept">;
}

/** The request limit of the cloud's front end (lambda-contract 1.7). */
export const maxPayloadBytes = 6 * 1024 * 1024;
/** Base64 characters of X-Amz-Client-Context (API_Invoke). */
const maxClientContext = 3583;

// What a function gets that was invoked without a payload: runtimes parse the event as JSON, and no bytes are not JSON.
const emptyEvent = Buffer.from("{}");

export interface Invocation {
	type: "RequestResponse" | "DryRun" | "Event";
	target: FunctionName;
	request: InvocationRequest & { traceId: string };
}

/** Throws AwsError or SlipwayError. */
export async function readInvocation(request: RawRequest, call: Call): Promise<Invocation> {
	const type = request.header("x-amz-invocation-type") ?? "RequestResponse";
	const logType = request.header("x-amz-log-type");
	const qualifier =
		request.query === "" ? undefined : (new URLSearchParams(request.query).get("Qualifier") ?? undefined);
	// The usual request has nothing that could be wrong.
	if (type !== "RequestResponse" || logType !== undefined || qualifier !== undefined)
		validateLambda(call.operation, { InvocationType: type, LogType: logType, Qualifier: qualifier });
	const target = parseFunctionName(request.labels.FunctionName ?? "", qualifier, call);
	if (type === "Event") checkEventSize(request.body.length);
	if (request.header("x-amz-tenant-id") !== undefined || request.header("x-amz-durable-execution-name") !== undefined)
		throw new SlipwayError("UNSUPPORTED", "Slipway does not support TenantId and DurableExecutionName yet");
	const clientContext = request.header("x-amz-client-context");
	const context = clientContext === undefined ? undefined : readClientContext(clientContext);
	const fault = isShortJson(request.body) ? undefined : await checkJson(request.body);
	if (fault !== undefined) throw invalidContent(fault);
	return {
		type: type === "DryRun" || type === "Event" ? type : "RequestResponse",
		target,
		request: {
			requestId: call.requestId,
			payload: request.body.length === 0 ? emptyEvent : request.body,
			invokedArn: qualifiedArn(target),
			...(target.qualifier !== undefined && { qualifier: target.qualifier }),
			...(context !== undefined && { clientContext: context }),
			traceId: call.traceId(),
			tail: logType === "Tail",
		},
	};
}

function invalidContent(fault: string): AwsError {
	return new AwsError(
		"InvalidRequestContentException",
		400,
		`Could not parse request body into json: Could not parse payload into json: ${fault}`,
	);
}

function readClientContext(header: string): string {
	if (header.length > maxClientContext)
		throw new SlipwayError(
			"INVALID",
			`Client context must be no more than ${maxClientContext} bytes when Base64-encoded.`,
		);
	const text = Buffer.from(header, "base64").toString();
	try {
		const value: unknown = JSON.parse(text);
		return isHeaderText(text) ? text : headerText(value);
	} catch {
		throw new AwsError(
			"InvalidRequestContentException",
			400,
			"Client context must be a valid Base64-encoded JSON object.",
		);
	}
}

/** The runtime gets the context in a header: JSON may have line breaks and letters there that no header can carry. */
function isHeaderText(text: string): boolean {
	return /^[\x20-\x7e]*$/.test(text);
}

function headerText(value: unknown): string {
	return JSON.stringify(value).replace(
		/[^\x20-\x7e]/g,
		(unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
	);
}

/** Invoke's own words for an unknown function name the version (lambda-contract 4.2). */
export function missing({ arn, qualifier = "$LATEST" }: FunctionName): () => Error {
	return () => notFound(`${arn}:${qualifier}`);
}

/** Throws what `missing` says. */
export function dryRun(deps: InvokeDeps, target: FunctionName): void {
	resolve(deps, target, missing(target));
}
