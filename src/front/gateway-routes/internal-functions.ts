/** Functions by their own names, for containers of ours: http://NAME.internal, where no service has the name. */
import type { TableRule } from "../../core/gateway-route/route-table.ts";
import type { ServiceRoutes } from "../../core/service/traffic.ts";
import { serviceHost } from "../gateway/host.ts";
import type { RouteMatch, RouteMatcher, RouteRequest } from "../gateway/ports.ts";
import { type FunctionTargetOptions, FunctionTargets } from "./function-target.ts";

export interface InternalFunctionsOptions extends FunctionTargetOptions {
	services: ServiceRoutes;
	/** engine/functions' `FunctionRecords` fits. */
	records: { find(name: string): { name: string } | undefined; all(): Iterable<{ name: string }> };
}

const domains = ["internal"];
/** As long as a function may run (lambda-contract 1.7): who calls by name has no gateway's 30 s. */
const timeoutMs = 900_000;

/** `routes` come first. */
export function withInternalFunctions(routes: RouteMatcher, options: InternalFunctionsOptions): RouteMatcher {
	const targets = new FunctionTargets(options);
	const match = ({ host, path }: RouteRequest): RouteMatch | undefined => {
		const named = serviceHost(host, domains);
		if (named === undefined || named === "outside" || named.namespace !== "default") return undefined;
		const name = functionNamed(options.records, named.label);
		if (name === undefined || hasService(options.services, named)) return undefined;
		const entry: TableRule = {
			route: { name: `function ${name}`, hosts: [host], rules: [] },
			rule: { method: "ANY", path: "$default", target: { function: name }, timeoutMs },
			cors: undefined,
		};
		return {
			kind: "handled",
			route: entry.route.name,
			handle: (request, response, context) =>
				targets.handle(entry, undefined, { path, parameters: {} }, request, response, context),
		};
	};
	return {
		owns: (host) => routes.owns(host),
		match: (request) => routes.match(request) ?? (request.internal ? match(request) : undefined),
	};
}

/** Hosts have no upper case, as functions' names may. */
function functionNamed(records: InternalFunctionsOptions["records"], label: string): string | undefined {
	const exact = records.find(label);
	if (exact) return exact.name;
	for (const { name } of records.all()) if (name.toLowerCase() === label) return name;
	return undefined;
}

function hasService(
	services: ServiceRoutes,
	{ label, service, tag }: { label: string; service: string; tag: string | undefined },
): boolean {
	return (
		services.find("default", service, tag) !== undefined ||
		(tag !== undefined && services.find("default", label, undefined) !== undefined)
	);
}
