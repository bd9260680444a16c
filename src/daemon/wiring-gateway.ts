/** The gateway: services by their hosts, what people declared of routes and domains, and the certificates of these. */
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { Certificates } from "../adapters/certificates/certificates.ts";
import { SlipwayError } from "../base/error.ts";
import type { Lifetime } from "../base/lifetime.ts";
import { createForward } from "../contracts/http/proxy.ts";
import type { Domain } from "../core/gateway-route/gateway-route.ts";
import type { Invoke } from "../engine/dispatch/traced-dispatcher.ts";
import { GatewayRoutes } from "../engine/gateway-routes/gateway-routes.ts";
import { createGatewayFront } from "../front/gateway/gateway-front.ts";
import { createInternalServer, type InternalHosts } from "../front/gateway/internal-server.ts";
import { withInternalFunctions } from "../front/gateway-routes/internal-functions.ts";
import { createRouteMatcher } from "../front/gateway-routes/matcher.ts";
import { schemaProblem } from "../front/gateway-routes/request-schema.ts";
import { accessLogIn } from "./access-log.ts";
import type { WireInput } from "./daemon.ts";
import { InternalNames } from "./internal-names.ts";
import type { Engine } from "./wiring-engine.ts";
import type { Storage } from "./wiring-storage.ts";

export type Gateway = Awaited<ReturnType<typeof openGateway>>;

/** Those of the installation's own certificates and tables, not of any service. */
const routesHost = "api";

export async function openGateway(
	input: WireInput,
	{ store, logs }: Storage,
	{ network, workloads, functions }: Engine,
	invoke: Invoke,
	lifetime: Lifetime,
) {
	const { config, clock, ids, log, accountId } = input;
	const { services, serving } = workloads;
	let wantCertificates = (_domains: readonly Domain[]) => {};
	const routes = await GatewayRoutes.open({
		store: store.resources,
		gatewayHost: `${routesHost}.${config.domains[0]}`,
		reservedHosts: config.domains,
		schemaProblem,
		onDomains: (domains) => wantCertificates(domains),
	});
	const certificates = lifetime.use(await openCertificates(input, routes));
	wantCertificates = (domains) => certificates.ensure(domains.map(({ host }) => host));
	wantCertificates(routes.listDomains());
	const toFunctions = {
		functions: { invoke },
		clock,
		ids,
		region: config.region,
		accountId,
		recordsSpans: config.tracing !== undefined,
		log,
	};
	const front = createGatewayFront({
		routes: services.routing,
		admission: serving,
		forward: createForward({ clock, log }),
		custom: withInternalFunctions(createRouteMatcher({ routes, ...toFunctions }), {
			...toFunctions,
			records: functions.records,
			services: services.routing,
		}),
		domains: config.domains,
		random: Math.random,
		accessLog: accessLogIn(logs),
		closing: input.closing,
		clock,
		ids,
		log,
	});
	const internalHosts: InternalHosts = new Map();
	const internal = lifetime.use(createInternalServer(front.internal, clock, internalHosts));
	network.onInternal = internal.accept;
	lifetime.use(
		new InternalNames({
			services,
			functions: functions.records,
			publish: (names) => network.publishNames(names),
			clock,
			log,
		}),
	);
	return { front, routes, certificates, internalHosts, acceptInternal: internal.accept };
}

/** A domain's as its owner says; names below the installation's own get theirs from its development authority. */
async function openCertificates({ config, clock, log }: WireInput, routes: GatewayRoutes): Promise<Certificates> {
	const { email, directory, caPath } = config.acme;
	const ca = caPath === undefined ? undefined : await readAcmeCa(caPath);
	return new Certificates({
		folder: join(config.home, "certificates"),
		tlsOf: (name) => {
			const domain = routes.table.domain(name);
			if (domain) return domain;
			const isOwn = config.domains.some((own) => name === own || name.endsWith(`.${own}`));
			return isOwn ? { tls: "dev", host: name } : undefined;
		},
		...(email !== undefined && { acme: { email, directoryUrl: directory, ...(ca !== undefined && { ca }) } }),
		machine: hostname(),
		clock,
		log,
	});
}

async function readAcmeCa(path: string): Promise<string> {
	try {
		return await readFile(path, "utf8");
	} catch (error) {
		const reason = error instanceof Error ? error.message : "";
		throw new SlipwayError("INVALID", `SLIPWAY_ACME_CA '${path}' can't be read: ${reason}`, { cause: error });
	}
}
