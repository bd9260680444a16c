/** Containers of a job or a worker pool, with their images resolved, as a workload that can start. */
import { assert, SlipwayError } from "../../base/error.ts";
import type { RunnableImage } from "../function/function.ts";
import { capabilitiesWithout } from "../sandbox/capabilities.ts";
import type { Container, KubernetesProbe } from "../service/knative.ts";
import { parseQuantity } from "../service/quantity.ts";
import type { Probe, Workload, WorkloadContainer, WorkloadVolume } from "../workload/workload.ts";
import type { WorkerVolume } from "./job.ts";

/** What an image's name meant when the job was applied. */
export interface JobImage {
	/** `registry/repository@sha256:…` */
	imageDigest: string;
	image: RunnableImage;
}

/** Cloud Run's defaults (http-contracts 1.4). */
const defaultCpus = 1;
const defaultMemoryMiB = 512;
/** A fork bomb ends here; Cloud Run states no number. */
const maxProcesses = 4096;
/** Common default of container engines' hard limit. */
const maxOpenFiles = 65_536;
const mib = 1024 * 1024;

export interface WorkloadInput {
	containers: readonly Container[];
	volumes: readonly WorkerVolume[];
	/** By the image's name in the manifest. */
	images: Readonly<Record<string, JobImage>>;
	graceMs: number;
}

/** INVALID_IMAGE when a container has nothing to run. */
export function workloadOf({ containers, volumes, images, graceMs }: WorkloadInput): Workload {
	return {
		containers: containers.map((container) => {
			const image = images[container.image];
			assert(image, `the image of container ${container.name} is resolved`);
			return workloadContainer(container, image);
		}),
		volumes: volumes.map(workloadVolume),
		graceMs,
		egress: true,
	};
}

function workloadContainer(container: Container, { image, imageDigest }: JobImage): WorkloadContainer {
	const { resources, securityContext: security } = container;
	const cpus = parseQuantity(resources?.limits?.cpu ?? "") ?? defaultCpus;
	const memory = parseQuantity(resources?.limits?.memory ?? "");
	return {
		name: container.name,
		image,
		imageDigest,
		args: argumentsOf(container, image),
		env: {
			...image.env,
			...Object.fromEntries((container.env ?? []).map(({ name, value = "" }) => [name, value])),
		},
		cwd: container.workingDir ?? (image.workingDir || "/"),
		port: undefined,
		limits: {
			memoryMiB: memory === undefined ? defaultMemoryMiB : Math.max(1, Math.ceil(memory / mib)),
			cpus,
			pids: maxProcesses,
			openFiles: maxOpenFiles,
		},
		startupCpuBoost: false,
		startupProbe: probe(container.startupProbe),
		livenessProbe: probe(container.livenessProbe),
		readinessProbe: undefined,
		mounts: (container.volumeMounts ?? []).map(({ name, mountPath, subPath = "", readOnly = false }) => ({
			volume: name,
			path: mountPath,
			subPath,
			readOnly,
		})),
		dependsOn: [],
		readOnlyRoot: security?.readOnlyRootFilesystem ?? false,
		capabilities: capabilitiesWithout(security?.capabilities?.drop),
		user: userOf(container),
	};
}

/** Kubernetes: a command replaces the entry point and drops the image's arguments with it. */
function argumentsOf({ name, command, args }: Container, image: RunnableImage): string[] {
	const given = command?.length ? [...command, ...(args ?? [])] : [...image.entrypoint, ...(args ?? image.cmd)];
	if (given.length > 0) return given;
	throw new SlipwayError("INVALID_IMAGE", `Container '${name}' has nothing to run: its image has no command`, {
		hint: "Give it a command (`--command`)",
		reason: "NoCommand",
	});
}

function userOf({ securityContext }: Container): string | undefined {
	const { runAsUser, runAsGroup } = securityContext ?? {};
	if (runAsUser === undefined) return undefined;
	return runAsGroup === undefined ? String(runAsUser) : `${runAsUser}:${runAsGroup}`;
}

/** Defaults: http-contracts 1.6. */
function probe(given: KubernetesProbe | undefined): Probe | undefined {
	if (!given) return undefined;
	const { httpGet, tcpSocket, grpc } = given;
	let check: Probe["check"];
	if (httpGet) {
		const { port = 0, path = "/", httpHeaders = [] } = httpGet;
		check = { kind: "http", port, path, headers: httpHeaders };
	} else if (grpc) check = { kind: "grpc", port: grpc.port ?? 0, service: grpc.service ?? "" };
	else check = { kind: "tcp", port: tcpSocket?.port ?? 0 };
	return {
		check,
		initialDelayMs: (given.initialDelaySeconds ?? 0) * 1000,
		timeoutMs: (given.timeoutSeconds ?? 1) * 1000,
		periodMs: (given.periodSeconds ?? 10) * 1000,
		successThreshold: given.successThreshold ?? 1,
		failureThreshold: given.failureThreshold ?? 3,
	};
}

function workloadVolume({ name, emptyDir, persistentVolumeClaim }: WorkerVolume): WorkloadVolume {
	if (persistentVolumeClaim) return { kind: "persistent", name, claim: persistentVolumeClaim.claimName };
	const size = parseQuantity(emptyDir?.sizeLimit ?? "");
	return { kind: "emptyDir", name, sizeMiB: size === undefined ? undefined : Math.max(1, Math.ceil(size / mib)) };
}
