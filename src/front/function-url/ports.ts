/** The parts of the engine that function URLs need; engine/functions/urls.ts, engine/functions/policies.ts and engine/dispatch/dispatch.ts fit. */
import type { FunctionUrl } from "../../core/function/function.ts";
import type { InvocationRequest, InvocationResult } from "../../core/invocation/invocation.ts";

export interface FoundUrl {
	/** Of the function. */
	name: string;
	/** "" is the function itself, else an alias. */
	qualifier: string;
	url: FunctionUrl;
}

export interface FunctionUrls {
	byUrlId(urlId: string): FoundUrl | undefined;
}

export interface FunctionUrlPolicies {
	/**
	 * Whether the resource policy of the function or alias lets anybody ("*") call its URL of AuthType NONE: it takes
	 * lambda:InvokeFunctionUrl, and lambda:InvokeFunction for calls through the URL
	 * (https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html). Callers of the function's own account who
	 * sign (AWS_IAM) are not asked for it: they may do anything here.
	 */
	allowsAnybody(name: string, qualifier: string): boolean;
}

export interface FunctionUrlDispatcher {
	/** NOT_FOUND (also for an alias), CONFLICT, THROTTLED. */
	invoke(functionName: string, request: InvocationRequest): Promise<InvocationResult>;
}
