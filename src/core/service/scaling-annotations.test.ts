import assert from "node:assert/strict";
import { test } from "node:test";
import { targetLoad } from "../scaling/autoscaler.ts";
import { scalingSettings } from "./scaling-annotations.ts";
import type { ScalingDefaults } from "./scaling-defaults.ts";

type Names = Record<string, string>;

function read(
	names: Names,
	options: { cc?: number; profile?: "knative" | "cloudrun"; defaults?: Partial<ScalingDefaults> } = {},
) {
	const annotations = Object.fromEntries(
		Object.entries(names).map(([name, value]) => [
			name.includes("/") ? name : `autoscaling.knative.dev/${name}`,
			value,
		]),
	);
	const { cc = 0, profile = "knative", defaults } = options;
	return scalingSettings(annotations, { containerConcurrency: cc, profile, defaults });
}

function problems(names: Names, defaults: Partial<ScalingDefaults> = {}): string[] {
	return read(names, { defaults }).problems.map(
		({ fields, message }) => `${message}: ${fields.map((field) => field.split("/")[1]).join(", ")}`,
	);
}

test("nothing said: the profile's defaults", () => {
	const knative = {
		metric: "concurrency",
		totalTarget: 100,
		targetUtilization: 0.7,
		minScale: 0,
		maxScale: 0,
		initialScale: 1,
		activationScale: 1,
		scaleDownDelayMs: 0,
		stableWindowMs: 60_000,
		panicWindowMs: 6000,
		panicThreshold: 2,
		maxScaleUpRate: 1000,
		maxScaleDownRate: 2,
		scaleToZero: true,
		scaleToZeroGraceMs: 30_000,
		podRetentionMs: 0,
		targetBurstCapacity: 211,
		aggregation: "linear",
	};
	assert.deepEqual(read({}), { settings: knative, problems: [], ignored: [] });
	assert.deepEqual(read({}, { cc: 80, profile: "cloudrun" }).settings, {
		...knative,
		totalTarget: 80,
		targetUtilization: 0.6,
		maxScale: 100,
	});
	assert.equal(read({}, { defaults: { scaleToZeroGraceMs: 0 } }).settings.scaleToZeroGraceMs, 0);
});

test("everything said, in kebab-case and in camelCase", () => {
	const values = {
		"min-scale": "5",
		"max-scale": "8",
		"initial-scale": "6",
		"scale-down-delay": "15m",
		"target-utilization-percentage": "75",
		"panic-window-percentage": "20.5",
		"panic-threshold-percentage": "150",
		"scale-to-zero-pod-retention-period": "1m5.5s",
		"target-burst-capacity": "-1",
		"metric-aggregation-algorithm": "weightedExponential",
	};
	const only = {
		class: "kpa.autoscaling.knative.dev",
		metric: "rps",
		target: "12.5",
		window: "1984s",
		"activation-scale": "7",
	};
	const camel = Object.fromEntries(
		Object.entries(values).map(([name, value]) => [
			name.replace(/-(.)/g, (_all, letter: string) => letter.toUpperCase()),
			value,
		]),
	);
	const kebab = read({ ...values, ...only });
	assert.deepEqual(kebab.problems, []);
	assert.deepEqual(kebab.settings, {
		metric: "rps",
		totalTarget: 12.5,
		targetUtilization: 0.75,
		minScale: 5,
		maxScale: 8,
		initialScale: 6,
		activationScale: 7,
		scaleDownDelayMs: 900_000,
		stableWindowMs: 1_984_000,
		panicWindowMs: 407_000,
		panicThreshold: 1.5,
		maxScaleUpRate: 1000,
		maxScaleDownRate: 2,
		scaleToZero: true,
		scaleToZeroGraceMs: 30_000,
		podRetentionMs: 65_500,
		targetBurstCapacity: -1,
		aggregation: "weighted-exponential",
	});
	assert.deepEqual(read({ ...camel, ...only }), kebab);
	assert.equal(read({ "min-scale": "2", minScale: "3" }).settings.minScale, 2, "kebab-case first");
	assert.equal(read({ "activation-scale": "2", activationScale: "9" }).settings.activationScale, 2);
	assert.equal(read({ window: "6s", "panic-window-percentage": "1" }).settings.panicWindowMs, 1000);
});

