import { checkCloudRunResources } from "./cloud-run-resources.ts";
import { at, FieldProblems } from "./field-problems.ts";
import type { RevisionTemplate, ServiceSpec, TrafficTarget, Volume } from "./knative.ts";
import { dns1123SubdomainProblem } from "./kubernetes-names.ts";
import { ObjectReader } from "./object-reader.ts";
import { scalingSettings } from "./scaling-annotations.ts";
import { type Annotations, isCore, scalingAnnotations } from "./service-annotations.ts";
import { type GivenRevisionSpec, hasWholeCpu, withDefaults } from "./service-defaults.ts";
import type { ServiceProfile } from "./service-revision.ts";
import {
	checkAnnotationKey,
	checkLabel,
	checkServiceAnnotations,
	checkTemplateAnnotations,
	checkTotalSize,
	notHonouredWarnings,
} from "./validate-annotations.ts";
import { optional, readContainer } from "./validate-container.ts";
import { readTraffic } from "./validate-traffic.ts";
import { readVolumes } from "./validate-volumes.ts";

/** A Service as a client may write it: checked, defaults written. The rest of a KnativeService is the engine's. */
export interface ServiceDraft {
	name: string;
	namespace: string;
	labels: Record<string, string>;
	annotations: Record<string, string>;
	spec: ServiceSpec;
	profile: ServiceProfile;
	/** Of the object that the client means to replace, if it says so. */
	resourceVersion: string | undefined;
	uid: string | undefined;
	/** Sentences about what was accepted and has no effect here. */
	warnings: string[];
}

export interface ValidateServiceOptions {
	/** From the URL or the client's choice; the manifest may repeat it and say nothing else. */
	namespace: string;
	/** Undefined: "cloudrun" when the manifest carries run.googleapis.com annotations or labels, else `previous` or "knative". */
	profile?: ServiceProfile | undefined;
	/** Of the service as it is now. */
	previous?: ServiceProfile | undefined;
}

/** Cloud Run (http-contracts 1.10). */
const maxContainers = 10;
/** Knative's config-defaults container-concurrency-max-limit, and Cloud Run's. */
const maxConcurrency = 1000;
/** Knative's max-revision-timeout-seconds and Cloud Run's, seconds. */
const maxTimeoutS = { knative: 600, cloudrun: 3600 };

/**
 * Everything that Knative's webhook (pkg/apis/serving at v0.51) and Kubernetes' schema check. INVALID (reason "Invalid") with
 * all problems, each naming field, value and what is allowed.
 */
export function validateService(manifest: unknown, options: ValidateServiceOptions): ServiceDraft {
	const problems = new FieldProblems();
	const reader = new ObjectReader(manifest ?? [], "", problems);
	checkHead(reader);
	const metadata = readMetadata(reader, options.namespace);
	const spec = reader.object("spec");
	if (!spec) problems.missing("spec");
	const templateReader = spec?.object("template");
	if (spec && !templateReader) problems.missing("spec.template");
	const template = readTemplateMetadata(templateReader, metadata.name);
	const profile = options.profile ?? profileOf(metadata, template) ?? options.previous ?? "knative";
	const revisionSpec = readRevisionSpec(templateReader, profile, template.annotations);
	const traffic: TrafficTarget[] = spec ? readTraffic(spec) : [];
	spec?.end();
	templateReader?.end();
	reader.ignore("status");
	reader.end();
	checkServiceAnnotations(metadata.annotations, "metadata.annotations", problems);
	const names = revisionSpec.containers.map(({ name }) => name);
	checkTemplateAnnotations(template.annotations, names, templateAnnotations, problems);
	const ignored = checkScaling(metadata.annotations, template.annotations, revisionSpec, profile, problems);
	problems.throwIfFound();
	return {
		...metadata,
		namespace: options.namespace,
		spec: { template: { metadata: template, spec: revisionSpec }, traffic },
		profile,
		warnings: [...notHonouredWarnings(metadata.annotations), ...notHonouredWarnings(template.annotations), ...ignored],
	};
}

/** INVALID when the targets break a rule; their defaults are written. For a change of traffic alone. */
export function validateTraffic(traffic: unknown): TrafficTarget[] {
	const problems = new FieldProblems();
	const targets = readTraffic(new ObjectReader({ traffic }, "spec", problems));
	problems.throwIfFound();
	return targets;
}

const templateAnnotations = "spec.template.metadata.annotations";

function checkHead(reader: ObjectReader): void {
	for (const [field, wanted] of [
		["apiVersion", "serving.knative.dev/v1"],
		["kind", "Service"],
	] as const) {
		const value = reader.text(field);
		if (value === undefined) reader.problems.missing(field);
		else if (value !== wanted) reader.problems.invalid(value, field, `must be ${wanted}`);
	}
}

