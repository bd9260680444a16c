import { at, type FieldProblems } from "./field-problems.ts";
import { parseGoDuration } from "./go-duration.ts";
import { labelValueProblem, qualifiedNameProblem } from "./kubernetes-names.ts";
import { maxTextBytes } from "./object-reader.ts";
import {
	type Annotations,
	containerDependencies,
	ownServiceAnnotations,
	ownTemplateAnnotations,
	parsePercentage,
	progressDeadlineAnnotations,
	rolloutDurationAnnotations,
} from "./service-annotations.ts";

/** A rollback's window: shorter has no requests to judge, longer is no rollout any more. Milliseconds. */
const [leastWindowMs, mostWindowMs] = [10_000, 24 * 3_600_000];
const autoscalingPrefix = "autoscaling.knative.dev/";

/** What one machine can't give; the value it may have without that being lost. */
const notHonoured: Record<string, string | undefined> = {
	"run.googleapis.com/vpc-access-connector": undefined,
	"run.googleapis.com/vpc-access-egress": undefined,
	"run.googleapis.com/network-interfaces": undefined,
	"run.googleapis.com/cloudsql-instances": undefined,
	"run.googleapis.com/encryption-key": undefined,
	"run.googleapis.com/encryption-key-shutdown-hours": undefined,
	"run.googleapis.com/post-key-revocation-action-type": undefined,
	"run.googleapis.com/secrets": undefined,
	"run.googleapis.com/binary-authorization": undefined,
	"run.googleapis.com/binary-authorization-breakglass": undefined,
	"run.googleapis.com/custom-audiences": undefined,
	"run.googleapis.com/iap-enabled": "false",
	"run.googleapis.com/invoker-iam-disabled": "true",
	"run.googleapis.com/default-url-disabled": "false",
	"run.googleapis.com/threat-detection": "false",
	"run.googleapis.com/gpu-zonal-redundancy-disabled": undefined,
	"run.googleapis.com/base-images": undefined,
	"run.googleapis.com/regions": undefined,
};

/** Sentences about what was accepted and has no effect on an installation like this one. */
export function notHonouredWarnings(annotations: Annotations): string[] {
	return Object.entries(annotations).flatMap(([key, value]) => {
		if (!(key in notHonoured) || notHonoured[key] === value) return [];
		return [`Annotation ${key} has no effect here`];
	});
}

export function checkLabel(problems: FieldProblems): (key: string, value: string, path: string) => void {
	return (key, value, path) => {
		checkKey(problems, key, path);
		const problem = labelValueProblem(value);
		if (problem) problems.invalid(value, at(path, key), problem);
	};
}

export function checkAnnotationKey(problems: FieldProblems): (key: string, value: string, path: string) => void {
	return (key, _value, path) => checkKey(problems, key, path);
}

function checkKey(problems: FieldProblems, key: string, path: string): void {
	const problem = qualifiedNameProblem(key);
	if (problem) problems.add(`invalid key name "${key.slice(0, 100)}"`, path, problem);
}

export function checkTotalSize(annotations: Annotations, path: string, problems: FieldProblems): void {
	let bytes = 0;
	for (const [key, value] of Object.entries(annotations)) bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
	if (bytes > maxTextBytes)
		problems.invalid(`${bytes} bytes`, path, `annotations must have at most ${maxTextBytes} bytes`);
}

/** metadata.annotations of a Service (metadata_validation.go). */
export function checkServiceAnnotations(annotations: Annotations, path: string, problems: FieldProblems): void {
	for (const key of Object.keys(annotations)) {
		if (key.startsWith(autoscalingPrefix))
			problems.add(
				`invalid key name "${key}"`,
				path,
				'autoscaling annotations must be put under "spec.template.metadata.annotations" to work',
			);
		if (Object.values<string>(ownTemplateAnnotations).includes(key))
			problems.add(`invalid key name "${key}"`, path, 'must be put under "spec.template.metadata.annotations" to work');
	}
	for (const key of rolloutDurationAnnotations) checkSeconds(annotations, key, "rollout-duration", path, problems);
	checkRollback(annotations, path, problems);
	checkChoice(annotations, "run.googleapis.com/ingress", ingresses, path, problems);
	checkChoice(annotations, "run.googleapis.com/scalingMode", ["automatic", "manual"], path, problems);
	for (const name of ["minScale", "maxScale", "manualInstanceCount"])
		checkCount(annotations, `run.googleapis.com/${name}`, path, problems);
	const manual = annotations["run.googleapis.com/scalingMode"] === "manual";
	if (manual && annotations["run.googleapis.com/manualInstanceCount"] === undefined)
		problems.missing(at(path, "run.googleapis.com/manualInstanceCount"));
	const [min, max] = ["minScale", "maxScale"].map((name) => Number(annotations[`run.googleapis.com/${name}`]));
	if (min && max && min > max)
		problems.invalid(max, at(path, "run.googleapis.com/maxScale"), `must be at least minScale, ${min}`);
}

