import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findBuilder } from "../tools/builder.ts";
import { readExample } from "../tools/examples.ts";
import { attempt, isThere, run } from "../tools/run.ts";

/** A container that has not answered by then never will. */
const answerTimeoutMs = 30_000;

/** Starts a container from nothing and waits for its first answer. Milliseconds. */
export interface ColdBaseline extends AsyncDisposable {
	name: string;
	sample(): Promise<number>;
}

/** Serves one event to whoever asks and tells when the answer has come: the least that can stand behind a container. */
export class OneEventApi {
	readonly #server: Server;
	#answered: () => void = () => {};

	private constructor(server: Server) {
		this.#server = server;
	}

	static async open(host: string): Promise<OneEventApi> {
		const server = createServer((request, response) => {
			request.resume().on("end", () => {
				if (request.url?.endsWith("/next")) {
					response.writeHead(200, { "Lambda-Runtime-Aws-Request-Id": "1", "Content-Length": 13 });
					response.end('{"do":"last"}');
					return;
				}
				response.writeHead(202, { "Content-Length": 0 }).end();
				api.#answered();
			});
		});
		const api = new OneEventApi(server);
		server.listen(0, host);
		await once(server, "listening");
		return api;
	}

	get address(): string {
		const { address, port } = this.#server.address() as AddressInfo;
		return `${address}:${port}`;
	}

	/** From starting `program` to its function's answer; then waits for its end. */
	async timeFirstAnswer(program: string, words: string[], env?: NodeJS.ProcessEnv): Promise<number> {
		const answered = new Promise<void>((resolve) => {
			this.#answered = resolve;
		});
		const started = performance.now();
		const child = spawn(program, words, { stdio: ["ignore", "ignore", "pipe"], ...(env && { env }) });
		let complaint = "";
		child.stderr.setEncoding("utf8").on("data", (text: string) => {
			complaint += text;
		});
		const exited = once(child, "exit");
		const timeout = AbortSignal.timeout(answerTimeoutMs);
		await Promise.race([answered, exited, once(timeout, "abort")]);
		const ms = performance.now() - started;
		const late = timeout.aborted;
		if (late) child.kill("SIGKILL");
		await exited;
		if (late || child.exitCode !== 0) throw new Error(`${program} ${words[0]} gave no answer: ${complaint}`);
		return ms;
	}

	close(): void {
		this.#server.close();
		this.#server.closeAllConnections();
	}
}

/** `crun run` (or `runc run`) of the same binary: its own namespaces, but the host's network. */
export async function ociBaseline(program: "crun" | "runc"): Promise<ColdBaseline | string> {
	if (!(await isThere(program))) return `${program} is not installed`;
	const bundle = await mkdtemp(join(tmpdir(), "slipway-bench-bundle-"));
	const api = await OneEventApi.open("127.0.0.1");
	const { folder } = await readExample("static");
	await mkdir(join(bundle, "rootfs"));
	await copyFile(join(folder, "bootstrap"), join(bundle, "rootfs", "bootstrap"));
	await run(program, ["spec"], { cwd: bundle });
	const file = join(bundle, "config.json");
	const config = JSON.parse(await readFile(file, "utf8"));
	config.process.args = ["/bootstrap"];
	config.process.terminal = false;
	config.process.env.push(`AWS_LAMBDA_RUNTIME_API=${api.address}`);
	config.linux.namespaces = config.linux.namespaces.filter(({ type }: { type: string }) => type !== "network");
	await writeFile(file, JSON.stringify(config));
	let count = 0;
	return {
		name: `${program} run (host network)`,
		sample: () => api.timeFirstAnswer(program, ["run", "--bundle", bundle, `slipway-bench-${process.pid}-${++count}`]),
		async [Symbol.asyncDispose]() {
			api.close();
			await rm(bundle, { recursive: true, force: true });
		},
	};
}

/** `docker run` of the same image, in the engine that answers here or in one started for this. */
export async function dockerBaseline(): Promise<ColdBaseline | string> {
	if (!(await isThere("docker"))) return "docker is not installed";
	const engine = await findOrStartEngine();
	if (typeof engine === "string") return engine;
	const folder = await mkdtemp(join(tmpdir(), "slipway-bench-image-"));
	const { image } = await readExample("static");
	const archive = join(folder, "image.tar");
	await (await findBuilder()).save(image, archive);
	const loaded = await run("docker", ["load", "--input", archive], { env: engine.env });
	const reference = /^Loaded image: (.+)$/m.exec(loaded)?.[1] ?? image;
	const api = await OneEventApi.open(networkInterfaces().docker0?.[0]?.address ?? "172.17.0.1");
	const words = ["run", "--rm", "--env", `AWS_LAMBDA_RUNTIME_API=${api.address}`, reference];
	return {
		name: "docker run --rm",
		sample: () => api.timeFirstAnswer("docker", words, engine.env),
		async [Symbol.asyncDispose]() {
			api.close();
			await engine[Symbol.asyncDispose]();
			await rm(folder, { recursive: true, force: true });
		},
	};
}

interface Engine extends AsyncDisposable {
	env: NodeJS.ProcessEnv;
}

async function findOrStartEngine(): Promise<Engine | string> {
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
	const engine: Engine = {
		env: { ...env, DOCKER_HOST: socket },
		async [Symbol.asyncDispose]() {
			await end(child);
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

async function end(child: ChildProcess): Promise<void> {
	if (child.exitCode !== null || child.signalCode !== null) return;
	const exited = once(child, "exit");
	child.kill("SIGTERM");
	await exited;
}

/** The plain broker with `count` instances of the static example. */
export async function startBroker(count: number): Promise<{ url: string } & AsyncDisposable> {
	const { folder } = await readExample("static");
	const words = [join(import.meta.dirname, "plain-broker.ts"), join(folder, "bootstrap"), String(count)];
	const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", ...words], {
		stdio: ["ignore", "pipe", "ignore", "ipc"], // it ends when this channel does
	});
	const [line] = (await once(child.stdout as NonNullable<typeof child.stdout>, "data")) as [Buffer];
	return {
		url: `http://127.0.0.1:${String(line).trim()}`,
		[Symbol.asyncDispose]: () => end(child),
	};
}
