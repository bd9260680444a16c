/** The gateway with clients of others: routes and what guards them, names inside, what it writes down and counts. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, test } from "node:test";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { type LocalDaemon, startDaemon } from "../../tools/local-daemon.ts";
import { type Answer, ask, cli, deploy, type Question, until } from "../services/service-client.ts";
import { missingForFunctionImages, pushShellRuntime } from "./function-image.ts";
import { slipway } from "./slipway.ts";

const skip = missingForFunctionImages();
const host = "shop.test";
const origin = "https://shop.example";
let daemon: LocalDaemon;
let issuer: Awaited<ReturnType<typeof startIssuer>>;
const shop = (path: string, question?: Question): Promise<Answer> => ask(daemon, host, path, question);

before(async () => {
	if (skip) return;
	issuer = await startIssuer();
	// Of what is on this machine containers may reach the issuer.
	daemon = await startDaemon({ env: { SLIPWAY_HOST_PORTS: String(issuer.port) } });
	const server = await readFile(join(import.meta.dirname, "fixtures/echo-service.sh"));
	const files = { "echo-service.sh": server };
	const image = await pushShellRuntime(daemon, "echo", { Entrypoint: ["/echo-service.sh"] }, files);
	await Promise.all([
		deploy(daemon, "hello", image),
		deploy(daemon, "inner", image, "--ingress", "internal"),
		cli(daemon, "function", "create", "greet", "--image", await pushShellRuntime(daemon, "shell")),
	]);
	const { code, err } = await slipway(daemon.home, ["route", "apply", "-f", "-"], { input: JSON.stringify(route()) });
	assert.equal(code, 0, err);
});

after(async () => {
	await daemon?.[Symbol.asyncDispose]();
	issuer?.server.close();
});

function route() {
	const toHello = { service: "hello" };
	const amount = { type: "object", required: ["amount"], properties: { amount: { type: "integer" } } };
	return {
		name: "shop",
		hosts: [host],
		cors: { allowOrigins: [origin], allowMethods: ["GET", "PUT"], allowHeaders: ["authorization"], maxAge: 60 },
		rules: [
			{ method: "GET", path: "/orders/{id}", target: { function: "greet" } },
			{ path: "/api/{proxy+}", target: { ...toHello, path: "/v1/{proxy}" } },
			{ method: "POST", path: "/pay", target: toHello, schema: { body: amount } },
			{
				method: "GET",
				path: "/private",
				target: toHello,
				jwt: { issuer: issuer.url, audience: ["shop"], scopes: ["read"] },
			},
			{ method: "GET", path: "/ours", target: toHello, jwt: { issuer: daemon.url, audience: ["shop"] } },
			{ method: "GET", path: "/limited", target: toHello, rateLimit: { key: "header:x-key", rate: 0.01, burst: 2 } },
			{ method: "GET", path: "/inner", target: { service: "inner" } },
			{ method: "GET", path: "/inside", target: toHello, internal: true },
		],
	};
}

/** An OpenID provider, as far as those who verify tokens need it. */
async function startIssuer() {
	const { publicKey, privateKey } = await generateKeyPair("RS256");
	const key = { ...(await exportJWK(publicKey)), kid: "k1", alg: "RS256" };
	const server = createServer((request, response) => {
		const document = request.url === "/keys" ? { keys: [key] } : { issuer: url, jwks_uri: `${url}/keys` };
		response.end(JSON.stringify(document));
	}).listen(0, "127.0.0.1");
	await new Promise((resolve) => server.once("listening", resolve));
	const { port } = server.address() as AddressInfo;
	const url = `http://127.0.0.1:${port}`;
	const token = (claims: Record<string, unknown>, expires = "1m") =>
		new SignJWT(claims)
			.setProtectedHeader({ alg: "RS256", kid: "k1" })
			.setIssuer(url)
			.setExpirationTime(expires)
			.sign(privateKey);
	return { server, port, url, token };
}

