/** A function URL's request as the event that the function gets, payload format 2.0 (front/lambda-http/request-event.ts). */
import type { IncomingMessage } from "node:http";
import { TLSSocket } from "node:tls";
import type { Principal } from "../aws/service.ts";
import { payloadEvent, targetOf } from "../lambda-http/request-event.ts";

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

/** A function that is called with a signature can't pass it on: within its quarter of an hour it would be as good as the key. */
const credentials = new Set(["authorization", "x-amz-security-token"]);

export function requestEvent(source: EventSource): Record<string, unknown> {
	const { request, body, urlId, requestId, traceId, nowMs, principal } = source;
	const { path, query } = targetOf(request.url ?? "/");
	const { socket } = request;
	const tls = socket instanceof TLSSocket;
	const headers = Object.entries(request.headersDistinct).filter(([name]) => !(principal && credentials.has(name)));
	return payloadEvent(
		{
			method: request.method ?? "GET",
			path,
			query: principal ? withoutSignature(query) : query,
			protocol: `HTTP/${request.httpVersion}`,
			headers: headers.map(([name, values = []]) => [name, values] as const),
			cookie: request.headers.cookie,
			body,
			host: request.headers.host ?? "",
			sourceIp: sourceIp(request),
			port: portOf(request),
			scheme: tls ? "https" : "http",
			...(tls && { tls: { cipher: socket.getCipher().standardName, version: socket.getProtocol() ?? "" } }),
			requestId,
			traceId,
			nowMs,
		},
		{
			routeKey: "$default",
			accountId: principal?.accountId ?? "anonymous",
			apiId: urlId,
			domainPrefix: urlId,
			...(principal && { authorizer: { iam: iamOf(principal) } }),
		},
	);
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

function portOf({ headers, socket }: IncomingMessage): number {
	return Number(/:(\d+)$/.exec(headers.host ?? "")?.[1] ?? socket.localPort ?? 0);
}

function sourceIp({ socket }: IncomingMessage): string {
	// A dual-stack socket writes IPv4 as ::ffff:127.0.0.1.
	return (socket.remoteAddress ?? "").replace(/^::ffff:(?=\d+\.)/, "");
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
