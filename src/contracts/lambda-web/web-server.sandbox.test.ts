import assert from "node:assert/strict";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openOciHarness, whyNot } from "../../adapters/sandbox-oci/testing/oci-harness.ts";
import { inOwnMountNamespace } from "../../adapters/sandbox-oci/testing/own-mount-namespace.ts";
import { systemClock } from "../../base/clock.ts";
import { randomIds } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import type { ContractSession, SessionListener } from "../../core/invocation/function-contract.ts";
import { revision } from "../../engine/testing/dispatcher.ts";
import { LambdaContract } from "../lambda/lambda-contract.ts";
import { LambdaWebContract } from "./lambda-web-contract.ts";

const skip = whyNot("crun") ?? false;
const nothing = () => {};

await inOwnMountNamespace(import.meta.filename, () => {
	test("An unchanged web server in a real sandbox answers events, and its init is as long as it takes to listen", {
		skip,
	}, async (t) => {
		await using harness = await openOciHarness("crun");
		const { rootfs, runtime } = harness;
		mkdirSync(join(rootfs, "www"));
		writeFileSync(join(rootfs, "www/index.html"), "ready");
		writeFileSync(join(rootfs, "www/page.html"), "<h1>grüße</h1>");
		symlinkSync("busybox", join(rootfs, "bin/httpd"));
		const contract = new LambdaWebContract(
			new LambdaContract({ region: "us-east-1", ids: randomIds, log: silentLog }),
			systemClock,
		);
		const base = revision("f", { environment: { AWS_LWA_PORT: "8080" } });
		const server = "exec /bin/httpd -f -p $PORT -h /www";
		const function_ = {
			...base,
			image: { ...base.image, entrypoint: ["/bin/sh", "-c", server], cmd: [], env: { PATH: "/bin" } },
		};
		const identity = { id: "web", logStream: "l", initializationType: "on-demand" } as const;
		let session: ContractSession | undefined;
		await using sandbox = await runtime.create({
			id: "web",
			rootfs,
			...contract.process(function_, identity),
			readonlyRoot: true,
			limits: { memoryMiB: 64, cpus: 1, pids: 50, openFiles: 256, tmpMiB: 16 },
			egress: false,
			endpoint: { envName: contract.endpointVariable, onConnection: (socket) => session?.onConnection(socket) },
		});
		sandbox.stdout.resume();
		sandbox.stderr.resume();
		let ready = Promise.withResolvers<void>();
		const answers: string[] = [];
		const listener: SessionListener = {
			onCompanionsReady: nothing,
			onReady: () => ready.resolve(),
			onInitError: (error) => ready.reject(new Error(error.errorType)),
			onAnswering: nothing,
			onResponse: (payload) => void answers.push(Buffer.from(payload).toString()),
			onStreamed: nothing,
			onError: (error) => ready.reject(new Error(Buffer.from(error.payload).toString())),
			onCompanionError: nothing,
			onLifecycle: nothing,
		};
		session = contract.openSession(listener, {
			...identity,
			revision: function_,
			companions: [],
			connect: (port) => sandbox.connect(port),
		});
		const since = performance.now();
		session.onLifecycle({ type: "init-start", phase: "init", initializationType: "on-demand", atMs: Date.now() });
		await sandbox.start();
		await ready.promise;
		t.diagnostic(`init took ${(performance.now() - since).toFixed(1)} ms`);
		const times: number[] = [];
		for (let count = 0; count < 20; count++) {
			ready = Promise.withResolvers();
			const http = { method: "GET", path: "/page.html" };
			const event = { version: "2.0", rawPath: "/page.html", headers: {}, requestContext: { http } };
			const at = performance.now();
			session.deliver({
				requestId: `r${count}`,
				payload: Buffer.from(JSON.stringify(event)),
				invokedArn: base.arn,
				deadlineMs: Date.now() + 5000,
			});
			await ready.promise;
			times.push(performance.now() - at);
		}
		session.close();
		t.diagnostic(`an event took ${times.sort((a, b) => a - b)[10]?.toFixed(2)} ms at the median`);
		const { statusCode, headers, body, isBase64Encoded } = JSON.parse(answers[19] ?? "{}");
		assert.deepEqual([answers.length, statusCode, body, isBase64Encoded], [20, 200, "<h1>grüße</h1>", false]);
		assert.match(headers["content-type"], /^text\/html/);
	});
});
