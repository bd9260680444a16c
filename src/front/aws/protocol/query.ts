/** https://smithy.io/2.0/aws/protocols/aws-query-protocol.html */
import type { PublishedService } from "../schema/published.ts";
import { CodecError } from "./codec-error.ts";
import { utf8 } from "./http-binding.ts";
import type { Protocol, ProtocolFactory, RequestLine } from "./protocol.ts";
import { readQuery } from "./query-form.ts";
import { element, escapeXml, writeXmlMembers } from "./xml.ts";

const headers = { "Content-Type": "text/xml" };

/** More parameters than any action takes. */
const maxParameters = 10_000;

// This protocol is older than the names that the JSON services use for the same refusals.
const olderNames: Readonly<Record<string, string>> = {
	InvalidSignatureException: "SignatureDoesNotMatch",
	UnrecognizedClientException: "InvalidClientTokenId",
	MissingAuthenticationTokenException: "MissingAuthenticationToken",
	IncompleteSignatureException: "IncompleteSignature",
	AccessDeniedException: "AccessDenied",
	ValidationException: "ValidationError",
	SerializationException: "MalformedInput",
	UnknownOperationException: "InvalidAction",
};

export const query: ProtocolFactory = (service, published): Protocol => {
	const byAction = new Map(published.operations.map((operation) => [operation.name, operation] as const));
	const namespace = escapeXml(service.xmlNamespace ?? "");
	return {
		namedInBody: true,
		find(request) {
			const params = parameters(request);
			if (service.apiVersion !== undefined && params.get("Version") !== service.apiVersion) return undefined;
			const operation = byAction.get(params.get("Action") ?? "");
			return operation && { operation, labels: {} };
		},
		read(found, request) {
			return found.operation.input.isUnitSchema() ? {} : readQuery(found.operation.input, parameters(request));
		},
		write(operation, output, requestId) {
			const result = operation.output.isUnitSchema()
				? ""
				: element(`${operation.name}Result`, writeXmlMembers(operation.output, output));
			const metadata = element("ResponseMetadata", element("RequestId", requestId));
			const name = `${operation.name}Response`;
			return {
				status: 200,
				headers: { ...headers },
				body: `<${name} xmlns="${namespace}">${result}${metadata}</${name}>`,
			};
		},
		writeError(error, requestId) {
			const code = queryErrorCode(published, error.name);
			const detail =
				element("Type", error.status < 500 ? "Sender" : "Receiver") +
				element("Code", escapeXml(code)) +
				element("Message", escapeXml(error.message));
			return {
				status: error.status,
				headers: { ...headers },
				body: `<ErrorResponse xmlns="${namespace}">${element("Error", detail)}${element("RequestId", requestId)}</ErrorResponse>`,
			};
		},
	};
};

/** The code of an error in this protocol, which some services publish beside the name that their JSON errors have. */
export function queryErrorCode(published: PublishedService, name: string): string {
	const trait = published.errors.get(name)?.getMergedTraits().awsQueryError as
		| [code: string, status: number]
		| undefined;
	return trait?.[0] ?? olderNames[name] ?? name;
}

/** From the query string of a GET and the form of a POST. */
function parameters(request: RequestLine): Map<string, string> {
	const form = String(request.headers["content-type"] ?? "").startsWith("application/x-www-form-urlencoded");
	const sources = form ? [request.query, utf8(request.body)] : [request.query];
	const result = new Map<string, string>();
	for (const source of sources) {
		// Before they are taken apart: megabytes of "&" would be seconds in which nobody else is served.
		for (let at = source.indexOf("&"), count = 1; at !== -1; at = source.indexOf("&", at + 1))
			if (++count > maxParameters) throw new CodecError("", `has more than ${maxParameters} parameters`);
		for (const [name, value] of new URLSearchParams(source)) result.set(name, value);
	}
	return result;
}
