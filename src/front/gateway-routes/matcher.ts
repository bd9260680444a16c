/** The gateway's RouteMatcher over what people declared: which rule a request is for, and who looks at it before its target does. */

import { anyMethod, type RouteTarget, routeKeyOf, type ServiceTarget } from "../../core/gateway-route/gateway-route.ts";
import { parseRequestPath } from "../../core/gateway-route/request-path.ts";
import type { RouteTable, TableRule } from "../../core/gateway-route/route-table.ts";
import type { RouteMatch, RouteMatcher, RouteRequest } from "../gateway/ports.ts";
import { gatewayError, sendAnswer } from "./answer.ts";
import { isPreflight, preflightAnswer } from "./cors.ts";
import { type FunctionTargetOptions, FunctionTargets } from "./function-target.ts";
import { type GuardOptions, RuleGuards } from "./rule-guard.ts";

export interface GatewayRoutesFrontOptions extends Omit<GuardOptions, "clock">, FunctionTargetOptions {
	/** engine/gateway-routes' `GatewayRoutes` fits: the table of now. */
	routes: { readonly table: RouteTable };
}

export function createRouteMatcher(options: GatewayRoutesFrontOptions): RouteMatcher {
	return new Matcher(options);
}

class Matcher implements RouteMatcher {
	readonly #options: GatewayRoutesFrontOptions;
	readonly #guards: RuleGuards;
	readonly #functions: FunctionTargets;

	constructor(options: GatewayRoutesFrontOptions) {
		this.#options = options;
		this.#guards = new RuleGuards(options);
		this.#functions = new FunctionTargets(options);
	}

	owns(host: string): boolean {
		const { table } = this.#options.routes;
		return table.owns(host) || table.isOwnHost(host);
	}

	match(request: RouteRequest): RouteMatch | undefined {
		const { table } = this.#options.routes;
		const { host } = request;
		if (table.hasRules(host)) {
			const path = parseRequestPath(request.path);
			// Also where a service answers what no rule is for: it may read the path as one of a rule.
			if ("refused" in path) return refusal(400, path.refused);
			const match = this.#byRule(table, request, path);
			if (match) return match;
		}
		const domain = table.domain(host);
		if (domain?.target) return service(domain.target, `domain ${domain.host}`);
		return table.isOwnHost(host) ? refusal(404, "Not Found") : undefined;
	}

	#byRule(table: RouteTable, request: RouteRequest, path: ParsedPath): RouteMatch | undefined {
		const { host, method } = request;
		const found = table.rule(host, method, path.segments);
		if (method === "OPTIONS" && !(found && found.value.rule.method === "OPTIONS")) {
			const preflight = this.#preflight(table, request, path, found?.value);
			if (preflight) return preflight;
		}
		if (!found) return undefined;
		const { rule } = found.value;
		if (rule.internal && !request.internal) return refusal(404, "Not Found");
		return this.#toTarget(found.value, found.parameters, path);
	}

	#toTarget(entry: TableRule, parameters: Readonly<Record<string, string>>, path: ParsedPath): RouteMatch {
		const { rule } = entry;
		const route = labelOf(entry);
		const { target } = rule;
		const guard = this.#guards.of(entry);
		if ("function" in target)
			return {
				kind: "handled",
				route,
				handle: (request, response, context) =>
					this.#functions.handle(entry, guard, { parameters, path: path.path }, request, response, context),
			};
		return {
			...service(target, route),
			rewritePath: rewritten(target, parameters) ?? path.path,
			exposes: true,
			...(guard && { guard: (request, response, context) => guard.check(request, response, context) }),
		};
	}

	/**
	 * OPTIONS where no rule is for it alone: whether the gateway answers is known only from the headers (Origin,
	 * Access-Control-Request-Method), and those name the method whose rule says what is allowed.
	 */
	#preflight(
		table: RouteTable,
		{ host, internal }: RouteRequest,
		{ segments, path }: ParsedPath,
		otherwise: TableRule | undefined,
	): RouteMatch | undefined {
		const corsOf = (method: string) => {
			const entry = table.rule(host, method, segments)?.value;
			return entry && (internal || !entry.rule.internal) ? entry.cors : undefined;
		};
		if (!preflightMethods.some((method) => corsOf(method))) return undefined;
		const beyond = otherwise && (internal || !otherwise.rule.internal) ? otherwise : undefined;
		const parameters = table.rule(host, "OPTIONS", segments)?.parameters ?? {};
		const onward = beyond && this.#toTarget(beyond, parameters, { segments, path });
		const answer: PreflightAnswer = (headers) => {
			const cors = isPreflight("OPTIONS", headers) && corsOf(String(headers["access-control-request-method"]));
			return cors ? preflightAnswer(cors, headers) : undefined;
		};
		return withPreflight(onward, answer);
	}
}

type ParsedPath = { path: string; segments: readonly string[] };
type Headers = Readonly<Record<string, string | string[] | undefined>>;
type PreflightAnswer = (headers: Headers) => ReturnType<typeof preflightAnswer> | undefined;

const preflightMethods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", anyMethod];

/** The preflight is answered here, all else goes on as it would have. */
function withPreflight(onward: RouteMatch | undefined, preflight: PreflightAnswer): RouteMatch {
	if (onward?.kind === "service") {
		const { guard } = onward;
		return {
			...onward,
			guard: (request, response, context) => {
				const answer = preflight(request.headers);
				if (!answer) return guard ? guard(request, response, context) : {};
				sendAnswer(response, answer);
				return "answered";
			},
		};
	}
	return {
		kind: "handled",
		...(onward?.route !== undefined && { route: onward.route }),
		handle: (request, response, context) => {
			const answer = preflight(request.headers);
			if (answer) return sendAnswer(response, answer);
			return onward ? onward.handle(request, response, context) : sendAnswer(response, gatewayError(404, "Not Found"));
		},
	};
}

function labelOf({ route, rule }: TableRule): string {
	return `${route.name} ${routeKeyOf(rule)}`;
}

function service({ namespace, service: name, tag }: ServiceTarget, route: string): RouteMatch & { kind: "service" } {
	return { kind: "service", namespace, service: name, ...(tag !== undefined && { tag }), route };
}

function refusal(status: number, message: string): RouteMatch {
	return { kind: "handled", handle: (_request, response) => sendAnswer(response, gatewayError(status, message)) };
}

/** The values are one segment each, so that none can add a segment of its own; a greedy one keeps its slashes. */
function rewritten(target: RouteTarget, parameters: Readonly<Record<string, string>>): string | undefined {
	if (!("service" in target) || target.path === undefined) return undefined;
	return target.path.replace(/\{([^{}+]+)\+?\}/g, (_all, name: string) =>
		(parameters[name] ?? "").split("/").map(encodeURIComponent).join("/"),
	);
}
