import { SlipwayError } from "../../base/error.ts";
import type { RunnableImage } from "../function/function.ts";
import { capabilitiesWithout } from "../sandbox/capabilities.ts";
import type { HttpCheck, Probe, Workload, WorkloadContainer, WorkloadVolume } from "../workload/workload.ts";
import { expandReferences } from "./expand-references.ts";
import type { Container, KubernetesProbe, RevisionSpec, RevisionTemplate, Volume } from "./knative.ts";
import { parseQuantity } from "./quantity.ts";
import { scalingSettings } from "./scaling-annotations.ts";
import type { ScalingSettings } from "./scaling-settings.ts";
import {
	type Annotations,
	containerDependencies,
	cpuAllocation,
	egressAllowed,
	isDisabled,
	progressDeadlineMs,
	scalingAnnotations,
	sessionAffinity,
	startupCpuBoost,
} from "./service-annotations.ts";
import { defaultPort, isIngress } from "./service-defaults.ts";
import type { ServiceProfile, ServiceRevision } from "./service-revision.ts";

export interface RevisionInput {
	namespace: string;
	service: string;
	name: string;
	uid: string;
	profile: ServiceProfile;
	/** Validated, defaults written. */
	template: RevisionTemplate;
	/** Of the service. */
	annotations: Annotations;
	/** By container. */
	images: ReadonlyMap<string, RevisionImage>;
}

export interface RevisionImage {
	/** `registry/repository@sha256:…` */
	imageDigest: string;
	image: RunnableImage;
}

const mebibyte = 2 ** 20;
/** What a container gets when its manifest sets no limits: Cloud Run's defaults; Knative has none, one machine needs some. */
const defaultLimits = { cpus: 1, memoryMiB: 512 };
/** Threads and processes of a container: a runaway one must not use up the machine's. */
const pids = 4096;
/** Open files of a process, as of a system's services by default (systemd's hard limit is higher). */
const openFiles = 65_536;
/** Cloud Run's time from SIGTERM to SIGKILL; Knative's is the request's timeout (http-contracts 2.8). */
const cloudRunGraceMs = 10_000;
/** Of one attempt of a probe that has no period. */
const aggressiveTimeoutMs = 1000;

/** A template, its images resolved, as the thing that instances are made from. INVALID_IMAGE for an image that can't be one of its containers. */
export function revisionFromTemplate(input: RevisionInput): ServiceRevision {
	const { template, profile } = input;
	const { spec } = template;
	const { annotations } = template.metadata;
	return {
		namespace: input.namespace,
		service: input.service,
		name: input.name,
		configuration: input.service,
		uid: input.uid,
		profile,
		workload: workloadOf(input),
		concurrency: spec.containerConcurrency,
		timeoutMs: spec.timeoutSeconds * 1000,
		responseStartTimeoutMs: (spec.responseStartTimeoutSeconds || spec.timeoutSeconds) * 1000,
		idleTimeoutMs: spec.idleTimeoutSeconds ? spec.idleTimeoutSeconds * 1000 : undefined,
		cpu: cpuAllocation(annotations, profile),
		sessionAffinity: sessionAffinity(annotations),
		scaling: scalingOf(input),
		progressDeadlineMs: progressDeadlineMs(annotations),
	};
}

/** The same for a service whose own annotations have changed since. */
export function scalingOf({
	annotations,
	template,
	profile,
}: Pick<RevisionInput, "annotations" | "template" | "profile">): ScalingSettings {
	const { containerConcurrency } = template.spec;
	const { settings } = scalingSettings(scalingAnnotations(annotations, template.metadata.annotations), {
		containerConcurrency,
		profile,
	});
	return isDisabled(annotations) ? { ...settings, disabled: true } : settings;
}

