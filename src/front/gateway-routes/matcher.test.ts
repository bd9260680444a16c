import assert from "node:assert/strict";
import { test } from "node:test";
import { testGateway } from "./testing.ts";

const service = { service: "shop" };
const route = (rules: object[], more: object = {}) => ({ name: "r", rules, ...more });

test("Requests go to the service of the most specific rule, on the path that was looked at", async (t) => {
	const { call, matcher } = await testGateway(t, [
		route([
			{ method: "GET", path: "/orders/{id}", target: { service: "orders", namespace: "ns", tag: "blue" } },
			{ path: "/files/{proxy+}", target: { service: "files", path: "/v1/{proxy}" } },
			{ path: "/users/{id}/photo", target: { service: "photos", path: "/photos/{id}.jpg" } },
		]),
	]);
	const get = async (path: string) => JSON.parse((await call("GET", path)).text);
	assert.deepEqual(await get("/orders/7?x=1"), {
		kind: "service",
		namespace: "ns",
		service: "orders",
		tag: "blue",
		route: "r GET /orders/{id}",
		rewritePath: "/orders/7",
		exposes: true,
	});
	assert.equal((await get("/files//a/./b%20c")).rewritePath, "/v1/a/b%20c");
	assert.equal((await get("/users/a;b/photo")).rewritePath, "/photos/a%3Bb.jpg");
	for (const [method, path] of [
		["POST", "/orders/7"],
		["GET", "/orders/7/x"],
		["GET", "/files"],
		["GET", "/nope"],
	] as const) {
		const { status, text } = await call(method, path);
		assert.deepEqual([status, text], [404, '{"message":"Not Found"}'], path);
	}
	assert(matcher.owns("api.localhost") && !matcher.owns("shop.localhost"));
});

test("No way of writing a path gets around its rule", async (t) => {
	const jwt = { issuer: "https://i.example", audience: ["a"], jwks: { keys: [] } };
	const { call } = await testGateway(t, [
		route([
			{ path: "/admin", target: service, jwt },
			{ path: "/admin/{proxy+}", target: service, jwt },
			{ path: "/{proxy+}", target: service },
		]),
	]);
	const ways = [
		"/admin",
		"/admin/",
		"//admin",
		"/./admin",
		"/admin/.",
		"/x/../admin",
		"/%61dmin",
		"/admin//x",
		"/admin/x",
		"/%2e/admin",
		"/x/%2e%2e/admin/y",
		"/x/..%2fadmin",
		"/admin%2fx",
		"/x/..;/admin",
		"/admin%00",
		"/%252e/admin",
		"/x%5c..%5cadmin",
		"/%c0%ae/admin",
		"/admin%ff",
	];
	for (const path of ways) assert([400, 401].includes((await call("GET", path)).status), path);
	assert.equal((await call("GET", "/public")).status, 200);
	assert.equal((await call("GET", "/ADMIN")).status, 200, "paths are as they are written");
});

test("Where a service has rules on its own host, what could be one of them is refused, and the rest goes on to it", async (t) => {
	const { matcher } = await testGateway(t, [
		route([{ path: "/admin", target: service }], { hosts: ["shop.localhost"] }),
	]);
	const match = (path: string) => matcher.match({ host: "shop.localhost", method: "GET", path, internal: false });
	assert.equal(match("/other"), undefined);
	assert.equal(match("/admin%2f")?.kind, "handled");
	assert.equal(match("/admin")?.kind, "service");
});

test("Domains go to their service after the rules; internal rules are there for our own containers alone", async (t) => {
	const rules = [
		{ path: "/api/{proxy+}", target: { service: "api" } },
		{ path: "/secret", target: { service: "s" }, internal: true },
	];
	for (const internal of [false, true]) {
		const { routes, matcher } = await testGateway(t, [route(rules)]);
		await routes.applyDomain({ host: "shop.example.com", service: "web", route: "r", tag: "t" });
		const match = (path: string) => matcher.match({ host: "shop.example.com", method: "GET", path, internal });
		const names = ["/api/x", "/", "/secret"].map((path) => {
			const found = match(path);
			return found?.kind === "service" ? found.service : found?.kind;
		});
		assert.deepEqual(names, ["api", "web", internal ? "s" : "handled"]);
	}
});
