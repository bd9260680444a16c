/** A request that is a service's: room in an instance, the container's answer, and another try when its instance has just died. */
import type { ServerResponse } from "node:http";
import { isSlipwayError } from "../../base/error.ts";
import type { ForwardOptions, ForwardOutcome } from "../../core/service/forward.ts";
import type { AdmittedRequest } from "../../core/service/request-admission.ts";
import type { ServiceRoute } from "../../core/service/traffic.ts";
import type { Visit } from "./access-record.ts";
import type { Gateway } from "./gateway-front.ts";
import type { GatewayResponse, Passed, RouteContext } from "./ports.ts";
import { type Refusal, refusalOf } from "./refusal.ts";
import { affinityCookie, chooseRevision } from "./traffic-choice.ts";

export interface ServiceRequest {
	find(): ServiceRoute | undefined;
	/** In place of the path. */
	rewrite: string | undefined;
	passed: Passed;
	context: RouteContext;
}

/**
 * Milliseconds before a request that its instance did not hear is admitted again: an instance that dies is known to be dead a few
 * milliseconds later, and one that is restarted in place may need some more. Past the last one it is a 502.
 */
const readmissionPausesMs = [5, 50, 250];

export async function serveService(
	gateway: Gateway,
	visit: Visit,
	response: GatewayResponse,
	service: ServiceRequest,
): Promise<Refusal | undefined> {
	const { signal } = service.context;
	for (let attempt = 0; ; attempt++) {
		try {
			const admitted = await admit(gateway, service.find, visit.exchange.request.headers.cookie, signal);
			if ("error" in admitted) return admitted;
			visit.admitted = admitted;
			const options = forwardOptions(gateway, visit, admitted, service);
			options.handsBack = attempt < readmissionPausesMs.length;
			const outcome = await forward(gateway, visit, response, admitted, options);
			if (!outcome.unanswered) {
				visit.outcome = outcome;
				return undefined;
			}
			await gateway.clock.sleep(readmissionPausesMs[attempt] ?? 0, signal);
		} catch (error) {
			if (signal.aborted) return undefined;
			const refusal = refusalOf(error);
			if (refusal === undefined) throw error;
			return refusal;
		}
	}
}

async function forward(
	gateway: Gateway,
	{ exchange }: Visit,
	response: GatewayResponse,
	admitted: AdmittedRequest,
	options: ForwardOptions,
): Promise<ForwardOutcome> {
	const { kind, request } = exchange;
	if (kind === "upgrade") (response as ServerResponse).detachSocket(request.socket);
	let outcome: ForwardOutcome | undefined;
	try {
		outcome = await gateway.forward(exchange, admitted, options);
	} finally {
		admitted.release(outcome ?? { status: undefined, durationMs: 0, failure: undefined });
	}
	// The answer may be the gateway's own yet.
	if (kind === "upgrade" && outcome.unanswered) (response as ServerResponse).assignSocket(request.socket);
	return outcome;
}

function forwardOptions(
	gateway: Gateway,
	{ exchange: { request }, host, trace }: Visit,
	{ revision, instance }: AdmittedRequest,
	{ rewrite, passed, context }: ServiceRequest,
): ForwardOptions {
	const responseHeaders: [string, string | undefined][] = [["X-Request-Id", context.requestId]];
	for (const [name, value] of passed.responseHeaders ?? []) responseHeaders.push([name, value]);
	if (revision.sessionAffinity) {
		const cookie = affinityCookie(request.headers.cookie, revision.name, instance.id, context.scheme);
		if (cookie !== undefined) responseHeaders.push(["Set-Cookie", cookie]);
	}
	const options: ForwardOptions = {
		clientAddress: context.clientAddress,
		scheme: context.scheme,
		host,
		responseHeaders,
		trustsPeer: gateway.trustsProxy(context.clientAddress),
		requestHeaders: passed.requestHeaders ? { ...trace.headers, ...passed.requestHeaders } : trace.headers,
	};
	if (rewrite !== undefined) options.path = rewrite;
	if (passed.body) options.body = passed.body;
	return options;
}

async function admit(
	gateway: Gateway,
	find: () => ServiceRoute | undefined,
	cookie: string | undefined,
	signal: AbortSignal,
): Promise<AdmittedRequest | Refusal> {
	for (let attempt = 1; ; attempt++) {
		const route = find();
		if (route === undefined)
			return { status: 404, error: "The service was deleted while the request waited", failure: "not-found" };
		const choice = chooseRevision(route, cookie, gateway.random);
		if (choice === undefined)
			return {
				status: 503,
				error: `Service '${route.service}' is not ready${route.reason ? `: ${route.reason}` : ""}`,
				retryAfter: 1,
				failure: "not-ready",
			};
		const revision = { namespace: route.namespace, name: choice.revision };
		try {
			return await gateway.admission.admit(revision, { signal, preferred: choice.preferred });
		} catch (error) {
			// Its traffic has gone to another one in the meantime.
			if (attempt > 1 || !isSlipwayError(error, "NOT_FOUND")) throw error;
		}
	}
}
