import { SlipwayError } from "../../base/error.ts";
import type { Domain, GatewayRoute, JsonSchema } from "../../core/gateway-route/gateway-route.ts";
import { readDomain } from "../../core/gateway-route/read-domain.ts";
import { readGatewayRoute } from "../../core/gateway-route/read-route.ts";
import { type RouteEntry, RouteTable, routeEntry } from "../../core/gateway-route/route-table.ts";
import type { ResourceChange, ResourceStore } from "../../core/resource/resource-store.ts";

export const routeKind = "gateway-route";
export const domainKind = "domain";
/** Documents of each kind; the table is made anew for each change of one. */
const maxDocuments = 1000;

export interface GatewayRoutesOptions {
	store: ResourceStore;
	/** Whose rules those are that name no host: "api.localhost". */
	gatewayHost: string;
	/** Hosts that no domain may take: the daemon's own, such as "localhost". */
	reservedHosts?: readonly string[];
	/** The reason why a JSON Schema can't be used, if it can't. */
	schemaProblem: (schema: JsonSchema) => Promise<string | undefined> | string | undefined;
	/** Certificates are wanted, or not any more. */
	onDomains?: (domains: readonly Domain[]) => void;
}

/**
 * What people declare of routes and domains. Accepted means: on the disk, and what the next request is matched with. One
 * change after the other; a refused one changes nothing.
 */
export class GatewayRoutes {
	readonly #options: GatewayRoutesOptions;
	readonly #entries = new Map<string, RouteEntry>();
	readonly #domains = new Map<string, Domain>();
	#table: RouteTable;
	#last: Promise<unknown> = Promise.resolve();

	/** Reads what is stored. */
	static async open(options: GatewayRoutesOptions): Promise<GatewayRoutes> {
		const routes = new GatewayRoutes(options);
		for (const { name, document } of await options.store.list(routeKind))
			routes.#entries.set(name, routeEntry(document as GatewayRoute));
		for (const { name, document } of await options.store.list(domainKind))
			routes.#domains.set(name, document as Domain);
		routes.#table = routes.#tableOf(routes.#entries, routes.#domains);
		options.onDomains?.(routes.listDomains());
		return routes;
	}

	private constructor(options: GatewayRoutesOptions) {
		this.#options = options;
		this.#table = new RouteTable([], [], [options.gatewayHost]);
	}

	/** What requests are matched with now. Asked for each request: never changed, but another after a change. */
	get table(): RouteTable {
		return this.#table;
	}

	/** Makes or replaces the route of this name. INVALID (each field's error names the field, the value and what is allowed), CONFLICT (reason "RouteConflict"), EXHAUSTED. */
	async apply(document: unknown): Promise<GatewayRoute> {
		const route = readGatewayRoute(document, this.#options.gatewayHost);
		await this.#checkSchemas(route);
		return this.#change(async () => {
			const before = this.#entries.get(route.name);
			if (before && JSON.stringify(before.route) === JSON.stringify(route)) return before.route;
			const entries = new Map(this.#entries).set(route.name, routeEntry(route));
			this.#requireRoom(entries.size, "routes");
			const table = this.#tableOf(entries, this.#domains);
			await this.#commit({ change: "put", kind: routeKind, namespace: "", name: route.name, document: route });
			this.#entries.set(route.name, entries.get(route.name)!);
			this.#table = table;
			return route;
		});
	}

	/** NOT_FOUND. */
	get(name: string): GatewayRoute {
		const entry = this.#entries.get(name);
		if (!entry)
			throw new SlipwayError("NOT_FOUND", `There is no route '${name}'`, { hint: "`slipway route ls` shows all" });
		return entry.route;
	}

	/** By name. */
	list(): GatewayRoute[] {
		return [...this.#entries.values()].map(({ route }) => route).sort((a, b) => (a.name < b.name ? -1 : 1));
	}

	/** NOT_FOUND; CONFLICT while a domain names it. */
	delete(name: string): Promise<void> {
		return this.#change(async () => {
			this.get(name);
			const user = [...this.#domains.values()].find(({ route }) => route === name);
			if (user) throw new SlipwayError("CONFLICT", `The domain ${user.host} is of route '${name}'; remove it first`);
			const entries = new Map(this.#entries);
			entries.delete(name);
			await this.#commit({ change: "delete", kind: routeKind, namespace: "", name });
			this.#entries.delete(name);
			this.#table = this.#tableOf(entries, this.#domains);
		});
	}

	/** Makes or replaces the domain of this host. INVALID; NOT_FOUND for a route that is not there; CONFLICT for a host that is the daemon's own, or rules that would meet; EXHAUSTED. */
	async applyDomain(document: unknown): Promise<Domain> {
		const domain = readDomain(document);
		return this.#change(async () => {
			const { host, route } = domain;
			const own = [this.#options.gatewayHost, ...(this.#options.reservedHosts ?? [])];
			if (own.includes(host)) throw new SlipwayError("CONFLICT", `${host} is the installation's own host`);
			if (route !== undefined) this.get(route);
			const domains = new Map(this.#domains).set(host, domain);
			this.#requireRoom(domains.size, "domains");
			const table = this.#tableOf(this.#entries, domains);
			await this.#commit({ change: "put", kind: domainKind, namespace: "", name: host, document: domain });
			this.#setDomains(domains, table);
			return domain;
		});
	}

	/** NOT_FOUND. */
	getDomain(host: string): Domain {
		const domain = this.#domains.get(host.toLowerCase());
		if (!domain) throw new SlipwayError("NOT_FOUND", `There is no domain '${host}'`);
		return domain;
	}

	/** By host. */
	listDomains(): Domain[] {
		return [...this.#domains.values()].sort((a, b) => (a.host < b.host ? -1 : 1));
	}

	/** NOT_FOUND. */
	deleteDomain(host: string): Promise<void> {
		return this.#change(async () => {
			const { host: name } = this.getDomain(host);
			const domains = new Map(this.#domains);
			domains.delete(name);
			await this.#commit({ change: "delete", kind: domainKind, namespace: "", name });
			this.#setDomains(domains, this.#tableOf(this.#entries, domains));
		});
	}

	#setDomains(domains: ReadonlyMap<string, Domain>, table: RouteTable): void {
		this.#domains.clear();
		for (const [host, domain] of domains) this.#domains.set(host, domain);
		this.#table = table;
		this.#options.onDomains?.(this.listDomains());
	}

	#tableOf(entries: ReadonlyMap<string, RouteEntry>, domains: ReadonlyMap<string, Domain>): RouteTable {
		return new RouteTable([...entries.values()], [...domains.values()], [this.#options.gatewayHost]);
	}

	#requireRoom(count: number, what: string): void {
		if (count <= maxDocuments) return;
		throw new SlipwayError("EXHAUSTED", `There can be at most ${maxDocuments} ${what}`);
	}

	async #checkSchemas(route: GatewayRoute): Promise<void> {
		for (const [at, { schema = {} }] of route.rules.entries())
			for (const part of ["body", "query", "headers"] as const) {
				const given = schema[part];
				const problem = given === undefined ? undefined : await this.#options.schemaProblem(given);
				if (problem === undefined) continue;
				throw new SlipwayError(
					"INVALID",
					`validation failed: invalid value: rules[${at}].schema.${part}\nmust be a JSON Schema: ${problem}`,
					{ reason: "Invalid" },
				);
			}
	}

	#commit(change: ResourceChange): Promise<void> {
		return this.#options.store.commit([change]);
	}

	#change<T>(task: () => Promise<T>): Promise<T> {
		const done = this.#last.then(task);
		this.#last = done.catch(() => {});
		return done;
	}
}
