import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import type { BlobStore } from "../../core/image/blob-store.ts";
import type { Digest } from "../../core/image/digest.ts";
import type { RepositoryStore } from "../../core/repository/repository-store.ts";
import type { Registry } from "../../engine/images/registry.ts";
import type { UploadOwners } from "./upload-owners.ts";

/** Who sent a request, as `authorize` found out. */
export interface Principal {
	name: string;
}

export interface Access {
	/** Undefined for `login` and `catalog`. */
	repository: string | undefined;
	/** `login` is the version check, which every client makes first. */
	action: "login" | "catalog" | "pull" | "push" | "delete";
}

/** UNAUTHENTICATED asks the client for credentials, FORBIDDEN refuses the ones it sent. */
export type Authorize = (request: IncomingMessage, access: Access) => Principal | Promise<Principal>;

export interface PushEvent {
	repository: string;
	digest: Digest;
	tags: readonly string[];
	mediaType: string;
	/** Bytes of the manifest itself. */
	size: number;
	principal: Principal;
}

export interface RegistryLimits {
	/** Bytes of one blob. 10 GiB, the largest image that Lambda takes. */
	blobBytes: number;
	/** Bytes of one manifest. 4 MiB, which the specification asks for at least. */
	manifestBytes: number;
	/** A request or a response on which nothing moves for this long is ended. A minute: mobile networks stall for less. */
	idleMs: number;
	/** Entries in one page of tags, repositories or referrers, whatever the client asks for. */
	pageEntries: number;
}

export const defaultLimits: RegistryLimits = {
	blobBytes: 10 * 1024 ** 3,
	manifestBytes: 4 * 1024 ** 2,
	idleMs: 60_000,
	pageEntries: 1000,
};

/** What every handler may use. */
export interface Services {
	blobs: BlobStore;
	repositories: RepositoryStore;
	registry: Registry;
	authorize: Authorize;
	clock: Clock;
	log: Log;
	limits: RegistryLimits;
	owners: UploadOwners;
	onPush: ((event: PushEvent) => void | Promise<void>) | undefined;
}

/** One request being answered. */
export interface Exchange extends Services {
	request: IncomingMessage;
	response: ServerResponse;
	query: URLSearchParams;
	principal: Principal;
}
