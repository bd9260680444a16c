import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, realpathSync } from "node:fs";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { Lifetime } from "../../base/lifetime.ts";
import { collect, contractSpec, waitFor } from "../../core/sandbox/sandbox-runtime.contract.ts";
import { ChildReaper } from "./child-reaper.ts";
import { interfacePrefix } from "./egress.ts";
import { Holders } from "./holders.ts";
import { KernelThread } from "./kernel-thread.ts";
import { SandboxNetwork } from "./sandbox-network.ts";
import { type OciHarness, openOciHarness, whyNot } from "./testing/oci-harness.ts";
import { inOwnMountNamespace } from "./testing/own-mount-namespace.ts";
import { runScript } from "./testing/run.ts";
import { runTool } from "./tool.ts";

/** TEST-NET-2 (RFC 5737), so that nothing real is hidden. */
const HOST_SIDE = "198.51.100.1";
const OUTSIDE = "198.51.100.2";
const OUTSIDE_PORT = 7000;
const TELL_PEER = `require("net").createServer(s => s.end(s.remoteAddress + "\\n")).listen(${OUTSIDE_PORT}, () => console.log("listening"))`;

await inOwnMountNamespace(import.meta.filename, () => {
	const reason = whyNot("crun");
	if (reason) test("egress", { skip: reason });
	else describe("egress", { timeout: 60_000 }, egressSuite);
});

function egressSuite(): void {
	const lifetime = new Lifetime();
	let harness: OciHarness;
	let outside: string;
	before(async () => {
		harness = await openOciHarness("crun");
		lifetime.use(harness);
		outside = await makeOutside(harness.stateFolder, lifetime);
	});
	after(() => lifetime[Symbol.asyncDispose]());
	const run = (script: string) => runScript(harness, script, { egress: true });

	test("reaches the outside, under the host's address", async () => {
		const { stdout } = await run(`nc -w 3 ${OUTSIDE} ${OUTSIDE_PORT} < /dev/null`);
		assert.equal(stdout.trim().replace("::ffff:", ""), HOST_SIDE);
	});

	test("without egress it does not", async () => {
		const { stdout, exit } = await runScript(harness, `nc -w 3 ${OUTSIDE} ${OUTSIDE_PORT} < /dev/null`);
		assert.equal(stdout, "");
		assert.notEqual(exit.code, 0);
	});

	test("has name servers, no IPv6, and its endpoint as ever", async () => {
		const heard: string[] = [];
		const endpoint = {
			envName: "ENDPOINT",
			onConnection: (socket: import("node:net").Socket) =>
				void socket.on("data", (data) => heard.push(String(data))).end(),
		};
		const { stdout } = await runScript(harness, "cat /etc/resolv.conf; ip -6 addr; echo hello | nc 127.0.0.1 9001", {
			egress: true,
			endpoint,
		});
		assert.match(stdout, /^nameserver \d+\.\d+\.\d+\.\d+$/m);
		assert.ok(!stdout.includes("inet6"));
		assert.deepEqual(heard, ["hello\n"]);
	});

	test("none of the host's own addresses answers, nor a metadata service", async () => {
		const server = createServer((socket) => socket.end("host\n"));
		await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
		const { port } = server.address() as { port: number };
		const own = Object.values(networkInterfaces()).flatMap((list) =>
			(list ?? []).filter(({ family }) => family === "IPv4"),
		);
		const hosts = [...new Set([...own.map(({ address }) => address), HOST_SIDE])];
		const attempts = hosts.map((host) => `nc -w 1 ${host} ${port} < /dev/null 2>/dev/null`);
		const gateway = `nc -w 1 $(ip route | grep default | tr -s ' ' | sed 's/.*via //; s/ .*//') ${port} < /dev/null 2>/dev/null`;
		const metadata = "nc -w 1 169.254.169.254 80 < /dev/null 2>/dev/null && echo metadata";
		const { stdout } = await run(`${[...attempts, gateway, metadata].join("; ")}; echo done`);
		assert.equal(stdout, "done\n");
		server.close();
	});

	test("neither a neighbour nor the outside can open a connection to it", async () => {
		const args = ["sh", "-c", "ip -4 addr show eth0 | grep inet; exec nc -l -p 5000 -e /bin/echo neighbour"];
		await using neighbour = await harness.runtime.create(contractSpec(harness.rootfs, args, { egress: true }));
		const stdout = collect(neighbour.stdout);
		await neighbour.start();
		await waitFor(() => stdout.text().includes("\n"), "the neighbour's address");
		const address = /inet ([\d.]+)/.exec(stdout.text())![1]!;
		assert.equal((await run(`nc -w 1 ${address} 5000 < /dev/null 2>/dev/null; echo done`)).stdout, "done\n");
		await runTool("nsenter", [`--net=${outside}`, "ip", "route", "replace", "default", "via", HOST_SIDE]);
		const connect = `const s = require("net").connect(5000, "${address}", () => { console.log("connected"); process.exit() }); s.on("error", () => process.exit()); setTimeout(() => process.exit(), 500)`;
		assert.equal(await runTool("nsenter", [`--net=${outside}`, process.execPath, "-e", connect]), "");
	});

	test("links come from the pool, and all are gone after dispose", async () => {
		await using own = await openOciHarness("crun", { poolSize: 2 });
		const prefix = interfacePrefix(createHash("sha256").update(realpathSync(own.stateFolder)).digest("hex"));
		const links = () => readdirSync("/sys/class/net").filter((name) => name.startsWith(prefix)).length;
		own.runtime.prepare({ tmpMiB: 16, egress: true });
		await own.runtime.settled();
		assert.equal(links(), 2);
		const { stdout } = await runScript(own, `nc -w 3 ${OUTSIDE} ${OUTSIDE_PORT} < /dev/null`, { egress: true });
		assert.match(stdout, /198\.51\.100\.1/);
		await own.runtime[Symbol.asyncDispose]();
		assert.equal(links(), 0);
	});
}

/** A network namespace behind the host with a server that tells each caller the address it came from. Returns its path. */
async function makeOutside(folder: string, lifetime: Lifetime): Promise<string> {
	const thread = lifetime.use(new KernelThread("outside"));
	const holders = lifetime.use(new Holders(join(folder, "holders"), lifetime.use(new ChildReaper(systemClock))));
	const { path } = lifetime.use(
		await SandboxNetwork.create(thread, holders, { path: join(folder, "outside"), withDoor: false }),
	);
	const name = `otsd${process.pid}`;
	await runTool(
		"ip",
		["-batch", "-"],
		`link add ${name} type veth peer name eth0 netns ${path}\naddr add ${HOST_SIDE}/30 dev ${name}\nlink set ${name} up\n`,
	);
	lifetime.defer(() => runTool("ip", ["link", "delete", name]));
	await runTool(
		"nsenter",
		[`--net=${path}`, "ip", "-batch", "-"],
		`addr add ${OUTSIDE}/30 dev eth0\nlink set eth0 up\n`,
	);
	const server = spawn("nsenter", [`--net=${path}`, process.execPath, "-e", TELL_PEER], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	lifetime.defer(() => end(server));
	await new Promise((resolve) => server.stdout.once("data", resolve));
	return path;
}

async function end(child: ChildProcess): Promise<void> {
	const ended = new Promise((resolve) => child.once("exit", resolve));
	child.kill("SIGKILL");
	await ended;
}
