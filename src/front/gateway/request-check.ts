/** What the gateway does not take, though Node's parser does: messages that two servers may read differently. */
import type { IncomingMessage } from "node:http";
import type { GatewayRequest } from "./ports.ts";

export interface RequestBounds {
	/** Header fields of a request; 100 by default, as Apache has it. */
	maxHeaders: number;
	/** Characters of path and query; 16 Ki by default. */
	maxUrlLength: number;
}

export const defaultBounds: RequestBounds = { maxHeaders: 100, maxUrlLength: 16 * 1024 };

export interface Refused {
	status: number;
	error: string;
}

/**
 * Whether an Upgrade is passed on; without that it is a request like any other (RFC 9110, 7.8). Not with a body, which Node hands
 * over as the first bytes of the new protocol, and not in HTTP/1.0, which has none.
 */
export function mayUpgrade({ headers, httpVersion }: Pick<IncomingMessage, "headers" | "httpVersion">): boolean {
	const hasBody = headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
	return !hasBody && httpVersion !== "1.0" && headers.upgrade?.toLowerCase() !== "h2c";
}

export function checkRequest(request: GatewayRequest, bounds: RequestBounds): Refused | undefined {
	const { method = "GET", url = "", rawHeaders, headers } = request;
	if (method === "TRACE" || method === "CONNECT") return { status: 405, error: `${method} is not supported` };
	if (url.length > bounds.maxUrlLength)
		return { status: 414, error: `The path and its query are longer than ${bounds.maxUrlLength} characters` };
	if (url[0] !== "/" && !(url === "*" && method === "OPTIONS"))
		return { status: 400, error: "The request's target must be a path: a proxy's absolute form is not served" };
	if (rawHeaders.length > 2 * bounds.maxHeaders)
		return { status: 431, error: `The request has more than ${bounds.maxHeaders} header fields` };
	const coding = headers["transfer-encoding"];
	if (coding !== undefined) {
		if (coding.toLowerCase() !== "chunked")
			return { status: 501, error: "The only Transfer-Encoding that is supported is 'chunked'" };
		if (request.httpVersion === "1.0") return { status: 400, error: "HTTP/1.0 has no Transfer-Encoding" };
		if (headers["content-length"] !== undefined)
			return { status: 400, error: "A request has Content-Length or Transfer-Encoding, never both" };
	}
	const authority = headers[":authority"];
	if (authority !== undefined && headers.host !== undefined && headers.host !== authority)
		return { status: 400, error: "The request's Host is not its :authority" };
	return undefined;
}
