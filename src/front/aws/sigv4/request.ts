import type { IncomingMessage } from "node:http";

/** What signing looks at: the request line and the header lines as they came. */
export interface SignedRequest {
	method: string;
	/** Before "?", as in the request line. */
	path: string;
	/** After "?", as in the request line. */
	query: string;
	/** Name, value, name, value, … with duplicates and in order (IncomingMessage.rawHeaders). */
	rawHeaders: readonly string[];
}

export function signedRequest(request: IncomingMessage): SignedRequest {
	const url = request.url ?? "/";
	const mark = url.indexOf("?");
	return {
		method: request.method ?? "GET",
		path: mark === -1 ? url : url.slice(0, mark),
		query: mark === -1 ? "" : url.slice(mark + 1),
		rawHeaders: request.rawHeaders,
	};
}

/** Every value of a header, in order. */
export function headerValues(request: SignedRequest, lowerName: string): string[] {
	const values: string[] = [];
	const { rawHeaders } = request;
	for (let i = 0; i + 1 < rawHeaders.length; i += 2)
		if (rawHeaders[i]!.length === lowerName.length && rawHeaders[i]!.toLowerCase() === lowerName)
			values.push(rawHeaders[i + 1]!);
	return values;
}
