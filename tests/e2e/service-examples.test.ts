/** The examples of services, and one image under both contracts, with the programs and files that a user would take. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { GetFunctionCommand } from "@aws-sdk/client-lambda";
import { parse } from "yaml";
import { type Builder, findBuilder } from "../../tools/builder.ts";
import { pushImage, registryPassword } from "../../tools/deploy.ts";
import { buildExample, readExample } from "../../tools/examples.ts";
import type { LocalDaemon } from "../../tools/local-daemon.ts";
import { run } from "../../tools/run.ts";
import { buildServiceExample, readServiceExample, readServiceExamples } from "../../tools/service-examples.ts";
import { urlEvent } from "../runtimes/web-adapter.ts";
import { apply, ask, cli, hostOf, startTestDaemon } from "../services/service-client.ts";
import { FunctionClient } from "./function-client.ts";

const skip = process.getuid?.() === 0 ? false : "sandboxes and base images need root";
const folder = join(import.meta.dirname, "../../examples/services/hello-node");

describe("examples of services", { skip }, () => {
	let daemon: LocalDaemon;
	let builder: Builder;
	let password: string;

	before(async () => {
		builder = await findBuilder();
		daemon = await startTestDaemon();
		password = await registryPassword(daemon);
	});
	after(() => daemon?.[Symbol.asyncDispose]());

	test("each is built, pushed, deployed, and asked with curl", async (t) => {
		for (const example of await readServiceExamples()) {
			await buildServiceExample(example, builder, (line) => t.diagnostic(line));
			await pushImage(daemon, builder, example.image, password);
			await cli(daemon, "service", "deploy", example.image);
			const body = await run("curl", ["-sS", `http://${hostOf(daemon, example.image)}${example.path}`]);
			assert.match(body, new RegExp(example.answer), example.name);
		}
	});

	test("the example's manifest is taken as it is, but for the image's name", async () => {
		const manifest = parse(await readFile(join(folder, "service.yaml"), "utf8"));
		const [container] = manifest.spec.template.spec.containers;
		container.image = container.image.replace("127.0.0.1:4747", daemon.registry);
		await apply(daemon, manifest);
		assert.equal((await ask(daemon, "hello-node", "/yaml")).status, 200);
	});

	test("one digest is a function and a service at a time, and a Lambda image is behind a route", async (t) => {
		const { image } = await readServiceExample("hello-node");
		using client = new FunctionClient(daemon);
		const tag = `${daemon.registry}/${image}:latest`;
		await client.createActive(image, tag, {
			MemorySize: 256,
			Environment: { Variables: { AWS_LWA_PORT: "8080" } },
		});
		const { Code } = await client.lambda.send(new GetFunctionCommand({ FunctionName: image }));
		const [digest = ""] = Code?.ResolvedImageUri?.match(/sha256:[0-9a-f]{64}$/) ?? [];
		const revisions = JSON.parse(await cli(daemon, "revision", "ls", "--json")) as {
			metadata: { labels: Record<string, string> };
			status: { containerStatuses?: { imageDigest: string }[] };
		}[];
		const ofService = revisions.filter(({ metadata }) => metadata.labels["serving.knative.dev/service"] === image);
		assert.ok(ofService.some(({ status }) => status.containerStatuses?.[0]?.imageDigest.endsWith(digest)));

		const event = urlEvent("POST", "/orders", "a=1", { body: "aGVsbG8=", isBase64Encoded: true });
		const { statusCode, headers, body } = (await client.invoke(image, event)).json;
		assert.equal(statusCode, 200, body);
		assert.equal(headers["content-type"], "application/json");
		const { served: _, ...asked } = JSON.parse(body);
		assert.deepEqual(asked, { hello: image, method: "POST", path: "/orders?a=1", body: "hello" });

		const lambda = await readExample("node");
		await buildExample(lambda, builder, (line) => t.diagnostic(line));
		await client.createActive(lambda.image, await pushImage(daemon, builder, lambda.image, password), {
			MemorySize: 256,
		});
		await cli(daemon, "route", "apply", "-f", join(folder, "routes.yaml"));
		const byService = await ask(daemon, "shop", "/service/a?b=c");
		assert.match(JSON.parse(byService.text).hello, /^hello-node-0000\d$/);
		assert.equal(JSON.parse(byService.text).path, "/a?b=c");
		const byFunction = await ask(daemon, "shop", "/function/a?b=c", { body: "text" });
		assert.equal(byFunction.status, 200, byFunction.text);
		const { hello, path, body: sent } = JSON.parse(byFunction.text);
		assert.deepEqual({ hello, path, sent }, { hello: image, path: "/function/a?b=c", sent: "text" });
		const hashed = await ask(daemon, "shop", "/hash", { body: "{}" });
		// SHA-256 of nothing: the event has no text.
		assert.equal(hashed.text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
		assert.equal((await ask(daemon, "shop", "/hash")).status, 404);
	});
});
