/** Environment -> validated configuration. Secrets are read later and kept apart (secrets.ts). */
import { isIP } from "node:net";
import { SlipwayError } from "../../base/error.ts";
import type { LogLevel } from "../../base/log.ts";
import { defaultHome } from "../../client/local.ts";
import { parseEnvironment, variables } from "./env.ts";
import { parseTracing, type TracingConfig } from "./tracing.ts";

export interface Config {
	/** Absolute path of the one folder that holds all state. */
	home: string;
	listen: Address;
	/** PEM files. */
	tls: { certPath: string; keyPath: string } | undefined;
	region: string;
	/** Undefined: the one made at first start. */
	accountId: string | undefined;
	/** Further registry names, lower case. */
	registryHosts: readonly string[];
	idleTimeoutMs: number;
	freezeDelayMs: number;
	maxSandboxes: number;
	sandboxMaxAgeMs: number;
	spares: { maxCreated: number; maxInitialized: number; keepMs: number };
	accountConcurrency: number;
	/** Milliseconds before a failed asynchronous invocation's first retry. */
	asyncRetryMs: number;
	/** Sandboxes that one function may add in 10 seconds. */
	scalingRate: number;
	/** Bytes a second. */
	streamRate: number;
	logGroupMaxBytes: number;
	logLevel: LogLevel;
	logMaxBytes: number;
	runtime: "auto" | "crun" | "runc";
	egress: boolean;
	/** Lower case; the first is that of URLs. */
	domains: readonly string[];
	/** Where services and routes answer, besides `listen`. */
	gateway: { listen: Address | undefined; tlsListen: Address | undefined };
	acme: { email: string | undefined; directory: string; caPath: string | undefined };
	/** Of our loopback. */
	hostPorts: readonly number[];
	project: string;
	drainMs: number;
	layers: { maxBytes: number; maxEntries: number; maxRatio: number };
	importMaxBytes: number;
	uploadTtlMs: number;
	/** Undefined: no spans. */
	tracing: TracingConfig | undefined;
	/** Sentences for the log. */
	warnings: readonly string[];
}

export interface Address {
	host: string;
	port: number;
}

/** What the defaults depend on. */
export interface Machine {
	root: boolean;
	userHome: string;
	memoryBytes: number;
}

export const defaultListen = { host: "127.0.0.1", port: 4747 };

const MiB = 2 ** 20;
const GiB = 2 ** 30;

