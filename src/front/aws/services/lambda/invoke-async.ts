/** Invocation type Event, and its deprecated predecessor: answered when the event is durable (lambda-contract 5). */
import type { InvocationRequest } from "../../../../core/invocation/invocation.ts";
import { maxAsyncPayloadBytes } from "../../../../engine/async-invocations/async-invocations.ts";
import { AwsError } from "../../errors.ts";
import type { RawHandler, RawResponse } from "../../service.ts";
import type { FunctionName } from "./function-name.ts";
import { type InvokeDeps, missing, readInvocation } from "./invoke-request.ts";
import { orElseAsync } from "./qualifiers.ts";

/** Bytes; it did not get Invoke's 1 MB (API_InvokeAsync). */
export const maxInvokeAsyncBytes = 256 * 1024;

export async function acceptEvent(
	{ asyncInvocations }: Pick<InvokeDeps, "asyncInvocations">,
	target: FunctionName,
	request: InvocationRequest & { traceId: string },
): Promise<RawResponse> {
	await orElseAsync(missing(target), () => asyncInvocations.accept(target.name, target.qualifier, request));
	return { status: 202, headers: { "X-Amzn-Trace-Id": request.traceId }, body: Buffer.alloc(0) };
}

/** AWS's words for the limit of 262,144 that it had before. */
export function checkEventSize(size: number): void {
	if (size <= maxAsyncPayloadBytes) return;
	const message = `${size} byte payload is too large for the Event invocation type (limit ${maxAsyncPayloadBytes} bytes)`;
	throw new AwsError("RequestEntityTooLargeException", 413, message, { details: { Message: message, Type: "User" } });
}

/** Its body is InvokeArgs, and the event. */
export function invokeAsyncHandler(deps: InvokeDeps): RawHandler {
	return async (raw, call) => {
		const header = (name: string) => (name === "x-amz-invocation-type" ? "Event" : raw.header(name));
		const { target, request } = await readInvocation({ ...raw, header }, call);
		return acceptEvent(deps, target, request);
	};
}
