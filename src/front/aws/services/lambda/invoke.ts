/** Invoke, past the codecs: the payload is the caller's own bytes, and this path is the warm path (lambda-contract 4.2). */
import { isSlipwayError, SlipwayError } from "../../../../base/error.ts";
import type { InvocationRequest, InvocationResult } from "../../../../core/invocation/invocation.ts";
import { AwsError } from "../../errors.ts";
import type { Call, RawHandler, RawRequest, RawResponse } from "../../service.ts";
import { validateLambda } from "./constraints.ts";
import { type FunctionName, notFound, parseLatest } from "./function-name.ts";
import { checkJson } from "./json-syntax.ts";
import type { LambdaDispatcher, LambdaFunctions } from "./ports.ts";

/** The request limit of the cloud's front end (lambda-contract 1.7). */
export const maxPayloadBytes = 6 * 1024 * 1024;
/** Base64 characters of X-Amz-Client-Context (API_Invoke). */
const maxClientContext = 3583;

const noContent = (): RawResponse => ({ status: 204, headers: {}, body: Buffer.alloc(0) });
// What a function gets that was invoked without a payload: runtimes parse the event as JSON, and no bytes are not JSON.
const emptyEvent = Buffer.from("{}");

export function invokeHandler(dispatcher: LambdaDispatcher, functions: Pick<LambdaFunctions, "get">): RawHandler {
	return async (request, call) => {
		const type = request.header("x-amz-invocation-type") ?? "RequestResponse";
		const logType = request.header("x-amz-log-type");
		const qualifier =
			request.query === "" ? undefined : (new URLSearchParams(request.query).get("Qualifier") ?? undefined);
		validateLambda("Invoke", { InvocationType: type, LogType: logType, Qualifier: qualifier });
		const target = parseLatest(request.labels.FunctionName ?? "", qualifier, call);
		if (type === "Event")
			throw new SlipwayError(
				"UNSUPPORTED",
				"Slipway does not support the InvocationType Event yet: nothing was accepted. Use RequestResponse.",
			);
		if (request.header("x-amz-tenant-id") !== undefined || request.header("x-amz-durable-execution-name") !== undefined)
			throw new SlipwayError("UNSUPPORTED", "Slipway does not support TenantId and DurableExecutionName yet");
		await checkPayload(request.body);
		const invocation = invocationRequest(request, call, target, logType === "Tail");
		const answer = await namingVersion(target, async () =>
			type === "DryRun" ? dryRun(functions, target) : dispatcher.invoke(target.name, invocation),
		);
		return answer === undefined ? noContent() : respond(answer);
	};
}

async function checkPayload(body: Uint8Array): Promise<void> {
	if (body.length === 0) return;
	const fault = await checkJson(body);
	if (fault !== undefined)
		throw new AwsError(
			"InvalidRequestContentException",
			400,
			`Could not parse request body into json: Could not parse payload into json: ${fault}`,
		);
}

function invocationRequest(request: RawRequest, call: Call, target: FunctionName, tail: boolean): InvocationRequest {
	const clientContext = request.header("x-amz-client-context");
	const traceId = request.header("x-amzn-trace-id");
	return {
		requestId: call.requestId,
		payload: request.body.length === 0 ? emptyEvent : request.body,
		invokedArn: target.qualifier === undefined ? target.arn : `${target.arn}:${target.qualifier}`,
		...(clientContext !== undefined && { clientContext: readClientContext(clientContext) }),
		...(traceId !== undefined && { traceId }),
		tail,
	};
}

function readClientContext(header: string): string {
	if (header.length > maxClientContext)
		throw new SlipwayError(
			"INVALID",
			`Client context must be no more than ${maxClientContext} bytes when Base64-encoded.`,
		);
	const text = Buffer.from(header, "base64").toString();
	try {
		JSON.parse(text);
	} catch {
		throw new AwsError(
			"InvalidRequestContentException",
			400,
			"Client context must be a valid Base64-encoded JSON object.",
		);
	}
	return text;
}

/** Invoke's own words for an unknown function name the version (lambda-contract 4.2). */
async function namingVersion<T>(target: FunctionName, action: () => Promise<T>): Promise<T> {
	try {
		return await action();
	} catch (error) {
		if (isSlipwayError(error, "NOT_FOUND")) throw notFound(`${target.arn}:$LATEST`);
		throw error;
	}
}

/** NOT_FOUND. */
function dryRun(functions: Pick<LambdaFunctions, "get">, target: FunctionName): undefined {
	functions.get(target.name);
}

function respond(result: InvocationResult): RawResponse {
	const headers: Record<string, string> = {
		"Content-Type": "application/json",
		"X-Amz-Executed-Version": result.executedVersion,
	};
	if (result.functionError) headers["X-Amz-Function-Error"] = result.functionError;
	if (result.logTail) headers["X-Amz-Log-Result"] = Buffer.from(result.logTail).toString("base64");
	if (result.coldStart) {
		const { sandboxMs, initMs } = result.coldStart;
		headers["x-slipway-cold-start"] = `sandbox;dur=${sandboxMs.toFixed(1)}, init;dur=${initMs.toFixed(1)}`;
	}
	return { status: 200, headers, body: result.payload };
}
