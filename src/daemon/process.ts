/** One operating system process around one daemon: configuration in, signals in, banner or report out. */
import { join } from "node:path";
import { systemClock } from "../base/clock.ts";
import { isSlipwayError, SlipwayError } from "../base/error.ts";
import { jsonLog, type Log } from "../base/log.ts";
import { daemonLogFile } from "../client/local.ts";
import { version } from "../client/version.ts";
import { type Config, parseConfig } from "./config/config.ts";
import { processEnvironment, thisMachine } from "./config/process.ts";
import { type Daemon, startDaemon, type Wire } from "./daemon.ts";
import { LogFile } from "./log-file.ts";
import { enterMountNamespace, inOwnMountNamespace } from "./namespace.ts";

/** What `slipway up --detach` reads from the daemon's standard output, one JSON line. */
export type StartReport =
	| { ready: true; pid: number; address: string; url: string; home: string; runtime: string }
	| { ready: false; message: string; hint?: string };

export interface ProcessOptions {
	wire: Wire;
	/** False in tests of the process alone. */
	needsRoot?: boolean;
}

/**
 * Runs until a signal ends it. `--detached`: the log goes to HOME/daemon.log and standard output gets a StartReport instead
 * of a banner. Exit codes: 0 stopped by a signal, 1 failed.
 */
export async function runDaemonProcess({ wire, needsRoot = true }: ProcessOptions): Promise<void> {
	const args = process.argv.slice(2);
	const detached = args.includes("--detached");
	try {
		const config = parseConfig(processEnvironment, thisMachine());
		if (needsRoot) {
			if (!thisMachine().root)
				throw new SlipwayError("FORBIDDEN", "The daemon needs root to run functions in containers", {
					hint: "Start it with `sudo slipway up`, or as root in a virtual machine of its own",
				});
			if (!inOwnMountNamespace(args)) enterMountNamespace(args, processEnvironment);
		}
		await run(config, wire, detached);
	} catch (error) {
		process.exitCode = 1;
		reportFailure(error, detached);
	}
}

async function run(config: Config, wire: Wire, detached: boolean): Promise<void> {
	using output = detached ? new DetachedLog(config) : new TerminalLog();
	const log = jsonLog((line) => output.write(line), config.logLevel);
	const stop = stopRequests(log);
	const daemon = await startDaemon({ config, version, wire, clock: systemClock, log });
	for (const warning of config.warnings) log.warn(warning);
	process.stdout.write(detached ? `${JSON.stringify(report(config, daemon))}\n` : banner(config, daemon));
	await stop.first;
	await daemon.stop(stop.second);
}

/** Opened at the first line, which comes after the daemon has made the folder and taken its lock. */
class DetachedLog implements Disposable {
	readonly #config: Config;
	#file: LogFile | undefined;
	constructor(config: Config) {
		this.#config = config;
	}
	write(line: string): void {
		this.#file ??= new LogFile(join(this.#config.home, daemonLogFile), this.#config.logMaxBytes);
		this.#file.write(line);
	}
	[Symbol.dispose](): void {
		this.#file?.[Symbol.dispose]();
	}
}

class TerminalLog implements Disposable {
	write(line: string): void {
		process.stderr.write(line);
	}
	[Symbol.dispose](): void {}
}

/** First and second request to stop: SIGTERM, SIGINT, or an error that nobody caught, which leaves the state unknown. */
function stopRequests(log: Log): { first: Promise<void>; second: AbortSignal } {
	const first = Promise.withResolvers<void>();
	const hurry = new AbortController();
	let asked = false;
	const ask = (why: string) => {
		if (asked) hurry.abort(new Error(why));
		asked = true;
		first.resolve();
	};
	for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => ask(signal));
	process.on("SIGHUP", () => log.info("Ignored SIGHUP: the terminal is gone, the daemon stays"));
	for (const event of ["uncaughtException", "unhandledRejection"] as const)
		process.on(event, (error: unknown) => {
			log.error("An error that nobody handled: stopping", { event, error });
			process.exitCode = 1;
			ask(event);
			hurry.abort(new Error(event));
		});
	// Whoever read our output may go away; there is nobody left to tell.
	for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
	return { first: first.promise, second: hurry.signal };
}

function report(config: Config, daemon: Daemon): StartReport {
	const { address, url, runtime } = daemon;
	return { ready: true, pid: process.pid, address, url, home: config.home, runtime };
}

function banner(config: Config, daemon: Daemon): string {
	return `Slipway ${version} is up
  address   ${daemon.url}
  home      ${config.home}
  runtime   ${daemon.runtime}
  account   ${config.accountId ?? daemon.secrets.credentials.accountId}, region ${config.region}

In another terminal:
  eval "$(slipway env)"            settings for the aws cli, SDKs and docker
  slipway status                   what runs here
  slipway help                     everything else
Ctrl-C stops it.
`;
}

function reportFailure(error: unknown, detached: boolean): void {
	const known = isSlipwayError(error);
	const message = known ? error.message : `Internal error: ${error instanceof Error ? error.stack : error}`;
	const hint = known ? error.hint : undefined;
	if (detached) process.stdout.write(`${JSON.stringify({ ready: false, message, hint } satisfies StartReport)}\n`);
	else process.stderr.write(`slipway: ${message}\n${hint ? `hint: ${hint}\n` : ""}`);
}
