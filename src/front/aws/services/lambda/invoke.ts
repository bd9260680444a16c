/** Invoke, past the codecs: the payload is the caller's own bytes, and this path is the warm path (lambda-contract 4.2). */
import { serverTiming } from "../../../../core/invocation/cold-start.ts";
import type { InvocationResult } from "../../../../core/invocation/invocation.ts";
import type { RawHandler, RawResponse } from "../../service.ts";
import { acceptEvent } from "./invoke-async.ts";
import { dryRun, type InvokeDeps, missing, readInvocation } from "./invoke-request.ts";
import { orElseAsync } from "./qualifiers.ts";

export const noContent = (): RawResponse => ({ status: 204, headers: {}, body: Buffer.alloc(0) });

export function invokeHandler(deps: InvokeDeps): RawHandler {
	return async (raw, call) => {
		const { type, target, request } = await readInvocation(raw, call);
		if (type === "DryRun") {
			dryRun(deps, target);
			return noContent();
		}
		if (type === "Event") return acceptEvent(deps, target, request);
		const result = await orElseAsync(missing(target), () => deps.dispatcher.invoke(target.name, request));
		return respond(result, request.traceId);
	};
}

function respond(result: InvocationResult, traceId: string): RawResponse {
	const headers: Record<string, string> = {
		"Content-Type": "application/json",
		"X-Amz-Executed-Version": result.executedVersion,
		"X-Amzn-Trace-Id": traceId,
	};
	if (result.functionError) headers["X-Amz-Function-Error"] = result.functionError;
	if (result.logTail) headers["X-Amz-Log-Result"] = Buffer.from(result.logTail).toString("base64");
	if (result.coldStart) headers["Server-Timing"] = serverTiming(result.coldStart);
	return { status: 200, headers, body: result.payload };
}
