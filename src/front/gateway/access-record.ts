/** What is written down of a request, and counted, when it is over. */
import type { Exchange, ForwardOutcome } from "../../core/service/forward.ts";
import type { AdmittedRequest } from "../../core/service/request-admission.ts";
import type { ServiceRoute } from "../../core/service/traffic.ts";
import { codeClass, serviceCounters } from "./counters.ts";
import type { Gateway } from "./gateway-front.ts";
import type { AccessRecord, GatewayRequest, GatewayResponse } from "./ports.ts";
import type { TraceContext } from "./trace-context.ts";

/** A request while it is here. */
export interface Visit {
	exchange: Exchange;
	/** As the client sent it. */
	host: string;
	trace: TraceContext;
	/** Monotonic and wall clock, milliseconds. */
	startedAt: number;
	timeMs: number;
	clientAddress?: string;
	service?: ServiceRoute;
	route?: string;
	admitted?: AdmittedRequest;
	outcome?: ForwardOutcome;
	failure?: string;
}

/** Characters of what the client chose. */
const maxText = 1024;

export function finishRecord(gateway: Gateway, visit: Visit, response: GatewayResponse, gone: boolean): void {
	const { outcome, admitted } = visit;
	const status = outcome ? outcome.status : response.headersSent ? response.statusCode : undefined;
	const failure = visit.failure ?? outcome?.failure ?? (gone && !isAnswered(response) ? "client-gone" : undefined);
	const { request } = visit.exchange;
	const bytesIn = outcome ? outcome.bytesIn : receivedBytes(request);
	const bytesOut = outcome ? outcome.bytesOut : sentBytes(request, response);
	gateway.counters.bytesIn += bytesIn;
	gateway.counters.bytesOut += bytesOut;
	count(gateway, visit, status, failure);
	if (!gateway.accessLog) return;
	const record: AccessRecord = {
		time: isoTime(visit.timeMs),
		method: request.method ?? "",
		host: visit.host.slice(0, maxText),
		path: pathOf(request.url ?? ""),
		protocol: visit.exchange.kind === "upgrade" ? "websocket" : `HTTP/${protocolOf(request.httpVersion)}`,
		bytesIn,
		bytesOut,
		durationMs: Math.round((gateway.clock.monotonic() - visit.startedAt) * 1000) / 1000,
		clientAddress: visit.clientAddress ?? "",
		traceId: visit.trace.traceId,
		requestId: visit.trace.requestId,
	};
	if (status !== undefined) record.status = status;
	if (admitted) {
		record.waitedMs = Math.round(admitted.waitedMs * 1000) / 1000;
		record.revision = admitted.revision.name;
		record.instance = admitted.instance.id;
		if (admitted.cold) record.cold = true;
	}
	if (visit.service) {
		record.namespace = visit.service.namespace;
		record.service = visit.service.service;
	}
	if (visit.route !== undefined) record.route = visit.route;
	const agent = request.headers["user-agent"];
	if (agent !== undefined) record.userAgent = agent.slice(0, maxText);
	if (failure !== undefined) record.failure = failure;
	gateway.accessLog.record(record);
}

/** Whether the client has had its answer whole. Of HTTP/2's Node says "finished" also when the client has broken off. */
export function isAnswered(response: GatewayResponse): boolean {
	return "stream" in response ? response.writableEnded : response.writableFinished;
}

/** Where no container has answered, a body has been read whole or not at all, and sent whole. */
function receivedBytes({ complete, headers }: GatewayRequest): number {
	return complete ? Number(headers["content-length"] ?? 0) : 0;
}

function sentBytes({ method }: GatewayRequest, response: GatewayResponse): number {
	return response.headersSent && method !== "HEAD" ? Number(response.getHeader("content-length") ?? 0) : 0;
}

function count({ counters }: Gateway, visit: Visit, status: number | undefined, failure: string | undefined): void {
	counters.requests[codeClass(status)]++;
	if (visit.exchange.kind === "upgrade") counters.upgrades++;
	if (failure !== undefined) counters.failures[failure] = (counters.failures[failure] ?? 0) + 1;
	const { admitted, service } = visit;
	const own = service && serviceCounters(counters, service.namespace, service.service);
	if (!own) return;
	own.requests[codeClass(status)]++;
	own.waitedMs += admitted?.waitedMs ?? 0;
	if (admitted?.cold) own.cold++;
}

/** Of the last millisecond: requests that come together have the same. */
let lastTimeMs = Number.NaN;
let lastTime = "";
function isoTime(ms: number): string {
	if (ms !== lastTimeMs) {
		lastTimeMs = ms;
		lastTime = new Date(ms).toISOString();
	}
	return lastTime;
}

function pathOf(url: string): string {
	const query = url.indexOf("?");
	return url.slice(0, Math.min(query < 0 ? maxText : query, maxText));
}

function protocolOf(version: string): string {
	return version === "2.0" ? "2" : version;
}
