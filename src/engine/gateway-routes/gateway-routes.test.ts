import assert from "node:assert/strict";
import { test } from "node:test";
import type { Domain } from "../../core/gateway-route/gateway-route.ts";
import { FakeResourceStore } from "../../core/resource/fake-resource-store.ts";
import { GatewayRoutes, type GatewayRoutesOptions } from "./gateway-routes.ts";

const rule = { method: "GET", path: "/x", target: { service: "s" } };

function open(store = new FakeResourceStore(), more: Partial<GatewayRoutesOptions> = {}) {
	return GatewayRoutes.open({ store, gatewayHost: "api.localhost", schemaProblem: () => undefined, ...more });
}

test("What was accepted is there after a restart; what was not, is not", async () => {
	const store = new FakeResourceStore();
	const routes = await open(store);
	await routes.apply({ name: "b", rules: [rule] });
	await routes.apply({ name: "a", rules: [{ ...rule, path: "/y" }] });
	await routes.applyDomain({ host: "shop.example.com", route: "b" });
	await assert.rejects(routes.apply({ name: "c", rules: [rule] }), { code: "CONFLICT", reason: "RouteConflict" });
	store.onCommit = (when) => {
		if (when === "before") throw new Error("the disk");
	};
	await assert.rejects(routes.apply({ name: "d", rules: [{ ...rule, path: "/d" }] }), /the disk/);
	await assert.rejects(routes.delete("a"), /the disk/);
	assert.equal(routes.table.rule("api.localhost", "GET", ["d"]), undefined);
	assert(routes.table.rule("api.localhost", "GET", ["y"]));
	store.onCommit = undefined;
	const again = await open(store);
	assert.deepEqual(again.list(), routes.list());
	assert.deepEqual(
		again.list().map(({ name }) => name),
		["a", "b"],
	);
	assert(again.table.rule("shop.example.com", "GET", ["x"]));
	await assert.rejects(again.delete("b"), { code: "CONFLICT" });
	await again.deleteDomain("SHOP.example.com");
	await again.delete("b");
	assert.equal(again.table.rule("api.localhost", "GET", ["x"]), undefined);
	assert.throws(() => again.get("b"), { code: "NOT_FOUND" });
	await assert.rejects(again.delete("b"), { code: "NOT_FOUND" });
	assert.deepEqual(
		(await open(store)).list().map(({ name }) => name),
		["a"],
	);
});

test("A route that is applied again as it is keeps its rules, so that nobody's rate starts anew", async () => {
	const routes = await open();
	await routes.apply({ name: "a", rules: [rule] });
	const before = routes.table.rule("api.localhost", "GET", ["x"])?.value;
	await routes.apply({ name: "a", rules: [rule] });
	await routes.apply({ name: "b", rules: [{ ...rule, path: "/y" }] });
	assert.equal(routes.table.rule("api.localhost", "GET", ["x"])?.value, before);
	await routes.apply({ name: "a", rules: [{ ...rule, target: { service: "t" } }] });
	assert.notEqual(routes.table.rule("api.localhost", "GET", ["x"])?.value, before);
});

test("Two changes at once don't both win", async () => {
	const routes = await open();
	const results = await Promise.allSettled(["a", "b"].map((name) => routes.apply({ name, rules: [rule] })));
	assert.deepEqual(
		results.map(({ status }) => status),
		["fulfilled", "rejected"],
	);
});

test("Schemas are looked at before anything is kept; domains are told to whoever makes certificates", async () => {
	const seen: (readonly Domain[])[] = [];
	const routes = await open(undefined, {
		schemaProblem: (schema) => (schema === true ? undefined : "unknown keyword"),
		reservedHosts: ["localhost"],
		onDomains: (domains) => void seen.push(domains),
	});
	const bad = { name: "a", rules: [{ ...rule, schema: { query: { typ: 1 } } }] };
	await assert.rejects(routes.apply(bad), /rules\[0\]\.schema\.query\nmust be a JSON Schema: unknown keyword/);
	await assert.rejects(routes.applyDomain({ host: "a.example", route: "gone" }), { code: "NOT_FOUND" });
	for (const host of ["localhost", "api.localhost"])
		await assert.rejects(routes.applyDomain({ host, service: "s" }), { code: "CONFLICT" });
	await routes.applyDomain({ host: "a.example", service: "s", tls: "dev" });
	await routes.deleteDomain("a.example");
	assert.deepEqual(
		seen.map((domains) => domains.map(({ host, tls }) => `${host} ${tls}`)),
		[[], ["a.example dev"], []],
	);
});
