import { SlipwayError } from "../../base/error.ts";
import {
	corsOf,
	type Domain,
	defaultPath,
	type GatewayRoute,
	type RouteCors,
	type RouteRule,
} from "./gateway-route.ts";
import { parseRoutePattern } from "./route-pattern.ts";
import { type FoundRule, RouteTree } from "./route-tree.ts";

/** A rule with the document that it stands in. The same object for as long as the document is not changed. */
export interface TableRule {
	route: GatewayRoute;
	rule: RouteRule;
	cors: RouteCors | undefined;
}

/** Rules and domains by host, made once for each change: nothing is compiled while a request waits. */
export class RouteTable {
	readonly #trees = new Map<string, RouteTree<TableRule>>();
	readonly #domains = new Map<string, Domain>();
	/** Hosts with rules that leave other names below the same domain to their services. */
	readonly #own: ReadonlySet<string>;

	/** `ownHosts`: that are nobody's but the routes', such as api.localhost. CONFLICT for two rules of the same host, method and path. */
	constructor(entries: readonly RouteEntry[], domains: readonly Domain[], ownHosts: readonly string[] = []) {
		this.#own = new Set([...ownHosts, ...domains.map(({ host }) => host)]);
		const byRoute = new Map<string, string[]>();
		for (const domain of domains) {
			this.#domains.set(domain.host, domain);
			if (domain.route !== undefined) byRoute.set(domain.route, [...(byRoute.get(domain.route) ?? []), domain.host]);
		}
		for (const { route, rules } of entries)
			for (const host of new Set([...route.hosts, ...(byRoute.get(route.name) ?? [])]))
				for (const rule of rules) this.#add(host, rule);
	}

	#add(host: string, entry: TableRule): void {
		const { rule, route } = entry;
		const tree = this.#trees.get(host) ?? new RouteTree<TableRule>();
		this.#trees.set(host, tree);
		const pattern = rule.path === defaultPath ? undefined : parseRoutePattern(rule.path);
		if (pattern && "problem" in pattern)
			throw new SlipwayError("INVALID", `A rule's path has to be ${pattern.problem}`);
		const other = pattern ? tree.add(rule.method, pattern, entry) : tree.setDefault(entry);
		if (!other) return;
		const what = rule.path === defaultPath ? defaultPath : `${rule.method} ${rule.path}`;
		throw new SlipwayError(
			"CONFLICT",
			`${host} has two rules for ${what}: of route '${route.name}' and of route '${other.route.name}'`,
			{
				reason: "RouteConflict",
				hint: "Remove one of them, or give it another host, method or path",
			},
		);
	}

	owns(host: string): boolean {
		return this.#look(this.#trees, host) !== undefined || this.#look(this.#domains, host) !== undefined;
	}

	/** Whether any rule is for the host: then its paths are worth a look. */
	hasRules(host: string): boolean {
		return this.#look(this.#trees, host) !== undefined;
	}

	/** No service can have this name: what no rule is for is nowhere. */
	isOwnHost(host: string): boolean {
		return this.#own.has(host) || wildcardsOf(host).some((wildcard) => this.#own.has(wildcard));
	}

	rule(host: string, method: string, segments: readonly string[]): FoundRule<TableRule> | undefined {
		return this.#look(this.#trees, host)?.find(method, segments);
	}

	domain(host: string): Domain | undefined {
		return this.#look(this.#domains, host);
	}

	/** The name itself, then the nearest wildcard. */
	#look<T>(map: ReadonlyMap<string, T>, host: string): T | undefined {
		const exact = map.get(host);
		if (exact !== undefined || map.size === 0) return exact;
		for (const wildcard of wildcardsOf(host)) {
			const found = map.get(wildcard);
			if (found !== undefined) return found;
		}
		return undefined;
	}
}

export interface RouteEntry {
	route: GatewayRoute;
	rules: readonly TableRule[];
}

export function routeEntry(route: GatewayRoute): RouteEntry {
	return { route, rules: route.rules.map((rule) => ({ route, rule, cors: corsOf(route, rule) })) };
}

/** Labels of the longest name that there can be (RFC 1035 2.3.4). */
const maxLabels = 128;

/** `*.b.c`, `*.c` for `a.b.c`. */
function wildcardsOf(host: string): string[] {
	const labels = host.split(".", maxLabels);
	return labels.slice(1).map((_, at) => `*.${labels.slice(at + 1).join(".")}`);
}
