import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { attempt, isThere } from "../tools/run.ts";
import { endProcess } from "./plain-processes.ts";

export interface DockerEngine extends AsyncDisposable {
	env: NodeJS.ProcessEnv;
}

/** The engine that answers here, or one started with folders of its own; why there is none, otherwise. */
export async function findOrStartEngine(): Promise<DockerEngine | string> {
	const env = { ...process.env };
	if ((await attempt("docker", ["info"], { env, timeoutMs: 10_000 })).code === 0)
		return { env, [Symbol.asyncDispose]: async () => {} };
	if (!(await isThere("dockerd"))) return "no Docker engine answers and dockerd is not installed";
	const folder = await mkdtemp(join(tmpdir(), "slipway-bench-docker-"));
	const hadBridge = existsSync("/sys/class/net/docker0");
	const socket = `unix://${join(folder, "docker.sock")}`;
	const folders = ["--data-root", join(folder, "data"), "--exec-root", join(folder, "exec"), "-p", join(folder, "pid")];
	// Without its packet filter rules: they would change the machine for everybody, and the way to the host is open as it is.
	const words = ["-H", socket, ...folders, "--iptables=false", "--ip6tables=false", "--ip-masq=false"];
	const child = spawn("dockerd", words, { stdio: "ignore" });
	const engine: DockerEngine = {
		env: { ...env, DOCKER_HOST: socket },
		async [Symbol.asyncDispose]() {
			await endProcess(child);
			if (!hadBridge) await attempt("ip", ["link", "delete", "docker0"]);
			await attempt("sh", ["-c", `grep -o ' ${folder}[^ ]*' /proc/mounts | sort -r | xargs -r umount -l`]);
			await rm(folder, { recursive: true, force: true });
		},
	};
	for (const until = performance.now() + 30_000; performance.now() < until; await sleep(200)) {
		if (child.exitCode !== null) break;
		if ((await attempt("docker", ["info"], { env: engine.env, timeoutMs: 10_000 })).code === 0) return engine;
	}
	await engine[Symbol.asyncDispose]();
	return "no Docker engine answers and dockerd does not start here";
}