// knative/serving v0.51 pkg/apis/autoscaling/annotation_validation_test.go.
const refused: [name: string, annotations: Names, problems: string[]][] = [
	["class of this domain", { class: "unsupported.knative.dev" }, ["invalid value: unsupported.knative.dev: class"]],
	["min-scale below zero", { "min-scale": "-1" }, ["expected 0 <= -1 <= 2147483647: min-scale"]],
	["max-scale too great", { maxScale: "2147483648" }, ["expected 0 <= 2147483648 <= 2147483647: maxScale"]],
	[
		"scales that are none",
		{ "min-scale": "foo", "max-scale": "1.5" },
		["invalid value: foo: min-scale", "invalid value: 1.5: max-scale"],
	],
	[
		"max-scale below min-scale",
		{ "min-scale": "5", "max-scale": "2" },
		["max-scale=2 is less than min-scale=5: max-scale, min-scale"],
	],
	[
		"activation-scale below min-scale",
		{ "min-scale": "3", "activation-scale": "2" },
		["min-scale=3 is greater than activation-scale=2: activation-scale"],
	],
	[
		"activation-scale above max-scale",
		{ "max-scale": "1", "activation-scale": "2" },
		["max-scale=1 is less than activation-scale=2: activation-scale"],
	],
	[
		"activation-scale of one",
		{ "activation-scale": "1" },
		["activation-scale=1 must be greater than 1: activation-scale"],
	],
	[
		"unknown algorithm",
		{ "metric-aggregation-algorithm": "random-selection" },
		["invalid value: random-selection: metric-aggregation-algorithm"],
	],
	["panic window below", { "panic-window-percentage": "-1" }, ["expected 1 <= -1 <= 100: panic-window-percentage"]],
	["panic window above", { "panic-window-percentage": "202" }, ["expected 1 <= 202 <= 100: panic-window-percentage"]],
	["panic window in words", { "panic-window-percentage": "fifty" }, ["invalid value: fifty: panic-window-percentage"]],
	[
		"panic threshold below",
		{ "panic-threshold-percentage": "109" },
		["expected 110 <= 109 <= 1000: panic-threshold-percentage"],
	],
	[
		"panic threshold above",
		{ "panic-threshold-percentage": "10009" },
		["expected 110 <= 10009 <= 1000: panic-threshold-percentage"],
	],
	["target of nothing", { target: "0" }, ["0 should be at least 0.01: target"]],
	["target that is none", { target: "100}" }, ["invalid value: 100}: target"]],
	["target NaN", { target: "NaN" }, ["invalid value: NaN: target"]],
	["burst capacity below", { "target-burst-capacity": "-11" }, ["invalid value: -11: target-burst-capacity"]],
	["burst capacity between", { "target-burst-capacity": "-0.5" }, ["invalid value: -0.5: target-burst-capacity"]],
	[
		"utilization of nothing",
		{ "target-utilization-percentage": "0" },
		["expected 1 <= 0 <= 100: target-utilization-percentage"],
	],
	[
		"utilization above",
		{ targetUtilizationPercentage: "101" },
		["expected 1 <= 101 <= 100: targetUtilizationPercentage"],
	],
	["window that is none", { window: "jerry" }, ["invalid value: jerry: window"]],
	["window too short", { window: "1s" }, ["expected 6s <= 1s <= 1h0m0s: window"]],
	["window too long", { window: "365h" }, ["expected 6s <= 365h <= 1h0m0s: window"]],
	[
		"window too exact",
		{ window: "1m9s82ms" },
		["must be specified with at most second precision, not 1m9s82ms: window"],
	],
	[
		"retention too long",
		{ "scale-to-zero-pod-retention-period": "311m" },
		["expected 0s <= 311m <= 1h0m0s: scale-to-zero-pod-retention-period"],
	],
	[
		"retention below",
		{ "scale-to-zero-pod-retention-period": "-42s" },
		["expected 0s <= -42s <= 1h0m0s: scale-to-zero-pod-retention-period"],
	],
	[
		"delay too exact",
		{ "scale-down-delay": "42.5s" },
		["must be specified with at most second precision, not 42.5s: scale-down-delay"],
	],
	["delay too long", { "scale-down-delay": "311m" }, ["expected 0s <= 311m <= 1h0m0s: scale-down-delay"]],
	["delay in words", { scaleDownDelay: "twenty" }, ["invalid value: twenty: scaleDownDelay"]],
	["metric cpu", { metric: "cpu" }, ["invalid value: cpu: metric"]],
	["metric memory", { metric: "memory" }, ["invalid value: memory: metric"]],
	["metric of nothing", { metric: "" }, ["invalid value: : metric"]],
	["initial-scale of zero", { "initial-scale": "0" }, ["invalid value: 0: initial-scale"]],
	["initial-scale below", { "initial-scale": "-1" }, ["expected 0 <= -1 <= 2147483647: initial-scale"]],
	["initial-scale that is none", { initialScale: "invalid" }, ["invalid value: invalid: initialScale"]],
	[
		"other autoscalers",
		{ class: "hpa.autoscaling.knative.dev" },
		["invalid value: hpa.autoscaling.knative.dev: class"],
	],
	[
		"all at once",
		{
			"panic-threshold-percentage": "fifty",
			"panic-window-percentage": "-11",
			"min-scale": "-4",
			"max-scale": "never",
		},
		[
			"expected 0 <= -4 <= 2147483647: min-scale",
			"expected 1 <= -11 <= 100: panic-window-percentage",
			"invalid value: fifty: panic-threshold-percentage",
			"invalid value: never: max-scale",
		],
	],
];
for (const [name, annotations, expected] of refused)
	test(`refused: ${name}`, () => assert.deepEqual(problems(annotations).sort(), [...expected].sort()));

