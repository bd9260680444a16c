/** https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html */
import type { PublishedOperation } from "../schema/published.ts";
import { jsonDocument } from "./json-document.ts";
import type { Protocol, ProtocolFactory } from "./protocol.ts";

const codec = jsonDocument("application/x-amz-json-1.1");

export const awsJson: ProtocolFactory = (service, published): Protocol => {
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
			headers: { "Content-Type": codec.contentType, "x-amzn-ErrorType": error.name },
			body: JSON.stringify({ __type: error.name, message: error.message, ...error.details }),
		}),
	};
};