function workloadOf(input: RevisionInput): Workload {
	const { template, profile } = input;
	const { spec } = template;
	const dependencies = containerDependencies(template.metadata.annotations) ?? {};
	return {
		containers: spec.containers.map((container) =>
			containerOf(
				container,
				input,
				new Set(Object.hasOwn(dependencies, container.name) ? dependencies[container.name] : []),
			),
		),
		volumes: (spec.volumes ?? []).map(volumeOf),
		graceMs: profile === "cloudrun" ? cloudRunGraceMs : spec.timeoutSeconds * 1000,
		egress: egressAllowed(template.metadata.annotations),
	};
}

function volumeOf({ name, emptyDir, persistentVolumeClaim }: Volume): WorkloadVolume {
	if (persistentVolumeClaim) return { kind: "persistent", name, claim: persistentVolumeClaim.claimName };
	const size = parseQuantity(emptyDir?.sizeLimit ?? "");
	return { kind: "emptyDir", name, sizeMiB: size ? Math.ceil(size / mebibyte) : undefined };
}

function containerOf(container: Container, input: RevisionInput, dependsOn: ReadonlySet<string>): WorkloadContainer {
	const resolved = input.images.get(container.name);
	if (!resolved) throw new Error(`No image for container ${container.name}`);
	const { image, imageDigest } = resolved;
	const { spec, metadata } = input.template;
	const port = isIngress(container, spec.containers) ? portOf(container) : undefined;
	checkNonRoot(container, image);
	const { env, args } = environmentAndArgs(container, image, input, port?.number);
	if (args.length === 0)
		throw new SlipwayError(
			"INVALID_IMAGE",
			`Image "${container.image}" says no program to run: it has neither entrypoint nor command`,
			{ hint: "Set command on the container, or ENTRYPOINT or CMD in the image" },
		);
	const limits = container.resources?.limits;
	const memory = parseQuantity(limits?.memory ?? "");
	const cpus = parseQuantity(limits?.cpu ?? "") || defaultLimits.cpus;
	return {
		name: container.name,
		image,
		imageDigest,
		args,
		env,
		cwd: container.workingDir || image.workingDir || "/",
		port,
		limits: {
			memoryMiB: memory ? Math.ceil(memory / mebibyte) : defaultLimits.memoryMiB,
			cpus,
			cpuRequest: parseQuantity(container.resources?.requests?.cpu ?? "") || cpus,
			pids,
			openFiles,
		},
		startupCpuBoost: startupCpuBoost(metadata.annotations),
		...probesOf(container, port?.number, input.profile),
		mounts: (container.volumeMounts ?? []).map((mount) => ({
			volume: mount.name,
			path: mount.mountPath,
			subPath: mount.subPath ?? "",
			readOnly: mount.readOnly ?? false,
		})),
		dependsOn: [...dependsOn],
		readOnlyRoot: container.securityContext?.readOnlyRootFilesystem ?? false,
		capabilities: capabilitiesWithout(container.securityContext?.capabilities?.drop),
		user: userOf(container),
	};
}

function portOf(container: Container): NonNullable<WorkloadContainer["port"]> {
	const port = container.ports?.[0];
	return { number: port?.containerPort || defaultPort, protocol: port?.name === "h2c" ? "h2c" : "http1" };
}

/** Kubernetes' rule: a command replaces entrypoint and command of the image, arguments alone replace its command. */
function environmentAndArgs(
	container: Container,
	image: RunnableImage,
	input: RevisionInput,
	port: number | undefined,
) {
	const given = (container.env ?? []).map(({ name, value }): [string, string] => [name, value ?? ""]);
	const own = container.command?.length ? container.command : undefined;
	const head = own ?? image.entrypoint;
	const tail = container.args?.length ? container.args : own ? [] : image.cmd;
	// Cloud Run expands no $(NAME) (http-contracts 1.1), Kubernetes does, in what the manifest says.
	if (input.profile === "cloudrun")
		return { env: { ...image.env, ...Object.fromEntries(given) }, args: [...head, ...tail] };
	const known = new Map([
		["K_SERVICE", input.service],
		["K_CONFIGURATION", input.service],
		["K_REVISION", input.name],
		...(port === undefined ? [] : [["PORT", String(port)] as const]),
	]);
	for (const [name, value] of given) known.set(name, expandReferences(value, known));
	const env = Object.fromEntries(given.map(([name]) => [name, known.get(name) ?? ""]));
	const expanded = (list: readonly string[], isGiven: boolean) =>
		isGiven ? list.map((text) => expandReferences(text, known)) : list;
	return {
		env: { ...image.env, ...env },
		args: [...expanded(head, own !== undefined), ...expanded(tail, container.args !== undefined)],
	};
}

