/** A function that tells this process of each event as soon as it has it, over a connection to the machine. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { pushFiles } from "../tests/e2e/function-image.ts";
import { Sink } from "../tests/faults/events/sink.ts";
import { type LocalDaemon, startDaemon } from "../tools/local-daemon.ts";
import { accepted, awsRequest } from "./aws-request.ts";
import { HttpConnection } from "./http-connection.ts";

const run = promisify(execFile);
const source = join(import.meta.dirname, "..", "tests", "faults", "events", "sink", "bootstrap.c");
const activeTimeoutMs = 60_000;

/** Text of an event, and `performance.now()` and `Date.now()` when the function told of it. */
export type Told = (text: string, at: { monotonic: number; wall: number }) => void;

/** A daemon with the function "tell". */
export class TellingFunction implements AsyncDisposable {
	readonly daemon: LocalDaemon;
	readonly #sink: Sink;
	/** Replaced by whoever wants to know. */
	onTold: Told = () => {};

	private constructor(daemon: LocalDaemon, sink: Sink) {
		this.daemon = daemon;
		this.#sink = sink;
	}

	static async open(): Promise<TellingFunction> {
		let made: TellingFunction | undefined;
		const sink = await Sink.open(({ text }) => {
			made?.onTold(text, { monotonic: performance.now(), wall: Date.now() });
			return { isError: false, answer: "{}" };
		});
		const daemon = await startDaemon({ env: { SLIPWAY_HOST_PORTS: String(sink.port) } });
		made = new TellingFunction(daemon, sink);
		await made.#create();
		return made;
	}

	get arn(): string {
		return `arn:aws:lambda:${this.daemon.region}:${this.daemon.credentials.accountId}:function:tell`;
	}

	/** Signed; resolves with the answer's body. */
	async call(service: string, method: string, path: string, input: unknown): Promise<unknown> {
		const connection = await HttpConnection.open(this.daemon.url);
		const body = input === undefined ? "" : JSON.stringify(input);
		const answer = await connection.send(awsRequest(this.daemon, { service, method, path, body }));
		connection.close();
		return accepted(answer);
	}

	async #create(): Promise<void> {
		const folder = await mkdtemp(join(tmpdir(), "slipway-bench-"));
		const program = join(folder, "bootstrap");
		await run("gcc", ["-static", "-O2", "-D_GNU_SOURCE", "-o", program, source]);
		const files = { bootstrap: await readFile(program) };
		const image = await pushFiles(this.daemon, "tell", files, { Entrypoint: ["/bootstrap"] });
		await rm(folder, { recursive: true });
		const functions = "/2015-03-31/functions";
		await this.call("lambda", "POST", functions, {
			FunctionName: "tell",
			Role: this.daemon.roleArn,
			PackageType: "Image",
			Code: { ImageUri: image },
			Timeout: 10,
			Environment: { Variables: { SINK_PORT: String(this.#sink.port) } },
		});
		for (const until = performance.now() + activeTimeoutMs; ; ) {
			const { State } = (await this.call("lambda", "GET", `${functions}/tell/configuration`, undefined)) as {
				State: string;
			};
			if (State === "Active") return;
			if (performance.now() > until) throw new Error(`The function is ${State}`);
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.daemon[Symbol.asyncDispose]();
		await this.#sink[Symbol.asyncDispose]();
	}
}