const taken: Names[] = [
	{ "min-scale": "0", "max-scale": "0" },
	{ "min-scale": "1", "activation-scale": "2", "max-scale": "3" },
	{ "metric-aggregation-algorithm": "" },
	{ "metric-aggregation-algorithm": "linear" },
	{ "target-burst-capacity": "0" },
	{ "target-burst-capacity": "19870709" },
	{ "scale-to-zero-pod-retention-period": "0" },
	{ "scale-down-delay": "21m31s" },
	{ "initial-scale": "2" },
	{ window: "1h" },
];
for (const annotations of taken)
	test(`taken: ${JSON.stringify(annotations)}`, () => assert.deepEqual(problems(annotations), []));

test("what is allowed is said where the problem does not say it", () => {
	const details = (names: Names) => read(names).problems.map(({ details }) => details);
	assert.deepEqual(details({ metric: "cpu" }), [
		'must be "concurrency" or "rps"; cpu is a metric of the hpa.autoscaling.knative.dev class, which does not run here',
	]);
	assert.deepEqual(details({ "min-scale": "x" }), ["must be a whole number from 0 to 2147483647"]);
	assert.deepEqual(details({ window: "x" }), ['must be a duration such as "90s" or "1m30s", from 6s to 1h0m0s']);
	assert.deepEqual(details({ target: "x" }), ["must be a number of at least 0.01"]);
});

test("the installation's limit of max-scale, and its defaults", () => {
	assert.deepEqual(problems({ "max-scale": "11" }, { maxScaleLimit: 10 }), ["expected 1 <= 11 <= 10: max-scale"]);
	assert.deepEqual(problems({ "max-scale": "0" }, { maxScaleLimit: 10, maxScale: 1 }), [
		"max-scale=0 (unlimited), must be at least 1 and at most 10: max-scale",
	]);
	assert.deepEqual(problems({ "max-scale": "9" }, { maxScaleLimit: 10 }), []);
	assert.deepEqual(problems({ "initial-scale": "0" }, { allowZeroInitialScale: true }), []);
	assert.deepEqual(read({ "min-scale": "150" }, { profile: "cloudrun" }).problems, [
		{
			fields: ["autoscaling.knative.dev/min-scale"],
			message: "max-scale=100 (the default) is less than min-scale=150",
			details: undefined,
		},
	]);
});

// knative/serving v0.51 pkg/reconciler/autoscaling/resources/target_test.go.
const targets: [cc: number, annotations: Names, utilization: number, target: number, total: number][] = [
	[0, {}, 0.8, 80, 100],
	[12, { "target-utilization-percentage": "75" }, 0.8, 9, 12],
	[1, {}, 1, 1, 1],
	[0, { target: "1" }, 0.001, 0.01, 1],
	[0, { target: "10" }, 0.75, 7.5, 10],
	[10, { target: "1" }, 1, 1, 1],
	[0, { target: "500" }, 1, 500, 500],
	[1, { target: "10" }, 1, 1, 1],
	[1, { metric: "rps" }, 0.7, 140, 200],
	[0, { metric: "rps", target: "1" }, 0.7, 0.7, 1],
	[5, { metric: "rps", target: "300" }, 0.7, 210, 300],
];
for (const [cc, annotations, targetUtilization, target, total] of targets)
	test(`target: ${JSON.stringify(annotations)} with a concurrency of ${cc} at ${targetUtilization}`, () => {
		const { settings } = read(annotations, { cc, defaults: { targetUtilization } });
		assert.equal(settings.totalTarget, total);
		assert.ok(Math.abs(targetLoad(settings) - target) < 1e-9);
	});

test("Cloud Run's annotations: a fraction of the concurrency; CPU is told to change nothing", () => {
	const fraction = "run.googleapis.com/scaling-concurrency-target";
	const cpu = "run.googleapis.com/scaling-cpu-target";
	const cloudrun = { cc: 80, profile: "cloudrun" } as const;
	const half = read({ [fraction]: "0.50", [cpu]: "0.75" }, cloudrun);
	assert.equal(targetLoad(half.settings), 40);
	assert.deepEqual(half.problems, []);
	assert.deepEqual(
		half.ignored.map(({ field }) => field),
		[cpu],
	);
	const message = (value: string) => read({ [fraction]: value }, cloudrun).problems.map((problem) => problem.message);
	assert.deepEqual(message("0.96"), ["expected 0.1 <= 0.96 <= 0.95"]);
	assert.deepEqual(message("disabled"), ["invalid value: disabled"]);
	assert.deepEqual(read({ [fraction]: "9" }).problems, [], "the knative profile does not know it");
});

test("long values are cut in messages", () => {
	const [problem] = read({ target: `${"9".repeat(5000)}x` }).problems;
	assert.ok(problem && problem.message.length < 200);
});
