/**
 * https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html and 1_0, which differ in the content type and in the names of
 * errors.
 */
import type { PublishedOperation, PublishedService } from "../schema/published.ts";
import { jsonDocument } from "./json-document.ts";
import type { Protocol, ProtocolFactory, WireErrorMessage } from "./protocol.ts";
import { queryErrorCode } from "./query.ts";

export const awsJson: ProtocolFactory = (service, published): Protocol => {
	const isFirst = service.protocol === "aws-json-1.0";
	const codec = jsonDocument(`application/x-amz-json-${isFirst ? "1.0" : "1.1"}`);
	const byTarget = new Map<string, PublishedOperation>(
		published.operations.map((operation) => [`${service.targetPrefix}.${operation.name}`, operation] as const),
	);
	return {
		namedInBody: false,
		find(request) {
			const operation = request.method === "POST" ? byTarget.get(String(request.headers["x-amz-target"])) : undefined;
			return operation && { operation, labels: {} };
		},
		read(found, request) {
			if (request.body.length === 0) return {};
			return (codec.read(found.operation.input, request.body) ?? {}) as Record<string, unknown>;
		},
		write: (operation, output) => ({
			status: 200,
			headers: { "Content-Type": codec.contentType },
			body: operation.output.isUnitSchema() ? "{}" : codec.write(operation.output, output),
		}),
		writeError: (error) => ({
			status: error.status,
			headers: {
				"Content-Type": codec.contentType,
				...(service.queryCompatible
					? { "x-amzn-query-error": queryError(published, error) }
					: { "x-amzn-ErrorType": error.name }),
			},
			body: JSON.stringify({
				__type: isFirst ? qualifiedName(published, error.name) : error.name,
				message: error.message,
				...error.details,
			}),
		}),
	};
};

/** "Error __type: the shape's whole name", with its namespace. What a service does not publish is of the framework below it. */
function qualifiedName(published: PublishedService, name: string): string {
	const schema = published.errors.get(name);
	if (schema) return schema.getName(true) ?? name;
	return `com.amazon.coral.service#${name.endsWith("Exception") ? name : `${name}Exception`}`;
}

/** https://smithy.io/2.0/aws/protocols/aws-query-protocol.html#aws-protocols-awsquerycompatible-trait */
function queryError(published: PublishedService, { name, status }: WireErrorMessage): string {
	return `${queryErrorCode(published, name)};${status < 500 ? "Sender" : "Receiver"}`;
}
