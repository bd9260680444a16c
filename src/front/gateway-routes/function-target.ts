/** Functions behind a route: the request becomes an event of payload format 2.0, what they answer a response, as API Gateway does it. */
import { TLSSocket } from "node:tls";
import type { Clock } from "../../base/clock.ts";
import { isSlipwayError } from "../../base/error.ts";
import type { Ids } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import { type FunctionTarget, routeKeyOf } from "../../core/gateway-route/gateway-route.ts";
import { defaultTimeoutMs } from "../../core/gateway-route/read-route.ts";
import type { TableRule } from "../../core/gateway-route/route-table.ts";
import type { InvocationRequest, InvocationResult } from "../../core/invocation/invocation.ts";
import type { GatewayRequest, GatewayResponse, Passed, RouteContext } from "../gateway/ports.ts";
import { payloadEvent, targetOf } from "../lambda-http/request-event.ts";
import { bufferedResponse, MalformedResponseError } from "../lambda-http/response.ts";
import { traceIdOf } from "../trace-id.ts";
import {
	type Answer,
	BodyBudget,
	BodyTooLargeError,
	BudgetSpentError,
	ClientGoneError,
	gatewayError,
	readBody,
	sendAnswer,
} from "./answer.ts";
import type { Verified } from "./jwt.ts";
import type { RuleGuard } from "./rule-guard.ts";

export interface FunctionTargetOptions {
	/** engine/dispatch's. NOT_FOUND, CONFLICT, THROTTLED. */
	functions: { invoke(functionName: string, request: InvocationRequest): Promise<InvocationResult> };
	clock: Pick<Clock, "now" | "monotonic" | "after">;
	ids: Pick<Ids, "uuid" | "hex">;
	region: string;
	/** 12 digits. */
	accountId: string;
	/** Whether invocations have spans: traces that begin here are sampled then. */
	recordsSpans?: boolean;
	log: Log;
	/** Bytes of all bodies that are with functions. */
	maxBufferedBytes?: number;
}

/** Of the body, and of the event that is made of it (lambda-contract 1.7). */
const maxPayloadBytes = 6 * 1024 * 1024;
/** 16 payloads of the largest size. */
const defaultBufferedBytes = 96 * 1024 * 1024;

export interface MatchedPath {
	/** Normalised. */
	path: string;
	parameters: Readonly<Record<string, string>>;
}

export class FunctionTargets {
	readonly #options: FunctionTargetOptions;
	readonly #budget: BodyBudget;

	constructor(options: FunctionTargetOptions) {
		this.#options = options;
		this.#budget = new BodyBudget(options.maxBufferedBytes ?? defaultBufferedBytes);
	}

	/** Answers, always; never rejects. */
	async handle(
		entry: TableRule,
		guard: RuleGuard | undefined,
		matched: MatchedPath,
		request: GatewayRequest,
		response: GatewayResponse,
		context: RouteContext,
	): Promise<void> {
		const passed = guard ? await guard.check(request, response, context) : {};
		if (passed === "answered") return;
		const { responseHeaders = [] } = passed;
		let held = 0;
		let answer: Answer;
		try {
			// What the guard has read is in its own budget.
			const body =
				passed.body ??
				(await readBody(request, maxPayloadBytes, (bytes) => {
					if (!this.#budget.take(bytes)) throw new BudgetSpentError();
					held += bytes;
				}));
			const jwt = "jwt" in passed ? passed.jwt : undefined;
			answer = await this.#invoke(entry, matched, { request, body, jwt, context });
		} catch (error) {
			if (error instanceof ClientGoneError) return void response.destroy();
			answer = this.#refusal(error, entry, context);
		} finally {
			this.#budget.give(held);
		}
		sendAnswer(response, withHeaders(answer, responseHeaders, context));
	}

	async #invoke(entry: TableRule, matched: MatchedPath, exchange: Exchange): Promise<Answer> {
		const target = entry.rule.target as FunctionTarget;
		const invocation = this.#invocation(entry, matched, target, exchange);
		const { functions, clock } = this.#options;
		const late = Promise.withResolvers<"late">();
		const cancel = clock.after(entry.rule.timeoutMs ?? defaultTimeoutMs, () => late.resolve("late"));
		const done = functions.invoke(target.function, invocation);
		// What fails after its time is up is in the function's own log.
		done.catch(() => {});
		const result = await Promise.race([done, late.promise]).finally(cancel);
		// The function goes on: API Gateway gives up the answer, not the invocation.
		if (result === "late") return gatewayError(503, "Service Unavailable");
		if (result.functionError !== undefined) return gatewayError(500, "Internal Server Error");
		return bufferedResponse(result.payload);
	}

