/** The plain Node processes that stand for the least there can be between a client and a function. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { readExample } from "../tools/examples.ts";

export async function endProcess(child: ChildProcess): Promise<void> {
	if (child.exitCode !== null || child.signalCode !== null) return;
	const exited = once(child, "exit");
	child.kill("SIGTERM");
	await exited;
}

export interface PlainServer extends AsyncDisposable {
	url: string;
	pid: number;
}

/** plain-broker.ts with `count` instances of the static example. */
export async function startBroker(count: number): Promise<PlainServer> {
	const { folder } = await readExample("static");
	return await startServer("plain-broker.ts", [join(folder, "bootstrap"), String(count)]);
}

/** A server of this folder, that prints its port when it is ready and ends when our channel to it does. */
export async function startServer(file: string, words: string[]): Promise<PlainServer> {
	const all = ["--disable-warning=ExperimentalWarning", join(import.meta.dirname, file), ...words];
	const child = spawn(process.execPath, all, { stdio: ["ignore", "pipe", "ignore", "ipc"] });
	const [line] = (await once(child.stdout as NonNullable<typeof child.stdout>, "data")) as [Buffer];
	return {
		url: `http://127.0.0.1:${String(line).trim()}`,
		pid: child.pid as number,
		[Symbol.asyncDispose]: () => endProcess(child),
	};
}

/** A Node that listens and does nothing else. */
export async function startIdleNode(): Promise<{ pid: number } & AsyncDisposable> {
	const script = 'require("node:http").createServer().listen(0, "127.0.0.1", () => console.log("ready"))';
	const child = spawn(process.execPath, ["--eval", script], { stdio: ["ignore", "pipe", "ignore"] });
	await once(child.stdout, "data");
	return { pid: child.pid as number, [Symbol.asyncDispose]: () => endProcess(child) };
}
