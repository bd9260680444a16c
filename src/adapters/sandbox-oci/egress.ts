import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import type { Clock } from "../../base/clock.ts";
import { fromSystemError, SlipwayError } from "../../base/error.ts";
import { Lifetime } from "../../base/lifetime.ts";
import type { Log } from "../../base/log.ts";
import { DnsForwarder } from "./dns-forwarder.ts";
import { INTERFACE_MARK, nftRuleset } from "./egress-rules.ts";
import { formatAddress, formatRange, type Ipv4Range, overlap, parseRange } from "./ipv4.ts";
import type { KernelThread } from "./kernel-thread.ts";
import { runTool } from "./tool.ts";

export interface EgressOptions {
	/** Eight hexadecimal digits that tell our interfaces and tables from those of another state folder. */
	hash: string;
	subnet?: string;
	thread: KernelThread;
	clock: Clock;
	log: Log;
}

/** One sandbox's way out: a veth pair, its host end named by its number. */
export interface EgressLink {
	number: number;
	name: string;
}

/**
 * Ranges that homes, clouds and container engines rarely use; the first one that no route of the host touches is ours. The many
 * of the second line are for a machine with many daemons, each with a range.
 */
const CANDIDATES = [
	...["10.213.0.0/16", "10.87.0.0/16", "172.29.0.0/16", "100.100.0.0/16", "198.18.0.0/16"],
	...Array.from({ length: 32 }, (_, index) => `10.${214 + index}.0.0/16`),
];
/** Each link has four addresses: network, host, sandbox, broadcast. */
const LINK_ADDRESSES = 4;
/**
 * The kernel removes a link with its network namespace, in the background and many at once, mostly within 0.1 s. A
 * connection with bytes that nobody takes keeps its namespace for minutes: then we remove the link ourselves.
 */
const LEAVE_MS = 1_000;
const NETWORK_INTERFACES = "/sys/class/net";
const IP_FORWARD = "/proc/sys/net/ipv4/ip_forward";

/** The way out of sandboxes that may have one: veth pairs, NAT, a packet filter and name resolution. */
export class Egress implements AsyncDisposable {
	/** What goes into a sandbox's /etc/resolv.conf. */
	readonly resolvConf: string;
	readonly #prefix: string;
	readonly #subnet: Ipv4Range;
	readonly #lifetime: Lifetime;
	readonly #thread: KernelThread;
	readonly #clock: Clock;
	readonly #log: Log;
	/** The longest unused first: what is still under way to a link's last sandbox must not reach the next one. */
	readonly #free: number[] = [];
	/** Link 0 is kept for the name server's address. */
	#next = 1;
	/** Links given up, and when: their numbers are used again when they are gone. */
	readonly #leaving = new Map<EgressLink, number>();
	#cancelLook: (() => void) | undefined;

	/** Sets the host up. UNAVAILABLE, with a hint, when a tool or a part of the kernel is missing. */
	static async open(options: EgressOptions): Promise<Egress> {
		const lifetime = new Lifetime();
		try {
			await removeEgressLeftovers(options.hash, options.thread);
			const subnet = await chooseSubnet(options.subnet);
			const prefix = interfacePrefix(options.hash);
			enableForwarding(options.log);
			const names = hostNameServers();
			const dnsAddress = names.usable.length === 0 && names.local ? formatAddress(subnet.base + 1) : undefined;
			const table = `slipway-${options.hash}`;
			await runTool(
				"nft",
				["-f", "-"],
				nftRuleset({ table, interfacePrefix: prefix, subnet, ...(dnsAddress ? { dnsAddress } : {}) }),
			);
			lifetime.defer(() => runTool("nft", ["delete", "table", "inet", table]));
			await acceptInIptables(prefix, lifetime, options.log);
			if (dnsAddress && names.local) await openDns(`${prefix}dns`, dnsAddress, names.local, options, lifetime);
			const servers = dnsAddress ? [dnsAddress] : names.usable;
			const resolvConf = [...servers.map((server) => `nameserver ${server}`), ...names.rest, ""].join("\n");
			options.log.info("Sandboxes with egress use NAT", { subnet: formatRange(subnet), table, nameservers: servers });
			return new Egress(options, subnet, resolvConf, lifetime);
		} catch (error) {
			await lifetime[Symbol.asyncDispose]();
			throw error;
		}
	}

