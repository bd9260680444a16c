/** InvokeWithResponseStream: the answer goes to the caller while the function makes it (lambda-contract 1.6, 4.2). */
import { isSlipwayError } from "../../../../base/error.ts";
import { serverTiming } from "../../../../core/invocation/cold-start.ts";
import type { InvocationResult, StreamHead } from "../../../../core/invocation/invocation.ts";
import { StreamedAnswer } from "../../../streamed-answer.ts";
import type { StreamEvent, StreamHandler } from "../../service.ts";
import { noContent } from "./invoke.ts";
import { dryRun, type InvokeDeps, missing, readInvocation } from "./invoke-request.ts";
import { orElseAsync } from "./qualifiers.ts";

export function invokeStreamHandler(deps: InvokeDeps): StreamHandler {
	return async (raw, call, signal) => {
		const { type, target, request } = await readInvocation(raw, call);
		if (type === "DryRun") {
			dryRun(deps, target);
			return noContent();
		}
		const answer = new StreamedAnswer();
		if (signal.aborted) answer.discard();
		else signal.addEventListener("abort", () => answer.discard(), { once: true });
		const begun = Promise.withResolvers<StreamHead>();
		const stream = (head: StreamHead) => {
			begun.resolve(head);
			return answer;
		};
		const invoke = () => deps.dispatcher.invoke(target.name, { ...request, stream });
		const done = orElseAsync(missing(target), invoke);
		const close = () => answer.close();
		done.then(close, close);
		// Before the first byte a failure is an ordinary refusal, and the version may be known from the result only.
		const { executedVersion, coldStart } = await Promise.race([begun.promise, done]);
		const headers = {
			"X-Amz-Executed-Version": executedVersion,
			"X-Amzn-Trace-Id": request.traceId,
			...(coldStart && { "Server-Timing": serverTiming(coldStart) }),
		};
		return { status: 200, headers, events: eventsOf(answer, done) };
	};
}

async function* eventsOf(answer: StreamedAnswer, done: Promise<InvocationResult>): AsyncGenerator<StreamEvent> {
	const outcome = done.catch(sandboxFailure);
	let streamed = false;
	try {
		for (let chunk = await answer.next(); chunk !== undefined; chunk = await answer.next()) {
			streamed = true;
			if (chunk.length > 0) yield payloadChunk(chunk);
		}
		const result = await outcome;
		if (result.functionError === undefined && result.payload.length > 0) yield payloadChunk(result.payload);
		yield complete(result, streamed);
	} finally {
		// Nobody reads on: the function does its work to the end all the same, and what fails then is not lost.
		answer.discard();
		await outcome;
	}
}

/** The status is sent: a failure of ours, too, can only be the answer's end. */
function sandboxFailure(error: unknown): InvocationResult {
	if (!isSlipwayError(error)) throw error;
	return {
		payload: Buffer.from(error.message),
		functionError: "Unhandled",
		errorType: "Sandbox.Failure",
		executedVersion: "",
		logTail: undefined,
		coldStart: undefined,
	};
}

function payloadChunk(body: Uint8Array): StreamEvent {
	return { type: "PayloadChunk", contentType: "application/octet-stream", body };
}

/**
 * An error ahead of the answer is "Unhandled", as X-Amz-Function-Error says for Invoke; one in the middle of it has the type
 * that the platform or the runtime's trailer gave it (clients tell "Runtime.TruncatedResponse" from "Unhandled").
 */
function complete(result: InvocationResult, streamed: boolean): StreamEvent {
	const { functionError, errorType, payload, logTail } = result;
	const failure = functionError && {
		ErrorCode: streamed && errorType !== undefined ? errorType : functionError,
		...(payload.length > 0 && { ErrorDetails: Buffer.from(payload).toString() }),
	};
	const members = { ...failure, ...(logTail && { LogResult: Buffer.from(logTail).toString("base64") }) };
	return { type: "InvokeComplete", contentType: "application/json", body: Buffer.from(JSON.stringify(members)) };
}
