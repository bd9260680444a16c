/** The one place where an error becomes a name, a status and a text on the wire. */
import { isSlipwayError } from "../../base/error.ts";
import { BodyTooLargeError } from "./body.ts";
import { AwsError } from "./errors.ts";
import { CodecError } from "./protocol/codec-error.ts";
import {
	type Protocol,
	protocolOf,
	type RequestLine,
	spokenProtocol,
	type WireErrorMessage,
} from "./protocol/protocol.ts";
import type { AwsService, ProtocolName } from "./service.ts";

export interface Refusal {
	wire: WireErrorMessage;
	retryAfterMs: number | undefined;
}

export function toWireError(error: unknown, service: AwsService | undefined, operation: string | undefined): Refusal {
	if (error instanceof AwsError) {
		const details = error.details && { details: error.details };
		return {
			wire: { name: error.name, status: error.status, message: error.message, ...details },
			retryAfterMs: error.retryAfterMs,
		};
	}
	if (isSlipwayError(error)) {
		const row = service && (service.translate?.(error, operation) ?? service.errors[error.code]);
		if (row) return { wire: { ...row, message: error.message }, retryAfterMs: error.retryAfterMs };
	}
	if (error instanceof CodecError) {
		const own = service?.malformedBody?.(error.message);
		if (own) return refusal({ ...own.error, message: own.message });
		return refusal({ name: "SerializationException", status: 400, message: error.message });
	}
	if (error instanceof BodyTooLargeError) {
		const own = service?.bodyTooLarge?.({ size: error.size, limit: error.limit, operation });
		if (own) return refusal({ ...own.error, message: own.message });
		const message = `Request must be smaller than ${error.limit} bytes`;
		return refusal({ name: "RequestEntityTooLargeException", status: 413, message });
	}
	const internal = service?.internalError ?? { name: "InternalFailure", status: 500 };
	return refusal({ ...internal, message: "An internal error occurred" });
}

function refusal(wire: WireErrorMessage): Refusal {
	return { wire, retryAfterMs: undefined };
}

const nothingPublished = { operations: [], errors: new Map() };

/** For requests refused before a service's schemas were at hand: the service's protocol, or what the request looks like. */
export function fallbackProtocol(service: AwsService | undefined, line: RequestLine): Protocol {
	if (service) return protocolOf(service, nothingPublished, spokenProtocol(service, line));
	return protocolOf(
		{ name: "", sdkPackage: "", protocol: looksLike(line), handlers: {}, errors: noErrors },
		nothingPublished,
	);
}

function looksLike(line: RequestLine): ProtocolName {
	if (line.headers["x-amz-target"] !== undefined) return "aws-json-1.1";
	// S3's clients read XML; the query protocol's error has the parts they look for.
	if (/\/s3\/aws4_request/.test(String(line.headers.authorization))) return "query";
	return String(line.headers["content-type"] ?? "").startsWith("application/x-www-form-urlencoded")
		? "query"
		: "rest-json";
}

const noErrors = {} as AwsService["errors"];
