/** A real daemon between brokers: a function, a service and queues that tell what they got, and a home that outlives kills. */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { type LocalDaemon, startDaemon } from "../../tools/local-daemon.ts";
import { pushFiles } from "../e2e/function-image.ts";
import { slipway } from "../e2e/slipway.ts";
import { Api, accepted } from "../faults/events/api.ts";
import { Sink, type Verdict } from "../faults/events/sink.ts";

const run = promisify(execFile);
const activeTimeoutMs = 60_000;

/** A service in busybox: keeps each CloudEvent's body on its volume, and shows them to GET. */
const keeper = `#!/bin/busybox sh
read -r method rest
while read -r line; do
	line=$(printf %s "$line" | /bin/busybox tr -d '\\r')
	[ -z "$line" ] && break
	case $line in [Cc]ontent-[Ll]ength:*) length=\${line#*: } ;; esac
done
if [ "$method" = GET ]; then body=$(/bin/busybox cat /data/kept 2>/dev/null); else
	printf '%s\\n' "$(/bin/busybox head -c "\${length:-0}")" >>/data/kept
	body=
fi
printf 'HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: %s\\r\\n\\r\\n%s' "\${#body}" "$body"
`;

export interface WorldOptions {
	/** What the function answers to an event. */
	verdict: (text: string) => Verdict;
	/** Of the daemon: passwords by name. */
	env: Record<string, string>;
	secrets: Record<string, string>;
}

export class World implements AsyncDisposable {
	readonly home: string;
	readonly #env: Record<string, string>;
	readonly #sink: Sink;
	#daemon!: LocalDaemon;
	#api!: Api;
	#listen = "127.0.0.1:0";

	private constructor(home: string, env: Record<string, string>, sink: Sink) {
		this.home = home;
		this.#env = env;
		this.#sink = sink;
	}

	static async open({ verdict, env, secrets }: WorldOptions): Promise<World> {
		const home = await mkdtemp(join(tmpdir(), "slipway-brokers-"));
		const sink = await Sink.open(({ text }) => verdict(text));
		const world = new World(home, { ...env, SLIPWAY_HOST_PORTS: String(sink.port), SLIPWAY_EGRESS: "0" }, sink);
		try {
			await mkdir(join(home, "secrets"), { mode: 0o700 });
			for (const [name, value] of Object.entries(secrets))
				await writeFile(join(home, "secrets", name), `${value}\n`, { mode: 0o600 });
			await world.start();
			await world.#createFunction();
			await world.#createService();
			return world;
		} catch (error) {
			await world[Symbol.asyncDispose]();
			throw error;
		}
	}

	arn(service: string, resource: string): string {
		const { region, credentials } = this.#daemon;
		const vendor = service === "broker" || service === "run" ? "slipway" : "aws";
		return `arn:${vendor}:${service}:${region}:${credentials.accountId}:${resource}`;
	}

	/** `slipway WORDS…`: what it prints; throws when it fails. */
	async cli(words: readonly string[], input?: string): Promise<string> {
		const { code, out, err } = await slipway(this.home, words, input === undefined ? {} : { input });
		if (code !== 0) throw new Error(`slipway ${words.join(" ")}: ${err}`);
		return out;
	}

	/** An operation of the bus or of queues. */
	operation<T>(target: string, input: unknown): Promise<T> {
		return this.#api.operation<T>(target, input);
	}

	/** Bodies that the service has kept. */
	async kept(): Promise<string[]> {
		return (await this.cli(["service", "curl", "keeper"])).split("\n").filter((line) => line !== "");
	}

	/** Takes all that lies in a queue: the bodies. */
	async take(name: string): Promise<string[]> {
		const bodies: string[] = [];
		const QueueUrl = `${this.#daemon.url}/${this.#daemon.credentials.accountId}/${name}`;
		for (;;) {
			const input = { QueueUrl, MaxNumberOfMessages: 10 };
			const { Messages = [] } = await this.operation<{ Messages?: { Body: string; ReceiptHandle: string }[] }>(
				"AmazonSQS.ReceiveMessage",
				input,
			);
			if (Messages.length === 0) return bodies;
			for (const { Body, ReceiptHandle } of Messages) {
				await this.operation("AmazonSQS.DeleteMessage", { QueueUrl, ReceiptHandle });
				bodies.push(Body);
			}
		}
	}

	/** kill -9, and up again at the same address. */
	async restart(): Promise<void> {
		const child = this.#daemon.process;
		const exited = new Promise((resolve) => child?.once("exit", resolve));
		process.kill(this.#daemon.pid, "SIGKILL");
		await exited;
		await this.start();
	}

	async start(): Promise<void> {
		this.#daemon = await startDaemon({ home: this.home, listen: this.#listen, env: this.#env });
		this.#listen = new URL(this.#daemon.url).host;
		this.#api?.close();
		this.#api = new Api(this.#daemon);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#api?.close();
		await this.#daemon?.[Symbol.asyncDispose]();
		await this.#sink[Symbol.asyncDispose]();
		await rm(this.home, { recursive: true, force: true });
	}

	async #createFunction(): Promise<void> {
		const program = join(this.home, "sink-bootstrap");
		const source = join(import.meta.dirname, "../faults/events/sink/bootstrap.c");
		await run("gcc", ["-static", "-O2", "-D_GNU_SOURCE", "-o", program, source]);
		const files = { bootstrap: await readFile(program) };
		const image = await pushFiles(this.#daemon, "sink", files, { Entrypoint: ["/bootstrap"] });
		const functions = "/2015-03-31/functions";
		const input = {
			FunctionName: "sink",
			Role: this.#daemon.roleArn,
			PackageType: "Image",
			Code: { ImageUri: image },
			Timeout: 10,
			Environment: { Variables: { SINK_PORT: String(this.#sink.port) } },
		};
		accepted(await this.#api.call("POST", functions, input), "CreateFunction");
		for (const until = performance.now() + activeTimeoutMs; ; await sleep(50)) {
			const found = accepted(await this.#api.call("GET", `${functions}/sink`, undefined), "GetFunction");
			const { State } = (found as { Configuration: { State: string } }).Configuration;
			if (State === "Active") return;
			if (performance.now() > until) throw new Error(`The function is ${State}`);
		}
	}

	async #createService(): Promise<void> {
		const busybox = await readFile("/bin/busybox");
		const files = { "bin/busybox": busybox, "keeper.sh": keeper };
		const command = ["/bin/busybox", "nc", "-ll", "-p", "8080", "-e", "/keeper.sh"];
		const image = await pushFiles(this.#daemon, "keeper", files, { Entrypoint: command });
		const words = ["service", "deploy", image, "--name", "keeper", "--max-instances", "1"];
		await this.cli([...words, "--volume", "kept:/data"]);
	}
}