/** Kubernetes refuses such a container when it starts it (kubelet, verifyRunAsNonRoot). */
function checkNonRoot({ securityContext }: Container, image: RunnableImage): void {
	if (!securityContext?.runAsNonRoot) return;
	const user = securityContext.runAsUser ?? image.user.split(":")[0] ?? "";
	if (user === 0 || user === "" || user === "0" || user === "root")
		throw new SlipwayError(
			"INVALID_IMAGE",
			securityContext.runAsUser === 0
				? "container's runAsUser breaks non-root policy"
				: "container has runAsNonRoot and image will run as root",
			{ hint: "Set runAsUser, or USER in the image" },
		);
}

function userOf({ securityContext }: Container): string | undefined {
	const { runAsUser, runAsGroup } = securityContext ?? {};
	if (runAsUser === undefined) return undefined;
	return runAsGroup === undefined ? String(runAsUser) : `${runAsUser}:${runAsGroup}`;
}

function probesOf(container: Container, port: number | undefined, profile: ServiceProfile) {
	const { startupProbe, livenessProbe, readinessProbe } = container;
	const given = startupProbe && probeOf(startupProbe, port);
	return {
		startupProbe: given ?? (readinessProbe && startupFromReadiness(readinessProbe, port, profile)),
		livenessProbe: livenessProbe && probeOf(livenessProbe, port),
		readinessProbe: readinessProbe && readinessOf(readinessProbe, port, profile),
	};
}

/** A container is started when it is ready for the first time: found out as fast as it answers (queue/readiness/probe.go). */
function startupFromReadiness(probe: KubernetesProbe, port: number | undefined, profile: ServiceProfile): Probe {
	const read = probeOf(probe, port);
	const timeoutMs = profile === "knative" && !probe.periodSeconds ? aggressiveTimeoutMs : read.timeoutMs;
	return { ...read, periodMs: 0, timeoutMs, failureThreshold: 1 };
}

/** That a port is open is known from the start, and from each request. */
function readinessOf(probe: KubernetesProbe, port: number | undefined, profile: ServiceProfile): Probe | undefined {
	if (profile === "knative" && probe.tcpSocket && !probe.periodSeconds) return undefined;
	return probeOf(probe, port);
}

/** Kubernetes' defaults (core/v1 Probe). */
function probeOf(probe: KubernetesProbe, port: number | undefined): Probe {
	return {
		check: checkOf(probe, port ?? defaultPort),
		initialDelayMs: (probe.initialDelaySeconds ?? 0) * 1000,
		timeoutMs: (probe.timeoutSeconds || 1) * 1000,
		periodMs: (probe.periodSeconds || 10) * 1000,
		successThreshold: probe.successThreshold || 1,
		failureThreshold: probe.failureThreshold || 3,
	};
}

function checkOf({ httpGet, grpc, exec, tcpSocket }: KubernetesProbe, port: number): Probe["check"] {
	if (httpGet) {
		const path = httpGet.path || "/";
		return {
			kind: "http",
			port: httpGet.port || port,
			path: path.startsWith("/") ? path : `/${path}`,
			headers: httpGet.httpHeaders ?? [],
		} satisfies HttpCheck;
	}
	if (exec) return { kind: "exec", command: exec.command };
	if (grpc) return { kind: "grpc", port: grpc.port || port, service: grpc.service ?? "" };
	return { kind: "tcp", port: tcpSocket?.port || port };
}

/** What a template needs from the images: references by container. */
export function imagesOf(spec: RevisionSpec): { container: string; image: string }[] {
	return spec.containers.map(({ name, image }) => ({ container: name, image }));
}
