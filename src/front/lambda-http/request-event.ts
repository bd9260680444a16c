/**
 * A request as the event that a function gets: payload format 2.0, of function URLs and of HTTP APIs
 * (https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads,
 * https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html#http-api-develop-integrations-lambda.proxy-format).
 * Keys without a value are left out.
 */
import { isUtf8 } from "node:buffer";

export interface PayloadRequest {
	method: string;
	/** As it came, or as it was normalised: still escaped. */
	path: string;
	/** Without its question mark. */
	query: string;
	/** "HTTP/1.1" */
	protocol: string;
	/** By lower-case name, each with its lines. */
	headers: Iterable<readonly [string, readonly string[]]>;
	cookie: string | undefined;
	body: Buffer;
	/** With its port. */
	host: string;
	/** Of the connection, whatever a header says. */
	sourceIp: string;
	port: number;
	scheme: "http" | "https";
	/** Of the connection, when it is TLS: RFC's names. */
	tls?: { cipher: string; version: string };
	requestId: string;
	traceId: string;
	/** Milliseconds since the epoch. */
	nowMs: number;
}

export interface PayloadRoute {
	routeKey: string;
	accountId: string;
	apiId: string;
	domainPrefix: string;
	authorizer?: Record<string, unknown> | undefined;
	/** Decoded. */
	pathParameters?: Readonly<Record<string, string>>;
}

/** Of one connection, not of the message; and `cookie`, which has a member of its own. */
const dropped = new Set([
	"connection",
	"cookie",
	"expect",
	"http2-settings",
	"keep-alive",
	"proxy-connection",
	"te",
	"trailer",
	"transfer-encoding",
	"upgrade",
]);

export function payloadEvent(request: PayloadRequest, route: PayloadRoute): Record<string, unknown> {
	const { path, query, body } = request;
	const headers = eventHeaders(request);
	const cookies = (request.cookie ?? "").split(/; */).filter((cookie) => cookie !== "");
	const queryStringParameters = queryParameters(query);
	const text = isText(headers["content-type"]) && isUtf8(body);
	const { pathParameters = {} } = route;
	return {
		version: "2.0",
		routeKey: route.routeKey,
		rawPath: path,
		rawQueryString: query,
		...(cookies.length > 0 && { cookies }),
		headers,
		...(queryStringParameters && { queryStringParameters }),
		requestContext: requestContext(request, route, headers["user-agent"] ?? ""),
		...(Object.keys(pathParameters).length > 0 && { pathParameters }),
		...(body.length > 0 && { body: body.toString(text ? "utf8" : "base64") }),
		isBase64Encoded: body.length > 0 && !text,
	};
}

function eventHeaders(request: PayloadRequest): Record<string, string> {
	const headers = new Map<string, string>();
	for (const [name, values] of request.headers)
		if (!dropped.has(name) && !name.startsWith(":")) headers.set(name, values.join(","));
	headers.set("x-amzn-trace-id", request.traceId);
	// As the platform saw it, whatever the client claims.
	headers.set("x-forwarded-for", request.sourceIp);
	headers.set("x-forwarded-port", String(request.port));
	headers.set("x-forwarded-proto", request.scheme);
	if (request.tls) {
		headers.set("x-amzn-tls-cipher-suite", request.tls.cipher);
		headers.set("x-amzn-tls-version", request.tls.version);
	}
	return Object.fromEntries(headers);
}

/** Values of one name are joined by commas. */
function queryParameters(query: string): Record<string, string> | undefined {
	if (query === "") return undefined;
	const parameters = new Map<string, string>();
	for (const [name, value] of new URLSearchParams(query)) {
		const before = parameters.get(name);
		parameters.set(name, before === undefined ? value : `${before},${value}`);
	}
	return Object.fromEntries(parameters);
}

function requestContext(request: PayloadRequest, route: PayloadRoute, userAgent: string) {
	const { accountId, apiId, authorizer, domainPrefix, routeKey } = route;
	return {
		accountId,
		apiId,
		...(authorizer && { authorizer }),
		domainName: request.host.replace(/:\d+$/, ""),
		domainPrefix,
		http: {
			method: request.method,
			path: decodePath(request.path),
			protocol: request.protocol,
			sourceIp: request.sourceIp,
			userAgent,
		},
		requestId: request.requestId,
		routeKey,
		stage: "$default",
		time: commonLogTime(request.nowMs),
		timeEpoch: request.nowMs,
	};
}

function decodePath(path: string): string {
	try {
		return decodeURIComponent(path);
	} catch {
		return path; // an escape that is none: as it came
	}
}

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** "12/Mar/2020:19:03:58 +0000". */
export function commonLogTime(ms: number): string {
	const date = new Date(ms);
	const two = (value: number) => String(value).padStart(2, "0");
	const clock = [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()].map(two).join(":");
	return `${two(date.getUTCDate())}/${months[date.getUTCMonth()]}/${date.getUTCFullYear()}:${clock} +0000`;
}

/** What the cloud hands over as it is; all else comes in base64, forms included, and text that is not UTF-8. */
function isText(contentType: string | undefined): boolean {
	const type = contentType?.split(";", 1)[0]?.trim().toLowerCase() ?? "";
	return /^(text\/.+|application\/(json|xml|javascript)|.+\+(json|xml))$/.test(type);
}

/** The request target as it came, but for the absolute form that proxies are sent (RFC 9112 3.2.2). */
export function targetOf(url: string): { path: string; query: string } {
	const origin = url.startsWith("/") ? url : url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?]*/i, "");
	const mark = origin.indexOf("?");
	const path = mark < 0 ? origin : origin.slice(0, mark);
	return { path: path.startsWith("/") ? path : "/", query: mark < 0 ? "" : origin.slice(mark + 1) };
}
