import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request as send } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { SlipwayError } from "../../base/error.ts";
import { randomIds } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import type { ServiceRoute } from "../../core/service/traffic.ts";
import type { RouteMatch, RouteMatcher } from "../gateway/ports.ts";
import { withInternalFunctions } from "./internal-functions.ts";

const functionNames = ["Resize", "resize-video", "orders", "limited", "api"];
const services = ["orders", "next---shop"];
const route = { kind: "service", namespace: "default", service: "declared" } satisfies RouteMatch;

function internalFunctions(events: Record<string, unknown>[] = []): RouteMatcher {
	const declared: RouteMatcher = {
		owns: (host) => host === "api.internal",
		match: ({ host }) => (host === "api.internal" ? route : undefined),
	};
	return withInternalFunctions(declared, {
		functions: {
			async invoke(name, { payload, invokedArn }) {
				if (name === "limited") throw new SlipwayError("THROTTLED", "Too many", { retryAfterMs: 1000 });
				events.push({ ...JSON.parse(Buffer.from(payload).toString()), name, invokedArn });
				return {
					payload: Buffer.from('{"statusCode":201,"body":"made"}'),
					functionError: undefined,
					executedVersion: "$LATEST",
					logTail: undefined,
					coldStart: undefined,
				};
			},
		},
		records: {
			find: (name) => (functionNames.includes(name) ? { name } : undefined),
			all: () => functionNames.map((name) => ({ name })),
		},
		services: {
			find: (namespace, service, tag) =>
				namespace === "default" && services.includes(tag === undefined ? service : `${tag}---${service}`)
					? ({} as ServiceRoute)
					: undefined,
		},
		clock: systemClock,
		ids: randomIds,
		region: "us-east-1",
		accountId: "123456789012",
		log: silentLog,
	});
}

test("a function is found by its name, after routes and services, and only from inside", () => {
	const matcher = internalFunctions();
	const match = (host: string, internal = true) => matcher.match({ host, method: "GET", path: "/", internal });
	assert.equal(match("resize.internal")?.route, "function Resize");
	assert.equal(match("resize-video.internal")?.route, "function resize-video");
	assert.equal(match("resize.default.internal")?.route, "function Resize");
	assert.equal(match("api.internal"), route);
	for (const host of ["orders.internal", "missing.internal", "resize.shop.internal", "resize.localhost", "internal"])
		assert.equal(match(host), undefined, host);
	assert.equal(match("resize.internal", false), undefined);
	assert.equal(matcher.owns("api.internal"), true);
	assert.equal(matcher.owns("resize.internal"), false);
});

test("it gets the request as an event of payload format 2.0, and its answer is the response", async (t) => {
	const events: Record<string, unknown>[] = [];
	const matcher = internalFunctions(events);
	const server = createServer((request, response) => {
		const host = request.headers.host ?? "";
		const matched = matcher.match({ host, method: "POST", path: "/a/b", internal: true });
		assert.equal(matched?.kind, "handled");
		const { signal } = new AbortController();
		const ids = { traceId: "0".repeat(32), requestId: "request-1" };
		void matched.handle(request, response, { clientAddress: "127.0.0.1", scheme: "http", host, ...ids, signal });
	}).listen(0, "127.0.0.1");
	t.after(() => server.close());
	await once(server, "listening");
	const { port } = server.address() as AddressInfo;
	const call = async (host: string) => {
		const sent = send({
			port,
			host: "127.0.0.1",
			method: "POST",
			path: "/a/b?c=d",
			headers: { host, "content-type": "text/plain" },
		});
		sent.end("hello");
		const [response] = await once(sent, "response");
		const chunks: Buffer[] = [];
		for await (const chunk of response) chunks.push(chunk);
		return [response.statusCode, Buffer.concat(chunks).toString()];
	};
	assert.deepEqual(await call("resize.internal"), [201, "made"]);
	const [{ name, invokedArn, version, rawPath, rawQueryString, body } = {}] = events;
	assert.deepEqual(
		{ name, invokedArn, version, rawPath, rawQueryString, body },
		{
			name: "Resize",
			invokedArn: "arn:aws:lambda:us-east-1:123456789012:function:Resize",
			version: "2.0",
			rawPath: "/a/b",
			rawQueryString: "c=d",
			body: "hello",
		},
	);
	assert.equal((await call("limited.internal"))[0], 429);
});