test("Rules lead by method and path to services and functions", { skip }, async () => {
	const order = await shop("/orders/7?x=1");
	assert.equal(order.status, 200, order.text);
	const event = JSON.parse(order.text);
	assert.deepEqual(
		[event.version, event.routeKey, event.rawPath, event.rawQueryString, event.pathParameters],
		["2.0", "GET /orders/{id}", "/orders/7", "x=1", { id: "7" }],
	);
	assert.match((await shop("/api/a/b%20c?y=%2F")).text, /^GET \/v1\/a\/b%20c\?y=%2F HTTP\/1\.1\nHost: shop\.test/);
	assert.match((await shop("/inner")).text, /^GET \/inner /, "the route is the way in to an internal service");
	for (const [path, method] of [
		["/orders/7", "DELETE"],
		["/nothing", "GET"],
		["/orders", "GET"],
		["/inside", "GET"],
	] as const) {
		const { status, text: body } = await shop(path, { method });
		assert.deepEqual([path, status], [path, 404]);
		if (path !== "/inside") assert.match(body, /No rule of shop\.test's routes is for/);
	}
});

test("Another origin's pages may do what the route says, whatever the service says of it", { skip }, async () => {
	const preflight = {
		origin,
		"access-control-request-method": "PUT",
		"access-control-request-headers": "authorization",
	};
	const allowed = await shop("/api/x", { method: "OPTIONS", headers: preflight });
	assert.equal(allowed.status, 204);
	assert.equal(allowed.headers["access-control-allow-origin"], origin);
	assert.equal(allowed.headers["access-control-allow-methods"], "GET,PUT");
	assert.equal(allowed.headers["access-control-max-age"], "60");
	const refused = await shop("/api/x", {
		method: "OPTIONS",
		headers: { ...preflight, origin: "https://evil.example" },
	});
	assert.equal(refused.headers["access-control-allow-origin"], undefined);
	// The service itself allows https://wrong.example.
	assert.equal((await shop("/api/x", { headers: { origin } })).headers["access-control-allow-origin"], origin);
	assert.equal((await shop("/api/x")).headers["access-control-allow-origin"], undefined);
});

test("A body that is not as its schema says does not reach the service", { skip }, async () => {
	const pay = (body: string) => shop("/pay", { body, headers: { "content-type": "application/json" } });
	const wrong = await pay('{"amount":"3"}');
	assert.equal(wrong.status, 400);
	assert.deepEqual(JSON.parse(wrong.text), {
		message: "Invalid request body",
		errors: [{ in: "body", path: "/amount", message: "must be integer" }],
	});
	assert.equal((await pay("{")).status, 400);
	assert.match((await pay('{"amount":3}')).text, /^POST \/pay .*\n\n\{"amount":3\}$/s);
});

test("Tokens of an issuer that is asked for its keys; nothing else opens the way", { skip }, async () => {
	const status = async (token?: string) =>
		(await shop("/private", token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } })).status;
	const good = await issuer.token({ aud: "shop", scope: "read" });
	assert.equal(await status(good), 200);
	assert.equal(await status(), 401);
	assert.equal(await status(`${good.slice(0, -4)}AAAA`), 401);
	assert.equal(await status(await issuer.token({ aud: "other", scope: "read" })), 401);
	assert.equal(await status(await issuer.token({ aud: "shop", scope: "read" }, "-5m")), 401);
	assert.equal(await status(await issuer.token({ aud: "shop", scope: "write" })), 403);
	const [, claims = ""] = good.split(".");
	assert.equal(await status(`${Buffer.from('{"alg":"none"}').toString("base64url")}.${claims}.`), 401);
});

test("Identity tokens of the metadata server are verified by the installation's own keys", { skip }, async () => {
	const configuration = await (await fetch(`${daemon.url}/.well-known/openid-configuration`)).json();
	assert.equal((configuration as { issuer: string }).issuer, daemon.url);
	const { text: token } = await ask(daemon, "hello", "/token/shop");
	const { text: other } = await ask(daemon, "hello", "/token/other");
	const ours = async (bearer: string) => shop("/ours", { headers: { authorization: `Bearer ${bearer}` } });
	const answer = await ours(token);
	assert.equal(answer.status, 200, `${answer.text}\n${token}`);
	assert.equal((await ours(other)).status, 401);
});

test("A rate is each key's own", { skip }, async () => {
	const limited = (key: string) => shop("/limited", { headers: { "x-key": key } });
	const answers = [await limited("a"), await limited("a"), await limited("a"), await limited("b")];
	assert.deepEqual(
		answers.map(({ status, headers }) => [status, headers["x-ratelimit-remaining"]]),
		[
			[200, "1"],
			[200, "0"],
			[429, "0"],
			[200, "1"],
		],
	);
	assert(Number(answers[2]?.headers["retry-after"]) > 1);
});

