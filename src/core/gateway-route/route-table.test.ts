import assert from "node:assert/strict";
import { test } from "node:test";
import type { Domain, GatewayRoute, RouteRule } from "./gateway-route.ts";
import { RouteTable, routeEntry } from "./route-table.ts";

const target = { service: "s", namespace: "default" };

function routeOf(rules: string[], hosts = ["api.localhost"], name = "r"): GatewayRoute {
	const ruleOf = (text: string): RouteRule => {
		const [method = "", path] = text.split(" ");
		return path === undefined ? { method: "ANY", path: method, target } : { method, path, target };
	};
	return { name, hosts, rules: rules.map(ruleOf) };
}

function table(routes: GatewayRoute[], domains: Domain[] = []): RouteTable {
	return new RouteTable(routes.map(routeEntry), domains, ["api.localhost"]);
}

/** "METHOD /path" → the rule, with its variables. */
function find(given: RouteTable, request: string, host = "api.localhost"): string | undefined {
	const [method = "", path = ""] = request.split(" ");
	const found = given.rule(
		host,
		method,
		path.split("/").filter((one) => one !== ""),
	);
	if (!found) return undefined;
	const { rule } = found.value;
	const values = Object.entries(found.parameters).map(([name, value]) => ` ${name}=${value}`);
	return `${rule.method} ${rule.path}${values.join("")}`;
}

test("API Gateway's own example: the most specific rule wins", () => {
	const given = table([
		routeOf(["GET /pets/dog/1", "GET /pets/dog/{id}", "GET /pets/{proxy+}", "ANY /{proxy+}", "$default"]),
	]);
	assert.equal(find(given, "GET /pets/dog/1"), "GET /pets/dog/1");
	assert.equal(find(given, "GET /pets/dog/2"), "GET /pets/dog/{id} id=2");
	assert.equal(find(given, "GET /pets/cat/1"), "GET /pets/{proxy+} proxy=cat/1");
	assert.equal(find(given, "POST /test/5"), "ANY /{proxy+} proxy=test/5");
	assert.equal(find(given, "GET /"), "ANY $default");
});

test("Text goes before variables, the method before ANY, a full match before a greedy one", () => {
	const given = table([
		routeOf(["ANY /a/{x}", "GET /a/b", "POST /a/{x}", "ANY /a/{x+}", "GET /{y}/b/c", "GET /a/{x}/d", "ANY /"]),
	]);
	assert.equal(find(given, "GET /a/b"), "GET /a/b");
	assert.equal(find(given, "PUT /a/b"), "ANY /a/{x} x=b");
	assert.equal(find(given, "POST /a/b"), "POST /a/{x} x=b");
	// Below "a" nothing ends in /b/c: the variable's turn.
	assert.equal(find(given, "GET /a/b/c"), "GET /{y}/b/c y=a");
	assert.equal(find(given, "GET /a/b/d"), "GET /a/{x}/d x=b");
	assert.equal(find(given, "PUT /a/b/d"), "ANY /a/{x+} x=b/d");
	assert.equal(find(given, "GET /a"), undefined);
	assert.equal(find(given, "DELETE /"), "ANY /");
	assert.equal(find(given, "GET /b"), undefined);
});

test("A host's rules are its own; wildcards are for every name below them, the nearest first", () => {
	const given = table([
		routeOf(["GET /x"], ["a.example.com"], "one"),
		routeOf(["GET /y"], ["*.example.com"], "two"),
		routeOf(["GET /z"], ["*.b.example.com"], "three"),
	]);
	assert.equal(find(given, "GET /x", "a.example.com"), "GET /x");
	assert.equal(find(given, "GET /y", "a.example.com"), undefined);
	assert.equal(find(given, "GET /y", "c.d.example.com"), "GET /y");
	assert.equal(find(given, "GET /z", "c.b.example.com"), "GET /z");
	assert.equal(given.owns("example.com"), false);
	assert.equal(given.owns("evil-example.com"), false);
});

test("A domain of a route has its rules; two rules for the same are refused", () => {
	const domain: Domain = { host: "shop.example.com", route: "r", tls: "none" };
	const given = table([routeOf(["GET /x"])], [domain]);
	assert.equal(find(given, "GET /x", "shop.example.com"), "GET /x");
	assert(given.isOwnHost("shop.example.com") && given.isOwnHost("api.localhost") && !given.isOwnHost("other"));
	const conflicts: [string[], string[]][] = [
		[["GET /x"], ["GET /x"]],
		[["GET /a/{id}"], ["GET /a/{name}"]],
		[["ANY /a/{p+}"], ["ANY /a/{q+}"]],
		[["$default"], ["$default"]],
	];
	for (const [one, other] of conflicts)
		assert.throws(() => table([routeOf(one), routeOf(other, undefined, "s")]), {
			code: "CONFLICT",
			reason: "RouteConflict",
		});
	assert.throws(() => table([routeOf(["GET /x"]), routeOf(["GET /x"], ["shop.example.com"], "s")], [domain]), {
		code: "CONFLICT",
	});
	table([routeOf(["GET /x"]), routeOf(["POST /x", "GET /x/{p+}", "GET /x/{y}"], undefined, "s")]);
});

test("A look-up takes as long as its path, however many rules there are", (t) => {
	const rules = Array.from({ length: 20_000 }, (_, at) => `GET /v${at % 100}/things${Math.floor(at / 100)}/{id}`);
	const given = table([routeOf([...rules, "ANY /{proxy+}"])]);
	const since = performance.now();
	const lookups = 100_000;
	for (let at = 0; at < lookups; at++) given.rule("api.localhost", "GET", [`v${at % 100}`, `things${at % 200}`, "7"]);
	const us = ((performance.now() - since) / lookups) * 1000;
	t.diagnostic(`${us.toFixed(2)} µs a look-up`);
	assert(us < 50);
	// Text and variables mixed on every level: still no more visits than there are nodes.
	const mixed = Array.from(
		{ length: 4096 },
		(_, bits) => `GET /${Array.from({ length: 12 }, (_, at) => ((bits >> at) & 1 ? "a" : `{v${at}}`)).join("/")}/end`,
	);
	const deep = table([routeOf(mixed)]);
	const before = performance.now();
	assert.equal(find(deep, `GET /${"a/".repeat(12)}other`), undefined);
	assert(performance.now() - before < 1000);
});
