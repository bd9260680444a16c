import { ingressOf, sessionAffinity } from "../../core/service/service-annotations.ts";
import type { ServiceRoute, ServiceRoutes } from "../../core/service/traffic.ts";
import { conditionOf } from "./conditions.ts";
import type { ServiceRecord } from "./records.ts";

/** What each request is routed by: two look-ups in a map. */
export class RoutingTable implements ServiceRoutes {
	readonly #services = new Map<string, { route: ServiceRoute; tags: Map<string, ServiceRoute> }>();

	find(namespace: string, service: string, tag: string | undefined): ServiceRoute | undefined {
		const entry = this.#services.get(`${namespace}/${service}`);
		return tag === undefined ? entry?.route : entry?.tags.get(tag);
	}

	/** All of a service at once: no request sees one part of a change without the other. */
	set(record: ServiceRecord, affinity: boolean): void {
		const { metadata, routing } = record;
		const { namespace, name } = metadata;
		const common = {
			namespace,
			service: name,
			ingress: ingressOf(metadata.annotations, metadata.labels),
			sessionAffinity: affinity,
		};
		const { targets } = routing;
		const reason = targets.length === 0 ? whyNot(record) : undefined;
		const tags = new Map(
			routing.tags.map(({ tag, revision }): [string, ServiceRoute] => [
				tag,
				{ ...common, tag, targets: [{ revision, percent: 100 }], reason: undefined },
			]),
		);
		this.#services.set(`${namespace}/${name}`, { route: { ...common, tag: undefined, targets, reason }, tags });
	}

	delete(namespace: string, service: string): void {
		this.#services.delete(`${namespace}/${service}`);
	}
}

export function affinityOf(record: ServiceRecord): boolean {
	return sessionAffinity(record.spec.template.metadata.annotations);
}

function whyNot({ status }: ServiceRecord): string {
	const condition = conditionOf(status.conditions, "ConfigurationsReady");
	const ready = condition?.status === "True" ? conditionOf(status.conditions, "RoutesReady") : condition;
	return ready?.message || "No revision of the service is ready yet";
}
