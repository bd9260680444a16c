import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, existsSync, openSync, readdirSync, readlinkSync } from "node:fs";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { systemClock } from "../../base/clock.ts";
import { Lifetime } from "../../base/lifetime.ts";
import { silentLog } from "../../base/log.ts";
import { Egress, interfacePrefix, removeEgressLeftovers } from "./egress.ts";
import { KernelThread } from "./kernel-thread.ts";
import { inOwnMountNamespace } from "./testing/own-mount-namespace.ts";

/** Of TEST-NET-2 (RFC 5737): room for three links. */
const SUBNET = "198.51.100.128/28";
/** 198.51.100.144, as a number. */
const LEFT_BASE = 0xc6336490;
/** Longer than a link that does not go by itself may stay. */
const PATIENCE_MS = 5_000;

const reason = process.getuid?.() !== 0 ? "needs root" : existsSync("/usr/sbin/nft") ? false : "needs nft";
if (reason) test("egress links", { skip: reason });
else await inOwnMountNamespace(import.meta.filename, () => describe("egress links", { timeout: 60_000 }, suite));

async function open(lifetime: Lifetime) {
	const hash = randomBytes(4).toString("hex");
	const thread = lifetime.use(new KernelThread("egress-links"));
	const egress = lifetime.use(await Egress.open({ hash, subnet: SUBNET, thread, clock: systemClock, log: silentLog }));
	const names = () =>
		readdirSync("/sys/class/net").filter((name) => name.startsWith(interfacePrefix(hash)) && !name.endsWith("dns"));
	return { egress, names };
}

/** A process in a network namespace of its own. */
async function makeNetwork(lifetime: Lifetime): Promise<{ path: string; end: () => Promise<void> }> {
	const child = spawn("unshare", ["--net", "sleep", "60"], { stdio: "ignore" });
	lifetime.defer(() => end(child));
	const path = `/proc/${child.pid}/ns/net`;
	await eventually(() => readlinkSync(path) !== readlinkSync("/proc/self/ns/net"), "the network namespace");
	return { path, end: () => end(child) };
}

async function end(child: ChildProcess): Promise<void> {
	if (child.exitCode !== null || child.signalCode !== null) return;
	const ended = new Promise((resolve) => child.once("exit", resolve));
	child.kill("SIGKILL");
	await ended;
}

async function eventually(holds: () => boolean, what: string): Promise<void> {
	for (const start = performance.now(); !holds(); await sleep(10))
		assert.ok(performance.now() - start < PATIENCE_MS, `waited for ${what} in vain`);
}

function suite(): void {
	test("a number is given again when its link is gone, and not before", async () => {
		await using lifetime = new Lifetime();
		const { egress, names } = await open(lifetime);
		const networks = [];
		for (let at = 0; at < 4; at++) networks.push(await makeNetwork(lifetime));
		const [first, second, third, fourth] = networks as [Network, Network, Network, Network];
		const link = await egress.connect(first.path);
		assert.deepEqual([link.number, (await egress.connect(second.path)).number], [1, 2]);
		await egress.connect(third.path);
		assert.equal(names().length, 3);
		await assert.rejects(egress.connect(fourth.path), { code: "EXHAUSTED" });
		egress.disconnect(link);
		await assert.rejects(egress.connect(fourth.path), { code: "EXHAUSTED" });
		await first.end();
		await eventually(() => names().length === 2, "the kernel to remove the link");
		await egress.settled();
		assert.deepEqual(await egress.connect(fourth.path), link);
	});

	test("a link whose namespace does not end is removed", async () => {
		await using lifetime = new Lifetime();
		const { egress, names } = await open(lifetime);
		const network = await makeNetwork(lifetime);
		const link = await egress.connect(network.path);
		const namespace = openSync(network.path, "r");
		lifetime.defer(() => closeSync(namespace));
		egress.disconnect(link);
		await network.end();
		await sleep(200);
		assert.deepEqual(names(), [link.name]);
		await eventually(() => names().length === 0, "the link to be removed");
	});

	test("one that can't be made is refused in words, and its number is not lost", async () => {
		await using lifetime = new Lifetime();
		const { egress } = await open(lifetime);
		const network = await makeNetwork(lifetime);
		for (let at = 0; at < 5; at++) {
			await assert.rejects(egress.connect("/dev/null"), { code: "SANDBOX_FAILED", message: /to the outside/ });
			await egress.settled();
		}
		await egress.connect(network.path);
	});

	test("what an earlier process left is removed, many at once", async () => {
		await using lifetime = new Lifetime();
		const hash = randomBytes(4).toString("hex");
		const thread = lifetime.use(new KernelThread("egress-links"));
		for (let at = 0; at < 3; at++) {
			const { path } = await makeNetwork(lifetime);
			const host = LEFT_BASE + 4 * at + 1;
			await thread.run("makeLink", { path, name: `${interfacePrefix(hash)}${at}`, host, inside: host + 1 });
		}
		assert.equal(await removeEgressLeftovers(hash, thread), 3);
		assert.equal(await removeEgressLeftovers(hash, thread), 0);
	});
}

type Network = Awaited<ReturnType<typeof makeNetwork>>;
