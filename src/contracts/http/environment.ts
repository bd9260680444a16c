import type { ServiceRevision } from "../../core/service/service-revision.ts";

/** Of each container of a service (http-contracts 1.2); PORT comes from the instance, for the ingress container alone. */
export function serviceEnvironment({
	service,
	name,
	configuration,
}: Pick<ServiceRevision, "service" | "name" | "configuration">): Record<string, string> {
	return { K_SERVICE: service, K_REVISION: name, K_CONFIGURATION: configuration };
}
