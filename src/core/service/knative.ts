/**
 * Objects of serving.knative.dev/v1 as they are on the wire (knative/specs, knative-api-specification-1.0), reduced to the fields that
 * are accepted here. Times are RFC 3339. What is stored is a `KnativeService` after validation and defaulting.
 */
export interface ObjectMeta {
	name: string;
	namespace: string;
	uid: string;
	resourceVersion: string;
	generation: number;
	creationTimestamp: string;
	deletionTimestamp?: string;
	labels: Record<string, string>;
	annotations: Record<string, string>;
	ownerReferences?: OwnerReference[];
}

export interface OwnerReference {
	apiVersion: string;
	kind: string;
	name: string;
	uid: string;
	controller: boolean;
	blockOwnerDeletion: boolean;
}

interface KnativeObject<Kind extends string, Spec, Status> {
	apiVersion: "serving.knative.dev/v1";
	kind: Kind;
	metadata: ObjectMeta;
	spec: Spec;
	status: Status;
}

export type KnativeService = KnativeObject<"Service", ServiceSpec, ServiceStatus>;
export type KnativeConfiguration = KnativeObject<"Configuration", Pick<ServiceSpec, "template">, ConfigurationStatus>;
export type KnativeRoute = KnativeObject<"Route", Pick<ServiceSpec, "traffic">, RouteStatus>;
export type KnativeRevision = KnativeObject<"Revision", RevisionSpec, RevisionStatus>;
export type AnyKnativeObject = KnativeService | KnativeConfiguration | KnativeRoute | KnativeRevision;

export interface ServiceSpec {
	template: RevisionTemplate;
	traffic: TrafficTarget[];
}

export interface RevisionTemplate {
	metadata: { name?: string; labels: Record<string, string>; annotations: Record<string, string> };
	spec: RevisionSpec;
}

export interface RevisionSpec {
	containers: Container[];
	volumes?: Volume[];
	containerConcurrency: number;
	timeoutSeconds: number;
	responseStartTimeoutSeconds?: number;
	idleTimeoutSeconds?: number;
	serviceAccountName?: string;
	enableServiceLinks?: boolean;
	/** Accepted, of no effect: registries' credentials are the installation's, and there is no token to mount. */
	imagePullSecrets?: { name: string }[];
	automountServiceAccountToken?: false;
}

export interface Container {
	name: string;
	image: string;
	command?: string[];
	args?: string[];
	workingDir?: string;
	env?: { name: string; value?: string }[];
	ports?: { name?: string; containerPort: number; protocol?: "TCP" }[];
	resources?: { limits?: Record<string, string>; requests?: Record<string, string> };
	startupProbe?: KubernetesProbe;
	livenessProbe?: KubernetesProbe;
	readinessProbe?: KubernetesProbe;
	volumeMounts?: { name: string; mountPath: string; subPath?: string; readOnly?: boolean }[];
	securityContext?: {
		runAsUser?: number;
		runAsGroup?: number;
		runAsNonRoot?: boolean;
		readOnlyRootFilesystem?: boolean;
		capabilities?: { drop?: string[] };
		/** These two are accepted when they ask for what always holds here. */
		allowPrivilegeEscalation?: boolean;
		seccompProfile?: { type: "RuntimeDefault" };
	};
	imagePullPolicy?: string;
	terminationMessagePath?: string;
	terminationMessagePolicy?: "File" | "FallbackToLogsOnError";
}

export interface KubernetesProbe {
	httpGet?: {
		path?: string;
		port?: number;
		scheme?: string;
		host?: string;
		httpHeaders?: { name: string; value: string }[];
	};
	tcpSocket?: { port?: number; host?: string };
	grpc?: { port?: number; service?: string };
	/** In the knative profile alone. */
	exec?: { command: string[] };
	initialDelaySeconds?: number;
	timeoutSeconds?: number;
	periodSeconds?: number;
	successThreshold?: number;
	failureThreshold?: number;
}

export interface Volume {
	name: string;
	emptyDir?: { medium?: "" | "Memory"; sizeLimit?: string };
	/** Of core services alone (annotation slipway.dev/core). */
	persistentVolumeClaim?: { claimName: string; readOnly?: boolean };
}

export interface TrafficTarget {
	revisionName?: string;
	latestRevision?: boolean;
	configurationName?: string;
	percent?: number;
	tag?: string;
	/** In a status only. */
	url?: string;
}

export interface Condition {
	type: string;
	status: "True" | "False" | "Unknown";
	reason?: string;
	message?: string;
	severity?: "" | "Info";
	lastTransitionTime: string;
}

export interface ServiceStatus extends Partial<ConfigurationStatus>, Partial<RouteStatus> {
	observedGeneration: number;
	conditions: Condition[];
}

export interface ConfigurationStatus {
	observedGeneration: number;
	conditions: Condition[];
	latestCreatedRevisionName?: string;
	latestReadyRevisionName?: string;
}

export interface RouteStatus {
	observedGeneration: number;
	conditions: Condition[];
	url?: string;
	address?: { url: string };
	traffic?: TrafficTarget[];
}

export interface RevisionStatus {
	observedGeneration: number;
	conditions: Condition[];
	containerStatuses?: { name: string; imageDigest: string }[];
	actualReplicas?: number;
	desiredReplicas?: number;
	logUrl?: string;
}