const ingresses = ["all", "internal", "internal-and-cloud-load-balancing"];

/** metadata.annotations of a revision template, but for the autoscaling ones. */
export function checkTemplateAnnotations(
	annotations: Annotations,
	containers: readonly string[],
	path: string,
	problems: FieldProblems,
): void {
	for (const key of progressDeadlineAnnotations) checkSeconds(annotations, key, "progress-deadline", path, problems);
	for (const name of ["cpu-throttling", "startup-cpu-boost", "sessionAffinity", "health-check-disabled"])
		checkChoice(annotations, `run.googleapis.com/${name}`, ["true", "false"], path, problems);
	checkChoice(annotations, "run.googleapis.com/execution-environment", ["gen1", "gen2"], path, problems);
	checkChoice(annotations, ownTemplateAnnotations.core, ["true", "false"], path, problems);
	checkChoice(annotations, ownTemplateAnnotations.egress, ["all", "none"], path, problems);
	for (const key of Object.values(ownServiceAnnotations))
		if (annotations[key] !== undefined)
			problems.add(`invalid key name "${key}"`, path, 'must be put under "metadata.annotations" to work');
	checkDependencies(annotations, containers, path, problems);
}

function checkSeconds(
	annotations: Annotations,
	key: string,
	name: string,
	path: string,
	problems: FieldProblems,
): void {
	const text = annotations[key];
	if (text === undefined || text === "") return;
	const ms = parseGoDuration(text);
	if (ms === undefined) problems.invalid(text, at(path, key), 'must be a duration such as "90s" or "10m"');
	else if (ms % 1000 !== 0) problems.add(`${name}=${text} is not at second precision`, at(path, key));
	else if (ms < 0) problems.add(`${name}=${text} must be positive`, at(path, key));
}

function checkRollback(annotations: Annotations, path: string, problems: FieldProblems): void {
	const { errorRate, latency, window } = ownServiceAnnotations;
	const check = (key: string, allowed: string, isRight: (text: string) => boolean) => {
		const text = annotations[key];
		if (text !== undefined && !isRight(text)) problems.invalid(text, at(path, key), allowed);
	};
	const within = (value: number | undefined, least: number, most: number) =>
		value !== undefined && value >= least && value <= most;
	check(errorRate, 'must be a percentage from 0% to 100% such as "5%"', (text) => within(parsePercentage(text), 0, 1));
	check(latency, 'must be a duration from 1ms to 1h such as "500ms"', (text) =>
		within(parseGoDuration(text), 1, 3_600_000),
	);
	check(window, 'must be a duration from 10s to 24h such as "5m"', (text) =>
		within(parseGoDuration(text), leastWindowMs, mostWindowMs),
	);
}

function checkChoice(
	annotations: Annotations,
	key: string,
	allowed: readonly string[],
	path: string,
	problems: FieldProblems,
): void {
	const value = annotations[key];
	if (value !== undefined && !allowed.includes(value))
		problems.invalid(value, at(path, key), `must be one of ${allowed.map((one) => `"${one}"`).join(", ")}`);
}

function checkCount(annotations: Annotations, key: string, path: string, problems: FieldProblems): void {
	const value = annotations[key];
	if (value !== undefined && !/^\d{1,9}$/.test(value))
		problems.invalid(value, at(path, key), "must be an integer of at least 0");
}

/** JSON such as {"app":["proxy"]}: every name is a container, none waits for itself by way of others. */
function checkDependencies(
	annotations: Annotations,
	containers: readonly string[],
	path: string,
	problems: FieldProblems,
): void {
	const key = at(path, "run.googleapis.com/container-dependencies");
	let dependencies: Record<string, string[]> | undefined;
	try {
		dependencies = containerDependencies(annotations);
	} catch (error) {
		if (!(error instanceof SyntaxError)) throw error;
	}
	if (dependencies === undefined)
		return problems.invalid(
			annotations["run.googleapis.com/container-dependencies"],
			key,
			'must be JSON such as {"app":["proxy"]}',
		);
	const graph = new Map(Object.entries(dependencies));
	for (const name of new Set([...graph.keys(), ...[...graph.values()].flat()]))
		if (!containers.includes(name))
			problems.invalid(name, key, `must be one of the containers ${containers.join(", ")}`);
	// Without a cycle something can be taken away each time: what depends on nothing that is left.
	while (graph.size > 0) {
		const free = [...graph].filter(([, list]) => list.every((name) => !graph.has(name)));
		if (free.length === 0) return problems.invalid([...graph.keys()].join(", "), key, "must not depend on each other");
		for (const [name] of free) graph.delete(name);
	}
}
