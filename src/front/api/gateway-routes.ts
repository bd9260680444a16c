import { hostSchema, manifestSchema, resourceNameSchema } from "../../client/service-schema.ts";
import type { Domain } from "../../core/gateway-route/gateway-route.ts";
import type { ApiWorkloads } from "./ports.ts";
import { type Route, route } from "./route.ts";

const params = { name: resourceNameSchema.describe("Route's name") };
const domainParams = { host: hostSchema.describe("Host name") };

type Workloads = Pick<ApiWorkloads, "gatewayRoutes" | "certificates">;

export function gatewayRouteRoutes({ gatewayRoutes: routes, certificates }: Workloads): Route[] {
	return [
		route({
			id: "listRoutes",
			method: "GET",
			path: "/gateway-routes",
			summary: "The gateway's routes by name",
			answer: { kind: "json", status: 200, component: "GatewayRouteList" },
			handle: async () => ({ routes: routes.list() }),
		}),
		route({
			id: "applyRoute",
			method: "POST",
			path: "/gateway-routes",
			summary: "Create or replace a route: hosts, and rules by method and path to services and functions",
			body: { kind: "json", component: "Manifest" },
			input: manifestSchema,
			answer: { kind: "json", status: 200, component: "GatewayRoute" },
			handle: ({ input }) => routes.apply(input),
		}),
		route({
			id: "getRoute",
			method: "GET",
			path: "/gateway-routes/{name}",
			summary: "One route",
			params,
			answer: { kind: "json", status: 200, component: "GatewayRoute" },
			handle: async ({ params }) => routes.get(params.name!),
		}),
		route({
			id: "deleteRoute",
			method: "DELETE",
			path: "/gateway-routes/{name}",
			summary: "Delete a route that no domain names",
			params,
			answer: { kind: "none", status: 204 },
			handle: ({ params }) => routes.delete(params.name!),
		}),
		...domainRoutes(routes, certificates),
		route({
			id: "getDevelopmentAuthority",
			method: "GET",
			path: "/development-authority",
			summary: "The certificate of the authority that signs this installation's development certificates",
			answer: { kind: "json", status: 200, component: "DevelopmentAuthority" },
			handle: async () => {
				const { authority } = certificates;
				const [certificate, instructions] = [await authority.certificate(), await authority.instructions()];
				return { path: authority.certificatePath, certificate, instructions };
			},
		}),
	];
}

function domainRoutes(routes: ApiWorkloads["gatewayRoutes"], certificates: ApiWorkloads["certificates"]): Route[] {
	const view = (domain: Domain) => ({ ...domain, ...stateOf(certificates, domain) });
	return [
		route({
			id: "listDomains",
			method: "GET",
			path: "/domains",
			summary: "Own domains by name",
			answer: { kind: "json", status: 200, component: "DomainList" },
			handle: async () => ({ domains: routes.listDomains().map(view) }),
		}),
		route({
			id: "applyDomain",
			method: "POST",
			path: "/domains",
			summary: "Give a domain to a service or a route, with its certificate",
			body: { kind: "json", component: "Manifest" },
			input: manifestSchema,
			answer: { kind: "json", status: 200, component: "Domain" },
			handle: ({ input }) => routes.applyDomain(input),
		}),
		route({
			id: "getDomain",
			method: "GET",
			path: "/domains/{host}",
			summary: "One domain",
			params: domainParams,
			answer: { kind: "json", status: 200, component: "Domain" },
			handle: async ({ params }) => view(routes.getDomain(params.host!)),
		}),
		route({
			id: "deleteDomain",
			method: "DELETE",
			path: "/domains/{host}",
			summary: "Take a domain away",
			params: domainParams,
			answer: { kind: "none", status: 204 },
			handle: ({ params }) => routes.deleteDomain(params.host!),
		}),
	];
}

/** A certificate that is on its way has no state yet, but for "pending". */
function stateOf(certificates: ApiWorkloads["certificates"], { host, tls }: Domain): { certificate?: object } {
	if (tls === "none") return {};
	const { untilMs, problem, retryAtMs } = certificates.state(host) ?? {};
	return {
		certificate: {
			state: untilMs !== undefined ? "issued" : problem !== undefined ? "failed" : "pending",
			...(untilMs !== undefined && { until: new Date(untilMs).toISOString() }),
			...(problem !== undefined && { problem }),
			...(retryAtMs !== undefined && { retryAt: new Date(retryAtMs).toISOString() }),
		},
	};
}
