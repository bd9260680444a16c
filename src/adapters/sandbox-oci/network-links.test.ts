import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Lifetime } from "../../base/lifetime.ts";
import { CLONE_NEWNET, listenTcp, MNT_DETACH, MS_BIND, mount, setns, umount, unshare } from "../../base/syscall.ts";
import { RouteSocket } from "./netlink.ts";
import { newAddress, newDefaultRoute, newVeth, setUp } from "./netlink-message.ts";
import { deleteLinks, makeLink } from "./network-links.ts";
import { inOwnMountNamespace } from "./testing/own-mount-namespace.ts";
import { runTool } from "./tool.ts";

const skip = process.getuid?.() === 0 ? false : "needs root";
/** How many links one deletion takes here. */
const MANY = 20;
/** 10.9.8.1 and the address after it, in a network namespace of the test's own. */
const HOST = 0x0a090801;

if (skip) test("network links", { skip });
else await inOwnMountNamespace(import.meta.filename, () => describe("network links", suite));

/** The test runs in a network namespace of its own, so that nothing of the machine's is in the way. */
async function inOwnNetwork(
	body: (lifetime: Lifetime, home: number, makeInside: () => string) => Promise<void> | void,
) {
	await using lifetime = new Lifetime();
	const before = openSync("/proc/thread-self/ns/net", "r");
	lifetime.defer(() => closeSync(before));
	unshare(CLONE_NEWNET);
	lifetime.defer(() => setns(before, CLONE_NEWNET));
	const home = openSync("/proc/thread-self/ns/net", "r");
	lifetime.defer(() => closeSync(home));
	const folder = mkdtempSync(join(tmpdir(), "slipway-links-"));
	lifetime.defer(() => rmSync(folder, { recursive: true }));
	let next = 0;
	const makeInside = () => {
		const path = join(folder, `${next++}`);
		closeSync(openSync(path, "wx"));
		unshare(CLONE_NEWNET);
		mount("/proc/thread-self/ns/net", path, "none", MS_BIND);
		setns(home, CLONE_NEWNET);
		lifetime.defer(() => {
			// A file system of its own is what tells a mount that is still there.
			if (statSync(path).dev !== statSync(folder).dev) umount(path, MNT_DETACH);
		});
		return path;
	};
	await body(lifetime, home, makeInside);
}

/** As the thread sees them: the file system's own view would be that of the namespace it was mounted in. */
function interfaces(): string[] {
	return readFileSync("/proc/thread-self/net/dev", "utf8")
		.split("\n")
		.flatMap((line) => /^\s*([a-z0-9]+):/.exec(line)?.[1] ?? [])
		.sort();
}

function show(path: string, ...args: string[]): Promise<string> {
	return runTool("nsenter", [`--net=${path}`, "ip", ...args]);
}

function suite(): void {
	test("a link has its addresses, its way out, no IPv6 of its own, and carries packets", () =>
		inOwnNetwork(async (lifetime, home, makeInside) => {
			const path = makeInside();
			makeLink(home, { path, name: "slwtest1", host: HOST, inside: HOST + 1 });
			assert.deepEqual(interfaces(), ["lo", "slwtest1"]);
			const host = await show(`/proc/${process.pid}/fd/${home}`, "-details", "addr", "show", "slwtest1");
			assert.match(host, /inet 10\.9\.8\.1\/30 scope global slwtest1/);
			assert.match(host, /state UP/);
			assert.match(host, /numtxqueues 1 numrxqueues 1/);
			assert.doesNotMatch(host, /inet6/);
			assert.match(await show(path, "addr", "show", "eth0"), /state UP[\s\S]*inet 10\.9\.8\.2\/30 scope global eth0/);
			assert.match(await show(path, "route"), /^default via 10\.9\.8\.1 dev eth0/);
			const listener = listenTcp([10, 9, 8, 1], 7000);
			lifetime.defer(() => closeSync(listener));
			await runTool("nsenter", [`--net=${path}`, "bash", "-c", "exec 3<>/dev/tcp/10.9.8.1/7000"]);
		}));

	test("one that can't be made leaves nothing, and says why in the system's code and the kernel's words", () =>
		inOwnNetwork((_, home, makeInside) => {
			const path = makeInside();
			const input = { path, name: "slwtest1", host: HOST, inside: HOST + 1 };
			makeLink(home, input);
			assert.throws(() => makeLink(home, { ...input, path: makeInside() }), { code: "EEXIST" });
			// The name inside is taken: the host's end must not stay.
			assert.throws(() => makeLink(home, { ...input, name: "slwtest2" }), { code: "EEXIST" });
			assert.deepEqual(interfaces(), ["lo", "slwtest1"]);
			// The gateway is not in the network of the address.
			const other = { ...input, path: makeInside(), name: "slwtest3", inside: HOST + 100 };
			assert.throws(() => makeLink(home, other), {
				code: "ENETUNREACH",
				message: /^ENETUNREACH: rtnetlink add the way out: .*gateway/,
			});
			assert.deepEqual(interfaces(), ["lo", "slwtest1"]);
			assert.throws(() => makeLink(home, { ...input, path: "/nowhere" }), { code: "ENOENT" });
			assert.throws(() => makeLink(home, { ...input, name: "slwtest4", path: "/dev/null" }), { code: "EINVAL" });
		}));

	test("a link goes with its network namespace, by itself", () =>
		inOwnNetwork(async (_, home, makeInside) => {
			const path = makeInside();
			makeLink(home, { path, name: "slwtest1", host: HOST, inside: HOST + 1 });
			umount(path, MNT_DETACH);
			const end = performance.now() + 5_000;
			while (interfaces().includes("slwtest1") && performance.now() < end)
				await new Promise((resolve) => setTimeout(resolve, 10));
			assert.deepEqual(interfaces(), ["lo"]);
		}));

	test(`${MANY} are deleted at once; those that are gone, and others', are left alone`, () =>
		inOwnNetwork((_, home, makeInside) => {
			const names = Array.from({ length: MANY }, (__, at) => `slwtest${at.toString(36)}`);
			for (const [at, name] of names.entries()) {
				const host = HOST + 4 * at;
				makeLink(home, { path: makeInside(), name, host, inside: host + 1 });
			}
			const [kept, ...others] = names as [string, ...string[]];
			deleteLinks([...others, "slwtestnone"]);
			assert.deepEqual(interfaces(), ["lo", kept]);
			deleteLinks([]);
			deleteLinks(others);
			deleteLinks([kept]);
			assert.deepEqual(interfaces(), ["lo"]);
		}));

	test("thousands of requests go through one socket, and none of its descriptors is left", () =>
		inOwnNetwork(() => {
			const descriptors = () => readdirSync("/proc/self/fd").length;
			const before = descriptors();
			{
				using socket = new RouteSocket();
				assert.equal(socket.indexOf("lo"), 1);
				assert.equal(socket.indexOf("nothing"), undefined);
				socket.request(setUp(1), "up");
				for (let at = 0; at < 2_000; at++) {
					socket.request(newAddress(1, 0x7f010000 + at, 32), "add");
					assert.throws(() => socket.request(newAddress(1, 0x7f010000 + at, 32), "add again"), { code: "EEXIST" });
				}
				assert.throws(() => socket.request(newDefaultRoute(0x0a000001), "route"), {
					code: "ENETUNREACH",
					syscall: "rtnetlink",
				});
				assert.throws(() => socket.request(newVeth("lo", { name: "eth0", namespace: 0 }), "veth"), { code: "EINVAL" });
			}
			assert.equal(descriptors(), before);
		}));
}
