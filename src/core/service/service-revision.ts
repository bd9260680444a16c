import type { Workload } from "../workload/workload.ts";
import type { ScalingSettings } from "./scaling-settings.ts";

/** What instances of a revision are made from and how requests reach them. Immutable: another manifest is another revision. */
export interface ServiceRevision {
	namespace: string;
	/** K_SERVICE */
	service: string;
	/** K_REVISION; unique in its namespace. */
	name: string;
	/** K_CONFIGURATION */
	configuration: string;
	uid: string;
	profile: ServiceProfile;
	workload: Workload;
	/** Requests that one instance gets at a time; 0: no limit. */
	concurrency: number;
	/** Until the last byte of the answer, milliseconds. */
	timeoutMs: number;
	/** Until its first byte. */
	responseStartTimeoutMs: number;
	/** Between two bytes; undefined: any time. */
	idleTimeoutMs: number | undefined;
	/** "request": instances without a request get no CPU (Cloud Run's request-based billing). */
	cpu: "request" | "always";
	sessionAffinity: boolean;
	scaling: ScalingSettings;
	/** How long a new revision may take to its first ready instance, milliseconds (Knative's progress-deadline). */
	progressDeadlineMs: number;
}

/** Whose defaults and annotations hold where Knative and Cloud Run differ (docs/services.md). */
export type ServiceProfile = "knative" | "cloudrun";
