/** Servers of other people's frameworks in images built here: each is deployed with the command line and asked what it is for. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Builder, findBuilder } from "../../tools/builder.ts";
import type { LocalDaemon } from "../../tools/local-daemon.ts";
import { run } from "../../tools/run.ts";
import { buildImage, type ImageSource, pushImage } from "../runtimes/image.ts";
import { asgiImage, expressImage, functionsFrameworkImage, nginxImage } from "./images.ts";
import { ask, deploy, hostOf, logOf, startTestDaemon, until } from "./service-client.ts";

const skip = process.getuid?.() === 0 ? false : "sandboxes and base images need root";
/** A first build, base image included. */
const buildTimeoutMs = 10 * 60_000;

let daemon: LocalDaemon;
let builder: Builder;

async function push(source: ImageSource): Promise<string> {
	const image = await buildImage(source, builder, (line) => process.stderr.write(`${line}\n`));
	return await pushImage(daemon, builder, image, source.name);
}

describe("web frameworks as services", { skip }, () => {
	before(async () => {
		builder = await findBuilder();
		daemon = await startTestDaemon();
	});
	after(() => daemon?.[Symbol.asyncDispose]());

	describe("@google-cloud/functions-framework", () => {
		let image: string;
		before(
			async () => {
				image = await push(functionsFrameworkImage);
			},
			{ timeout: buildTimeoutMs },
		);

		test("an HTTP function", async () => {
			await deploy(daemon, "hello", image, "--env", "FUNCTION_TARGET=hello");
			assert.equal((await ask(daemon, "hello", "/?name=Ada")).text, "Hello Ada!");
			const headers = { "content-type": "application/json" };
			assert.equal((await ask(daemon, "hello", "/", { headers, body: '{"name":"Bo"}' })).text, "Hello Bo!");
		});

		test("a CloudEvent function takes events in binary and in structured mode", async () => {
			await deploy(
				daemon,
				"receive",
				image,
				...["--env", "FUNCTION_TARGET=receive", "--env", "FUNCTION_SIGNATURE_TYPE=cloudevent"],
			);
			const binary = await ask(daemon, "receive", "/", {
				headers: {
					"ce-id": "1",
					"ce-specversion": "1.0",
					"ce-type": "com.example.made",
					"ce-source": "//tests",
					"ce-subject": "one",
					"content-type": "application/json",
				},
				body: '{"n":1}',
			});
			assert.equal(binary.status, 204, binary.text);
			const event = { specversion: "1.0", id: "2", type: "com.example.made", source: "//tests", data: { n: 2 } };
			const structured = await ask(daemon, "receive", "/", {
				headers: { "content-type": "application/cloudevents+json" },
				body: JSON.stringify(event),
			});
			assert.equal(structured.status, 204, structured.text);
			const log = await until("both events in the log", 5, async () => {
				const text = await logOf(daemon, "receive");
				return text.includes('"id":"2"') ? text : undefined;
			});
			assert.match(log, /"id":"1","type":"com.example.made","source":"\/\/tests","subject":"one","data":\{"n":1\}/);
			assert.match(log, /"id":"2","type":"com.example.made","source":"\/\/tests","data":\{"n":2\}/);
		});

		test("a CloudEvent that the function refuses is a 500, which a sender repeats", async () => {
			const headers = {
				"ce-id": "3",
				"ce-specversion": "1.0",
				"ce-type": "com.example.refused",
				"ce-source": "//tests",
			};
			const answer = await ask(daemon, "receive", "/", { headers, body: "" });
			assert.equal(answer.status, 500, answer.text);
		});
	});

	describe("Express", () => {
		before(async () => await deploy(daemon, "express", await push(expressImage)), { timeout: buildTimeoutMs });

		test("its idea of the client's address, protocol and host is the client's own", async () => {
			const { status, text } = await ask(daemon, "express");
			assert.equal(status, 200, text);
			const { protocol, hostname, ip, revision } = JSON.parse(text);
			assert.deepEqual(
				{ protocol, hostname, ip },
				{ protocol: "http", hostname: "express.localhost", ip: "127.0.0.1" },
			);
			assert.match(revision, /^express-00001/);
		});

		test("JSON in and out, status, several cookies", async () => {
			const body = JSON.stringify({ items: Array.from({ length: 100_000 }, (_, n) => n) });
			const answer = await ask(daemon, "express", "/orders/a%20b", {
				headers: { "content-type": "application/json" },
				body,
			});
			assert.equal(answer.status, 201);
			assert.deepEqual(JSON.parse(answer.text), { id: "a b", order: JSON.parse(body) });
			assert.deepEqual(answer.headers["set-cookie"], ["seen=a%20b; Path=/", "second=2; Path=/"]);
		});

		test("redirects and errors stay as they are", async () => {
			const moved = await ask(daemon, "express", "/old");
			assert.deepEqual([moved.status, moved.headers.location], [308, "/new?from=old"]);
			assert.equal((await ask(daemon, "express", "/broken")).status, 500);
			assert.equal((await ask(daemon, "express", "/nowhere")).status, 404);
			assert.equal((await ask(daemon, "express", "/", { method: "HEAD" })).text, "");
		});
	});

	describe("uvicorn and Starlette", () => {
		before(async () => await deploy(daemon, "asgi", await push(asgiImage)), { timeout: buildTimeoutMs });

		test("scheme, host, client and query", async () => {
			const { status, text } = await ask(daemon, "asgi", "/?a=1&b=%C3%BC");
			assert.equal(status, 200, text);
			const { revision, ...rest } = JSON.parse(text);
			assert.match(revision, /^asgi-00001/);
			const expected = { scheme: "http", host: hostOf(daemon, "asgi"), client: "127.0.0.1", query: { a: "1", b: "ü" } };
			assert.deepEqual(rest, expected);
		});

		test("a body of 20 MB, and a streamed answer", async () => {
			const headers = { "content-type": "application/octet-stream" };
			const upload = await ask(daemon, "asgi", "/upload", { headers, body: Buffer.alloc(20_000_000, 7) });
			assert.deepEqual(JSON.parse(upload.text), { bytes: 20_000_000, type: "application/octet-stream" });
			assert.equal((await ask(daemon, "asgi", "/count")).text, "0\n1\n2\n");
		});

		test("its log has what it prints", async () => assert.match(await logOf(daemon, "asgi"), /starting up/));
	});

	describe("nginx from Debian's package", () => {
		let image: string;
		before(
			async () => {
				image = await push(nginxImage);
			},
			{ timeout: buildTimeoutMs },
		);

		for (const [name, words] of [
			["nginx-on-80", ["--port", "80"]],
			["nginx-on-port", []],
		] as const)
			test(name, async () => {
				await deploy(daemon, name, image, ...words);
				const answer = await ask(daemon, name);
				assert.equal(answer.status, 200, answer.text);
				assert.match(answer.text, /Welcome to nginx, Debian's package/);
				assert.match(String(answer.headers.server), /^nginx/);
				assert.equal((await ask(daemon, name, "/missing")).status, 404);
			});
	});

	test("curl reaches a service by its URL", async () => {
		assert.match(await run("curl", ["-sS", `http://${hostOf(daemon, "nginx-on-80")}/`]), /Welcome to nginx/);
	});
});
