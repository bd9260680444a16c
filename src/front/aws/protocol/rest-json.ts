/** https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html */
import type { PublishedOperation, Schema } from "../schema/published.ts";
import { Router } from "../schema/router.ts";
import { readHttp, writeHttp } from "./http-binding.ts";
import { jsonDocument } from "./json-document.ts";
import type { Protocol, ProtocolFactory, WireErrorMessage } from "./protocol.ts";

const codec = jsonDocument("application/json");

export const restJson: ProtocolFactory = (_service, published): Protocol => {
	const router = new Router<PublishedOperation>();
	for (const operation of published.operations)
		if (operation.http) router.add(operation.http.method, operation.http.uri, operation);
	return {
		namedInBody: false,
		find(request) {
			const route = router.match(request.method, request.path, request.query);
			return route && { operation: route.target, labels: route.labels };
		},
		read: (found, request) => readHttp(found.operation.input, { ...request, labels: found.labels }, codec),
		write: (operation, output) => writeHttp(operation.output, output, operation.http?.status ?? 200, codec),
		writeError(error) {
			const schema = published.errors.get(error.name);
			const response = schema ? writeHttp(schema, errorMembers(schema, error), error.status, codec) : plainError(error);
			response.headers["x-amzn-ErrorType"] = error.name;
			return response;
		},
	};
};

/** Some error shapes call their text `message`, some `Message`, and some name a `Type`: the published shape says which. */
function errorMembers(schema: Schema, error: WireErrorMessage): Record<string, unknown> {
	const members: Record<string, unknown> = {};
	for (const [name] of schema.structIterator()) {
		if (name.toLowerCase() === "message") members[name] = error.message;
		else if (name === "Type") members[name] = error.status < 500 ? "User" : "Service";
	}
	return { ...members, ...error.details };
}

function plainError(error: WireErrorMessage) {
	const body =
		error.details && "Message" in error.details ? error.details : { message: error.message, ...error.details };
	return {
		status: error.status,
		headers: { "Content-Type": codec.contentType } as Record<string, string>,
		body: JSON.stringify(body),
	};
}
