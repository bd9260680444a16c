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
import type { ImageDetail, ImageSummary, ImportOptions, PullOptions } from "../../engine/images/types.ts";

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
