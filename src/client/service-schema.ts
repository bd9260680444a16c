/** Services, jobs, workers and routes on the native API: Knative's and Cloud Run's own objects, with what clients read of them typed. */
import { z } from "zod";

const text = z.string();
const time = z.string().describe("RFC 3339");
const labels = z.record(z.string(), z.string());

/** DNS labels, as Kubernetes has them. */
const label = z.string().regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, "must be 1 to 63 of a-z, 0-9 and '-'");
export const namespaceSchema = label.describe("Namespace");
/** A revision's name may have 253 characters with dots. */
export const resourceNameSchema = z
	.string()
	.regex(/^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$/, "must be 1 to 253 of a-z, 0-9, '-' and '.'");
export const hostSchema = z
	.string()
	.regex(/^(\*\.)?[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$/, "must be a host name in lower case");

/** Checked by the engine, which names each field that is wrong. */
export const manifestSchema = z.looseObject({});

const metadataSchema = z.looseObject({
	name: text,
	namespace: text,
	uid: text,
	resourceVersion: text,
	generation: z.int(),
	creationTimestamp: time,
	labels,
	annotations: labels,
});

const conditionSchema = z.looseObject({
	type: text,
	status: z.enum(["True", "False", "Unknown"]),
	reason: text.optional(),
	message: text.optional(),
	lastTransitionTime: time,
});
export type ConditionView = z.infer<typeof conditionSchema>;

const trafficTargetSchema = z.strictObject({
	revisionName: text.optional(),
	latestRevision: z.boolean().optional(),
	configurationName: text.optional(),
	percent: z.int().min(0).max(100).optional(),
	tag: text.optional(),
	url: text.optional(),
});
export type TrafficTargetView = z.infer<typeof trafficTargetSchema>;
export const setTrafficSchema = z.strictObject({ traffic: z.array(trafficTargetSchema).min(1).max(2000) });

const containerSchema = z.looseObject({ name: text.optional(), image: text });

export const serviceSchema = z.looseObject({
	kind: z.literal("Service"),
	metadata: metadataSchema,
	spec: z.looseObject({
		template: z.looseObject({ spec: z.looseObject({ containers: z.array(containerSchema) }) }),
		traffic: z.array(trafficTargetSchema).optional(),
	}),
	status: z.looseObject({
		observedGeneration: z.int(),
		conditions: z.array(conditionSchema),
		latestCreatedRevisionName: text.optional(),
		latestReadyRevisionName: text.optional(),
		url: text.optional(),
		traffic: z.array(trafficTargetSchema).optional(),
	}),
});
export type ServiceView = z.infer<typeof serviceSchema>;

export const revisionSchema = z.looseObject({
	kind: z.literal("Revision"),
	metadata: metadataSchema,
	spec: z.looseObject({ containers: z.array(containerSchema) }),
	status: z.looseObject({
		conditions: z.array(conditionSchema),
		containerStatuses: z.array(z.looseObject({ name: text, imageDigest: text })).optional(),
		actualReplicas: z.int().optional(),
		desiredReplicas: z.int().optional(),
	}),
});
export type RevisionView = z.infer<typeof revisionSchema>;

const imageProgressSchema = z
	.object({ stage: z.enum(["pull", "unpack"]), image: text, done: z.int(), total: z.int() })
	.describe("While an image is made ready, in bytes");

const executionSpec = z.looseObject({
	parallelism: z.int(),
	taskCount: z.int(),
	template: z.looseObject({
		spec: z.looseObject({
			containers: z.array(containerSchema),
			maxRetries: z.int(),
			timeoutSeconds: z.int(),
		}),
	}),
});

export const jobSchema = z.looseObject({
	kind: z.literal("Job"),
	metadata: metadataSchema,
	spec: z.looseObject({ template: z.looseObject({ spec: executionSpec }) }),
	status: z.looseObject({
		conditions: z.array(conditionSchema),
		executionCount: z.int(),
		latestCreatedExecution: z
			.looseObject({ name: text, creationTimestamp: time, completionTimestamp: time.optional() })
			.optional(),
	}),
});
export type JobView = z.infer<typeof jobSchema>;

export const executionSchema = z.looseObject({
	kind: z.literal("Execution"),
	metadata: metadataSchema,
	spec: executionSpec,
	status: z.looseObject({
		conditions: z.array(conditionSchema),
		progress: imageProgressSchema.optional(),
		startTime: time.optional(),
		completionTime: time.optional(),
		runningCount: z.int(),
		succeededCount: z.int(),
		failedCount: z.int(),
		cancelledCount: z.int(),
		retriedCount: z.int(),
	}),
});
export type ExecutionView = z.infer<typeof executionSchema>;

export const taskSchema = z.looseObject({
	kind: z.literal("Task"),
	metadata: metadataSchema,
	status: z.looseObject({
		index: z.int(),
		phase: z.enum(["waiting", "running", "succeeded", "failed", "cancelled"]),
		startTime: time.optional(),
		completionTime: time.optional(),
		retried: z.int(),
		lastAttemptResult: z.looseObject({ exitCode: z.int().optional(), reason: text, message: text }).optional(),
		logStream: text.optional(),
	}),
});
export type TaskView = z.infer<typeof taskSchema>;

export const workerSchema = z.looseObject({
	kind: z.literal("WorkerPool"),
	metadata: metadataSchema,
	spec: z.looseObject({
		template: z.looseObject({ spec: z.looseObject({ containers: z.array(containerSchema) }) }),
	}),
	status: z.looseObject({
		conditions: z.array(conditionSchema),
		progress: imageProgressSchema.optional(),
		latestCreatedRevisionName: text,
		latestReadyRevisionName: text.optional(),
		desiredInstances: z.int(),
		readyInstances: z.int(),
		instances: z.array(z.looseObject({ id: text, revision: text, state: text, startTime: time, logStream: text })),
	}),
});
export type WorkerView = z.infer<typeof workerSchema>;

/** Cloud Run's RunJobRequest.Overrides; checked by the engine. */
export const runJobSchema = z.looseObject({});
export interface RunJob {
	containerOverrides?: { name?: string; args?: string[]; env?: { name: string; value: string }[] }[];
	taskCount?: number;
	timeoutSeconds?: number;
}
export const scaleWorkerSchema = z.strictObject({ instances: z.int().min(0).max(100) });

const gatewayRouteSchema = z.looseObject({
	name: text,
	hosts: z.array(text),
	rules: z.array(z.looseObject({ method: text, path: text, target: z.looseObject({}) })),
});
export type GatewayRouteView = z.infer<typeof gatewayRouteSchema>;

const domainSchema = z.looseObject({
	host: text,
	target: z.looseObject({ service: text, namespace: text, tag: text.optional() }).optional(),
	route: text.optional(),
	tls: z.union([z.enum(["none", "dev", "acme"]), z.looseObject({ cert: text, key: text })]),
	certificate: z
		.object({
			state: z.enum(["pending", "issued", "failed"]),
			until: text.optional().describe("When the certificate in use ends"),
			problem: text.optional().describe("Why the last try to get or renew it failed"),
			retryAt: text.optional(),
		})
		.optional(),
});
export type DomainView = z.infer<typeof domainSchema>;

export const developmentAuthoritySchema = z.object({
	path: text.describe("On the daemon's machine"),
	certificate: text.describe("PEM"),
	instructions: text.describe("How programs are made to trust it"),
});
export type DevelopmentAuthorityView = z.infer<typeof developmentAuthoritySchema>;

const revisionActivitySchema = z.object({
	revision: text,
	percent: z.int().describe("Of the service's requests"),
	tags: z.array(text),
	actualReplicas: z.int().describe("Instances there are"),
	desiredReplicas: z.int().describe("Instances the autoscaler wants"),
	requests: z.int().describe("Answered since the daemon started"),
	failures: z.int().describe("Of them: 5xx, or no answer from the container"),
});
export type RevisionActivity = z.infer<typeof revisionActivitySchema>;

export const instanceSchema = z.object({
	id: text,
	kind: z.enum(["service", "worker", "job"]),
	namespace: text,
	name: text.describe("Of the service, the worker or the job"),
	part: text.describe("The revision, or EXECUTION/TASK"),
	state: z.enum(["starting", "ready", "unready", "frozen", "draining", "stopping", "ended"]),
	startedMs: z.number().describe("Milliseconds since the epoch"),
	inFlight: z.int().optional().describe("Requests that a service's instance is at"),
	memoryBytes: z.int(),
	cpuUs: z.int().describe("CPU time used, microseconds"),
});
export type InstanceView = z.infer<typeof instanceSchema>;
const stoppedInstancesSchema = z.object({ instances: z.int().describe("How many were stopped") });

const problem = z.looseObject({ code: text, detail: text });
const problemLine = z.object({ type: z.literal("problem"), problem });
const deploymentProgressSchema = z.object({
	revision: text,
	stage: z.enum(["queue", "resolve", "pull", "unpack", "start"]).describe("queue: others are made ready first"),
	image: text.optional().describe("That is resolved, pulled or unpacked"),
	done: z.int().describe("Bytes"),
	total: z.int().describe("Bytes; 0 when the stage has none"),
});
export type DeploymentProgress = z.infer<typeof deploymentProgressSchema>;

/** Lines of a watched service: it whenever it changes, how far its newest revision is, and once a second what its revisions do. */
const serviceStreamSchema = z.discriminatedUnion("type", [
	z.object({ type: z.literal("service"), service: serviceSchema }),
	z.object({ type: z.literal("activity"), revisions: z.array(revisionActivitySchema) }),
	deploymentProgressSchema.extend({ type: z.literal("progress") }),
	z.object({ type: z.literal("deleted") }),
	problemLine,
]);
export type ServiceStreamLine = z.infer<typeof serviceStreamSchema>;
const executionStreamSchema = z.discriminatedUnion("type", [
	z.object({ type: z.literal("execution"), execution: executionSchema }),
	problemLine,
]);
export type ExecutionStreamLine = z.infer<typeof executionStreamSchema>;
const workerStreamSchema = z.discriminatedUnion("type", [
	z.object({ type: z.literal("worker"), worker: workerSchema }),
	problemLine,
]);
export type WorkerStreamLine = z.infer<typeof workerStreamSchema>;

export const serviceComponents = {
	Manifest: manifestSchema,
	Service: serviceSchema,
	ServiceList: z.object({ services: z.array(serviceSchema) }),
	SetTraffic: setTrafficSchema,
	ServiceStreamLine: serviceStreamSchema,
	InstanceList: z.object({ instances: z.array(instanceSchema) }),
	StoppedInstances: stoppedInstancesSchema,
	Revision: revisionSchema,
	RevisionList: z.object({ revisions: z.array(revisionSchema) }),
	Job: jobSchema,
	JobList: z.object({ jobs: z.array(jobSchema) }),
	RunJob: runJobSchema,
	Execution: executionSchema,
	ExecutionList: z.object({ executions: z.array(executionSchema) }),
	ExecutionStreamLine: executionStreamSchema,
	TaskList: z.object({ tasks: z.array(taskSchema) }),
	Worker: workerSchema,
	WorkerList: z.object({ workers: z.array(workerSchema) }),
	WorkerStreamLine: workerStreamSchema,
	ScaleWorker: scaleWorkerSchema,
	GatewayRoute: gatewayRouteSchema,
	GatewayRouteList: z.object({ routes: z.array(gatewayRouteSchema) }),
	Domain: domainSchema,
	DomainList: z.object({ domains: z.array(domainSchema) }),
	DevelopmentAuthority: developmentAuthoritySchema,
} as const;
