import type { RunnableImage } from "../function/function.ts";
import type { ContainerCapability } from "../sandbox/capabilities.ts";

/**
 * Containers that run together on one network, as a revision of a service, a worker or a job's task asks for them: every
 * default applied, every image resolved, nothing left to look up when one has to start. Immutable.
 */
export interface Workload {
	/** In the order of the manifest. Names are unique. */
	containers: readonly WorkloadContainer[];
	volumes: readonly WorkloadVolume[];
	/** From SIGTERM to SIGKILL, milliseconds. */
	graceMs: number;
	/** Whether its containers reach the outside. */
	egress: boolean;
}

export interface WorkloadContainer {
	name: string;
	image: RunnableImage;
	/** `registry/repository@sha256:…` */
	imageDigest: string;
	/** Program and arguments: the manifest's command and args, or else the image's entrypoint and command. */
	args: readonly string[];
	/** Of image and manifest together; what the contract adds (PORT, K_SERVICE, …) is not among them. */
	env: Readonly<Record<string, string>>;
	cwd: string;
	/** The ingress container's alone: where requests arrive. */
	port: { number: number; protocol: "http1" | "h2c" } | undefined;
	limits: {
		memoryMiB: number;
		cpus: number;
		/** In CPUs, its weight where all want more than there is (Kubernetes' requests.cpu). 1 when left out. */
		cpuRequest?: number;
		pids: number;
		openFiles: number;
	};
	/** A whole CPU more until it is started (Cloud Run's startup CPU boost). */
	startupCpuBoost: boolean;
	startupProbe: Probe | undefined;
	livenessProbe: Probe | undefined;
	readinessProbe: Probe | undefined;
	mounts: readonly { volume: string; path: string; subPath: string; readOnly: boolean }[];
	/** Names of the containers whose startup probe has to succeed before this one starts. */
	dependsOn: readonly string[];
	/** False: the image's files can be changed, in memory, which counts against `memoryMiB` and is gone with the container. */
	readOnlyRoot: boolean;
	/** Of its user 0. */
	capabilities: readonly ContainerCapability[];
	/** Overrides the image's user; "uid[:gid]" or a name in the image. */
	user: string | undefined;
}

/** A Kubernetes probe (core/v1 Probe), with every default applied. */
export interface Probe {
	check: PortCheck | ExecCheck;
	initialDelayMs: number;
	timeoutMs: number;
	/** 0: as fast as it answers (Knative's aggressive probing); only a startup probe may have it. */
	periodMs: number;
	successThreshold: number;
	failureThreshold: number;
}

export type PortCheck = HttpCheck | { kind: "tcp"; port: number } | { kind: "grpc"; port: number; service: string };

/** A program in the container, as its user and with its environment; well when it exits with 0. */
export interface ExecCheck {
	kind: "exec";
	/** Not by way of a shell. */
	command: readonly string[];
}

export interface HttpCheck {
	kind: "http";
	port: number;
	path: string;
	headers: readonly { name: string; value: string }[];
}

export type WorkloadVolume =
	/** A tmpfs that the workload's containers share; its pages count against the container that wrote them. */
	| { kind: "emptyDir"; name: string; sizeMiB: number | undefined }
	/** A folder of the daemon's that outlives the workload (core services). */
	| { kind: "persistent"; name: string; claim: string }
	/** Files with given contents. */
	| { kind: "files"; name: string; files: Readonly<Record<string, string>>; mode: number };
