/** For tests: a route matcher behind plain servers, with a gateway that is no more than its ports. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from "node:http";
import { createServer as createHttp2 } from "node:http2";
import type { AddressInfo, Server } from "node:net";
import type { TestContext } from "node:test";
import { type Clock, systemClock } from "../../base/clock.ts";
import { randomIds } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import type { InvocationRequest, InvocationResult } from "../../core/invocation/invocation.ts";
import { FakeResourceStore } from "../../core/resource/fake-resource-store.ts";
import { GatewayRoutes } from "../../engine/gateway-routes/gateway-routes.ts";
import type { GatewayRequest, GatewayResponse, RouteContext, RouteMatcher } from "../gateway/ports.ts";
import { createRouteMatcher, type GatewayRoutesFrontOptions } from "./matcher.ts";
import { schemaProblem } from "./request-schema.ts";

export interface TestAnswer {
	status: number;
	headers: IncomingHttpHeaders;
	text: string;
}

export interface TestGateway {
	routes: GatewayRoutes;
	matcher: RouteMatcher;
	/** Of all calls of functions. */
	invocations: { name: string; request: InvocationRequest; event: Record<string, unknown> }[];
	port: number;
	http2Port: number;
	/** The path goes out as it is. */
	call(
		method: string,
		path: string,
		headers?: OutgoingHttpHeaders | string[],
		body?: string | Buffer,
	): Promise<TestAnswer>;
}

export type TestFunction = (event: Record<string, unknown>) => unknown;

/** Services answer with what reaches them. */
export async function testGateway(
	t: TestContext,
	documents: unknown[],
	{
		clock = systemClock,
		answer = () => ({ statusCode: 200, body: "from the function" }),
		internal = false,
		...more
	}: {
		clock?: Clock;
		answer?: TestFunction;
		internal?: boolean;
	} & Partial<GatewayRoutesFrontOptions> = {},
): Promise<TestGateway> {
	const store = new FakeResourceStore();
	const routes = await GatewayRoutes.open({ store, gatewayHost: "api.localhost", schemaProblem });
	for (const document of documents) await routes.apply(document);
	const invocations: TestGateway["invocations"] = [];
	const functions = {
		async invoke(name: string, invocation: InvocationRequest): Promise<InvocationResult> {
			const event = JSON.parse(Buffer.from(invocation.payload).toString());
			invocations.push({ name, request: invocation, event });
			const result = await answer(event);
			const failed = result instanceof Error;
			const payload = Buffer.isBuffer(result) ? result : Buffer.from(JSON.stringify(failed ? {} : result));
			return {
				payload,
				functionError: failed ? "Unhandled" : undefined,
				executedVersion: "$LATEST",
				logTail: undefined,
				coldStart: undefined,
			};
		},
	};
	const matcher = createRouteMatcher({
		routes,
		functions,
		clock,
		ids: randomIds,
		region: "us-east-1",
		accountId: "123456789012",
		log: silentLog,
		...more,
	});
	const handle = (incoming: GatewayRequest, response: GatewayResponse) =>
		void serve(matcher, internal, incoming, response);
	const port = await listen(t, createServer(handle));
	const http2Port = await listen(t, createHttp2(handle));
	const call: TestGateway["call"] = (method, path, headers = {}, body) => send(port, method, path, headers, body);
	return { routes, matcher, invocations, port, http2Port, call };
}

async function serve(
	matcher: RouteMatcher,
	internal: boolean,
	incoming: GatewayRequest,
	response: GatewayResponse,
): Promise<void> {
	const authority = incoming.headers[":authority"] ?? incoming.headers.host ?? "";
	const host = String(authority).replace(/:\d+$/, "");
	const path = incoming.url?.split("?", 1)[0] ?? "/";
	const matched = matcher.match({ host, method: incoming.method ?? "GET", path, internal });
	const context: RouteContext = {
		clientAddress: String(incoming.headers["x-test-address"] ?? "10.1.2.3"),
		scheme: "http",
		host: String(authority),
		traceId: "0".repeat(32),
		requestId: "request-1",
		signal: new AbortController().signal,
	};
	if (!matched) return answerWith(response, { kind: "none" });
	if (matched.kind === "handled") return matched.handle(incoming, response, context);
	const passed = matched.guard ? await matched.guard(incoming, response, context) : {};
	if (passed === "answered") return;
	const { guard: _, ...target } = matched;
	for (const [name, value] of passed.responseHeaders ?? []) if (value !== undefined) response.setHeader(name, value);
	answerWith(response, { ...target, body: passed.body?.toString() });
}

function answerWith(response: GatewayResponse, value: unknown): void {
	const text = JSON.stringify(value);
	if ("stream" in response) response.end(text);
	else response.end(text);
}

async function listen(t: TestContext, server: Server): Promise<number> {
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	t.after(() => void server.close());
	return (server.address() as AddressInfo).port;
}

function send(
	port: number,
	method: string,
	path: string,
	headers: OutgoingHttpHeaders | string[],
	body?: string | Buffer,
): Promise<TestAnswer> {
	return new Promise((resolve, reject) => {
		const host = { host: "api.localhost" };
		const given = Array.isArray(headers) ? ["host", "api.localhost", ...headers] : { ...host, ...headers };
		const outgoing = request({ port, host: "127.0.0.1", method, path, headers: given, agent: false }, (response) => {
			let text = "";
			response.setEncoding("utf8").on("data", (chunk) => {
				text += chunk;
			});
			response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
			response.on("error", reject);
		});
		outgoing.on("error", reject);
		outgoing.end(body);
	});
}

/** A clock that stands still until it is moved. */
export function stillClock(startMs = 1_795_240_800_000): Clock & { move(ms: number): void } {
	let now = startMs;
	const waiting = new Set<{ atMs: number; callback: () => void }>();
	return {
		now: () => now,
		monotonic: () => now - startMs,
		sleep: () => Promise.reject(new Error("Nobody sleeps here")),
		after(ms, callback) {
			const one = { atMs: now + ms, callback };
			waiting.add(one);
			return () => void waiting.delete(one);
		},
		move(ms) {
			assert(ms >= 0);
			now += ms;
			for (const one of waiting)
				if (one.atMs <= now) {
					waiting.delete(one);
					one.callback();
				}
		},
	};
}