function readMetadata(root: ObjectReader, namespace: string) {
	const { problems } = root;
	const reader = root.object("metadata") ?? new ObjectReader({}, "metadata", problems);
	const name = reader.text("name") ?? "";
	if (name === "") problems.add("name or generateName is required", reader.at("name"));
	else problems.dns1035Label(name, reader.at("name"));
	const given = reader.text("namespace");
	if (given !== undefined && given !== "" && given !== namespace)
		problems.invalid(given, reader.at("namespace"), `must be ${namespace}, the namespace that the request was sent to`);
	const labels = reader.textMap("labels", checkLabel(problems));
	const annotations = reader.textMap("annotations", checkAnnotationKey(problems));
	checkTotalSize(annotations, reader.at("annotations"), problems);
	const [resourceVersion, uid] = [reader.text("resourceVersion"), reader.text("uid")];
	// What Kubernetes writes and clients send back.
	reader.ignore("generateName", "generation", "creationTimestamp", "deletionTimestamp", "selfLink");
	reader.ignore("managedFields", "ownerReferences", "finalizers", "deletionGracePeriodSeconds");
	reader.end();
	return { name, labels, annotations, resourceVersion: resourceVersion || undefined, uid: uid || undefined };
}

function readTemplateMetadata(template: ObjectReader | undefined, service: string): RevisionTemplate["metadata"] {
	const reader = template?.object("metadata");
	if (!reader) return { labels: {}, annotations: {} };
	const { problems } = reader;
	const name = reader.text("name") || undefined;
	if (name !== undefined && problems.dns1035Label(name, reader.at("name")) && !name.startsWith(`${service}-`))
		problems.invalid(`"${name}" must have prefix "${service}-"`, reader.at("name"));
	const labels = reader.textMap("labels", checkLabel(problems));
	const annotations = reader.textMap("annotations", checkAnnotationKey(problems));
	checkTotalSize(annotations, reader.at("annotations"), problems);
	reader.ignore("creationTimestamp", "namespace", "generateName");
	reader.end();
	return { ...optional("name", name), labels, annotations };
}

