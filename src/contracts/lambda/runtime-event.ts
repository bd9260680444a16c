import type { DeliveredEvent } from "../../core/invocation/function-contract.ts";
import type { Reply } from "./api-http.ts";

/** Headers in lambda-contract 1.2; each only when it has a value. */
export function sendEvent(response: Reply, event: DeliveredEvent): void {
	const headers: Record<string, string | number> = {
		"Content-Type": event.contentType ? headerValue(event.contentType) : "application/json",
		"Content-Length": event.payload.length,
		"Lambda-Runtime-Aws-Request-Id": event.requestId,
		"Lambda-Runtime-Deadline-Ms": Math.round(event.deadlineMs),
		"Lambda-Runtime-Invoked-Function-Arn": event.invokedArn,
	};
	if (event.traceId) headers["Lambda-Runtime-Trace-Id"] = headerValue(event.traceId);
	if (event.clientContext) headers["Lambda-Runtime-Client-Context"] = headerValue(event.clientContext);
	if (event.cognitoIdentity) headers["Lambda-Runtime-Cognito-Identity"] = headerValue(event.cognitoIdentity);
	response.writeHead(200, headers).end(event.payload);
}

/** As Go's servers write it: UTF-8, and a line break becomes a space. Node refuses what is past Latin-1. */
function headerValue(value: string): string {
	if (/^[\x20-\x7e]*$/.test(value)) return value;
	return Buffer.from(value.replace(/[\r\n]/g, " ").replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/g, "")).toString("latin1");
}
