/** What differs between the AWS protocols on the server's side: how an operation is named, read, answered and refused. */
import type { PublishedOperation, PublishedService } from "../schema/published.ts";
import type { AwsService, ProtocolName, WireError } from "../service.ts";
import { awsJson } from "./aws-json.ts";
import type { HttpRequestParts, HttpResponseParts } from "./http-binding.ts";
import { query } from "./query.ts";
import { restJson } from "./rest-json.ts";

export interface RequestLine extends HttpRequestParts {
	method: string;
	/** Undecoded, before "?". */
	path: string;
}

export interface FoundOperation {
	operation: PublishedOperation;
	labels: Record<string, string>;
}

export interface WireErrorMessage extends WireError {
	message: string;
}

/** Bound to one service. */
export interface Protocol {
	/** True when the operation's name stands in the body, so that nothing is known before it is read. */
	readonly namedInBody: boolean;
	find(request: RequestLine): FoundOperation | undefined;
	/** Throws CodecError. */
	read(found: FoundOperation, request: RequestLine): Record<string, unknown>;
	write(operation: PublishedOperation, output: Record<string, unknown>, requestId: string): HttpResponseParts;
	writeError(error: WireErrorMessage, requestId: string): HttpResponseParts;
}

export type ProtocolFactory = (service: AwsService, published: PublishedService) => Protocol;

/** Which of its protocols a client speaks to the service. */
export function spokenProtocol(
	{ protocol, queryCompatible }: AwsService,
	{ headers }: Pick<RequestLine, "headers">,
): ProtocolName {
	return queryCompatible && headers["x-amz-target"] === undefined ? "query" : protocol;
}

const factories: Partial<Record<ProtocolName, ProtocolFactory>> = {
	"rest-json": restJson,
	"aws-json-1.0": awsJson,
	"aws-json-1.1": awsJson,
	query,
};

export function protocolOf(
	service: AwsService,
	published: PublishedService,
	name: ProtocolName = service.protocol,
): Protocol {
	const factory = factories[name];
	if (!factory) throw new Error(`No protocol '${name}' for the service '${service.name}'`);
	return factory(service, published);
}
