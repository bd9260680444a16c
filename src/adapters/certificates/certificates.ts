import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { createSecureContext, type SecureContext } from "node:tls";
import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import type { DomainTls } from "../../core/gateway-route/gateway-route.ts";
import { isServerName } from "../../core/gateway-route/host-name.ts";
import { AcmeAuthority, AcmeError, type AcmeSettings } from "./acme-authority.ts";
import { DevelopmentAuthority } from "./development-authority.ts";
import { readPair, writePair } from "./files.ts";
import { renewAtMs, retryMs } from "./renewal.ts";
import { type KeyPair, validityOf } from "./x509.ts";

export interface CertificatesOptions {
	/** Below the daemon's home; private. */
	folder: string;
	/** How a server name gets its certificate: of its domain, or "dev" for the installation's own names; undefined or "none": not at all. */
	tlsOf: (servername: string) => CertificateRule | undefined;
	/** Absent: domains with "acme" get no certificate, and the log says so. */
	acme?: AcmeSettings;
	/** The machine's name. */
	machine: string;
	clock: Clock;
	log: Log;
	/** 0 to 1. */
	random?: () => number;
}

export interface CertificateRule {
	tls: DomainTls;
	/** Whose certificate it is: the domain's host, `*.example.com` for all names below it. */
	host: string;
}

/** What there is for a host now. Wall clock, milliseconds. */
export interface CertificateState {
	/** Absent: there is none yet. */
	untilMs?: number;
	/** Why the last try failed, and when the next one is. */
	problem?: string;
	retryAtMs?: number;
}

interface Entry {
	context: SecureContext | undefined;
	/** Wall clock: the next look whether it is to be made, renewed or read again. */
	dueAtMs: number;
	notAfterMs: number;
	working: Promise<void> | undefined;
	failures: number;
	/** Of the last try. */
	problem: string | undefined;
	/** Of files: what they were read as. */
	stamp: string;
	rule: CertificateRule;
}

/** Names that there may be certificates for at a time; the one that was asked for longest ago goes. */
const maxEntries = 2000;
/** Milliseconds between two looks at files that somebody else renews. */
const fileLookMs = 60_000;
/** Milliseconds that a handshake waits for its certificate: an order takes some seconds, and clients do not wait for long. */
const handshakeMs = 15_000;
/** Milliseconds between two rounds over the domains whose certificates are got and renewed without being asked for: the shortest retry. */
const roundMs = 60_000;

/** Certificates by server name: given ones, those of the installation's own authority, and a public one's by ACME. */
export class Certificates implements Disposable {
	readonly authority: DevelopmentAuthority;
	readonly #options: CertificatesOptions;
	readonly #acme: AcmeAuthority | undefined;
	/** By the certificate's host, in order of last use. */
	readonly #entries = new Map<string, Entry>();
	#cancelRound: () => void = () => {};
	#closed = false;

	constructor(options: CertificatesOptions) {
		this.#options = options;
		this.authority = new DevelopmentAuthority(join(options.folder, "development"), options.machine, () =>
			options.clock.now(),
		);
		this.#acme = options.acme && new AcmeAuthority(join(options.folder, "acme"), options.acme);
		this.#planRound();
	}

	/** http-01 (RFC 8555, 8.3), for the gateway. */
	challenge = (host: string, token: string): string | undefined => this.#acme?.challenge(host, token);

	/** At once: undefined when there is none yet; what is missing or to be renewed is made in the background. */
	certificateFor = (servername: string): SecureContext | undefined => {
		const entry = this.#entry(servername);
		if (!entry) return undefined;
		const now = this.#options.clock.now();
		if (now >= entry.dueAtMs) void this.#work(entry);
		return entry.context !== undefined && now < entry.notAfterMs ? entry.context : undefined;
	};

	/** The same, and waits a while for one that is being made. Never rejects. */
	async issue(servername: string): Promise<SecureContext | undefined> {
		const found = this.certificateFor(servername);
		const working = found ? undefined : this.#entry(servername)?.working;
		if (!working) return found;
		const late = Promise.withResolvers<void>();
		const cancel = this.#options.clock.after(handshakeMs, () => late.resolve());
		await Promise.race([working, late.promise]);
		cancel();
		return this.certificateFor(servername);
	}

	/** Of a domain's host, `*.example.com` included. Undefined: it is to have none, or nobody has asked for it yet. */
	state(host: string): CertificateState | undefined {
		const entry = this.#entries.get(host);
		if (!entry) return undefined;
		return {
			...(entry.context && { untilMs: entry.notAfterMs }),
			...(entry.problem !== undefined && { problem: entry.problem, retryAtMs: entry.dueAtMs }),
		};
	}

	/** Domains that are to have theirs before anybody asks. */
	ensure(hosts: readonly string[]): void {
		for (const host of hosts) this.certificateFor(nameOf(host));
	}

	[Symbol.dispose](): void {
		this.#closed = true;
		this.#cancelRound();
	}