function profileOf(...metadata: { labels: Annotations; annotations: Annotations }[]): ServiceProfile | undefined {
	const keys = metadata.flatMap((one) => [...Object.keys(one.labels), ...Object.keys(one.annotations)]);
	return keys.some((key) => /^(run|cloud)\.googleapis\.com\//.test(key)) ? "cloudrun" : undefined;
}

const notHere: Record<string, string> = {
	initContainers: "Init containers are not supported: do their work when the container starts, or in a job before",
	ephemeralContainers: "Not supported: deploy the container as a sidecar under containers",
	nodeSelector: "There is one machine: leave it out",
	nodeName: "There is one machine: leave it out",
	affinity: "There is one machine: leave it out",
	tolerations: "There is one machine: leave it out",
	topologySpreadConstraints: "There is one machine: leave it out",
	schedulerName: "There is one scheduler: leave it out",
	runtimeClassName: "There is one runtime: leave it out",
	priorityClassName: "Services have no priorities: leave it out",
	priority: "Services have no priorities: leave it out",
	restartPolicy: "An instance that ends is replaced: leave it out",
	terminationGracePeriodSeconds: "The grace period is timeoutSeconds (10 seconds with Cloud Run's profile)",
	activeDeadlineSeconds: "Instances have no deadline; requests have timeoutSeconds",
	hostNetwork: "Containers have a network of their own",
	hostPID: "Containers have processes of their own",
	hostIPC: "Containers have memory of their own",
	hostAliases: "Names of other services are known already: NAME.internal",
	hostname: "Leave it out",
	subdomain: "Leave it out",
	shareProcessNamespace: "Containers have processes of their own",
	dnsPolicy: "Leave it out",
	dnsConfig: "Leave it out",
	securityContext: "Set securityContext on each container",
	readinessGates: "Use readinessProbe",
};

function readRevisionSpec(template: ObjectReader | undefined, profile: ServiceProfile, annotations: Annotations) {
	const empty = { containers: [], containerConcurrency: undefined, timeoutSeconds: undefined };
	const spec = template?.object("spec");
	if (!spec) {
		template?.problems.missing("spec.template.spec");
		return withDefaults(empty, profile);
	}
	const containers = readContainers(spec, profile, isCore(annotations));
	const given: GivenRevisionSpec = {
		...containers,
		...readTimeouts(spec, profile),
		containerConcurrency: spec.bounded("containerConcurrency", 0, maxConcurrency),
		...readIdentity(spec, profile),
		...optional("enableServiceLinks", spec.flag("enableServiceLinks")),
	};
	// Cloud Run reads 0 as unset.
	if (profile === "cloudrun" && given.containerConcurrency === 0) given.containerConcurrency = undefined;
	spec.refuse(notHere);
	spec.end();
	const whole = withDefaults(given, profile);
	if (profile === "cloudrun" && whole.containerConcurrency > 1 && !hasWholeCpu(whole.containers))
		spec.problems.invalid(
			whole.containerConcurrency,
			spec.at("containerConcurrency"),
			"must be 1 with less than one whole CPU",
		);
	if (profile === "cloudrun") checkCloudRunResources(whole.containers, annotations, spec.problems);
	return whole;
}

function readIdentity(spec: ObjectReader, profile: ServiceProfile) {
	const account = spec.text("serviceAccountName") || undefined;
	// On Cloud Run it is an address; one of Google's is let through in either profile, so that a manifest can move here.
	const isAddress = account?.includes("@") && (profile === "cloudrun" || account.endsWith(".gserviceaccount.com"));
	const problem = account === undefined || isAddress ? undefined : dns1123SubdomainProblem(account);
	if (problem) spec.problems.invalid(account, spec.at("serviceAccountName"), problem);
	const secrets = spec.objects("imagePullSecrets").map((reader) => {
		const name = reader.text("name") ?? "";
		reader.end();
		return { name };
	});
	const mountsToken = spec.flag("automountServiceAccountToken");
	if (mountsToken) spec.problems.disallowed(spec.at("automountServiceAccountToken"), "There is no token to mount");
	return {
		...optional("serviceAccountName", account),
		...optional("imagePullSecrets", secrets.length > 0 ? secrets : undefined),
		...optional("automountServiceAccountToken", mountsToken === false ? mountsToken : undefined),
	};
}

function readTimeouts(spec: ObjectReader, profile: ServiceProfile) {
	const timeoutSeconds = spec.bounded("timeoutSeconds", 0, maxTimeoutS[profile]);
	const most = timeoutSeconds || (profile === "knative" ? 300 : maxTimeoutS.cloudrun);
	return {
		timeoutSeconds,
		...optional("responseStartTimeoutSeconds", spec.bounded("responseStartTimeoutSeconds", 0, most) || undefined),
		...optional("idleTimeoutSeconds", spec.bounded("idleTimeoutSeconds", 0, most) || undefined),
	};
}

/** k8s_validation.go ValidatePodSpec and validateContainersPorts. */
function readContainers(spec: ObjectReader, profile: ServiceProfile, core: boolean) {
	const { problems } = spec;
	const path = spec.at("containers");
	const readers = spec.objects("containers");
	if (readers.length === 0) problems.missing(path);
	if (readers.length > maxContainers)
		problems.invalid(readers.length, path, `must have at most ${maxContainers} containers`);
	const mounted = new Set(readers.flatMap(mountedVolumes));
	const list = readVolumes(spec, mounted, core);
	const volumes = new Map<string, Volume>(list.map((volume) => [volume.name, volume]));
	const containers = readers.slice(0, maxContainers).map((reader) => {
		const ingress = readers.length === 1 || portCount(reader) > 0;
		return readContainer(reader, { profile, volumes, ingress });
	});
	const ports = readers.reduce((total, reader) => total + portCount(reader), 0);
	if (ports === 0 && readers.length > 1) problems.missing(`${path}[*].ports`);
	if (ports > 1)
		problems.add(
			"more than one container port is set",
			`${path}[*].ports`,
			"Only a single port is allowed across all containers",
		);
	const names = new Set<string>();
	for (const [index, { name }] of containers.entries()) {
		if (name !== "" && names.has(name)) problems.add(`duplicate container name "${name}"`, `${at(path, index)}.name`);
		names.add(name);
	}
	return { containers, ...optional("volumes", list.length > 0 ? list : undefined) };
}

function portCount(container: ObjectReader): number {
	const ports = container.any("ports");
	return Array.isArray(ports) ? ports.length : 0;
}

/** Names, before anything is checked: what is wrong is told by those who check. */
function mountedVolumes(container: ObjectReader): string[] {
	const mounts = container.any("volumeMounts");
	if (!Array.isArray(mounts)) return [];
	return mounts.flatMap((mount: unknown) => {
		const name = typeof mount === "object" && mount !== null && "name" in mount ? mount.name : undefined;
		return typeof name === "string" ? [name] : [];
	});
}

function checkScaling(
	service: Annotations,
	template: Annotations,
	spec: Pick<ServiceSpec["template"]["spec"], "containerConcurrency">,
	profile: ServiceProfile,
	problems: FieldProblems,
): string[] {
	const { containerConcurrency } = spec;
	// The template's own first: a problem is told under the annotation that its author wrote.
	const own = scalingSettings(template, { containerConcurrency, profile });
	for (const { fields, message, details } of own.problems)
		problems.add(
			message,
			fields.map((field) => at(templateAnnotations, field)),
			details,
		);
	if (own.problems.length > 0 || problems.found) return [];
	const together = scalingSettings(scalingAnnotations(service, template), { containerConcurrency, profile });
	for (const { message, details } of together.problems) problems.add(message, "metadata.annotations", details);
	return own.ignored.map(({ field, reason }) => `Annotation ${field} has no effect here: ${reason}`);
}
