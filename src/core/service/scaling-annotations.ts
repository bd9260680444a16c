import { type AnnotationProblem, AnnotationReader } from "./annotation-reader.ts";
import { shown } from "./field-problems.ts";
import { defaultScaling, type ScalingDefaults, scalingBounds } from "./scaling-defaults.ts";
import type { ScalingSettings } from "./scaling-settings.ts";
import type { ServiceProfile } from "./service-revision.ts";

export interface ScalingOptions {
	/** The revision's containerConcurrency; 0: no limit. */
	containerConcurrency: number;
	profile: ServiceProfile;
	/** What the installation says, over the profile's defaults. */
	defaults?: Partial<ScalingDefaults> | undefined;
}

export interface ScalingAnnotations {
	/** To be used when there are no problems; a refused annotation counts as absent in it. */
	settings: ScalingSettings;
	problems: AnnotationProblem[];
	/** Annotations that are taken and change nothing here, each with the reason: a warning for the user. */
	ignored: { field: string; reason: string }[];
}

const autoscaling = "autoscaling.knative.dev/";
const run = "run.googleapis.com/";
const podAutoscaler = "kpa.autoscaling.knative.dev";

/**
 * A revision's autoscaling annotations over its profile's defaults: which there are, their bounds and how they are refused is
 * knative/serving v0.51 pkg/apis/autoscaling/annotation_validation.go; refused beyond it is what nothing here could do (other
 * autoscaler classes) and what contradicts a default (a min-scale above the profile's max-scale).
 */
export function scalingSettings(
	annotations: Readonly<Record<string, string>>,
	{ containerConcurrency, profile, defaults: overrides }: ScalingOptions,
): ScalingAnnotations {
	const defaults: ScalingDefaults = { ...defaultScaling[profile], ...overrides };
	const reader = new AnnotationReader(annotations);
	checkClass(reader);
	const metric = readMetric(reader) ?? "concurrency";
	const stableWindowMs =
		reader.duration(scalingBounds.windowMs, true, `${autoscaling}window`) ?? defaults.stableWindowMs;
	const panicPercentage =
		reader.decimal(scalingBounds.panicWindowPercentage, ...names("panic-window-percentage")) ??
		defaults.panicWindowPercentage;
	const panicThreshold =
		reader.decimal(scalingBounds.panicThresholdPercentage, ...names("panic-threshold-percentage")) ??
		defaults.panicThresholdPercentage;
	const settings: ScalingSettings = {
		metric,
		totalTarget: readTarget(reader, metric, containerConcurrency, defaults),
		targetUtilization: readUtilization(reader, profile, defaults),
		...readScales(reader, defaults),
		initialScale: readInitialScale(reader, defaults),
		scaleDownDelayMs:
			reader.duration(scalingBounds.scaleDownDelayMs, true, ...names("scale-down-delay")) ?? defaults.scaleDownDelayMs,
		stableWindowMs,
		panicWindowMs: panicWindow(stableWindowMs, panicPercentage),
		panicThreshold: panicThreshold / 100,
		maxScaleUpRate: defaults.maxScaleUpRate,
		maxScaleDownRate: defaults.maxScaleDownRate,
		scaleToZero: defaults.enableScaleToZero,
		scaleToZeroGraceMs: defaults.scaleToZeroGraceMs,
		podRetentionMs:
			reader.duration(scalingBounds.podRetentionMs, false, ...names("scale-to-zero-pod-retention-period")) ??
			defaults.podRetentionMs,
		targetBurstCapacity: readBurstCapacity(reader) ?? defaults.targetBurstCapacity,
		aggregation: readAggregation(reader),
	};
	return { settings, problems: reader.problems, ignored: ignoredOnes(reader, profile) };
}

/** Whole seconds, one at least: a window is made of one-second buckets (pkg/reconciler/autoscaling/resources/metric.go). */
function panicWindow(stableWindowMs: number, percentage: number): number {
	return Math.max(1000, Math.round((stableWindowMs * percentage) / 100 / 1000) * 1000);
}

/** "min-scale" and, as Knative takes it too, "minScale". */
function names(kebab: string): string[] {
	const camel = kebab.replace(/-([a-z])/g, (_match, letter: string) => letter.toUpperCase());
	return [`${autoscaling}${kebab}`, `${autoscaling}${camel}`];
}

function checkClass(reader: AnnotationReader): void {
	const given = reader.get(`${autoscaling}class`);
	if (!given || given.value === podAutoscaler) return;
	reader.refuse(
		given.name,
		`invalid value: ${shown(given.value)}`,
		`must be "${podAutoscaler}"; no other autoscaler runs here`,
	);
}

function readMetric(reader: AnnotationReader): ScalingSettings["metric"] | undefined {
	const given = reader.get(`${autoscaling}metric`);
	if (!given) return undefined;
	const { name, value } = given;
	if (value === "concurrency" || value === "rps") return value;
	const why =
		value === "cpu" || value === "memory"
			? `; ${value} is a metric of the hpa.autoscaling.knative.dev class, which does not run here`
			: "";
	reader.refuse(name, `invalid value: ${shown(value)}`, `must be "concurrency" or "rps"${why}`);
	return undefined;
}

/** pkg/reconciler/autoscaling/resources/target.go: never more than an instance takes at a time. */
function readTarget(
	reader: AnnotationReader,
	metric: ScalingSettings["metric"],
	containerConcurrency: number,
	defaults: ScalingDefaults,
): number {
	const target = reader.decimal(scalingBounds.target, `${autoscaling}target`);
	if (metric === "rps") return target ?? defaults.rpsTarget;
	if (containerConcurrency === 0) return target ?? defaults.concurrencyTarget;
	return Math.min(target ?? containerConcurrency, containerConcurrency);
}