	#entry(servername: string): Entry | undefined {
		const name = servername.toLowerCase().replace(/\.$/, "");
		if (!isServerName(name)) return undefined;
		const rule = this.#options.tlsOf(name);
		if (!rule || rule.tls === "none") return undefined;
		const before = this.#entries.get(rule.host);
		const same = before && JSON.stringify(before.rule.tls) === JSON.stringify(rule.tls);
		const entry = same
			? before
			: {
					context: undefined,
					dueAtMs: 0,
					notAfterMs: 0,
					working: undefined,
					failures: 0,
					problem: undefined,
					stamp: "",
					rule,
				};
		this.#entries.delete(rule.host);
		this.#entries.set(rule.host, entry);
		if (this.#entries.size > maxEntries) {
			const [oldest] = this.#entries.keys();
			if (oldest !== undefined) this.#entries.delete(oldest);
		}
		return entry;
	}

	#work(entry: Entry): Promise<void> {
		entry.working ??= this.#renew(entry).finally(() => {
			entry.working = undefined;
		});
		return entry.working;
	}

	/** A failure keeps what there is. */
	async #renew(entry: Entry): Promise<void> {
		const { clock, log, random = Math.random } = this.#options;
		const { rule } = entry;
		try {
			if (typeof rule.tls === "object") await this.#read(entry, rule.tls);
			else await this.#obtain(entry);
			entry.failures = 0;
			entry.problem = undefined;
		} catch (error) {
			entry.failures++;
			entry.problem = error instanceof Error ? error.message : String(error);
			const rateLimited = error instanceof AcmeError && error.rateLimited;
			const waitMs = rule.tls === "acme" ? retryMs(entry.failures, rateLimited, random()) : fileLookMs;
			entry.dueAtMs = clock.now() + waitMs;
			const kept = entry.context === undefined ? undefined : new Date(entry.notAfterMs).toISOString();
			log.error("A host's certificate could not be had", {
				host: rule.host,
				keptUntil: kept,
				retryInMs: Math.round(waitMs),
				error,
			});
		}
	}

	async #read(entry: Entry, files: { cert: string; key: string }): Promise<void> {
		const stamp = (await Promise.all([stat(files.cert), stat(files.key)]))
			.map(({ mtimeMs, size }) => `${mtimeMs} ${size}`)
			.join();
		if (stamp !== entry.stamp) {
			const [cert, key] = await Promise.all([readFile(files.cert, "utf8"), readFile(files.key, "utf8")]);
			this.#use(entry, { cert, key });
			entry.stamp = stamp;
		}
		entry.dueAtMs = this.#options.clock.now() + fileLookMs;
	}

	async #obtain(entry: Entry): Promise<void> {
		const { clock, log, random = Math.random } = this.#options;
		const { tls, host } = entry.rule;
		const plan = ({ cert }: KeyPair) => renewAtMs(validityOf(cert), random());
		if (tls === "dev") {
			// In memory alone: making one takes 3 ms.
			const made = await this.authority.leaf(host);
			this.#use(entry, made);
			entry.dueAtMs = plan(made);
			return;
		}
		const path = join(this.#options.folder, "acme", "hosts", `${host}.pem`);
		const kept = entry.context ? undefined : await readPair(path);
		if (kept && validityOf(kept.cert).notAfterMs > clock.now()) {
			this.#use(entry, kept);
			entry.dueAtMs = plan(kept);
			if (clock.now() < entry.dueAtMs) return;
		}
		const made = await this.#fromAcme(host);
		// Before it is used: an authority counts what it gives out.
		await writePair(path, made);
		this.#use(entry, made);
		entry.dueAtMs = plan(made);
		log.info("A certificate was issued", { host, until: new Date(entry.notAfterMs).toISOString() });
	}

	#fromAcme(host: string): Promise<KeyPair> {
		if (!this.#acme) throw new Error("No ACME authority is set up for this installation");
		return this.#acme.issue(host);
	}

	/** Throws for a key that is another certificate's, with what was used before still in use. */
	#use(entry: Entry, { cert, key }: KeyPair): void {
		entry.context = createSecureContext({ cert, key, minVersion: "TLSv1.2" });
		entry.notAfterMs = validityOf(cert).notAfterMs;
	}

	#planRound(): void {
		this.#cancelRound = this.#options.clock.after(roundMs, () => {
			if (this.#closed) return;
			// Of a copy: being looked at moves an entry to the end.
			for (const [host, { rule }] of [...this.#entries]) {
				// What was taken away, or is another's now, is asked for no more.
				const now = this.#options.tlsOf(nameOf(host));
				if (now?.host !== host) this.#entries.delete(host);
				else if (rule.tls === "acme") this.certificateFor(nameOf(host));
			}
			this.#planRound();
		});
	}
}

/** A name that the certificate is for. */
function nameOf(host: string): string {
	return host.replace(/^\*\./, "any.");
}
