import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type LocalCredentials, readCredentials, readRunningDaemon } from "../src/client/local.ts";

const program = join(import.meta.dirname, "..", "bin", "slipway");

/** A first start makes keys and probes the machine with a container. */
const startTimeoutMs = 60_000;
const pollMs = 20;
/** Longer than the daemon's own drain time (30 s). */
const stopTimeoutMs = 45_000;

/** A daemon that answers on this machine, and what a client of it needs. */
export interface LocalDaemon extends AsyncDisposable {
	home: string;
	url: string;
	/** `host:port`, the registry's name in image references. */
	registry: string;
	credentials: LocalCredentials;
	region: string;
	/** Environment for the aws CLI and SDKs. */
	awsEnv: NodeJS.ProcessEnv;
	pid: number;
	/** Undefined when the daemon was running already. */
	process: ChildProcess | undefined;
	roleArn: string;
}

export interface StartOptions {
	/** A temporary folder that goes away again, when not given. */
	home?: string;
	/** Port 0 takes a free one. */
	listen?: string;
	env?: Record<string, string>;
	/** Its log's lines: to this process's standard error, nowhere, or to an open file. */
	log?: "inherit" | "ignore" | number;
	/** A command that runs the one behind it, such as `prlimit --nofile=64`. */
	prefix?: readonly string[];
}

export function defaultHome(): string {
	return process.env.SLIPWAY_HOME ?? (process.getuid?.() === 0 ? "/var/lib/slipway" : join(homedir(), ".slipway"));
}

/** The daemon that owns `home` now, if one is running and listens. */
export function runningDaemon(home: string): LocalDaemon | undefined {
	const record = readRunningDaemon(home);
	const credentials = readCredentials(home);
	if (record === undefined || record.url === "" || credentials === undefined) return undefined;
	return describe(home, record.url, record.pid, credentials, undefined);
}

/** Starts a daemon as `slipway up` does and waits until it listens. Disposing it stops it, and removes a temporary home. */
export async function startDaemon(options: StartOptions = {}): Promise<LocalDaemon> {
	const home = options.home ?? (await mkdtemp(join(tmpdir(), "slipway-home-")));
	const { NODE_EXTRA_CA_CERTS: _, ...inherited } = process.env;
	const env = { ...inherited, SLIPWAY_HOME: home, SLIPWAY_LISTEN: options.listen ?? "127.0.0.1:0", ...options.env };
	const output = options.log ?? "ignore";
	const [command = program, ...args] = [...(options.prefix ?? []), program, "up"];
	const child = spawn(command, args, { env, stdio: ["ignore", output, output === "ignore" ? "pipe" : output] });
	let complaint = "";
	child.stderr?.setEncoding("utf8").on("data", (text: string) => {
		complaint = (complaint + text).slice(-4_000);
	});
	let ended: string | undefined;
	child.on("error", (error) => {
		ended = error.message;
	});
	child.on("exit", (code, signal) => {
		ended = `it ended (${code ?? signal})`;
	});
	for (const until = performance.now() + startTimeoutMs; performance.now() < until; await sleep(pollMs)) {
		if (ended !== undefined) break;
		const record = readRunningDaemon(home);
		const credentials = readCredentials(home);
		if (!record?.url || !credentials) continue;
		return describe(home, record.url, record.pid, credentials, { child, temporary: options.home === undefined });
	}
	child.kill("SIGKILL");
	throw new Error(`slipway up did not start: ${ended ?? `no answer within ${startTimeoutMs / 1000} s`}\n${complaint}`);
}

function describe(
	home: string,
	url: string,
	pid: number,
	credentials: LocalCredentials,
	started: { child: ChildProcess; temporary: boolean } | undefined,
): LocalDaemon {
	const region = process.env.SLIPWAY_REGION ?? "us-east-1";
	return {
		home,
		url,
		registry: new URL(url).host,
		credentials,
		region,
		pid,
		process: started?.child,
		roleArn: `arn:aws:iam::${credentials.accountId}:role/lambda-execution-role`,
		awsEnv: {
			...process.env,
			AWS_ENDPOINT_URL: url,
			AWS_REGION: region,
			AWS_DEFAULT_REGION: region,
			AWS_ACCESS_KEY_ID: credentials.accessKeyId,
			AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
			AWS_PAGER: "",
		},
		async [Symbol.asyncDispose]() {
			if (started === undefined) return;
			await stop(started.child);
			if (started.temporary) await rm(home, { recursive: true, force: true });
		},
	};
}

async function stop(child: ChildProcess): Promise<void> {
	if (child.exitCode !== null || child.signalCode !== null) return;
	const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
	child.kill("SIGTERM");
	const timer = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMs);
	await exited;
	clearTimeout(timer);
}
