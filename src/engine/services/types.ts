import type {
	AnyKnativeObject,
	KnativeConfiguration,
	KnativeRevision,
	KnativeRoute,
	KnativeService,
	ObjectMeta,
	TrafficTarget,
} from "../../core/service/knative.ts";
import type { ServiceProfile } from "../../core/service/service-revision.ts";
import type { ServiceRoutes } from "../../core/service/traffic.ts";

/**
 * The use cases of services: what the Kubernetes-style API, the native API and the gateway call. Errors: INVALID (the message
 * names field, value and what is allowed; reason "Invalid"), NOT_FOUND, ALREADY_EXISTS, CONFLICT (reason "Conflict": resourceVersion is not the
 * current one), PRECONDITION.
 */
export interface ServiceUseCases {
	/** `manifest` is what a client sent: nothing of it has been checked. Acknowledged when it is on the disk; progress is in `status` and `watch`. */
	create(namespace: string, manifest: unknown, options: ChangeOptions): Promise<KnativeService>;
	/** Kubernetes' PUT: the whole object; with a resourceVersion it must be the current one. */
	replace(namespace: string, name: string, manifest: unknown, options: ChangeOptions): Promise<KnativeService>;
	/** Create or replace, whatever is there (`gcloud run services replace`, `slipway service deploy -f`). */
	apply(namespace: string, manifest: unknown, options: ChangeOptions): Promise<KnativeService>;
	/** RFC 7396 merge patch, or RFC 6902 when it is an array. */
	patch(namespace: string, name: string, patch: unknown, options: ChangeOptions): Promise<KnativeService>;
	delete(namespace: string, name: string): Promise<KnativeService>;
	setTraffic(
		namespace: string,
		name: string,
		traffic: TrafficTarget[],
		options: ChangeOptions,
	): Promise<KnativeService>;
	/** All traffic to the revision that had most of it before the newest one that has any. CONFLICT when there is none. */
	rollback(namespace: string, name: string, options: ChangeOptions): Promise<KnativeService>;
	deleteRevision(namespace: string, name: string): Promise<KnativeRevision>;

	service(namespace: string, name: string): KnativeService;
	services(namespace?: string): KnativeService[];
	revision(namespace: string, name: string): KnativeRevision;
	revisions(namespace?: string): KnativeRevision[];
	/** Seen through the service that owns them. */
	configuration(namespace: string, name: string): KnativeConfiguration;
	configurations(namespace?: string): KnativeConfiguration[];
	route(namespace: string, name: string): KnativeRoute;
	routes(namespace?: string): KnativeRoute[];
	/** Of the core/v1 Service that Knative makes for a route. */
	placeholderMetadata(namespace: string, name: string): Pick<ObjectMeta, "labels" | "annotations">;

	/** Every change from now on, or from after a resourceVersion (CONFLICT with reason "Expired" when that is too long ago). */
	watch(kind: AnyKnativeObject["kind"], options: WatchOptions): AsyncIterable<WatchEvent>;
	/** Of the newest change of any object; Kubernetes' list metadata. */
	readonly resourceVersion: string;

	readonly routing: ServiceRoutes;
}

/** What is being done for a revision that is not ready yet. */
export interface DeploymentProgress {
	/** `queue`: as many revisions as may be are being made ready. `start`: until its first instances are ready. */
	stage: "queue" | "resolve" | "pull" | "unpack" | "start";
	/** The reference that is resolved, pulled or unpacked. */
	image?: string;
	/** Bytes; 0 of 0 where they say nothing. */
	done: number;
	total: number;
}

export interface ChangeOptions {
	/** serving.knative.dev/creator and lastModifier. */
	user: string;
	profile?: ServiceProfile;
	dryRun?: boolean;
}

export interface WatchOptions {
	namespace?: string;
	name?: string;
	resourceVersion?: string;
	signal: AbortSignal;
}

export interface WatchEvent {
	type: "ADDED" | "MODIFIED" | "DELETED";
	object: AnyKnativeObject;
}