	private constructor(options: EgressOptions, subnet: Ipv4Range, resolvConf: string, lifetime: Lifetime) {
		this.#prefix = interfacePrefix(options.hash);
		this.#thread = options.thread;
		this.#clock = options.clock;
		this.#log = options.log;
		this.#subnet = subnet;
		this.resolvConf = resolvConf;
		this.#lifetime = lifetime;
	}

	/** Connects the network namespace bound to `path`. EXHAUSTED when the range is used up. */
	async connect(path: string): Promise<EgressLink> {
		const capacity = 2 ** (32 - this.#subnet.bits) / LINK_ADDRESSES;
		const number = this.#next < capacity ? this.#next++ : this.#free.shift();
		if (number === undefined)
			throw new SlipwayError("EXHAUSTED", `All addresses of ${formatRange(this.#subnet)} are in use`, {
				hint: "Configure a larger egress subnet",
			});
		const link = { number, name: `${this.#prefix}${number.toString(36)}` };
		const base = this.#subnet.base + number * LINK_ADDRESSES;
		try {
			await this.#thread.run("makeLink", { path, name: link.name, host: base + 1, inside: base + 2 });
			return link;
		} catch (error) {
			this.disconnect(link);
			const known = fromSystemError(error, "connecting a sandbox to the outside");
			if (known !== error) throw known;
			throw new SlipwayError("SANDBOX_FAILED", "Could not connect a sandbox to the outside", { cause: error });
		}
	}

	/** To be called when the link's network namespace is about to end: that is what removes it. */
	disconnect(link: EgressLink): void {
		this.#leaving.set(link, this.#clock.monotonic());
		this.#lookLater();
	}

	#lookLater(): void {
		this.#cancelLook ??= this.#clock.after(LEAVE_MS, () => {
			this.#cancelLook = undefined;
			this.#removeOlderThan(LEAVE_MS)
				.catch((error: unknown) => this.#log.warn("Could not remove links of sandboxes; will try again", { error }))
				.finally(() => {
					if (this.#leaving.size > 0) this.#lookLater();
				});
		});
	}

	/** Notes which links are gone, and removes those that should be: at once, because the kernel waits 20 ms for any number. */
	async #removeOlderThan(ms: number): Promise<void> {
		const now = this.#clock.monotonic();
		this.#noteGone();
		const late = [...this.#leaving].filter(([, since]) => now - since >= ms).map(([link]) => link.name);
		if (late.length === 0) return;
		await this.#thread.run("deleteLinks", { names: late });
		this.#noteGone();
	}

	#noteGone(): void {
		const there = new Set(readdirSync(NETWORK_INTERFACES));
		for (const link of this.#leaving.keys())
			if (!there.has(link.name)) {
				this.#leaving.delete(link);
				this.#free.push(link.number);
			}
	}

	/** Resolves when every link given up so far is gone. */
	settled(): Promise<void> {
		return this.#removeOlderThan(0);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		try {
			await this.settled();
		} finally {
			this.#cancelLook?.();
			await this.#lifetime[Symbol.asyncDispose]();
		}
	}
}

/** Removes interfaces, packet filter and iptables rules that an earlier process with this hash left. Returns how many interfaces. */
export async function removeEgressLeftovers(hash: string, thread: KernelThread): Promise<number> {
	const prefix = interfacePrefix(hash);
	const names = readdirSync(NETWORK_INTERFACES).filter((name) => name.startsWith(prefix));
	if (names.length > 0) await thread.run("deleteLinks", { names });
	const table = `slipway-${hash}`;
	const tables = await runTool("nft", ["list", "tables"]).catch(() => "");
	if (tables.includes(`inet ${table}\n`)) await runTool("nft", ["delete", "table", "inet", table]);
	await removeIptablesRules(prefix);
	return names.length;
}

async function removeIptablesRules(prefix: string): Promise<void> {
	const rules = await runTool("iptables", ["-w", "-S"]).catch(() => "");
	for (const rule of rules.split("\n").filter((line) => line.startsWith("-A ") && line.includes(` ${prefix}+ `)))
		await runTool("iptables", ["-w", "-D", ...rule.split(" ").slice(1)]);
}

/** 15 characters are all that an interface's name may have: 3 of mark, 5 of hash, up to 4 of number. */
export function interfacePrefix(hash: string): string {
	return `${INTERFACE_MARK}${hash.slice(0, 5)}`;
}

