/** The daemon's life: lock, secrets, port, parts, reap, ready; then drain and dispose in the opposite order. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import { type Ids, randomIds } from "../base/ids.ts";
import { Lifetime } from "../base/lifetime.ts";
import type { Log } from "../base/log.ts";
import type { LockRecord } from "../client/local.ts";
import type { Config } from "./config/config.ts";
import { loadSecrets, type Secrets } from "./config/secrets.ts";
import { trimWhenIdle } from "./idle-memory.ts";
import { type Front, type Fronts, type Listener, type ListenerOptions, startListener } from "./listener.ts";
import { takeLock } from "./lock.ts";

/** Everything behind the port. Made by wiring.ts; tests bring their own. */
export interface System extends AsyncDisposable {
	readonly fronts: Fronts;
	/** "crun 1.8.1" */
	readonly runtime: string;
	/** Things of an earlier process that were removed from the machine. */
	readonly reaped: number;
	/** Has ready again what an earlier process was asked to keep ready or running; before anything is served. */
	resume(): void;
	/** Answers to an ACME server's challenges (RFC 8555, 8.3). */
	readonly challenge?: ListenerOptions["challenge"];
	/** Of services and own domains, for the gateway's TLS port. */
	readonly certificateFor?: NonNullable<ListenerOptions["tls"]>["certificateFor"];
}

export interface WireInput {
	config: Config;
	secrets: Secrets;
	accountId: string;
	/** `host:port` as clients of this machine write it in image references. */
	registryHost: string;
	url: string;
	/** The same for services' clients: of the gateway's own port, where it has one. */
	gatewayUrl: string;
	startedMs: number;
	version: string;
	/** Aborted when the daemon begins to stop: streams without an end must end then. */
	closing: AbortSignal;
	clock: Clock;
	ids: Ids;
	log: Log;
}

export type Wire = (input: WireInput) => Promise<System>;

export interface DaemonOptions {
	config: Config;
	version: string;
	wire: Wire;
	clock: Clock;
	ids?: Ids;
	log: Log;
}

export interface Daemon {
	readonly address: string;
	readonly url: string;
	readonly runtime: string;
	readonly secrets: Secrets;
	/** Requests in flight finish first, for `config.drainMs` at most or until `hurry` aborts. Idempotent. */
	stop(hurry?: AbortSignal): Promise<void>;
}

/** Uploads in progress and the like; nothing in it outlives a process. */
export const temporaryFolder = "tmp";

/** Rejects with everything undone again when any step fails. */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
	const { log } = options;
	const lifetime = new Lifetime();
	try {
		const closing = new AbortController();
		const { listener, gateways, system, secrets } = await start(options, lifetime, closing.signal);
		let stopped: Promise<void> | undefined;
		const stop = async (hurry: AbortSignal | undefined) => {
			closing.abort();
			const { drainMs } = options.config;
			log.info("Stopping", { openRequests: listener.openRequests, drainMs });
			const limit = AbortSignal.timeout(drainMs);
			const signal = hurry ? AbortSignal.any([limit, hurry]) : limit;
			const counts = await Promise.all([listener, ...gateways].map((each) => each.close(signal)));
			const cut = counts.reduce((sum, count) => sum + count, 0);
			if (cut > 0) log.warn("Requests were cut off", { requests: cut });
			await lifetime[Symbol.asyncDispose]();
			log.info("Stopped");
		};
		return {
			address: listener.address,
			url: listener.url,
			runtime: system.runtime,
			secrets,
			stop: (hurry) => {
				stopped ??= stop(hurry);
				return stopped;
			},
		};
	} catch (error) {
		await lifetime[Symbol.asyncDispose]().catch((second: unknown) => log.error("Clean-up failed", { error: second }));
		throw error;
	}
}