/** One request as bytes, on a connection of its own; the whole answer. */
async function raw(request: string): Promise<string> {
	const { hostname, port } = new URL(daemon.url);
	const socket = connect(Number(port), hostname);
	socket.write(request);
	return text(socket);
}

const waysAround = [
	"/private/",
	"//private",
	"/./private",
	"/x/../private",
	"/PRIVATE",
	"/%70rivate",
	"/private%2f",
	"/private%00",
	"/private;x=1",
	"/private%3f",
	"\\private",
	"/api/../private",
	"/api/%2e%2e/private",
	"/api/..%2fprivate",
	"/api/x/..%5c..%5cprivate",
	"/api/.%2e/private",
	"/private#x",
	`http://${host}/private`,
	"http://other.test/private",
	"*",
];

test("No way of writing a path gets past a rule's token, nor out of its service's part", { skip }, async () => {
	for (const path of waysAround) {
		const answer = await raw(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
		const status = Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);
		assert([400, 401, 404].includes(status), `${path}: ${answer.slice(0, 300)}`);
	}
	// A plain one of the same part goes through.
	assert.match(
		await raw(`GET /api/private HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`),
		/\nGET \/v1\/private HTTP/,
	);
});

test("Containers reach services and functions by name, from outside an internal one is not there", {
	skip,
}, async () => {
	const inside = async (url: string) => (await ask(daemon, "hello", `/ask/${url}`)).text;
	assert.equal((await ask(daemon, "inner")).status, 404);
	assert.match(await inside("inner.internal/a?b=1"), /^GET \/a\?b=1 HTTP\/1\.1\nHost: inner\.internal/);
	assert.match(await inside("inner.default.internal/"), /^GET \/ HTTP\/1\.1/);
	assert.equal(JSON.parse(await inside("greet.internal/z")).rawPath, "/z");
	assert.match(await inside("nobody.internal/"), /bad address/);
	assert.match(await inside(`host.internal:${issuer.port}/keys`), /"kid":"k1"/);
	assert.match(await inside(`host.internal:${new URL(daemon.url).port}/healthz`), /can't connect/);
	assert.match(await inside(`${daemon.registry}/healthz`), /can't connect/, "loopback is the container's own");
});

test("Requests are in the access log and in the metrics", { skip }, async () => {
	await ask(daemon, "hello", "/seen?secret=1");
	const lines = await until("the request is in the log", 5, async () => {
		const out = await cli(daemon, "logs", "--group", "/slipway/gateway/access", "--stream", "default/hello");
		return out.includes('"path":"/seen"') ? out.trim().split("\n") : undefined;
	});
	const record = lines.map((line) => JSON.parse(line)).find(({ path }) => path === "/seen");
	assert.deepEqual(
		[record.method, record.host, record.status, record.service, record.revision, record.protocol],
		["GET", `hello.localhost:${new URL(daemon.url).port}`, 200, "hello", "hello-00001", "HTTP/1.1"],
	);
	assert(record.durationMs > 0 && record.bytesOut > 100);
	assert(!lines.join().includes("secret"));
	const others = await cli(daemon, "logs", "--group", "/slipway/gateway/access", "--stream", "other");
	assert.match(others, /"route":"shop GET \/orders\/\{id\}"/);
	const headers = { authorization: `Bearer ${daemon.credentials.token}` };
	const metrics = await (await fetch(`${daemon.url}/_slipway/metrics`, { headers })).text();
	const value = (name: string) =>
		Number(
			metrics
				.split("\n")
				.find((line) => line.startsWith(`${name} `))
				?.split(" ")
				.at(-1),
		);
	const hello = 'namespace="default",service="hello"';
	assert(value(`slipway_gateway_requests_total{${hello},code="2xx"}`) >= 10);
	assert(value(`slipway_gateway_requests_total{${hello},code="4xx"}`) >= 5);
	assert(value('slipway_gateway_requests_total{namespace="",service="",code="4xx"}') >= 10);
	assert.equal(value(`slipway_revision_instances{${hello},revision="hello-00001"}`), 1);
	assert.equal(value(`slipway_revision_waiting_requests{${hello},revision="hello-00001"}`), 0);
	assert(value(`slipway_revision_duration_seconds_count{${hello},revision="hello-00001"}`) >= 10);
});