	/** BodyTooLargeError when base64 makes more of the body than an event may have. */
	#invocation(
		{ rule }: TableRule,
		{ path, parameters }: MatchedPath,
		{ function: name, qualifier }: FunctionTarget,
		{ request, body, jwt, context }: Exchange,
	): InvocationRequest {
		const { clock, ids, region, accountId, recordsSpans } = this.#options;
		const nowMs = clock.now();
		const header = (key: string) => request.headers[key]?.toString();
		const traceId = traceIdOf(header, nowMs, ids, recordsSpans);
		const apiId = context.host.split(".", 1)[0] ?? "";
		const event = payloadEvent(
			{ ...requestOf(request, context), path, body, traceId, nowMs },
			{
				routeKey: routeKeyOf(rule),
				accountId,
				apiId,
				domainPrefix: apiId,
				pathParameters: parameters,
				...(jwt && {
					authorizer: { jwt: { claims: claimTexts(jwt), scopes: jwt.scopes.length > 0 ? jwt.scopes : null } },
				}),
			},
		);
		const payload = Buffer.from(JSON.stringify(event));
		if (payload.length > maxPayloadBytes) throw new BodyTooLargeError();
		const arn = `arn:aws:lambda:${region}:${accountId}:function:${name}`;
		return {
			requestId: ids.uuid(),
			traceId,
			trigger: "http",
			payload,
			invokedArn: qualifier === undefined ? arn : `${arn}:${qualifier}`,
			...(qualifier !== undefined && { qualifier }),
		};
	}

	#refusal(error: unknown, { route, rule }: TableRule, { requestId }: RouteContext): Answer {
		const fields = { requestId, route: route.name, function: (rule.target as FunctionTarget).function };
		if (error instanceof BodyTooLargeError) return gatewayError(413, "Request Entity Too Large");
		if (error instanceof BudgetSpentError) return gatewayError(503, "Service Unavailable", { "retry-after": ["1"] });
		if (error instanceof MalformedResponseError) {
			// The client learns no more than 500, and the function's log has only that it succeeded.
			this.#options.log.warn("A function's answer is no HTTP response: its route said 500", {
				...fields,
				reason: error.message,
			});
			return gatewayError(500, "Internal Server Error");
		}
		if (isSlipwayError(error, "THROTTLED")) {
			const seconds = String(Math.max(1, Math.ceil((error.retryAfterMs ?? 1000) / 1000)));
			return gatewayError(429, "Too Many Requests", { "retry-after": [seconds] });
		}
		if (isSlipwayError(error))
			this.#options.log.warn("A route's function can't be called", { ...fields, reason: error.message });
		else this.#options.log.error("A route's request failed", { ...fields, error });
		if (isSlipwayError(error, "EXHAUSTED") || isSlipwayError(error, "UNAVAILABLE") || isSlipwayError(error, "CONFLICT"))
			return gatewayError(503, "Service Unavailable");
		return gatewayError(500, "Internal Server Error");
	}
}

interface Exchange {
	request: GatewayRequest;
	body: Buffer;
	jwt: Verified | undefined;
	context: RouteContext;
}

function requestOf(request: GatewayRequest, { clientAddress, scheme, host, requestId }: RouteContext) {
	const { socket } = request;
	const tls = socket instanceof TLSSocket && {
		cipher: socket.getCipher().standardName,
		version: socket.getProtocol() ?? "",
	};
	const port = Number(/:(\d+)$/.exec(host)?.[1] ?? socket?.localPort ?? 0);
	const headers = Object.entries(request.headers).map(([name, value]): [string, string[]] => [
		name,
		value === undefined ? [] : Array.isArray(value) ? value : [value],
	]);
	return {
		method: request.method ?? "GET",
		query: targetOf(request.url ?? "/").query,
		protocol: `HTTP/${request.httpVersion}`,
		headers: headers.some(([name]) => name === "host") ? headers : [...headers, ["host", [host]] as [string, string[]]],
		cookie: request.headers.cookie?.toString(),
		host,
		sourceIp: clientAddress,
		port,
		scheme,
		...(tls && { tls }),
		requestId,
	};
}

/** API Gateway hands over each claim as text. */
function claimTexts({ claims }: Verified): Record<string, string> {
	const text = (value: unknown): string => {
		if (Array.isArray(value)) return `[${value.map(String).join(" ")}]`;
		return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
	};
	return Object.fromEntries(Object.entries(claims).map(([name, value]) => [name, text(value)]));
}

function withHeaders(
	answer: Answer,
	added: NonNullable<Passed["responseHeaders"]>,
	{ requestId }: RouteContext,
): Answer {
	const headers = new Map(answer.headers);
	for (const [name, value] of added) {
		if (value === undefined) headers.delete(name);
		// A cache must heed what the function's answer depends on, too.
		else headers.set(name, name === "vary" ? [...(headers.get(name) ?? []), value] : [value]);
	}
	headers.set("apigw-requestid", [requestId]);
	return { ...answer, headers };
}
