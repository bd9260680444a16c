/** What a client sent for a job or a worker pool, checked and with every default applied. INVALID names each field that is wrong. */
import { SlipwayError } from "../../base/error.ts";
import { at, FieldProblems } from "../service/field-problems.ts";
import {
	dns1035LabelProblem,
	dns1123LabelProblem,
	labelValueProblem,
	qualifiedNameProblem,
} from "../service/kubernetes-names.ts";
import { ObjectReader } from "../service/object-reader.ts";
import {
	defaultTaskRetries,
	defaultTaskTimeoutSeconds,
	type ExecutionSpec,
	instanceCountAnnotation,
	type JobSpec,
	maxNameLength,
	maxTaskRetries,
	maxTasks,
	maxTaskTimeoutSeconds,
	maxWorkerInstances,
	type RunOverrides,
	type TemplateMeta,
	type WorkerPoolSpec,
} from "./job.ts";
import { readContainers, readEnvironment, readVolumes } from "./job-container.ts";

export interface Manifest<Spec> {
	name: string;
	namespace: string;
	labels: Record<string, string>;
	annotations: Record<string, string>;
	spec: Spec;
}

/** From SIGTERM to SIGKILL (http-contracts 1.1), and the most that a worker may ask for, seconds. */
const defaultGraceSeconds = 10;
const maxGraceSeconds = 3600;

export function readJobManifest(value: unknown, namespace: string): Manifest<JobSpec> {
	return readManifest(value, namespace, "Job", (spec) => {
		const template = spec.object("template") ?? missing(spec, "template");
		const metadata = readTemplateMeta(template);
		const execution = template.object("spec") ?? missing(template, "spec");
		const result = { template: { metadata, spec: readExecutionSpec(execution) } };
		spec.ignore("runExecutionToken", "startExecutionToken");
		template.end();
		return result;
	});
}

function readExecutionSpec(execution: ObjectReader): ExecutionSpec {
	const taskCount = execution.bounded("taskCount", 1, maxTasks) ?? 1;
	const parallelism = execution.bounded("parallelism", 0, maxTasks) ?? 0;
	const template = execution.object("template") ?? missing(execution, "template");
	template.ignore("metadata");
	const task = template.object("spec") ?? missing(template, "spec");
	const containers = readContainers(task, { probes: false });
	const volumes = readVolumes(task, containers, { persistent: false });
	const maxRetries = task.bounded("maxRetries", 0, maxTaskRetries) ?? defaultTaskRetries;
	const timeoutSeconds = readTimeout(task) ?? defaultTaskTimeoutSeconds;
	const serviceAccountName = task.text("serviceAccountName");
	task.ignore("restartPolicy", "nodeSelector");
	for (const reader of [task, template, execution]) reader.end();
	return {
		taskCount,
		parallelism,
		template: {
			spec: {
				containers,
				...(volumes && { volumes }),
				maxRetries,
				timeoutSeconds,
				...(serviceAccountName !== undefined && { serviceAccountName }),
			},
		},
	};
}

/** A number in the v1 schema, which gcloud writes as text ("600"). */
function readTimeout(task: ObjectReader): number | undefined {
	const value = task.any("timeoutSeconds");
	if (value === undefined) return undefined;
	const seconds = typeof value === "string" && /^\d{1,9}$/.test(value) ? Number(value) : value;
	if (typeof seconds === "number" && Number.isInteger(seconds) && seconds >= 1 && seconds <= maxTaskTimeoutSeconds)
		return seconds;
	task.problems.invalid(value, task.at("timeoutSeconds"), `must be whole seconds from 1 to ${maxTaskTimeoutSeconds}`);
	return undefined;
}

export function readWorkerPoolManifest(value: unknown, namespace: string): Manifest<WorkerPoolSpec> {
	const manifest = readManifest(value, namespace, "WorkerPool", (spec) => {
		const template = spec.object("template") ?? missing(spec, "template");
		const metadata = readTemplateMeta(template);
		const revision = template.object("spec") ?? missing(template, "spec");
		const containers = readContainers(revision, { probes: true });
		const volumes = readVolumes(revision, containers, { persistent: true });
		const terminationGracePeriodSeconds =
			revision.bounded("terminationGracePeriodSeconds", 1, maxGraceSeconds) ?? defaultGraceSeconds;
		revision.ignore("serviceAccountName", "nodeSelector");
		spec.ignore("instanceSplits");
		for (const reader of [revision, template]) reader.end();
		return { template: { metadata, spec: { containers, ...(volumes && { volumes }), terminationGracePeriodSeconds } } };
	});
	instanceCount(manifest.annotations);
	return manifest;
}

/** INVALID when the annotation is no count. */
export function instanceCount(annotations: Readonly<Record<string, string>>): number {
	const text = annotations[instanceCountAnnotation] ?? "1";
	if (/^\d{1,4}$/.test(text) && Number(text) <= maxWorkerInstances) return Number(text);
	const problems = new FieldProblems();
	problems.invalid(text, `metadata.annotations[${instanceCountAnnotation}]`, `must be 0 to ${maxWorkerInstances}`);
	problems.throwIfFound();
	return 1;
}

