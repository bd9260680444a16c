import assert from "node:assert/strict";
import { test } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import { readDomain } from "./read-domain.ts";
import { readGatewayRoute } from "./read-route.ts";

const read = (document: unknown) => readGatewayRoute(document, "api.localhost");
const rule = (change: object = {}) => ({ path: "/x", target: { service: "s" }, ...change });
const withRule = (change: object) => ({ name: "r", rules: [rule(change)] });

function messageOf(task: () => unknown): string {
	try {
		task();
	} catch (error) {
		if (isSlipwayError(error, "INVALID")) return error.message;
		throw error;
	}
	return "accepted";
}

test("A document gets its defaults", () => {
	assert.deepEqual(read({ kind: "gateway-route", name: "r", hosts: ["API.Example.com"], rules: [rule()] }), {
		name: "r",
		hosts: ["api.example.com"],
		rules: [{ method: "ANY", path: "/x", target: { service: "s", namespace: "default" } }],
	});
	const whole = read({
		name: "r",
		cors: { allowOrigins: ["https://a.example"], allowCredentials: true, maxAge: 60 },
		rules: [
			{
				method: "get",
				path: "/orders/{id}",
				target: { function: "f", qualifier: "live" },
				jwt: { issuer: "https://issuer.example/", audience: "me", scopes: ["read"], clockSkewS: 0 },
				schema: { query: { type: "object" }, maxBodyBytes: 1000 },
				rateLimit: { key: "jwt:sub", rate: 0.5 },
				internal: true,
				timeoutMs: 1000,
			},
			{ path: "$default", target: { service: "s", namespace: "ns", tag: "t", path: "/all" } },
		],
	});
	assert.deepEqual(
		[whole.hosts, whole.rules[0]?.method, whole.rules[0]?.rateLimit?.burst],
		[["api.localhost"], "GET", 1],
	);
});

test("What is wrong is named with its field, its value and what is allowed", () => {
	const cases: [unknown, RegExp][] = [
		[undefined, /a route is an object/],
		[[], /a route is an object/],
		[{}, /missing field\(s\): name, rules/],
		[{ name: "UP", rules: [rule()] }, /invalid value: UP: name\n.*lower/],
		[{ name: "r", rules: [] }, /missing field\(s\): rules/],
		[{ name: "r", rules: [rule()], nope: 1 }, /must not set the field\(s\): nope/],
		[{ name: "r", hosts: ["a:80", "x_y", "*.*.c"], rules: [rule()] }, /hosts\[0\][\s\S]*host name without a port/],
		[withRule({ method: "TRACE" }), /invalid value: TRACE: rules\[0\]\.method\nmust be one of ANY, GET/],
		[withRule({ path: "x" }), /invalid value: x: rules\[0\]\.path\nmust be a path that begins with a slash/],
		[withRule({ path: "/a/{p+}/b" }), /only as the last segment/],
		[withRule({ path: "/{a}/{a}" }), /comes twice/],
		[withRule({ path: "/a/../b" }), /is none of them/],
		[withRule({ path: "/a//b" }), /is none of them/],
		[withRule({ path: "/{a}b" }), /is none of them/],
		[withRule({ path: "$default", method: "GET" }), /is for every method/],
		[withRule({ target: undefined }), /missing field\(s\): rules\[0\]\.target/],
		[withRule({ target: {} }), /got neither: .*rules\[0\]\.target/],
		[withRule({ target: { service: "s", function: "f" } }), /got both/],
		[withRule({ target: { function: "a b" } }), /must be a function's name/],
		[withRule({ target: { service: "s", path: "/{id}" } }), /variables of the rule's path: it has none/],
		[withRule({ target: { service: "s", path: "/../x" } }), /must begin with a slash/],
		[withRule({ timeoutMs: 5 }), /timeoutSeconds/],
		[withRule({ internal: "yes" }), /invalid value: yes: rules\[0\]\.internal\nmust be a boolean/],
		[withRule({ jwt: { issuer: "https://i" } }), /missing field\(s\): rules\[0\]\.jwt\.audience/],
		[withRule({ jwt: { issuer: "http://i", audience: ["a"] } }), /must be an https/],
		[
			withRule({ jwt: { issuer: "i", audience: ["a"], jwks: { keys: [{ kty: "oct", k: "x" }] } } }),
			/a secret key[\s\S]*public key/,
		],
		[withRule({ jwt: { issuer: "https://i", audience: ["a"], clockSkewS: 61 } }), /expected 0 <= 61 <= 60/],
		[
			withRule({ jwt: { issuer: "https://i", audience: ["a"], identitySource: "$context.x" } }),
			/\$request\.header\.NAME/,
		],
		[withRule({ rateLimit: { key: "jwt:sub", rate: 1 } }), /needs the rule's jwt/],
		[withRule({ rateLimit: { key: "cookie", rate: 1 } }), /must be ip, header:NAME or jwt:CLAIM/],
		[withRule({ rateLimit: { rate: -1 } }), /0\.001 to 100000/],
		[withRule({ schema: { body: "x" } }), /must be a JSON Schema/],
		[withRule({ schema: { maxBodyBytes: 1e9 } }), /expected 1 <= 1000000000 <= 10485760/],
		[withRule({ cors: { allowOrigins: ["*"], allowCredentials: true } }), /must name the origins/],
		[withRule({ cors: { allowOrigins: ["example.com"] } }), /must be \*, http/],
	];
	for (const [document, expected] of cases)
		assert.match(
			messageOf(() => read(document)),
			expected,
		);
	const many = { name: "r", rules: Array.from({ length: 301 }, (_, at) => rule({ path: `/${at}` })) };
	assert.match(
		messageOf(() => read(many)),
		/at most 300 items/,
	);
});

test("A domain is a service's or a route's, and says how it gets its certificate", () => {
	assert.deepEqual(readDomain({ host: "Shop.example.com", service: "s", tls: "acme" }), {
		host: "shop.example.com",
		target: { service: "s", namespace: "default" },
		tls: "acme",
	});
	const cases: [unknown, RegExp][] = [
		[{}, /missing field\(s\): host/],
		[{ host: "a.b" }, /expected exactly one, got neither: route, service|service, route/],
		[{ host: "a.b", service: "s", tls: "lets" }, /invalid value: lets: tls\nmust be one of none, dev, acme/],
		[{ host: "*.b", service: "s", tls: "acme" }, /wildcards by DNS alone/],
		[
			{ host: "a.b", service: "s", tls: { cert: "c.pem", key: "/k" } },
			/invalid value: c\.pem: tls\.cert\nmust be an absolute path/,
		],
		[{ host: "a.b", service: "s", tls: { cert: "/c" } }, /missing field\(s\): tls\.key/],
		[{ host: "a.b", route: "r", tag: "t" }, /tag|service/],
	];
	for (const [document, expected] of cases)
		assert.match(
			messageOf(() => readDomain(document)),
			expected,
		);
});
