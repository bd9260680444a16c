/** From a host and a path to a service. */
import type { ServiceRoute } from "../../core/service/traffic.ts";
import type { Gateway } from "./gateway-front.ts";
import { serviceHost } from "./host.ts";
import type { GatewayRequest, Guard, RouteMatch } from "./ports.ts";
import type { Refusal } from "./refusal.ts";

export interface FoundService {
	kind: "service";
	route: ServiceRoute;
	/** The route as it is now: it may have changed while a request waited. */
	find(): ServiceRoute | undefined;
	routeName: string | undefined;
	/** With the query. */
	rewrite: string | undefined;
	guard: Guard | undefined;
}

type Handled = Extract<RouteMatch, { kind: "handled" }>;

export function findRoute(gateway: Gateway, given: string, request: GatewayRequest): FoundService | Handled | Refusal {
	const host = gateway.hostOf(given);
	if (host === undefined) return { status: 400, error: "The Host header is not a host's name", failure: "refused" };
	const url = request.url ?? "/";
	const query = url.indexOf("?");
	const path = query < 0 ? url : url.slice(0, query);
	const { internal } = gateway;
	const match = gateway.custom?.match({ host, method: request.method ?? "GET", path, internal });
	if (match?.kind === "handled") return match;
	if (match) {
		const { namespace, service, tag, route: routeName, rewritePath, guard, exposes = false } = match;
		const rewrite = rewritePath === undefined ? undefined : rewritePath + (query < 0 ? "" : url.slice(query));
		return found(gateway, () => gateway.routes.find(namespace, service, tag), service, exposes, {
			routeName,
			rewrite,
			guard,
		});
	}
	const own = serviceHost(host, gateway.domains);
	if (own === "outside" && gateway.custom?.owns(host)) return noRule(host, request.method, path);
	if (own === "outside" || own === undefined) return unknown(gateway, host);
	const { namespace, service, tag, label } = own;
	const find = () =>
		gateway.routes.find(namespace, service, tag) ??
		(tag === undefined ? undefined : gateway.routes.find(namespace, label, undefined));
	const name = tag === undefined ? service : `${service}' with the tag '${tag}`;
	return found(gateway, find, namespace === "default" ? name : `${name}' in the namespace '${namespace}`, false);
}

function found(
	gateway: Gateway,
	find: FoundService["find"],
	name: string,
	exposes: boolean,
	rest: Pick<FoundService, "routeName" | "rewrite" | "guard"> = {
		routeName: undefined,
		rewrite: undefined,
		guard: undefined,
	},
): FoundService | Refusal {
	const route = find();
	// From outside an internal service is as if it were not there (Cloud Run's ingress "internal").
	if (route === undefined || (route.ingress === "internal" && !gateway.internal && !exposes))
		return {
			status: 404,
			error: `There is no service '${name}' here`,
			hint: "`slipway service ls` lists those that there are",
			failure: "not-found",
		};
	return { kind: "service", route, find, ...rest };
}

function noRule(host: string, method: string | undefined, path: string): Refusal {
	return {
		status: 404,
		error: `No rule of ${host}'s routes is for ${method} ${path.slice(0, 200)}`,
		hint: "`slipway route ls` lists the routes",
		failure: "not-found",
	};
}

function unknown({ domains }: Gateway, host: string): Refusal {
	return {
		status: 404,
		error: `No service or route has the host '${host.slice(0, 100)}'`,
		hint: `A service's is NAME.${domains[0]} or NAME.NAMESPACE.${domains[0]}; \`slipway service ls\` lists them`,
		failure: "not-found",
	};
}
