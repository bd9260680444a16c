/** One request's way through the gateway. */
import type { Exchange } from "../../core/service/forward.ts";
import { finishRecord, isAnswered, type Visit } from "./access-record.ts";
import { findRoute } from "./find-route.ts";
import type { Gateway } from "./gateway-front.ts";
import type { GatewayResponse, Passed, RouteContext } from "./ports.ts";
import { type Refusal, refuse } from "./refusal.ts";
import { checkRequest } from "./request-check.ts";
import { serveService } from "./serve-service.ts";
import { traceContext } from "./trace-context.ts";

/** `response`: for answers of the gateway's own; in an upgrade it writes to the connection until the container has it. */
export async function serveRequest(gateway: Gateway, exchange: Exchange, response: GatewayResponse): Promise<void> {
	const { request } = exchange;
	const host = (request.headers[":authority"] as string | undefined) ?? request.headers.host ?? "";
	const trace = traceContext(request.headers, gateway.ids);
	const gone = new AbortController();
	const visit: Visit = { exchange, host, trace, startedAt: gateway.clock.monotonic(), timeMs: gateway.clock.now() };
	// After a whole answer it closes too, which is nobody's going away: an abort makes an error with its stack.
	const onGone = () => {
		if (exchange.kind === "upgrade" || !isAnswered(response)) gone.abort();
	};
	const connection = exchange.kind === "upgrade" ? exchange.socket : response;
	connection.once("close", onGone);
	const counters = gateway.counters;
	const open = exchange.kind === "upgrade" ? "openUpgrades" : "openRequests";
	counters[open]++;
	try {
		const refusal = await answerRequest(gateway, visit, response, gone.signal);
		if (refusal) refuseVisit(visit, response, refusal);
	} catch (error) {
		gateway.log.error("The gateway failed", { host: host.slice(0, 300), method: request.method, error });
		refuseVisit(visit, response, { status: 500, error: "Internal error", failure: "failed" });
		if (!response.writableEnded) response.destroy();
	} finally {
		connection.off("close", onGone);
		counters[open]--;
		finishRecord(gateway, visit, response, gone.signal.aborted);
	}
}

function refuseVisit(visit: Visit, response: GatewayResponse, refusal: Refusal): void {
	visit.failure = refusal.failure;
	refuse(visit.exchange.request, response, refusal, [["X-Request-Id", visit.trace.requestId]]);
}

async function answerRequest(
	gateway: Gateway,
	visit: Visit,
	response: GatewayResponse,
	signal: AbortSignal,
): Promise<Refusal | undefined> {
	const { request } = visit.exchange;
	const refused = checkRequest(request, gateway.bounds);
	if (refused) return { ...refused, failure: "refused" };
	const { socket } = request;
	const peer = socket?.remoteAddress ?? "";
	const context: RouteContext = {
		clientAddress: peer.startsWith("::ffff:") ? peer.slice(7) : peer,
		scheme: socket !== undefined && "encrypted" in socket ? "https" : "http",
		host: visit.host,
		traceId: visit.trace.traceId,
		requestId: visit.trace.requestId,
		signal,
	};
	visit.clientAddress = context.clientAddress;
	const found = findRoute(gateway, visit.host, request);
	if ("error" in found) return found;
	if (found.kind === "handled") {
		if (found.route !== undefined) visit.route = found.route;
		expectNothing(visit.exchange);
		await found.handle(request, response, context);
		return undefined;
	}
	if (found.routeName !== undefined) visit.route = found.routeName;
	visit.service = found.route;
	let passed: Passed = {};
	if (found.guard) {
		const verdict = await found.guard(request, response, context);
		if (verdict === "answered") return undefined;
		passed = verdict;
	}
	return serveService(gateway, visit, response, { find: found.find, rewrite: found.rewrite, passed, context });
}

/** Who does not pass the expectation on says that the body may come. */
function expectNothing(exchange: Exchange): void {
	if (exchange.kind !== "upgrade" && exchange.request.headers.expect !== undefined) exchange.response.writeContinue();
}
