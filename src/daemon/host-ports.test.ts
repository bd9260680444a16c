import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { describe, test } from "node:test";
import { Lifetime } from "../base/lifetime.ts";
import { silentLog } from "../base/log.ts";
import { HostPorts, hostAddress } from "./host-ports.ts";

const mebibyte = 2 ** 20;

async function listen(lifetime: Lifetime, onConnection: (socket: Socket) => void): Promise<number> {
	const server = createServer({ allowHalfOpen: true }, onConnection);
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	lifetime.defer(() => server.close());
	return (server.address() as { port: number }).port;
}

/** What listens in a sandbox's place, with a piece of the host behind it. */
async function open(
	lifetime: Lifetime,
	service: (socket: Socket) => void,
	bounds?: { total: number; perSandbox: number },
) {
	const port = await listen(lifetime, service);
	const hostPorts = lifetime.use(new HostPorts({ ports: [port, port], log: silentLog, ...(bounds && { bounds }) }));
	const sandbox = async () => {
		const listeners = hostPorts.listeners();
		assert.deepEqual(
			listeners.map(({ host, port }) => ({ host, port })),
			[{ host: hostAddress, port }],
		);
		const inside = await listen(lifetime, listeners[0]!.onConnection);
		return () => {
			const socket = connect({ port: inside, host: "127.0.0.1", allowHalfOpen: true });
			socket.on("error", () => {});
			lifetime.defer(() => socket.destroy());
			return socket;
		};
	};
	return { hostPorts, sandbox };
}

/** Whether it broke off. */
function closed(socket: Socket): Promise<boolean> {
	return new Promise((resolve) => socket.once("close", resolve));
}

async function gone(hostPorts: HostPorts): Promise<void> {
	for (let tries = 0; hostPorts.connections > 0 && tries < 200; tries++) await new Promise((r) => setTimeout(r, 5));
	assert.equal(hostPorts.connections, 0);
}

describe("ports of the host", { timeout: 20_000 }, () => {
	test("carry bytes both ways, and one side's end before the other's", async () => {
		await using lifetime = new Lifetime();
		const { hostPorts, sandbox } = await open(lifetime, (socket) => {
			let heard = 0;
			socket.on("data", ({ length }) => {
				heard += length;
			});
			socket.once("end", () => socket.end(`heard ${heard}`));
		});
		const socket = (await sandbox())();
		socket.end("x".repeat(3 * mebibyte));
		assert.equal(await text(socket), `heard ${3 * mebibyte}`);
		await gone(hostPorts);
	});

	test("hold back who writes faster than the other reads", async () => {
		await using lifetime = new Lifetime();
		const { sandbox } = await open(lifetime, (socket) => void socket.pause());
		const socket = (await sandbox())();
		await once(socket, "connect");
		let taken = 0;
		const chunk = Buffer.alloc(mebibyte);
		for (let stuck = false; !stuck && taken < 256; taken++)
			if (!socket.write(chunk)) {
				const late = new Promise((resolve) => setTimeout(resolve, 300, "late"));
				stuck = (await Promise.race([once(socket, "drain"), late])) === "late";
			}
		assert.ok(taken < 256, "more than the kernel's buffers was taken");
	});

	test("a port nobody listens on, and a service that breaks off, are errors inside", async () => {
		await using lifetime = new Lifetime();
		await using closing = new Lifetime();
		const { hostPorts, sandbox } = await open(closing, (socket) => {
			socket.resume();
			socket.write("half", () => socket.resetAndDestroy());
		});
		const dial = await sandbox();
		const broken = dial();
		const error = closed(broken);
		broken.resume();
		assert.equal(await error, true);
		const dead = new HostPorts({ ports: [1], log: silentLog });
		const inside = await listen(lifetime, dead.listeners()[0]!.onConnection);
		const refused = connect({ port: inside, host: "127.0.0.1" });
		refused.on("error", () => {});
		refused.resume();
		assert.equal(await closed(refused), true);
		await gone(hostPorts);
		await gone(dead);
	});

	test("a client that goes away is gone for the host's service too", async () => {
		await using lifetime = new Lifetime();
		const ends = Promise.withResolvers<void>();
		const { hostPorts, sandbox } = await open(lifetime, (socket) => {
			socket.on("error", () => {});
			socket.once("close", () => ends.resolve());
			socket.resume();
			socket.write("hello");
		});
		const socket = (await sandbox())();
		await once(socket, "data");
		socket.resetAndDestroy();
		await ends.promise;
		await gone(hostPorts);
	});

	test("are bounded for each sandbox and for all, and free again", async () => {
		await using lifetime = new Lifetime();
		const { hostPorts, sandbox } = await open(lifetime, (socket) => void socket.on("error", () => {}).pipe(socket), {
			total: 3,
			perSandbox: 2,
		});
		const [one, other] = [await sandbox(), await sandbox()];
		const isTaken = async (socket: Socket) => {
			socket.write("x");
			const taken = new Promise<boolean>((resolve) => socket.once("data", () => resolve(true)));
			return Promise.race([taken, closed(socket).then(() => false)]);
		};
		const first = one();
		assert.equal(await isTaken(first), true);
		assert.equal(await isTaken(one()), true);
		assert.equal(await isTaken(one()), false);
		assert.equal(await isTaken(other()), true);
		assert.equal(await isTaken(other()), false);
		first.end();
		await closed(first);
		for (let tries = 0; hostPorts.connections > 2 && tries < 200; tries++) await new Promise((r) => setTimeout(r, 5));
		assert.equal(await isTaken(one()), true);
		hostPorts[Symbol.dispose]();
		await gone(hostPorts);
	});
});
