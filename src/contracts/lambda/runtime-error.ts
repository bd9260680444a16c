import type { IncomingMessage } from "node:http";
import type { RuntimeFailure } from "../../core/invocation/function-contract.ts";
import { header } from "./api-http.ts";

/** lambda-contract 1.3: kept when it has the documented form anywhere in it, else reduced to its class (RIE, fatalerror). */
export function errorCategory(value: string | undefined): string {
	if (value === undefined) return "Runtime.Unknown";
	if (/(Runtime|Function)\.[A-Z][a-zA-Z]+/.test(value)) return value;
	return value.startsWith("Function.") ? "Function.Unknown" : "Runtime.Unknown";
}

const errorCauseType = "application/vnd.aws.lambda.error.cause+json";

/** The failure that a `…/error` call tells of. */
export function reportedFailure(request: IncomingMessage, body: Uint8Array): RuntimeFailure {
	return {
		errorType: errorCategory(header(request, "lambda-runtime-function-error-type")),
		payload: header(request, "content-type") === errorCauseType ? withoutCause(body) : body,
	};
}

/** The error-cause document without its cause, which the caller does not see (RIE, rapi/handler/mime_type_error_cause_json.go). */
function withoutCause(body: Uint8Array): Uint8Array {
	try {
		const { errorMessage, errorType, stackTrace } = JSON.parse(Buffer.from(body).toString()) as Record<string, unknown>;
		return Buffer.from(JSON.stringify({ errorMessage, errorType, stackTrace }));
	} catch {
		return Buffer.from('"Invalid error body"');
	}
}

/** What the trailers of a streamed answer say went wrong in the middle of it (lambda-contract 1.6). */
export function trailerFailure(request: IncomingMessage): RuntimeFailure | undefined {
	const type = request.trailers["lambda-runtime-function-error-type"];
	const body = request.trailers["lambda-runtime-function-error-body"];
	if (!type && !body) return undefined;
	const errorType = errorCategory(type);
	return {
		errorType,
		payload: body ? Buffer.from(body, "base64") : Buffer.from(JSON.stringify({ errorType })),
	};
}

export function platformFailure(errorType: string, errorMessage: string): RuntimeFailure {
	return { errorType, payload: Buffer.from(JSON.stringify({ errorMessage, errorType })) };
}