function readManifest<Spec>(
	value: unknown,
	namespace: string,
	kind: "Job" | "WorkerPool",
	readSpec: (spec: ObjectReader) => Spec,
): Manifest<Spec> {
	if (typeof value !== "object" || value === null || Array.isArray(value))
		throw new SlipwayError("INVALID", `The manifest must be an object of kind ${kind}`, { reason: "Invalid" });
	const problems = new FieldProblems();
	const reader = new ObjectReader(value, "", problems);
	const version = reader.text("apiVersion");
	if (version !== "run.googleapis.com/v1")
		problems.invalid(version ?? "", "apiVersion", 'must be "run.googleapis.com/v1"');
	const found = reader.text("kind");
	if (found !== kind) problems.invalid(found ?? "", "kind", `must be "${kind}"`);
	const metadata = reader.object("metadata") ?? missing(reader, "metadata");
	const name = metadata.text("name") ?? "";
	const wrong = dns1035LabelProblem(name);
	if (wrong) problems.invalid(name, "metadata.name", wrong);
	else if (name.length > maxNameLength)
		problems.invalid(name, "metadata.name", `must have at most ${maxNameLength} characters`);
	const given = metadata.text("namespace") ?? namespace;
	if (given !== namespace || dns1123LabelProblem(namespace))
		problems.invalid(given, "metadata.namespace", dns1123LabelProblem(namespace) ?? `must be "${namespace}"`);
	const { labels, annotations } = readLabels(metadata);
	metadata.ignore("uid", "resourceVersion", "generation", "creationTimestamp", "selfLink");
	const specReader = reader.object("spec") ?? missing(reader, "spec");
	const spec = readSpec(specReader);
	reader.ignore("status");
	for (const one of [specReader, metadata, reader]) one.end();
	problems.throwIfFound();
	return { name, namespace, labels, annotations, spec };
}

/** A reader of nothing, so that what is below it is told as well. */
function missing(reader: ObjectReader, field: string): ObjectReader {
	if (reader.any(field) === undefined) reader.problems.missing(reader.at(field));
	return new ObjectReader({}, reader.at(field), reader.problems);
}

function readTemplateMeta(template: ObjectReader): TemplateMeta {
	const metadata = template.object("metadata");
	if (!metadata) return { labels: {}, annotations: {} };
	const meta = readLabels(metadata);
	metadata.ignore("name", "creationTimestamp");
	metadata.end();
	return meta;
}

function readLabels(metadata: ObjectReader): TemplateMeta {
	const { problems } = metadata;
	const labels = metadata.textMap("labels", (key, value, path) => {
		const wrong = qualifiedNameProblem(key) ?? labelValueProblem(value);
		if (wrong) problems.invalid(`${key}: ${value}`, at(path, key), wrong);
	});
	const annotations = metadata.textMap("annotations", (key, _value, path) => {
		const wrong = qualifiedNameProblem(key.toLowerCase());
		if (wrong) problems.invalid(key, at(path, key), wrong);
	});
	return { labels, annotations };
}

/** What `run` may change for one execution (http-contracts 1.12, `overrides`). */
export function readOverrides(value: unknown): RunOverrides {
	const problems = new FieldProblems();
	const reader = new ObjectReader(value ?? {}, "overrides", problems);
	const containerOverrides = reader.objects("containerOverrides").map((one) => {
		const name = one.text("name");
		const args = one.texts("args");
		const clearArgs = one.flag("clearArgs");
		const env = readEnvironment(one);
		one.end();
		return { ...(name && { name }), ...(args && { args }), ...(clearArgs && { clearArgs }), ...(env && { env }) };
	});
	const taskCount = reader.bounded("taskCount", 1, maxTasks);
	const timeoutSeconds = readTimeout(reader);
	reader.end();
	problems.throwIfFound();
	return {
		...(containerOverrides.length > 0 && { containerOverrides }),
		...(taskCount !== undefined && { taskCount }),
		...(timeoutSeconds !== undefined && { timeoutSeconds }),
	};
}

/** INVALID when an override names a container that the job does not have, or none of several. */
export function applyOverrides(spec: ExecutionSpec, overrides: RunOverrides): ExecutionSpec {
	const task = spec.template.spec;
	const containers = task.containers.map((container) => ({ ...container }));
	for (const { name, args, clearArgs, env } of overrides.containerOverrides ?? []) {
		const container =
			containers.find((one) => one.name === name) ??
			(name === undefined && containers.length === 1 ? containers[0] : undefined);
		if (!container)
			throw new SlipwayError(
				"INVALID",
				`overrides.containerOverrides.name is '${name ?? ""}': it must be one of ${containers.map((one) => one.name).join(", ")}`,
				{ reason: "Invalid" },
			);
		if (clearArgs) delete container.args;
		if (args) container.args = args;
		if (env) container.env = mergeEnvironment(container.env ?? [], env);
	}
	return {
		...spec,
		taskCount: overrides.taskCount ?? spec.taskCount,
		template: {
			spec: { ...task, containers, timeoutSeconds: overrides.timeoutSeconds ?? task.timeoutSeconds },
		},
	};
}

type Variables = NonNullable<ExecutionSpec["template"]["spec"]["containers"][number]["env"]>;

function mergeEnvironment(before: Variables, changes: Variables): Variables {
	const names = new Set(changes.map(({ name }) => name));
	return [...before.filter(({ name }) => !names.has(name)), ...changes];
}
