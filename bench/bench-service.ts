import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import type { Example } from "../tools/examples.ts";
import type { LocalDaemon } from "../tools/local-daemon.ts";
import type { Answer } from "./http-connection.ts";
import { endProcess, type PlainServer } from "./plain-processes.ts";

/** The benches' own service (service/bootstrap.c): a server of one thread that answers "ok" at once. */
export const benchService: Example = {
	folder: join(import.meta.dirname, "service"),
	name: "bench-service",
	image: "slipway-bench-service",
	prepare: "c",
	event: null,
};

/** Milliseconds after which /wait is answered. */
export const waitMs = 4_000;
/** Of the answer to /stream. */
export const streamBytes = 1_000_000_000;
/** A server that does not listen by then never will. */
const listenTimeoutMs = 10_000;

/** The host name of a service of the default namespace. */
export function hostOf({ url }: LocalDaemon, service: string): string {
	return `${service}.localhost:${new URL(url).port}`;
}

/** The answer, which has to be the service's own. */
export function mustBeOk(answer: Answer): Answer {
	if (answer.status === 200 && answer.body.equals(Buffer.from("ok\n"))) return answer;
	throw new Error(`A request was answered with ${answer.status}: ${answer.body}`);
}

export async function freePort(): Promise<number> {
	const server = createServer().listen(0, "127.0.0.1");
	await once(server, "listening");
	const { port } = server.address() as AddressInfo;
	server.close();
	await once(server, "close");
	return port;
}

/** Tries again at once until something listens on `port`. */
export async function untilListening(port: number, child: ChildProcess): Promise<Socket> {
	for (const until = performance.now() + listenTimeoutMs; performance.now() < until; ) {
		if (child.exitCode !== null) throw new Error(`${child.spawnfile} ended (${child.exitCode})`);
		const socket = await connected(port);
		if (socket) return socket;
	}
	throw new Error(`${child.spawnfile} does not listen on port ${port}`);
}

function connected(port: number): Promise<Socket | undefined> {
	return new Promise((resolve) => {
		const socket = connect(port, "127.0.0.1");
		socket.once("connect", () => resolve(socket)).once("error", () => resolve(undefined));
	});
}

/** The service's process, outside of any sandbox. */
export function spawnService(port: number): ChildProcess {
	return spawn(join(benchService.folder, "bootstrap"), [], { stdio: "ignore", env: { PORT: String(port) } });
}

/** The same, once it listens; its image has to have been built. */
export async function startBareService(): Promise<PlainServer & { port: number }> {
	const port = await freePort();
	const child = spawnService(port);
	(await untilListening(port, child)).destroy();
	return {
		url: `http://127.0.0.1:${port}`,
		port,
		pid: child.pid as number,
		[Symbol.asyncDispose]: () => endProcess(child),
	};
}
