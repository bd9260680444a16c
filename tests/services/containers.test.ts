/** What a container finds around it: variables, files, other containers of its revision, volumes, the metadata server. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { LocalDaemon } from "../../tools/local-daemon.ts";
import { missingForFunctionImages } from "../e2e/function-image.ts";
import { apply, ask, deploy, manifest, startTestDaemon, told, until } from "./service-client.ts";
import { pushSubject } from "./subject.ts";

const skip = missingForFunctionImages() ?? false;

let daemon: LocalDaemon;
let image: string;

describe("containers of services", { skip, concurrency: 2 }, () => {
	before(async () => {
		daemon = await startTestDaemon();
		image = await pushSubject(daemon);
	});
	after(() => daemon?.[Symbol.asyncDispose]());

	test("variables, command, arguments", async () => {
		const container = {
			image,
			args: ["one", "two words"],
			env: [
				{ name: "COLOUR", value: "blue" },
				{ name: "EMPTY", value: "" },
			],
			ports: [{ containerPort: 9000 }],
		};
		await apply(daemon, manifest("told", container));
		const { env, args, revision } = await told(daemon, "told");
		assert.deepEqual(args, ["one", "two words"]);
		const { COLOUR, EMPTY, PORT, K_SERVICE, K_REVISION, K_CONFIGURATION } = env;
		assert.deepEqual(
			{ COLOUR, EMPTY, PORT, K_SERVICE, K_REVISION, K_CONFIGURATION },
			{ COLOUR: "blue", EMPTY: "", PORT: "9000", K_SERVICE: "told", K_REVISION: revision, K_CONFIGURATION: "told" },
		);
		const foreign = Object.keys(env).filter((name) => name.startsWith("AWS_") || name.startsWith("SLIPWAY_"));
		assert.deepEqual(foreign, []);
	});

	test("containers of a revision share localhost and an emptyDir, and start in the order that they need", async () => {
		const annotations = { "run.googleapis.com/container-dependencies": '{"main":["side"]}' };
		const mounts = { volumeMounts: [{ name: "shared", mountPath: "/shared" }] };
		const main = { name: "main", image, ports: [{ containerPort: 8080 }], ...mounts };
		const side = {
			name: "side",
			image,
			...mounts,
			env: [
				{ name: "LISTEN_PORT", value: "9090" },
				{ name: "WRITE_AT_START", value: "/shared/note=from the side" },
				{ name: "START_MS", value: "500" },
			],
			startupProbe: { httpGet: { path: "/health", port: 9090 }, periodSeconds: 1, failureThreshold: 10 },
		};
		const volumes = [{ name: "shared", emptyDir: { sizeLimit: "32Mi" } }];
		await apply(daemon, manifest("pair", main, { annotations, spec: { containers: [main, side], volumes } }));
		assert.equal((await ask(daemon, "pair", "/file?path=/shared/note")).text, "from the side");
		assert.equal((await ask(daemon, "pair", "/allocate?path=/shared/big&mib=64")).status, 507);
		const fromSide = await ask(daemon, "pair", "/fetch?url=http://localhost:9090/");
		assert.equal(fromSide.status, 200, fromSide.text);
		const inner = JSON.parse(fromSide.text);
		assert.equal(inner.env.PORT, undefined);
		assert.equal(inner.env.K_SERVICE, "pair");
	});

	test("what a revision may not have is refused with the field's name", async () => {
		const secret = { name: "S", valueFrom: { secretKeyRef: { name: "password", key: "latest" } } };
		const { err } = await apply(daemon, manifest("refused", { image, env: [secret] }), 1);
		assert.match(err, /spec\.template\.spec\.containers\[0\]\.env\[0\]\.valueFrom/);
		const reserved = await apply(daemon, manifest("refused", { image, env: [{ name: "K_SERVICE", value: "x" }] }), 1);
		assert.match(reserved.err, /K_SERVICE/);
	});

	test("Google's metadata server", async () => {
		await deploy(daemon, "meta", image);
		const get = (path: string, more = "&header=Metadata-Flavor:Google") =>
			ask(daemon, "meta", `/fetch?url=http://metadata.google.internal/computeMetadata/v1/${path}${more}`);
		assert.match((await get("project/project-id")).text, /^[a-z][a-z0-9-]+$/);
		assert.match((await get("instance/region")).text, /^projects\/\d+\/regions\/[a-z0-9-]+$/);
		assert.match((await get("instance/id")).text, /^\S+$/);
		assert.equal((await get("instance/id", "")).status, 403);
		const token = await get("instance/service-accounts/default/identity?audience=me");
		assert.equal(token.text.split(".").length, 3);
	});

	test("one service reaches another by its name inside", async () => {
		await deploy(daemon, "backend", image, "--env", "COLOUR=inner", "--ingress", "internal");
		await deploy(daemon, "frontend", image);
		assert.equal((await ask(daemon, "backend")).status, 404);
		const answer = await until("an answer of the backend", 10, async () => {
			const got = await ask(daemon, "frontend", "/fetch?url=http://backend.internal/");
			return got.status === 200 ? got : undefined;
		});
		assert.equal(JSON.parse(answer.text).env.COLOUR, "inner");
	});
});

test("a core service keeps its one instance, and its volume outlives it and the daemon", { skip }, async (t) => {
	const home = await mkdtemp(join(tmpdir(), "slipway-home-"));
	t.after(() => rm(home, { recursive: true, force: true }));
	const document = (reference: string, colour: string) =>
		manifest(
			"store",
			{
				image: reference,
				env: [{ name: "COLOUR", value: colour }],
				volumeMounts: [{ name: "data", mountPath: "/data" }],
			},
			{
				annotations: { "slipway.dev/core": "true" },
				spec: { volumes: [{ name: "data", persistentVolumeClaim: { claimName: "store" } }] },
			},
		);
	{
		await using first = await startTestDaemon({ home });
		const reference = await pushSubject(first);
		await apply(first, document(reference, "blue"));
		assert.equal((await ask(first, "store", "/file?path=/data/note", { method: "PUT", body: "kept" })).status, 200);
		await apply(first, document(reference, "green"));
		assert.equal((await told(first, "store")).env.COLOUR, "green");
		assert.equal((await ask(first, "store", "/file?path=/data/note")).text, "kept");
	}
	await using second = await startTestDaemon({ home });
	assert.equal((await ask(second, "store", "/file?path=/data/note")).text, "kept");
});
