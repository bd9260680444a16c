import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { describe, test } from "node:test";
import { openOciHarness, whyNot } from "../adapters/sandbox-oci/testing/oci-harness.ts";
import { inOwnMountNamespace } from "../adapters/sandbox-oci/testing/own-mount-namespace.ts";
import { systemClock } from "../base/clock.ts";
import { Lifetime } from "../base/lifetime.ts";
import { silentLog } from "../base/log.ts";
import { collect, contractSpec } from "../core/sandbox/sandbox-runtime.contract.ts";
import type { Sandbox, SandboxRuntime, SandboxSpec } from "../core/sandbox/sandbox-runtime.ts";
import { createInternalServer } from "../front/gateway/internal-server.ts";
import { InternalNetwork } from "./internal-network.ts";

/** A runtime that only keeps what it is asked for. */
function recorder(specs: SandboxSpec[]): SandboxRuntime {
	return {
		name: "recorder",
		version: "1",
		create: async (spec) => {
			specs.push(spec);
			return {} as Sandbox;
		},
		reap: async () => 3,
		prepare() {},
		publishNames() {},
		async [Symbol.asyncDispose]() {},
	};
}

function addresses({ listeners }: SandboxSpec): string[] | undefined {
	return listeners?.map(({ host, port }) => `${host}:${port}`);
}

test("every sandbox gets the gateway and the allowed ports, beside what it has itself", async () => {
	const specs: SandboxSpec[] = [];
	await using network = new InternalNetwork({ runtime: recorder(specs), hostPorts: [5432, 6379], log: silentLog });
	const spec = contractSpec("/rootfs", ["true"]);
	const onConnection = () => {};
	const first = await network.create(spec);
	await network.create({ ...spec, listeners: [{ host: "169.254.169.254", port: 80, onConnection }] });
	await network.create({ ...spec, listeners: [{ host: "169.254.170.1", port: 80, onConnection }] });
	await network.create({ ...spec, beside: first });
	const ports = ["169.254.170.2:5432", "169.254.170.2:6379"];
	assert.deepEqual(specs.map(addresses), [
		["169.254.170.1:80", ...ports],
		["169.254.169.254:80", "169.254.170.1:80", ...ports],
		["169.254.170.1:80", ...ports],
		undefined,
	]);
	assert.equal(specs[2]?.listeners?.[0]?.onConnection, onConnection);
	assert.equal(await network.reap(), 3);
	// Nobody answers before the gateway is there.
	let destroyed = false;
	specs[0]?.listeners?.[0]?.onConnection({
		destroy: () => {
			destroyed = true;
		},
	} as unknown as Socket);
	assert.equal(destroyed, true);
});

await inOwnMountNamespace(import.meta.filename, () =>
	describe("names inside", { skip: whyNot("crun") ?? false, timeout: 60_000 }, () => {
		test("a program reaches services by name and allowed ports of the host, while it has port 80 itself", async () => {
			await using lifetime = new Lifetime();
			const harness = lifetime.use(await openOciHarness("crun"));
			const database = createServer((socket) => void socket.end("database\n")).listen(0, "127.0.0.1");
			lifetime.defer(() => database.close());
			const closed = createServer().listen(0, "127.0.0.1");
			lifetime.defer(() => closed.close());
			await Promise.all([once(database, "listening"), once(closed, "listening")]);
			const [allowed, other] = [database, closed].map((server) => (server.address() as { port: number }).port);
			assert.ok(allowed && other);
			const network = new InternalNetwork({ runtime: harness.runtime, hostPorts: [allowed], log: silentLog });
			const gateway = lifetime.use(
				createInternalServer(
					{
						owns: () => true,
						handle: async ({ headers }, response) => void response.end(`${headers.host}\n`),
						upgrade: async (_request, socket) => void socket.destroy(),
					},
					systemClock,
				),
			);
			network.onInternal = gateway.accept;
			network.publishNames({ "orders.internal": "169.254.170.1", "host.internal": "169.254.170.2" });
			const script = [
				"nc -l -p 80 -e echo own &",
				"until nc 127.0.0.1 80 < /dev/null 2> /dev/null; do sleep 0.02; done",
				"nc -l -p 80 -e echo own &",
				"wget -q -O - http://orders.internal/",
				`nc host.internal ${allowed} < /dev/null`,
				`nc host.internal ${other} < /dev/null || echo refused`,
				`nc -w 1 127.0.0.1 ${allowed} < /dev/null || echo refused`,
			].join("\n");
			for (const egress of [false, true]) {
				const spec = contractSpec(harness.rootfs, ["sh", "-c", script], { readonlyRoot: false, egress });
				await using sandbox = await network.create(spec);
				const stdout = collect(sandbox.stdout);
				await sandbox.start();
				await sandbox.exited;
				await sandbox.kill();
				assert.equal(await stdout.ended, "own\norders.internal\ndatabase\nrefused\nrefused\n");
			}
		});
	}),
);