async function chooseSubnet(configured: string | undefined): Promise<Ipv4Range> {
	const routes = (await runTool("ip", ["-4", "route", "show", "table", "all"]))
		.split("\n")
		.flatMap((line) => parseRange(line.replace(/^(local|broadcast|unreachable|blackhole) /, "").split(" ")[0]!) ?? []);
	const isFree = (range: Ipv4Range) => !routes.some((route) => route.bits > 0 && overlap(route, range));
	if (configured !== undefined) {
		const range = parseRange(configured);
		if (!range || range.bits > 28)
			throw new SlipwayError("INVALID", `Egress subnet "${configured}" is not an IPv4 range of at least 16 addresses`);
		return range;
	}
	const range = CANDIDATES.map((text) => parseRange(text)!).find(isFree);
	if (!range)
		throw new SlipwayError("UNAVAILABLE", "Every range that sandboxes could use overlaps a route of this host", {
			hint: "Configure a free egress subnet",
		});
	return range;
}

function enableForwarding(log: Log): void {
	if (readFileSync(IP_FORWARD, "utf8").trim() === "1") return;
	writeFileSync(IP_FORWARD, "1");
	log.info("Switched IPv4 forwarding on (net.ipv4.ip_forward = 1), which sandboxes with egress need");
}

/** A container engine sets iptables' FORWARD policy to DROP; its own chain for others' rules comes first. */
async function acceptInIptables(prefix: string, lifetime: Lifetime, log: Log): Promise<void> {
	const forward = await runTool("iptables", ["-w", "-S"]).catch(() => undefined);
	if (forward === undefined || !/^-P FORWARD DROP$|^-N DOCKER-USER$/m.test(forward)) return;
	const chain = /^-N DOCKER-USER$/m.test(forward) ? "DOCKER-USER" : "FORWARD";
	const rules = [
		["-i", `${prefix}+`, "-j", "ACCEPT"],
		["-o", `${prefix}+`, "-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "ACCEPT"],
	];
	for (const rule of rules) {
		// A killed daemon may have left the same rule: then it stays the only one.
		const there = await runTool("iptables", ["-w", "-C", chain, ...rule]).then(
			() => true,
			() => false,
		);
		if (!there) await runTool("iptables", ["-w", "-I", chain, ...rule]);
		lifetime.defer(() => runTool("iptables", ["-w", "-D", chain, ...rule]));
	}
	log.info(`Added rules for sandboxes to iptables' chain ${chain}, because its FORWARD policy drops packets`);
}

/** The host's name servers: those a sandbox can reach by itself, and the first that only the host can. */
function hostNameServers(): { usable: string[]; local: string | undefined; rest: string[] } {
	const own = new Set(Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map((entry) => entry.address)));
	// Link-local ones, as clouds have, are the daemon's in a sandbox: only the host reaches the cloud's.
	const isLocal = (server: string) => server.startsWith("127.") || server.startsWith("169.254.") || own.has(server);
	// Behind systemd-resolved's stub on 127.0.0.53 the real servers are in a file of its own.
	for (const path of ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"]) {
		if (!existsSync(path)) continue;
		const lines = readFileSync(path, "utf8").split("\n");
		const servers = lines.flatMap((line) => /^nameserver\s+(\d+\.\d+\.\d+\.\d+)\s*$/.exec(line)?.[1] ?? []);
		const rest = lines.filter((line) => /^(search|domain|options)\s/.test(line));
		const usable = servers.filter((server) => !isLocal(server));
		if (usable.length > 0) return { usable, local: undefined, rest };
	}
	const lines = existsSync("/etc/resolv.conf") ? readFileSync("/etc/resolv.conf", "utf8") : "";
	return { usable: [], local: /^nameserver\s+(\d+\.\d+\.\d+\.\d+)\s*$/m.exec(lines)?.[1], rest: [] };
}

async function openDns(
	name: string,
	address: string,
	upstream: string,
	options: EgressOptions,
	lifetime: Lifetime,
): Promise<void> {
	await runTool(
		"ip",
		["-batch", "-"],
		`link add ${name} type dummy\naddr add ${address}/32 dev ${name}\nlink set ${name} up\n`,
	);
	lifetime.defer(() => options.thread.run("deleteLinks", { names: [name] }));
	lifetime.use(
		await DnsForwarder.open({ address, upstream: { host: upstream }, clock: options.clock, log: options.log }),
	);
}