function readUtilization(reader: AnnotationReader, profile: ServiceProfile, defaults: ScalingDefaults): number {
	const percentage = reader.decimal(
		scalingBounds.targetUtilizationPercentage,
		...names("target-utilization-percentage"),
	);
	const fraction = profile === "cloudrun" ? readConcurrencyFraction(reader) : undefined;
	return fraction ?? (percentage === undefined ? defaults.targetUtilization : percentage / 100);
}

/** Cloud Run's own: "0.1" to "0.95", or "disabled" to scale by CPU alone, which cannot be done here. */
function readConcurrencyFraction(reader: AnnotationReader): number | undefined {
	const name = `${run}scaling-concurrency-target`;
	if (reader.get(name)?.value !== "disabled") return reader.decimal(scalingBounds.concurrencyTargetFraction, name);
	reader.refuse(
		name,
		"invalid value: disabled",
		"must be a number from 0.1 to 0.95; instances are scaled by concurrency alone here, not by CPU",
	);
	return undefined;
}

function readScales(
	reader: AnnotationReader,
	defaults: ScalingDefaults,
): Pick<ScalingSettings, "minScale" | "maxScale" | "activationScale"> {
	const min = reader.integer(scalingBounds.scale, ...names("min-scale"));
	const max = reader.integer(scalingBounds.scale, ...names("max-scale"));
	const maxName = reader.get(...names("max-scale"))?.name;
	const minName = reader.get(...names("min-scale"))?.name;
	const minScale = min ?? defaults.minScale;
	const maxScale = max ?? defaults.maxScale;
	// A refused max-scale is reported once, as itself.
	const known = max !== undefined || maxName === undefined;
	if (known && maxScale !== 0 && maxScale < minScale)
		reader.refuse(
			[maxName, minName].filter((name) => name !== undefined),
			`max-scale=${maxScale}${max === undefined ? " (the default)" : ""} is less than min-scale=${minScale}${min === undefined ? " (the default)" : ""}`,
		);
	if (max !== undefined && maxName !== undefined) checkMaxScaleLimit(reader, maxName, max, defaults.maxScaleLimit);
	const activationScale = readActivationScale(reader, minScale, known ? maxScale : 0);
	return { minScale, maxScale, activationScale };
}

function checkMaxScaleLimit(reader: AnnotationReader, name: string, max: number, limit: number): void {
	if (limit === 0) return;
	if (max > limit) reader.refuse(name, `expected 1 <= ${max} <= ${limit}`);
	if (max === 0) reader.refuse(name, `max-scale=0 (unlimited), must be at least 1 and at most ${limit}`);
}

function readActivationScale(reader: AnnotationReader, min: number, max: number): number {
	const name = `${autoscaling}activation-scale`;
	const count = reader.integer({ least: -scalingBounds.scale.most, most: scalingBounds.scale.most }, name);
	if (count === undefined) return 1;
	if (min > count) reader.refuse(name, `min-scale=${min} is greater than activation-scale=${count}`);
	else if (max !== 0 && max < count) reader.refuse(name, `max-scale=${max} is less than activation-scale=${count}`);
	else if (count < scalingBounds.activationScale.least)
		reader.refuse(name, `activation-scale=${count} must be greater than 1`);
	else return count;
	return 1;
}

function readInitialScale(reader: AnnotationReader, defaults: ScalingDefaults): number {
	const count = reader.integer(scalingBounds.scale, ...names("initial-scale"));
	if (count !== 0 || defaults.allowZeroInitialScale) return count ?? defaults.initialScale;
	const given = reader.get(...names("initial-scale"));
	if (given) reader.refuse(given.name, "invalid value: 0", "must be at least 1; this installation does not allow 0");
	return defaults.initialScale;
}

function readBurstCapacity(reader: AnnotationReader): number | undefined {
	const any = { least: Number.NEGATIVE_INFINITY };
	const capacity = reader.decimal(any, ...names("target-burst-capacity"));
	if (capacity === undefined || capacity === -1 || capacity >= 0) return capacity;
	const given = reader.get(...names("target-burst-capacity"));
	if (given) reader.refuse(given.name, `invalid value: ${shown(given.value)}`, "must be -1 (unlimited) or at least 0");
	return undefined;
}

function readAggregation(reader: AnnotationReader): ScalingSettings["aggregation"] {
	const allowed = {
		linear: "linear",
		"weighted-exponential": "weighted-exponential",
		weightedExponential: "weighted-exponential",
	} as const;
	const given = reader.get(...names("metric-aggregation-algorithm"));
	// Knative takes an empty one for the default.
	if (!given || given.value === "") return "linear";
	return reader.oneOf(allowed, given.name) ?? "linear";
}

function ignoredOnes(reader: AnnotationReader, profile: ServiceProfile): ScalingAnnotations["ignored"] {
	const ignored: ScalingAnnotations["ignored"] = [];
	const ignore = (field: string, reason: string) => {
		if (reader.get(field)) ignored.push({ field, reason });
	};
	ignore(`${run}scaling-cpu-target`, "instances are scaled by concurrency or requests per second, not by CPU");
	ignore(`${run}overflow-scaling`, "there is no second place to overflow to");
	if (profile === "knative")
		ignore(
			`${run}scaling-concurrency-target`,
			"it is read with the cloudrun profile only; use target-utilization-percentage",
		);
	return ignored;
}
