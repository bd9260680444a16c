/**
 * A request as the event that the function gets: payload format 2.0
 * (https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads). Keys without a value are left out.
 */
import { isUtf8 } from "node:buffer";
import type { IncomingMessage } from "node:http";
import { TLSSocket } from "node:tls";
import type { Principal } from "../aws/service.ts";

export interface EventSource {
	request: IncomingMessage;
	body: Buffer;
	urlId: string;
	requestId: string;
	traceId: string;
	/** Milliseconds since the epoch. */
	nowMs: number;
	/** Who signed it; undefined for AuthType NONE. */
	principal: Principal | undefined;
}

/** Of one connection, not of the message; and `cookie`, which has a member of its own. */
const dropped = new Set([
	"connection",
	"cookie",
	"expect",
	"keep-alive",
	"proxy-connection",
	"te",
	"trailer",
	"transfer-encoding",
	"upgrade",
]);
/** A function that is called with a signature can't pass it on: within its quarter of an hour it would be as good as the key. */
const credentials = new Set(["authorization", "x-amz-security-token"]);

export function requestEvent(source: EventSource): Record<string, unknown> {
	const { request, body } = source;
	const target = targetOf(request.url ?? "/");
	const { path } = target;
	const query = source.principal ? withoutSignature(target.query) : target.query;
	const cookies = (request.headers.cookie ?? "").split(/; */).filter((cookie) => cookie !== "");
	const parameters = queryParameters(query);
	const text = isText(request.headers["content-type"]) && isUtf8(body);
	return {
		version: "2.0",
		routeKey: "$default",
		rawPath: path,
		rawQueryString: query,
		...(cookies.length > 0 && { cookies }),
		headers: eventHeaders(source),
		...(parameters && { queryStringParameters: parameters }),
		requestContext: requestContext(source, path),
		...(body.length > 0 && { body: body.toString(text ? "utf8" : "base64") }),
		isBase64Encoded: body.length > 0 && !text,
	};
}

/** The request target as it came, but for the absolute form that proxies are sent (RFC 9112 3.2.2). */
function targetOf(url: string): { path: string; query: string } {
	const origin = url.startsWith("/") ? url : url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?]*/i, "");
	const mark = origin.indexOf("?");
	const path = mark < 0 ? origin : origin.slice(0, mark);
	return { path: path.startsWith("/") ? path : "/", query: mark < 0 ? "" : origin.slice(mark + 1) };
}

/** A presigned URL's own parameters, for the same reason: it may be good for seven days. */
function withoutSignature(query: string): string {
	if (!/(^|&)X-Amz-Signature=/.test(query)) return query;
	const own = /^X-Amz-(Algorithm|Credential|Date|Expires|SignedHeaders|Signature|Security-Token)=/;
	return query
		.split("&")
		.filter((parameter) => !own.test(parameter))
		.join("&");
}

function eventHeaders({ request, traceId, principal }: EventSource): Record<string, string> {
	const headers = new Map<string, string>();
	for (const [name, values = []] of Object.entries(request.headersDistinct)) {
		if (dropped.has(name) || (principal && credentials.has(name))) continue;
		headers.set(name, values.join(","));
	}
	const { socket } = request;
	headers.set("x-amzn-trace-id", traceId);
	// As the platform saw it, whatever the client claims.
	headers.set("x-forwarded-for", sourceIp(request));
	headers.set("x-forwarded-port", String(portOf(request)));
	const tls = socket instanceof TLSSocket;
	headers.set("x-forwarded-proto", tls ? "https" : "http");
	if (tls) {
		headers.set("x-amzn-tls-cipher-suite", socket.getCipher().standardName);
		headers.set("x-amzn-tls-version", socket.getProtocol() ?? "");
	}
	return Object.fromEntries(headers);
}

function portOf({ headers, socket }: IncomingMessage): number {
	return Number(/:(\d+)$/.exec(headers.host ?? "")?.[1] ?? socket.localPort ?? 0);
}

function sourceIp({ socket }: IncomingMessage): string {
	// A dual-stack socket writes IPv4 as ::ffff:127.0.0.1.
	return (socket.remoteAddress ?? "").replace(/^::ffff:(?=\d+\.)/, "");
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

function requestContext({ request, urlId, requestId, nowMs, principal }: EventSource, path: string) {
	return {
		accountId: principal?.accountId ?? "anonymous",
		apiId: urlId,
		...(principal && { authorizer: { iam: iamOf(principal) } }),
		domainName: (request.headers.host ?? "").replace(/:\d+$/, ""),
		domainPrefix: urlId,
		http: {
			method: request.method ?? "GET",
			path: decodePath(path),
			protocol: `HTTP/${request.httpVersion}`,
			sourceIp: sourceIp(request),
			userAgent: request.headers["user-agent"] ?? "",
		},
		requestId,
		routeKey: "$default",
		stage: "$default",
		time: commonLogTime(nowMs),
		timeEpoch: nowMs,
	};
}

function iamOf({ accessKeyId, accountId, arn, userId }: Principal) {
	return {
		accessKey: accessKeyId,
		accountId,
		callerId: userId,
		cognitoIdentity: null,
		principalOrgId: null,
		userArn: arn,
		userId,
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
