import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { randomIds } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { FakeIdempotencyStore } from "../../core/idempotency/fake-idempotency-store.ts";
import { Idempotency, maxResultBytes } from "../../engine/idempotency/idempotency.ts";
import { createIdempotencyFront } from "./idempotency-front.ts";

async function served(context: TestContext) {
	const store = new FakeIdempotencyStore();
	const common = { clock: systemClock, ids: randomIds, log: silentLog };
	const idempotency = new Idempotency({ store, ...common });
	const front = createIdempotencyFront({ idempotency, ...common });
	const server = createServer((request, response) => {
		void front.handle(request, response, String(request.headers["x-owner"] ?? "function/f"));
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	context.after(async () => {
		server.closeAllConnections();
		server.close();
		await idempotency[Symbol.asyncDispose]();
	});
	const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	return async (method: string, path: string, body?: unknown, owner?: string) => {
		const response = await fetch(`${base}${path}`, {
			method,
			...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
			headers: owner === undefined ? {} : { "x-owner": owner },
		});
		const text = await response.text();
		return { status: response.status, headers: response.headers, json: text === "" ? undefined : JSON.parse(text) };
	};
}

test("A key is claimed, in progress for others, completed, and its result read", async (context) => {
	const call = await served(context);
	const path = "/v1/idempotency/order%2F1";
	const first = await call("PUT", path, { leaseSeconds: 30, ttlSeconds: 3600 });
	assert.deepEqual([first.status, first.json.state, first.json.attempt], [201, "claimed", 1]);
	const second = await call("PUT", path);
	assert.deepEqual([second.status, second.json.code, second.headers.get("retry-after")], [409, "IN_PROGRESS", "5"]);
	assert.equal((await call("PUT", path, {}, "function/other")).status, 201, "keys are an owner's own");
	const { token } = first.json;
	assert.equal((await call("POST", path, { token, result: { paid: ["é", null] } })).status, 204);
	const third = await call("PUT", path);
	assert.deepEqual([third.status, third.json.state, third.json.result], [200, "completed", { paid: ["é", null] }]);
	assert.ok(Date.parse(third.json.until) > Date.now());
});

test("A released key is free; a claim that is not held can't be completed or released", async (context) => {
	const call = await served(context);
	const path = "/v1/idempotency/k";
	const { token } = (await call("PUT", path)).json;
	assert.equal((await call("DELETE", `${path}?token=${token}`)).status, 204);
	const lost = await call("POST", path, { token });
	assert.deepEqual([lost.status, lost.json.reason], [412, "ClaimLost"]);
	assert.equal((await call("DELETE", `${path}?token=${token}`)).status, 412);
	assert.equal((await call("PUT", path)).status, 201);
});

test("Bad requests are told why", async (context) => {
	const call = await served(context);
	const path = "/v1/idempotency/k";
	const cases: [string, string, unknown, number, string | undefined][] = [
		["GET", path, undefined, 400, undefined],
		["PUT", "/v1/idempotency/", undefined, 404, undefined],
		["PUT", "/v1/idempotency/a/b", undefined, 404, undefined],
		["PUT", "/v2", undefined, 404, undefined],
		["PUT", "/v1/idempotency/%ff", undefined, 400, undefined],
		["PUT", `/v1/idempotency/${"x".repeat(1025)}`, undefined, 400, undefined],
		["PUT", path, "{", 400, undefined],
		["PUT", path, { leaseSecond: 1 }, 400, undefined],
		["PUT", path, { leaseSeconds: "1" }, 400, undefined],
		["PUT", path, { leaseSeconds: 0 }, 400, undefined],
		["POST", path, undefined, 400, undefined],
		["POST", path, { token: "" }, 400, undefined],
		["POST", path, { token: "none" }, 412, undefined],
		["POST", path, { token: "none", result: "x".repeat(maxResultBytes) }, 413, undefined],
		["POST", path, { token: "none", result: "x".repeat(maxResultBytes + 8192) }, 413, undefined],
		["DELETE", path, undefined, 400, undefined],
		["PUT", path, undefined, 403, ""],
	];
	for (const [method, where, body, status, owner] of cases) {
		const answer = await call(method, where, body, owner);
		assert.equal(answer.status, status, `${method} ${where.slice(0, 60)} ${JSON.stringify(answer.json)}`);
		assert.equal(answer.headers.get("content-type"), "application/problem+json");
	}
});

test("A result of nothing but brackets is refused or kept, and breaks nothing", async (context) => {
	const call = await served(context);
	const path = "/v1/idempotency/deep";
	const { token } = (await call("PUT", path)).json;
	const deep = `${"[".repeat(190_000)}${"]".repeat(190_000)}`;
	const answer = await call("POST", path, `{"token":"${token}","result":${deep}}`);
	assert.ok(answer.status === 400 || answer.status === 204, JSON.stringify(answer.json));
	const proto = await call("POST", path, `{"token":"${token}","result":{"__proto__":{"a":1}}}`);
	assert.equal(proto.status, 204);
});
