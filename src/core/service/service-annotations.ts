/** Annotations of services and of revision templates: what they mean here. Checked by validate-annotations.ts. */
import { parseGoDuration } from "./go-duration.ts";
import type { RollbackBounds } from "./rollback.ts";
import type { ServiceProfile } from "./service-revision.ts";

export type Annotations = Readonly<Record<string, string>>;

export const creatorAnnotation = "serving.knative.dev/creator";
export const modifierAnnotation = "serving.knative.dev/lastModifier";
/** Both spellings that Knative takes, and ours. */
export const rolloutDurationAnnotations = [
	"slipway.dev/rollout-duration",
	"serving.knative.dev/rollout-duration",
	"serving.knative.dev/rolloutDuration",
];
export const progressDeadlineAnnotations = [
	"serving.knative.dev/progress-deadline",
	"serving.knative.dev/progressDeadline",
];
export const ownServiceAnnotations = {
	errorRate: "slipway.dev/rollback-on-error-rate",
	latency: "slipway.dev/rollback-on-latency-p95",
	window: "slipway.dev/rollback-window",
} as const;
export const ownTemplateAnnotations = { egress: "slipway.dev/egress", core: "slipway.dev/core" } as const;

/** Knative's config-deployment progress-deadline, milliseconds. */
const defaultProgressDeadlineMs = 600_000;
/** Over which a new revision is judged, and after which it is trusted, when the annotation is absent. */
const defaultRollbackWindowMs = 5 * 60_000;

function firstOf(annotations: Annotations, keys: readonly string[]): string | undefined {
	for (const key of keys) {
		const value = annotations[key];
		if (value !== undefined && value !== "") return value;
	}
	return undefined;
}

/** Milliseconds over which a new revision gets its traffic; 0: at once. */
export function rolloutDurationMs(annotations: Annotations): number {
	return parseGoDuration(firstOf(annotations, rolloutDurationAnnotations) ?? "0") ?? 0;
}

export function progressDeadlineMs(template: Annotations): number {
	return parseGoDuration(firstOf(template, progressDeadlineAnnotations) ?? "") || defaultProgressDeadlineMs;
}

/** Undefined: nothing is rolled back by itself. */
export function rollbackBounds(annotations: Annotations): RollbackBounds | undefined {
	const errorRate = parsePercentage(annotations[ownServiceAnnotations.errorRate] ?? "");
	const latencyP95Ms = parseGoDuration(annotations[ownServiceAnnotations.latency] ?? "");
	if (errorRate === undefined && latencyP95Ms === undefined) return undefined;
	const windowMs = parseGoDuration(annotations[ownServiceAnnotations.window] ?? "") ?? defaultRollbackWindowMs;
	return { errorRate, latencyP95Ms, windowMs };
}

/** 0.05 of "5%". */
export function parsePercentage(text: string): number | undefined {
	const match = /^(\d{1,3}(?:\.\d{1,6})?)%$/.exec(text);
	return match ? Number(match[1]) / 100 : undefined;
}

/** Always-on, one instance, volumes that outlive it. */
export function isCore(template: Annotations): boolean {
	return template[ownTemplateAnnotations.core] === "true";
}

export function egressAllowed(template: Annotations): boolean {
	return template[ownTemplateAnnotations.egress] !== "none";
}

/** Cloud Run withholds the CPU between requests unless it is told not to; Knative never does. */
export function cpuAllocation(template: Annotations, profile: ServiceProfile): "request" | "always" {
	const throttling = template["run.googleapis.com/cpu-throttling"];
	if (isCore(template)) return "always";
	return (throttling ?? (profile === "cloudrun" ? "true" : "false")) === "true" ? "request" : "always";
}

export function sessionAffinity(template: Annotations): boolean {
	return template["run.googleapis.com/sessionAffinity"] === "true";
}

/** Cloud Run: a new revision is ready as it is, without an instance that has been seen to start. */
export function deploymentCheckDisabled(template: Annotations): boolean {
	return template["run.googleapis.com/health-check-disabled"] === "true";
}

export function startupCpuBoost(template: Annotations): boolean {
	return template["run.googleapis.com/startup-cpu-boost"] === "true";
}

/** Cloud Run's annotation or Knative's label. */
export function ingressOf(annotations: Annotations, labels: Annotations): "all" | "internal" {
	if (labels["networking.knative.dev/visibility"] === "cluster-local") return "internal";
	return (annotations["run.googleapis.com/ingress"] ?? "all") === "all" ? "all" : "internal";
}

/** Of run.googleapis.com/container-dependencies: the containers that each one waits for. Throws a SyntaxError or returns undefined for other JSON. */
export function containerDependencies(template: Annotations): Record<string, string[]> | undefined {
	const text = template["run.googleapis.com/container-dependencies"];
	if (text === undefined || text === "") return {};
	const value: unknown = JSON.parse(text);
	if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
	const lists = Object.values(value);
	const areLists = lists.every((list) => Array.isArray(list) && list.every((item) => typeof item === "string"));
	return areLists ? (value as Record<string, string[]>) : undefined;
}

/** Cloud Run: a service whose manual instance count is 0 is switched off. A bound of 0 would be none. */
export function isDisabled(service: Annotations): boolean {
	return manualCount(service) === 0;
}

/** Undefined: instances are counted by the autoscaler. */
function manualCount(service: Annotations): number | undefined {
	const count = service["run.googleapis.com/manualInstanceCount"];
	return service["run.googleapis.com/scalingMode"] === "manual" && count !== undefined ? Number(count) : undefined;
}

/** What scales a revision: the template's annotations, under what its service says for all of its revisions (Cloud Run) or being a core service demands. */
export function scalingAnnotations(service: Annotations, template: Annotations): Annotations {
	const fixed = (count: string) => ({
		...withoutScale(template),
		"autoscaling.knative.dev/min-scale": count,
		"autoscaling.knative.dev/max-scale": count,
	});
	if (isCore(template)) return fixed("1");
	const manual = manualCount(service);
	if (manual) return fixed(String(manual));
	const [min, max] = [service["run.googleapis.com/minScale"], service["run.googleapis.com/maxScale"]];
	const has = (key: string) => firstOf(template, scaleKeys(key)) !== undefined;
	return {
		...template,
		...(min !== undefined && !has("min") ? { "autoscaling.knative.dev/min-scale": min } : {}),
		...(max !== undefined && !has("max") ? { "autoscaling.knative.dev/max-scale": max } : {}),
	};
}

function scaleKeys(bound: string): string[] {
	return [`autoscaling.knative.dev/${bound}-scale`, `autoscaling.knative.dev/${bound}Scale`];
}

function withoutScale(template: Annotations): Annotations {
	const gone = new Set([...scaleKeys("min"), ...scaleKeys("max"), ...scaleKeys("initial")]);
	return Object.fromEntries(Object.entries(template).filter(([key]) => !gone.has(key)));
}
