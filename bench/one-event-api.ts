import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A process that has not answered by then never will. */
const answerTimeoutMs = 30_000;

export interface Command {
	program: string;
	words: string[];
	env?: NodeJS.ProcessEnv;
}

/** Milliseconds from before the first process was started. */
export interface Times {
	/** Until all have asked for their event. */
	polledMs: number;
	/** Until all have answered it. */
	answeredMs: number;
}

/** A Runtime API for one event a process, and nothing else: the least that can stand behind a function. */
export class OneEventApi {
	readonly #server: Server;
	#onPoll: () => void = () => {};
	#onAnswer: () => void = () => {};
	#serial = 0;

	private constructor(event: string) {
		this.#server = createServer((request, response) => {
			request.resume().on("end", () => {
				if (request.url?.endsWith("/next")) {
					this.#onPoll();
					this.#hand(event, response);
				} else {
					response.writeHead(202, { "Content-Length": 0 }).end();
					this.#onAnswer();
				}
			});
		});
	}

	static async open(host: string, event: string): Promise<OneEventApi> {
		const api = new OneEventApi(event);
		api.#server.listen(0, host);
		await once(api.#server, "listening");
		return api;
	}

	get address(): string {
		const { address, port } = this.#server.address() as AddressInfo;
		return `${address}:${port}`;
	}

	#hand(event: string, response: ServerResponse): void {
		response.writeHead(200, {
			"Content-Type": "application/json",
			"Content-Length": Buffer.byteLength(event),
			"Lambda-Runtime-Aws-Request-Id": `00000000-0000-4000-8000-${String(++this.#serial).padStart(12, "0")}`,
			"Lambda-Runtime-Deadline-Ms": String(Date.now() + answerTimeoutMs),
			"Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:123456789012:function:bare",
			"Lambda-Runtime-Trace-Id": "Root=1-00000000-000000000000000000000000;Sampled=0",
		});
		response.end(event);
	}

	/** Starts `count` processes at once, or at most `parallel` at a time, and ends those that don't end by themselves. */
	async time(command: Command | (() => Command), count = 1, parallel = count): Promise<Times> {
		const started = performance.now();
		const polled = this.#reach(count, (done) => {
			this.#onPoll = done;
		});
		const answered = this.#reach(count, (done) => {
			this.#onAnswer = done;
		});
		const children: ChildProcess[] = [];
		const failed = Promise.withResolvers<never>();
		failed.promise.catch(() => {});
		let left = count;
		const startNext = () => {
			if (left-- <= 0) return;
			const child = start(typeof command === "function" ? command() : command, failed.reject);
			children.push(child);
			if (parallel < count) child.once("exit", startNext);
		};
		for (let index = 0; index < parallel; index++) startNext();
		const timeout = setTimeout(() => failed.reject(new Error("A process gave no answer")), answerTimeoutMs);
		try {
			const answeredAt = await Promise.race([answered, failed.promise]);
			return { polledMs: (await polled) - started, answeredMs: answeredAt - started };
		} finally {
			clearTimeout(timeout);
			await Promise.all(children.map(end));
		}
	}

	#reach(count: number, listen: (done: () => void) => void): Promise<number> {
		const { promise, resolve } = Promise.withResolvers<number>();
		let left = count;
		listen(() => {
			if (--left === 0) resolve(performance.now());
		});
		return promise;
	}

	close(): void {
		this.#server.close();
		this.#server.closeAllConnections();
	}
}

function start({ program, words, env }: Command, fail: (error: Error) => void): ChildProcess {
	const child = spawn(program, words, { stdio: ["ignore", "ignore", "pipe"], ...(env && { env }) });
	let complaint = "";
	child.stderr?.setEncoding("utf8").on("data", (text: string) => {
		complaint = (complaint + text).slice(-2_000);
	});
	child.once("error", fail);
	child.once("exit", (code) => {
		if (code) fail(new Error(`${program} ${words[0] ?? ""} ended (${code}): ${complaint}`));
	});
	return child;
}

/** Gives it a moment to end by itself, as a container does that has to be taken down. */
async function end(child: ChildProcess): Promise<void> {
	if (child.exitCode !== null || child.signalCode !== null) return;
	const exited = once(child, "exit");
	const timer = setTimeout(() => child.kill("SIGKILL"), child.spawnargs.includes("run") ? 5_000 : 0);
	await exited;
	clearTimeout(timer);
}
