import assert from "node:assert/strict";
import { test } from "node:test";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { stillClock, testGateway } from "./testing.ts";

const service = { service: "shop" };
const route = (rules: object[], more: object = {}) => ({ name: "r", rules, ...more });

test("Cross-origin requests are answered as configured, whatever the function says of it", async (t) => {
	const cors = {
		allowOrigins: ["https://a.example", "http://*"],
		allowMethods: ["PUT"],
		allowHeaders: ["x-one"],
		exposeHeaders: ["x-two"],
		maxAge: 60,
		allowCredentials: false,
	};
	const { call, invocations } = await testGateway(
		t,
		[
			route([
				{ method: "PUT", path: "/f", target: { function: "f" }, cors },
				{ path: "/s", target: service, cors: { ...cors, allowMethods: ["*"] } },
				{ path: "/none", target: service },
			]),
		],
		{
			answer: () => ({
				statusCode: 200,
				headers: { "access-control-allow-origin": "https://evil.example" },
				body: "x",
			}),
		},
	);
	const preflight = (path: string, origin: string, method: string, headers?: string) =>
		call("OPTIONS", path, {
			origin,
			"access-control-request-method": method,
			...(headers && { "access-control-request-headers": headers }),
		});
	const allowed = await preflight("/f", "https://a.example", "PUT", "x-one");
	assert.deepEqual(
		[
			allowed.status,
			allowed.headers["access-control-allow-origin"],
			allowed.headers["access-control-allow-methods"],
			allowed.headers["access-control-allow-headers"],
			allowed.headers["access-control-max-age"],
		],
		[204, "https://a.example", "PUT", "x-one", "60"],
	);
	assert.equal(
		(await preflight("/f", "http://anything", "PUT")).headers["access-control-allow-origin"],
		"http://anything",
	);
	for (const [origin, headers] of [
		["https://evil.example", "x-one"],
		["https://a.example", "x-other"],
	] as const) {
		const refused = await preflight("/f", origin, "PUT", headers);
		assert.deepEqual([refused.status, refused.headers["access-control-allow-origin"]], [204, undefined]);
	}
	assert.equal(invocations.length, 0);
	const got = await call("PUT", "/f", { origin: "https://a.example" });
	assert.deepEqual(
		[got.headers["access-control-allow-origin"], got.headers["access-control-expose-headers"]],
		["https://a.example", "x-two"],
	);
	assert.equal(
		(await call("PUT", "/f", { origin: "https://b.example" })).headers["access-control-allow-origin"],
		undefined,
	);
	assert.equal(
		(await preflight("/s", "https://a.example", "DELETE")).headers["access-control-allow-methods"],
		"DELETE",
	);
	// No preflight: the service's own to answer; and none is answered where nothing is configured.
	assert.equal(JSON.parse((await call("OPTIONS", "/s")).text).service, "shop");
	assert.equal(JSON.parse((await preflight("/none", "https://a.example", "GET")).text).service, "shop");
	assert.equal((await call("OPTIONS", "/f")).status, 404);
});

test("Bodies, parameters and headers have to be as the schemas say, and the answer says where not", async (t) => {
	const schema = {
		body: {
			type: "object",
			required: ["items"],
			properties: { items: { type: "array", items: { type: "integer" } }, mail: { type: "string", format: "email" } },
			additionalProperties: false,
		},
		query: { type: "object", properties: { limit: { type: "integer", maximum: 10 }, tag: { type: "array" } } },
		headers: { type: "object", required: ["x-tenant"] },
		maxBodyBytes: 10_000,
	};
	const { call, invocations } = await testGateway(t, [
		route([
			{ path: "/s", target: service, schema },
			{ path: "/f", target: { function: "f" }, schema: { body: schema.body } },
		]),
	]);
	const tenant = { "x-tenant": "a" };
	const passed = await call("POST", "/s?limit=5&tag=a", tenant, '{"items":[1]}');
	assert.deepEqual([passed.status, JSON.parse(passed.text).body], [200, '{"items":[1]}']);
	const cases: [string, Record<string, string>, string, string, string[]][] = [
		["/s", tenant, '{"items":[1,"a"],"mail":"no","x":1}', "Invalid request body", ["", "/items/1", "/mail"]],
		["/s", tenant, "{}", "Invalid request body", [""]],
		["/s", tenant, "not json", "Invalid request body", [""]],
		["/s", tenant, "", "Invalid request body", [""]],
		["/s?limit=11", tenant, "{}", "Invalid request parameters", ["/limit"]],
		["/s?limit=x", tenant, "{}", "Invalid request parameters", ["/limit"]],
		["/s", {}, "{}", "Invalid request headers", [""]],
		["/f", {}, '{"items":1}', "Invalid request body", ["/items"]],
	];
	for (const [path, headers, body, message, paths] of cases) {
		const { status, text } = await call("POST", path, headers, body);
		const answer = JSON.parse(text);
		assert.deepEqual([status, answer.message], [400, message], text);
		assert.deepEqual(answer.errors.map((one: { path: string }) => one.path).sort(), paths, text);
	}
	assert.equal(invocations.length, 0);
	const large = await call(
		"POST",
		"/s",
		tenant,
		JSON.stringify({ items: Array.from({ length: 9000 }, () => 1) }),
	).catch(() => undefined);
	assert(large === undefined || large.status === 413);
	assert.equal((await call("POST", "/f", {}, '{"items":[2]}')).status, 200);
	assert.equal(invocations[0]?.event.isBase64Encoded, true, "a body without a type is bytes");
	const deep = `${"[".repeat(200_000)}${"]".repeat(200_000)}`;
	assert.equal((await call("POST", "/f", {}, deep)).status, 400);
});

