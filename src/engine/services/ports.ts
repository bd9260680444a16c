import type { Clock } from "../../base/clock.ts";
import type { Ids } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import type { ResourceStore } from "../../core/resource/resource-store.ts";
import type { RevisionId } from "../../core/service/request-admission.ts";
import type { RevisionObservation } from "../../core/service/rollback.ts";
import type { ScalingSettings } from "../../core/service/scaling-settings.ts";
import type { ServiceRevision } from "../../core/service/service-revision.ts";
import type { FunctionImages } from "../functions/function-images.ts";

/** The part of serving that services need: pools of instances, one for each revision. */
export interface ServiceServing {
	/** From now on requests for it can be admitted; no instance starts by it. Idempotent. */
	addRevision(revision: ServiceRevision): void;
	/** Whether a route leads to it. */
	setReachable(revision: RevisionId, reachable: boolean): void;
	/** Other bounds from now on: those of a service hold for the revisions it has. */
	updateScaling(revision: RevisionId, scaling: ScalingSettings): void;
	/** Its instances end once their requests have; nothing when it is not there. */
	removeRevision(revision: RevisionId): void;
	/**
	 * Brings a new revision's first instance (initialScale of them) to ready. Rejects as Instance.ready does: INVALID_IMAGE, EXHAUSTED, SANDBOX_FAILED,
	 * UNAVAILABLE with reason "ContainerExited" (the message has the exit code) or "ProbeFailed".
	 */
	check(revision: ServiceRevision, signal: AbortSignal): Promise<void>;
	/** Undefined: not there. */
	status(revision: RevisionId): { actualReplicas: number; desiredReplicas: number } | undefined;
	/** What it has answered since it was added. Undefined: not there. */
	usage(revision: RevisionId): RevisionObservation | undefined;
}

export interface ServicesDeps {
	store: ResourceStore;
	images: Pick<FunctionImages, "resolve" | "prepare">;
	serving: ServiceServing;
	/** Of the machine. */
	architecture: "x86_64" | "arm64";
	/** Of a service, or of one of its tags. */
	urlOf: (namespace: string, service: string, tag: string | undefined) => string;
	clock: Clock;
	ids: Pick<Ids, "uuid" | "hex">;
	log: Log;
}
