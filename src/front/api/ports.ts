/** What the native API asks of the engine. */
import type { Clock } from "../../base/clock.ts";
import type { Ids } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import type { Status } from "../../client/schema.ts";
import type { Digest } from "../../core/image/digest.ts";
import type { LogStore } from "../../core/log/log-store.ts";
import type { Dispatcher } from "../../engine/dispatch/dispatch.ts";
import type { Meter } from "../../engine/dispatch/meter.ts";
import type { Functions } from "../../engine/functions/functions.ts";
import type { GatewayRoutes } from "../../engine/gateway-routes/gateway-routes.ts";
import type { ImageDetail, ImageSummary, ImportOptions, PullOptions } from "../../engine/images/types.ts";
import type { JobUseCases, WorkerUseCases } from "../../engine/jobs/types.ts";
import type { ServiceServing } from "../../engine/services/ports.ts";
import type { Services } from "../../engine/services/services.ts";
import type { ServiceUseCases } from "../../engine/services/types.ts";
import type { Serving } from "../../engine/serving/serving.ts";
import type { GatewayCounters } from "../gateway/counters.ts";
import type { ApiDelivery } from "./delivery-ports.ts";

/** The daemon's own process. */
export interface ProcessUsage {
	residentBytes: number;
	cpuSeconds: number;
	startedMs: number;
}

/** Of engine/images. */
export interface ApiImages {
	/** Every image of the built-in registry. */
	list(): Promise<ImageSummary[]>;
	/** NOT_FOUND. */
	inspect(reference: string): Promise<ImageDetail>;
	/** A tag, or with a digest the image and all its tags. NOT_FOUND, CONFLICT while a function runs it. */
	remove(reference: string): Promise<void>;
	/** `docker save` and OCI-layout archives. INVALID_IMAGE, DIGEST_MISMATCH, EXHAUSTED. */
	importArchive(path: string, options?: ImportOptions): Promise<{ references: string[]; digest: Digest }[]>;
	/** Copies from another registry. NOT_FOUND, UNAUTHENTICATED, UNAVAILABLE, INVALID_IMAGE. */
	pull(reference: string, options?: PullOptions): Promise<{ reference: string; digest: Digest }>;
}

/** The adapters' `Certificates` fits. */
export interface ApiCertificates {
	state(host: string): { untilMs?: number; problem?: string; retryAtMs?: number } | undefined;
	/** Made when it is first asked for. */
	authority: { readonly certificatePath: string; certificate(): Promise<string>; instructions(): Promise<string> };
}

/** What runs containers that are no functions. */
export interface ApiWorkloads {
	services: Omit<ServiceUseCases, "routing"> & Pick<Services, "progress">;
	/** What each revision does now. */
	serving: Pick<ServiceServing, "status" | "usage"> & Pick<Serving, "instances" | "stopIdle">;
	jobs: JobUseCases;
	workers: WorkerUseCases;
	gatewayRoutes: Pick<
		GatewayRoutes,
		"apply" | "get" | "list" | "delete" | "applyDomain" | "getDomain" | "listDomains" | "deleteDomain"
	>;
	certificates: ApiCertificates;
	/** For the metrics: revisions that are served, and the gateway's requests. */
	pools: Pick<Serving, "revisions" | "scale" | "usage">;
	gateway: Readonly<GatewayCounters>;
}

export interface ApiDeps {
	token: string;
	version: string;
	functions: Pick<Functions, "create" | "get" | "list" | "delete" | "progress" | "count" | "setSpares">;
	dispatcher: Pick<Dispatcher, "invoke" | "sandboxes" | "census" | "stop">;
	meter: Pick<Meter, "usage" | "all">;
	/** Of the daemon itself. */
	process: () => ProcessUsage;
	/** Undefined where no spans are sent. */
	spans?: (() => { exported: number; dropped: number }) | undefined;
	images: ApiImages;
	/** Without them their operations are not there. */
	workloads?: ApiWorkloads | undefined;
	/** Queues, triggers, and what waits: without it their operations are not there. */
	delivery?: ApiDelivery | undefined;
	logs: Pick<LogStore, "read" | "follow">;
	status: () => Status;
	/** For functions created without one. */
	defaultRole: string;
	/** Where archives wait while they are imported; made when needed. */
	importFolder: string;
	importMaxBytes: number;
	/** Aborted when the daemon stops: streams without an end finish then. */
	closing: AbortSignal;
	clock: Clock;
	ids: Ids;
	log: Log;
}