async function start(options: DaemonOptions, lifetime: Lifetime, closing: AbortSignal) {
	const { config, version, clock, log } = options;
	const { host, port } = config.listen;
	const address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
	const { region, accountId = "" } = config;
	const record: LockRecord = {
		pid: process.pid,
		startedMs: clock.now(),
		version,
		address,
		url: "",
		region,
		accountId,
	};
	const lock = lifetime.use(takeLock(config.home, record));
	await rm(join(config.home, temporaryFolder), { recursive: true, force: true });
	const secrets = await loadSecrets(config, clock.now());
	let serving: System | undefined;
	// The port is taken before anything is touched: it is the likeliest refusal, and image names need the real port.
	const listener = await startListener({
		fronts: frontsWhenReady(() => serving?.fronts),
		listen: config.listen,
		tls: secrets.tls,
		ready: () => serving !== undefined && !closing.aborted,
		log,
	});
	lifetime.defer(() => listener.close(AbortSignal.abort()));
	const gateways = await startGatewayListeners(options, () => serving, closing, lifetime);
	const gatewayUrl = gateways.at(-1)?.url ?? listener.url;
	const input = { ...wireInput(options, secrets, listener, record, closing), gatewayUrl };
	const system = lifetime.use(await options.wire(input));
	const { reaped } = system;
	if (reaped > 0) log.info("Removed what an earlier daemon left", { reaped });
	system.resume();
	serving = system;
	lifetime.use(trimWhenIdle(clock, () => listener.requests));
	lock.update({ ...record, address: listener.address, url: listener.url, accountId: input.accountId });
	log.info("Ready", { address: listener.address, home: config.home, runtime: system.runtime, version });
	return { listener, gateways, system, secrets };
}

/** The ports for services alone, as far as they are asked for; the one whose URL services have is the last. */
async function startGatewayListeners(
	{ config: { gateway }, log }: DaemonOptions,
	current: () => System | undefined,
	closing: AbortSignal,
	lifetime: Lifetime,
): Promise<Listener[]> {
	const common = {
		fronts: frontsWhenReady(() => current()?.fronts),
		gatewayOnly: true,
		challenge: (host: string, token: string) => current()?.challenge?.(host, token),
		ready: () => current() !== undefined && !closing.aborted,
		log,
	};
	const listeners: Listener[] = [];
	const start = async (options: Pick<ListenerOptions, "listen" | "tls">) => {
		const listener = await startListener({ ...common, ...options });
		lifetime.defer(() => listener.close(AbortSignal.abort()));
		listeners.push(listener);
	};
	if (gateway.listen) await start({ listen: gateway.listen });
	if (gateway.tlsListen)
		await start({
			listen: gateway.tlsListen,
			tls: { certificateFor: (servername) => current()?.certificateFor?.(servername) },
		});
	return listeners;
}

function wireInput(
	{ config, version, clock, ids = randomIds, log }: DaemonOptions,
	secrets: Secrets,
	listener: Listener,
	record: LockRecord,
	closing: AbortSignal,
): Omit<WireInput, "gatewayUrl"> {
	return {
		config,
		secrets,
		accountId: config.accountId ?? secrets.credentials.accountId,
		registryHost: new URL(listener.url).host,
		url: listener.url,
		startedMs: record.startedMs,
		version,
		closing,
		clock,
		ids,
		log,
	};
}

function frontsWhenReady(current: () => Fronts | undefined): Fronts {
	const when =
		(name: "aws" | "registry" | "api" | "cloudEvents" | "functionUrl"): Front =>
		(request, response) => {
			const fronts = current();
			if (fronts) return fronts[name](request, response);
			response.writeHead(503, { "retry-after": "1", "content-type": "application/json" });
			response.end('{"error":"The daemon is starting"}\n');
		};
	return {
		aws: when("aws"),
		registry: when("registry"),
		api: when("api"),
		cloudEvents: when("cloudEvents"),
		functionUrl: when("functionUrl"),
		get knative() {
			return current()?.knative;
		},
		get identity() {
			return current()?.identity;
		},
		get gateway() {
			return current()?.gateway;
		},
	};
}
