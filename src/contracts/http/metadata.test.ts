import assert from "node:assert/strict";
import http from "node:http";
import { connect, createServer, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { randomIds } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { MetadataServer } from "./metadata.ts";

function metadataServer(): MetadataServer {
	return new MetadataServer({
		projectId: "my-project",
		numericProjectId: "123456789012",
		region: "europe-west1",
		log: silentLog,
		clock: systemClock,
		ids: randomIds,
		issuer: "http://localhost:4747",
		sign: async (claims) => `head.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.sign`,
	});
}

async function serve(t: TestContext) {
	const server = metadataServer();
	const tcp = createServer(server.handler({ instanceId: "svc-1", email: "web@my-project.test" }));
	await new Promise<void>((resolve) => tcp.listen(0, "127.0.0.1", resolve));
	t.after(() => tcp.close());
	const { port } = tcp.address() as { port: number };
	return (path: string, headers: Record<string, string> = { "Metadata-Flavor": "Google" }, method = "GET") =>
		new Promise<{ status: number | undefined; flavor: unknown; body: string }>((resolve, reject) => {
			const request = http.request({ port, path, headers, method, agent: false }, async (response) => {
				const body = Buffer.concat((await Array.fromAsync(response)) as Buffer[]).toString();
				resolve({ status: response.statusCode, flavor: response.headers["metadata-flavor"], body });
			});
			request.once("error", reject).end();
		});
}

const v1 = "/computeMetadata/v1";

describe("The metadata server", () => {
	it("tells project, region, zone and instance", async (t) => {
		const get = await serve(t);
		for (const [path, body] of [
			["project/project-id", "my-project"],
			["project/numeric-project-id", "123456789012"],
			["instance/region", "projects/123456789012/regions/europe-west1"],
			["instance/zone", "projects/123456789012/zones/europe-west1-1"],
			["instance/id", "svc-1"],
			["instance/service-accounts/default/email", "web@my-project.test"],
			["instance/service-accounts/web@my-project.test/email", "web@my-project.test"],
		])
			assert.deepEqual(await get(`${v1}/${path}`), { status: 200, flavor: "Google", body });
	});

	it("lists folders, whole with recursive, and never a token in them", async (t) => {
		const get = await serve(t);
		assert.equal((await get("/", {})).body, "computeMetadata/\n");
		assert.equal((await get(`${v1}/`)).body, "instance/\nproject/\n");
		assert.equal((await get(`${v1}/instance/service-accounts/`)).body, "default/\nweb@my-project.test/\n");
		const { body } = await get(`${v1}/instance/service-accounts/default/?recursive=true`);
		const { aliases, email, scopes, ...rest } = JSON.parse(body);
		assert.deepEqual([aliases, email, rest], [["default"], "web@my-project.test", {}]);
		assert.ok(scopes.includes("https://www.googleapis.com/auth/cloud-platform"));
		const all = JSON.parse((await get(`${v1}/?recursive=true`)).body);
		assert.deepEqual(all.project, { numericProjectId: 123456789012, projectId: "my-project" });
		assert.ok(all.instance.serviceAccounts["web@my-project.test"]);
	});

	it("gives access tokens that open nothing and identity tokens for an audience", async (t) => {
		const get = await serve(t);
		const token = JSON.parse((await get(`${v1}/instance/service-accounts/default/token`)).body);
		assert.deepEqual(
			[Object.keys(token), token.expires_in, token.token_type],
			[["access_token", "expires_in", "token_type"], 3600, "Bearer"],
		);
		const identity = `${v1}/instance/service-accounts/default/identity`;
		const { body } = await get(`${identity}?audience=https://a.test&format=full`);
		const claims = JSON.parse(Buffer.from(body.split(".")[1] ?? "", "base64url").toString());
		assert.deepEqual(
			[claims.iss, claims.aud, claims.email, claims.email_verified, claims.exp - claims.iat],
			["http://localhost:4747", "https://a.test", "web@my-project.test", true, 3600],
		);
		for (const query of ["", "?audience=", `?audience=${"x".repeat(2049)}`])
			assert.equal((await get(identity + query)).status, 400);
	});

	it("refuses what does not come from a client that knows it", async (t) => {
		const get = await serve(t);
		assert.equal((await get(`${v1}/instance/id`, {})).status, 403);
		const proxied = { "Metadata-Flavor": "Google", "X-Forwarded-For": "1.2.3.4" };
		assert.equal((await get(`${v1}/instance/id`, proxied)).status, 403);
		for (const path of [
			"/x",
			`${v1}/nothing`,
			`${v1}/instance/id/x`,
			`${v1}/__proto__`,
			`${v1}/constructor/name`,
			"//",
		])
			assert.equal((await get(path)).status, 404, path);
		assert.equal((await get(`${v1}/instance/id`, undefined, "POST")).status, 405);
	});
});

describe("Connections to the metadata server", () => {
	it("are bounded for each instance", async (t) => {
		const server = metadataServer();
		const listen = async (instanceId: string) => {
			const tcp = createServer(server.handler({ instanceId, email: "a@b.test" }));
			await new Promise<void>((resolve) => tcp.listen(0, "127.0.0.1", resolve));
			t.after(() => tcp.close());
			return (tcp.address() as { port: number }).port;
		};
		const [greedy, modest] = [await listen("svc-1"), await listen("svc-2")];
		const sockets = Array.from({ length: 80 }, () => connect(greedy, "127.0.0.1"));
		t.after(() => {
			for (const socket of sockets) socket.destroy();
		});
		for (const socket of sockets) socket.on("error", () => {});
		const ask = (socket: Socket) =>
			new Promise<string>((resolve) => {
				socket.once("data", (data) => resolve(data.toString())).once("close", () => resolve("closed"));
				socket.write("GET / HTTP/1.1\r\nHost: m\r\n\r\n");
			});
		const answers = await Promise.all(sockets.map(ask));
		assert.equal(answers.filter((answer) => answer === "closed").length, 16);
		const other = connect(modest, "127.0.0.1");
		t.after(() => other.destroy());
		assert.match(await ask(other), /^HTTP\/1\.1 200 /);
		for (const socket of sockets.slice(0, 10)) socket.destroy();
		await new Promise((resolve) => setTimeout(resolve, 50));
		const again = connect(greedy, "127.0.0.1");
		t.after(() => again.destroy());
		assert.match(await ask(again), /^HTTP\/1\.1 200 /);
	});
});