test("Rates are for each key, with what is left and when to come again", async (t) => {
	const clock = stillClock();
	const { call } = await testGateway(
		t,
		[
			route([
				{ path: "/ip", target: service, rateLimit: { key: "ip", rate: 0.5, burst: 2 } },
				{ path: "/key", target: service, rateLimit: { key: "header:X-Api-Key", rate: 1, burst: 1 } },
			]),
		],
		{ clock },
	);
	const from = async (address: string) => (await call("GET", "/ip", { "x-test-address": address })).status;
	assert.deepEqual([await from("10.0.0.1"), await from("10.0.0.1"), await from("10.0.0.1")], [200, 200, 429]);
	assert.equal(await from("10.0.0.2"), 200);
	const refused = await call("GET", "/ip", { "x-test-address": "10.0.0.1" });
	assert.deepEqual(
		[refused.text, refused.headers["retry-after"], refused.headers["x-ratelimit-remaining"]],
		['{"message":"Too Many Requests"}', "2", "0"],
	);
	clock.move(2000);
	assert.deepEqual([await from("10.0.0.1"), await from("10.0.0.1")], [200, 429]);
	// All addresses of one customer's network.
	assert.deepEqual(
		[await from("2001:db8:1:2::1"), await from("2001:db8:1:2:3::9"), await from("2001:db8:1:2::5")],
		[200, 200, 429],
	);
	assert.equal(await from("2001:db8:1:3::5"), 200);
	const key = async (value: string) => (await call("GET", "/key", { "x-api-key": value })).status;
	assert.deepEqual([await key("a"), await key("b"), await key("a")], [200, 200, 429]);
});

test("Tokens: 401 and 403 with their challenge; a function gets the claims, a rate can be for a subject", async (t) => {
	const { publicKey, privateKey } = await generateKeyPair("RS256");
	const clock = stillClock();
	const jwt = {
		issuer: "https://i.example/",
		audience: ["me"],
		scopes: ["orders"],
		jwks: { keys: [{ ...(await exportJWK(publicKey)), kid: "1" }] },
	};
	const { call, invocations } = await testGateway(
		t,
		[
			route([
				{
					path: "/f",
					target: { function: "f" },
					jwt,
					rateLimit: { key: "jwt:sub", rate: 1, burst: 2 },
					cors: { allowOrigins: ["https://a.example"] },
				},
			]),
		],
		{ clock },
	);
	const sign = (sub: string, scope = "orders x") =>
		new SignJWT({
			sub,
			scope,
			groups: ["a", "b"],
			admin: true,
			iss: jwt.issuer,
			aud: "me",
			exp: clock.now() / 1000 + 60,
		})
			.setProtectedHeader({ alg: "RS256", kid: "1" })
			.sign(privateKey);
	const none = await call("GET", "/f", { origin: "https://a.example" });
	assert.deepEqual(
		[none.status, none.text, none.headers["www-authenticate"], none.headers["access-control-allow-origin"]],
		[401, '{"message":"Unauthorized"}', "Bearer", "https://a.example"],
	);
	const lacking = await call("GET", "/f", { authorization: `Bearer ${await sign("anna", "other")}` });
	assert.deepEqual(
		[lacking.status, lacking.text, lacking.headers["www-authenticate"]],
		[403, '{"message":"Forbidden"}', 'Bearer error="insufficient_scope", scope="orders"'],
	);
	const [anna, bert] = [
		{ authorization: `Bearer ${await sign("anna")}` },
		{ authorization: `Bearer ${await sign("bert")}` },
	];
	assert.deepEqual(
		[
			(await call("GET", "/f", anna)).status,
			(await call("GET", "/f", anna)).status,
			(await call("GET", "/f", anna)).status,
			(await call("GET", "/f", bert)).status,
		],
		[200, 200, 429, 200],
	);
	const { authorizer } = invocations[0]!.event.requestContext as {
		authorizer: { jwt: { claims: Record<string, string>; scopes: string[] } };
	};
	assert.deepEqual(
		[authorizer.jwt.scopes, authorizer.jwt.claims.sub, authorizer.jwt.claims.groups, authorizer.jwt.claims.admin],
		[["orders"], "anna", "[a b]", "true"],
	);
	// Two tokens, of which Node would show the first alone.
	const good = anna.authorization;
	assert.equal((await call("GET", "/f", ["authorization", good, "authorization", "Bearer evil"])).status, 401);
});

test("All bodies that are looked at have one budget", async (t) => {
	const { call, port } = await testGateway(t, [route([{ path: "/s", target: service, schema: { body: {} } }])], {
		maxCheckedBytes: 1000,
	});
	assert.equal((await call("POST", "/s", {}, `"${"x".repeat(2000)}"`)).status, 503);
	for (let round = 0; round < 5; round++)
		assert.equal((await call("POST", "/s", {}, `"${"x".repeat(900)}"`)).status, 200, "it is given back");
	assert(port > 0);
});
