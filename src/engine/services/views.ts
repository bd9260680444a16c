/** A stored service as the objects that clients see: it, its Configuration and its Route (pkg/reconciler/service/resources). */
import type {
	KnativeConfiguration,
	KnativeRoute,
	KnativeService,
	ObjectMeta,
	OwnerReference,
} from "../../core/service/knative.ts";
import { rolloutDurationAnnotations } from "../../core/service/service-annotations.ts";
import type { ChildRecord, ServiceRecord } from "./records.ts";

export const apiVersion = "serving.knative.dev/v1";
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration";

export function serviceView({ metadata, spec, status }: ServiceRecord): KnativeService {
	return { apiVersion, kind: "Service", metadata, spec, status };
}

export function configurationView(record: ServiceRecord): KnativeConfiguration {
	const { metadata, spec, configuration } = record;
	const annotations = without(metadata.annotations, [lastApplied, ...rolloutDurationAnnotations]);
	return {
		apiVersion,
		kind: "Configuration",
		metadata: childMetadata(record, configuration, { ...annotations, "serving.knative.dev/routes": metadata.name }),
		spec: { template: spec.template },
		status: configuration.status,
	};
}

export function routeView(record: ServiceRecord): KnativeRoute {
	const { metadata, spec, route } = record;
	// In a Route of its own, a target that follows the newest revision names its Configuration.
	const traffic = spec.traffic.map((target) =>
		target.revisionName === undefined ? { ...target, configurationName: metadata.name } : target,
	);
	return {
		apiVersion,
		kind: "Route",
		metadata: childMetadata(record, route, without(metadata.annotations, [lastApplied])),
		spec: { traffic },
		status: route.status,
	};
}

/** Of the core/v1 Service that stands for the route in the cluster: all that the route's has and had. */
export function placeholderMetadata(record: ServiceRecord): ObjectMeta {
	const { metadata } = routeView(record);
	const { former } = record.route;
	return {
		...metadata,
		labels: { ...former?.labels, ...metadata.labels, "serving.knative.dev/route": metadata.name },
		annotations: { ...without(former?.annotations ?? {}, [lastApplied]), ...metadata.annotations },
	};
}

function childMetadata(
	{ metadata }: ServiceRecord,
	child: ChildRecord,
	annotations: Record<string, string>,
): ObjectMeta {
	const { name, namespace, creationTimestamp, uid } = metadata;
	return {
		name,
		namespace,
		uid: child.uid,
		resourceVersion: child.resourceVersion,
		generation: child.generation,
		creationTimestamp,
		labels: { ...metadata.labels, "serving.knative.dev/service": name, "serving.knative.dev/serviceUID": uid },
		annotations,
		ownerReferences: [ownerOf("Service", name, uid)],
	};
}

export function ownerOf(kind: "Service" | "Configuration", name: string, uid: string): OwnerReference {
	return { apiVersion, kind, name, uid, controller: true, blockOwnerDeletion: true };
}

function without(annotations: Record<string, string>, keys: readonly string[]): Record<string, string> {
	return Object.fromEntries(Object.entries(annotations).filter(([key]) => !keys.includes(key)));
}