/** INVALID, with every problem in the message, so that one round of corrections is enough. */
export function parseConfig(env: Readonly<Record<string, string | undefined>>, machine: Machine): Config {
	const { values, problems, warnings } = parseEnvironment(env);
	const certPath = values.SLIPWAY_TLS_CERT;
	const keyPath = values.SLIPWAY_TLS_KEY;
	if ((certPath === undefined) !== (keyPath === undefined))
		problems.push(
			`${certPath === undefined ? "SLIPWAY_TLS_KEY" : "SLIPWAY_TLS_CERT"} is set alone: TLS needs the certificate and its key`,
		);
	const tracing = parseTracing(env, problems, warnings);
	if (problems.length > 0)
		throw new SlipwayError("INVALID", `The configuration is not valid\n${problems.map((p) => `  ${p}`).join("\n")}`, {
			hint: "`slipway help config` lists every variable with its rule and default",
		});
	const listen = values.SLIPWAY_LISTEN ?? defaultListen;
	const tls = certPath !== undefined && keyPath !== undefined ? { certPath, keyPath } : undefined;
	requireClosed(listen.host, tls !== undefined, values.SLIPWAY_INSECURE ?? false);
	return {
		home: values.SLIPWAY_HOME ?? defaultHome(machine),
		listen,
		tls,
		region: values.SLIPWAY_REGION ?? "us-east-1",
		accountId: values.SLIPWAY_ACCOUNT_ID,
		registryHosts: values.SLIPWAY_REGISTRY_HOSTS ?? [],
		idleTimeoutMs: (values.SLIPWAY_IDLE_TIMEOUT ?? 600) * 1000,
		// Later than the next event of a client that calls back to back.
		freezeDelayMs: values.SLIPWAY_FREEZE_DELAY ?? 10,
		maxSandboxes: values.SLIPWAY_MAX_SANDBOXES ?? sandboxesThatFit(machine.memoryBytes),
		sandboxMaxAgeMs: (values.SLIPWAY_SANDBOX_MAX_AGE ?? 4 * 3600) * 1000,
		spares: {
			maxCreated: values.SLIPWAY_SPARES ?? 16,
			maxInitialized: values.SLIPWAY_INITIALIZED_SPARES ?? 8,
			keepMs: (values.SLIPWAY_SPARE_TIMEOUT ?? 900) * 1000,
		},
		accountConcurrency: values.SLIPWAY_ACCOUNT_CONCURRENCY ?? 1000,
		asyncRetryMs: (values.SLIPWAY_ASYNC_RETRY_DELAY ?? 60) * 1000,
		scalingRate: values.SLIPWAY_SCALING_RATE ?? 1000,
		streamRate: values.SLIPWAY_STREAM_RATE ?? 2 * MiB,
		logGroupMaxBytes: values.SLIPWAY_LOG_GROUP_MAX_SIZE ?? 256 * MiB,
		logLevel: values.SLIPWAY_LOG_LEVEL ?? "info",
		logMaxBytes: values.SLIPWAY_LOG_MAX_SIZE ?? 10 * MiB,
		runtime: values.SLIPWAY_RUNTIME ?? "auto",
		egress: values.SLIPWAY_EGRESS ?? true,
		domains: values.SLIPWAY_DOMAINS ?? ["localhost"],
		gateway: { listen: values.SLIPWAY_GATEWAY_LISTEN, tlsListen: values.SLIPWAY_GATEWAY_TLS_LISTEN },
		acme: {
			email: values.SLIPWAY_ACME_EMAIL,
			directory: values.SLIPWAY_ACME_DIRECTORY ?? variables.SLIPWAY_ACME_DIRECTORY.default,
			caPath: values.SLIPWAY_ACME_CA,
		},
		hostPorts: values.SLIPWAY_HOST_PORTS ?? [],
		project: values.SLIPWAY_PROJECT ?? "slipway",
		drainMs: (values.SLIPWAY_DRAIN_TIMEOUT ?? 30) * 1000,
		layers: {
			maxBytes: values.SLIPWAY_LAYER_MAX_SIZE ?? 10 * GiB,
			maxEntries: values.SLIPWAY_LAYER_MAX_ENTRIES ?? 1_000_000,
			maxRatio: values.SLIPWAY_LAYER_MAX_RATIO ?? 200,
		},
		importMaxBytes: values.SLIPWAY_IMPORT_MAX_SIZE ?? 20 * GiB,
		uploadTtlMs: (values.SLIPWAY_UPLOAD_TTL ?? 86_400) * 1000,
		tracing,
		warnings,
	};
}

export function isLoopback(host: string): boolean {
	if (host === "localhost") return true;
	return isIP(host) === 4 ? host.startsWith("127.") : /^(0*:)+0*1$|^::ffff:127\./i.test(host);
}

/** Closed by default: nothing but loopback without encryption, unless the operator says so in so many words. */
function requireClosed(host: string, tls: boolean, insecure: boolean): void {
	if (tls || insecure || isLoopback(host)) return;
	throw new SlipwayError("INVALID", `SLIPWAY_LISTEN is '${host}', which other machines can reach, and TLS is not set`, {
		reason: "InsecureListen",
		hint:
			"Give a certificate (--tls-cert FILE --tls-key FILE, or SLIPWAY_TLS_CERT and SLIPWAY_TLS_KEY), or accept that keys and " +
			"payloads cross the network in clear (--insecure, or SLIPWAY_INSECURE=1)",
	});
}

/** 128 MiB is Lambda's smallest function; a tenth of a machine's memory and more stays for the daemon and the page cache. */
function sandboxesThatFit(memoryBytes: number): number {
	return Math.min(1000, Math.max(8, Math.floor((memoryBytes * 0.8) / (128 * MiB))));
}
