import type {
	ConfigurationStatus,
	KnativeRevision,
	ObjectMeta,
	RouteStatus,
	ServiceSpec,
	ServiceStatus,
} from "../../core/service/knative.ts";
import type { RevisionImage } from "../../core/service/revision-from-template.ts";
import type { Rollout } from "../../core/service/rollout.ts";
import type { ServiceProfile } from "../../core/service/service-revision.ts";

/** A service, and with it its Configuration and its Route, as it is stored. */
export interface ServiceRecord {
	metadata: ObjectMeta;
	spec: ServiceSpec;
	status: ServiceStatus;
	profile: ServiceProfile;
	/** Sentences about what its manifest says in vain. */
	warnings: string[];
	configuration: ChildRecord & { status: ConfigurationStatus };
	route: ChildRecord & {
		status: RouteStatus;
		/**
		 * Labels and annotations that it had and has no more: they stay on the core/v1 Service that Knative makes for it
		 * (pkg/reconciler/route/reconcile_resources.go updatePlaceholderServices).
		 */
		former?: FormerMetadata;
	};
	routing: RoutingRecord;
}

export type FormerMetadata = Pick<ObjectMeta, "labels" | "annotations">;

/** What differs from the service's own metadata. */
export interface ChildRecord {
	uid: string;
	resourceVersion: string;
	generation: number;
}

/** Where requests go, and what becomes of it by itself. */
export interface RoutingRecord {
	/** Of the service's own host; adding up to 100, or empty. */
	targets: RoutedTarget[];
	tags: { tag: string; revision: string }[];
	/** Of the target that follows the newest revision. */
	rollout: Rollout | undefined;
	/** Whole milliseconds since the epoch. A newer revision that is being judged. */
	probation: { revision: string; previous: string; sinceMs: number } | undefined;
	/** Traffic for `revision` goes to `to` until the traffic's definition changes or there is a newer revision. */
	rolledBack:
		| { revision: string; to: string; routeGeneration: number; reason: string; message: string; atMs: number }
		| undefined;
	/** Revisions that had most of the traffic, the last one last, each once. */
	history: string[];
}

export interface RoutedTarget {
	revision: string;
	percent: number;
}

export interface RevisionRecord {
	object: KnativeRevision;
	service: string;
	profile: ServiceProfile;
	/** Configuration generation that it was made for. */
	generation: number;
	progress: RevisionProgress;
	/** By container; there from "deploying" on. */
	images: Record<string, RevisionImage> | undefined;
	/** When a route last led to it, milliseconds since the epoch. */
	lastRoutedMs: number;
}

export type RevisionProgress =
	| { state: "resolving" }
	| { state: "deploying" }
	| { state: "ready" }
	| { state: "failed"; condition: "ContainerHealthy" | "ResourcesAvailable"; reason: string; message: string };

/** Entries of `history`: a rollback of more than this many deployments is a deployment. */
export const maxHistory = 10;

/** Labels, and annotations, of `former`: the last ones are kept. */
export const maxFormer = 32;

export function keyOf(namespace: string, name: string): string {
	return `${namespace}/${name}`;
}

export function isInProgress({ progress }: RevisionRecord): boolean {
	return progress.state === "resolving" || progress.state === "deploying";
}
