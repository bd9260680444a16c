import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { LocalDaemon } from "../tools/local-daemon.ts";
import { createIdleFunctions } from "./invocations.ts";
import { type Figure, single } from "./result.ts";

/** The garbage collector gives memory back when nothing happens for a while. */
const quietMs = 10_000;

export async function residentBytes(pid: number): Promise<number> {
	const status = await readFile(`/proc/${pid}/status`, "utf8");
	return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? Number.NaN) * 1024;
}

export async function daemonMemory(daemon: LocalDaemon): Promise<Figure> {
	await createIdleFunctions(daemon);
	const plain = await idleNode();
	await sleep(quietMs);
	const value = (await residentBytes(daemon.pid)) / 1e6;
	const baseline = (await residentBytes(plain.pid as number)) / 1e6;
	plain.kill();
	return {
		key: "daemon.rss",
		name: "resident memory of the daemon, 100 idle functions",
		unit: "MB",
		summary: single(value),
		baselines: [{ name: "Node alone, listening", summary: single(baseline) }],
		promise: { text: "at most 120 MB", kept: value <= 120 },
	};
}

async function idleNode(): Promise<ChildProcess> {
	const script = 'require("node:http").createServer().listen(0, "127.0.0.1", () => console.log("ready"))';
	const child = spawn(process.execPath, ["--eval", script], { stdio: ["ignore", "pipe", "ignore"] });
	await once(child.stdout, "data");
	return child;
}
