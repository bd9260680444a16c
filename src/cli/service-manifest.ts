/** A service's manifest from the options of `service deploy IMAGE`: a new one, or what is there with the options changed. */
import type { ServiceView, TrafficTargetView } from "../client/service-schema.ts";
import { integerOf, listOf, mergePairs, pairsOf, secondsOf, usage, volumesOf } from "./options.ts";
import { pinnedTraffic } from "./traffic-change.ts";
import { type Call, text } from "./verb.ts";

type Values = Call["values"];
interface Container {
	image?: string;
	command?: string[];
	args?: string[];
	env?: { name: string; value?: string }[];
	ports?: { name?: string; containerPort?: number }[];
	resources?: { limits?: Record<string, string> };
	volumeMounts?: { name: string; mountPath: string; readOnly?: boolean }[];
	[field: string]: unknown;
}

/**
 * What kn writes into the template: each deployment is a new revision. A tag may mean another image than the last time, which the
 * template does not show.
 */
const updatedAnnotation = "client.knative.dev/updateTimestamp";

/** The last part of an image's name, without tag and digest: what the service is called when nobody says. */
export function nameOfImage(image: string): string {
	const repository = image.split("@")[0]!.replace(/:[^/:]*$/, "");
	const name = repository
		.split("/")
		.at(-1)!
		.toLowerCase()
		.replace(/[^a-z0-9-]+/g, "-")
		.replace(/^[^a-z]+|-+$/g, "");
	if (name === "") throw usage(`'${image}' makes no service name: give one with --name`);
	return name.slice(0, 49);
}

export function serviceManifest(
	name: string,
	namespace: string,
	image: string,
	values: Values,
	current: ServiceView | undefined,
	now = new Date(),
): Record<string, unknown> {
	const template = current?.spec.template as
		| { metadata?: { annotations?: object; labels?: object }; spec: object }
		| undefined;
	const spec = (template?.spec ?? {}) as {
		containers?: Container[];
		volumes?: { name: string }[];
		[field: string]: unknown;
	};
	const [first = {}, ...others] = spec.containers ?? [];
	const concurrency = integerOf("concurrency", values.concurrency);
	const timeoutSeconds = secondsOf("timeout", values.timeout);
	const traffic = trafficOf(values, current);
	const containers = [changedContainer(first, image, values), ...others];
	const { volumes } = volumesOf(values.volume);
	// What another one is mounted over is not needed any more.
	const mounted = containers.flatMap(({ volumeMounts = [] }) => volumeMounts.map(({ name }) => name));
	return {
		apiVersion: "serving.knative.dev/v1",
		kind: "Service",
		metadata: {
			name,
			namespace,
			...(current && { labels: current.metadata.labels }),
			annotations: { ...current?.metadata.annotations, ...serviceAnnotations(values) },
		},
		spec: {
			template: {
				metadata: {
					...(template?.metadata?.labels && { labels: template.metadata.labels }),
					annotations: {
						...template?.metadata?.annotations,
						...templateAnnotations(values),
						...(current && { [updatedAnnotation]: now.toISOString() }),
					},
				},
				spec: {
					...spec,
					...(concurrency !== undefined && { containerConcurrency: concurrency }),
					...(timeoutSeconds !== undefined && { timeoutSeconds }),
					...(volumes.length > 0 && {
						volumes: mergePairs(spec.volumes ?? [], volumes).filter((one) => mounted.includes(one.name)),
					}),
					containers,
				},
			},
			...(traffic && { traffic }),
		},
	};
}

function changedContainer(before: Container, image: string, values: Values): Container {
	const env = pairsOf("env", values.env);
	const removed = listOf(values["remove-env"]);
	const variables = mergePairs(before.env ?? [], env).filter(({ name }) => !removed.includes(name));
	const port = integerOf("port", values.port);
	const [command, args] = [listOf(values.command), listOf(values.args)];
	const limits = {
		...(text(values.cpu) !== undefined && { cpu: text(values.cpu)! }),
		...(text(values.memory) !== undefined && { memory: text(values.memory)! }),
	};
	const { mounts } = volumesOf(values.volume);
	const otherMounts = (before.volumeMounts ?? []).filter((old) =>
		mounts.every((one) => one.mountPath !== old.mountPath),
	);
	const portBefore = before.ports?.[0];
	const ports = {
		...portBefore,
		...(port !== undefined && { containerPort: port }),
		...(values.h2c === true && { name: "h2c" }),
	};
	return {
		...before,
		image,
		...((env.length > 0 || removed.length > 0) && { env: variables }),
		...(command.length > 0 && { command }),
		...(args.length > 0 && { args }),
		...(Object.keys(ports).length > 0 && { ports: [ports] }),
		...(mounts.length > 0 && { volumeMounts: [...otherMounts, ...mounts] }),
		...(Object.keys(limits).length > 0 && {
			resources: { ...before.resources, limits: { ...before.resources?.limits, ...limits } },
		}),
	};
}

function templateAnnotations(values: Values): Record<string, string> {
	const min = integerOf("min-instances", values["min-instances"]);
	const max = integerOf("max-instances", values["max-instances"]);
	const always = values["cpu-always"] === true || values["no-cpu-throttling"] === true;
	// A volume that outlives instances has one writer.
	const core = values.core === true || listOf(values.volume).length > 0;
	return {
		...(core && { "slipway.dev/core": "true" }),
		...(min !== undefined && { "autoscaling.knative.dev/minScale": String(min) }),
		...(max !== undefined && { "autoscaling.knative.dev/maxScale": String(max) }),
		...(always && { "run.googleapis.com/cpu-throttling": "false" }),
	};
}

function serviceAnnotations(values: Values): Record<string, string> {
	const given: [string, string | undefined][] = [
		["run.googleapis.com/ingress", text(values.ingress)],
		["slipway.dev/rollout-duration", text(values["rollout-duration"])],
		["slipway.dev/rollback-on-error-rate", text(values["rollback-on-error-rate"])],
		["slipway.dev/rollback-on-latency-p95", text(values["rollback-on-latency-p95"])],
		["slipway.dev/rollback-window", text(values["rollback-window"])],
	];
	return Object.fromEntries(given.filter((entry): entry is [string, string] => entry[1] !== undefined));
}

/** `--no-traffic` leaves the requests with the revisions that have them now, as gcloud does; later ones get none either. */
function trafficOf(values: Values, current: ServiceView | undefined): unknown[] | undefined {
	const tag = text(values.tag);
	if (values["no-traffic"] !== true && tag === undefined) return current?.spec.traffic;
	const defined: TrafficTargetView[] = current?.spec.traffic?.length
		? current.spec.traffic
		: [{ latestRevision: true, percent: 100 }];
	const traffic = values["no-traffic"] === true ? current && pinnedTraffic(current) : defined;
	if (!traffic) throw usage("--no-traffic needs a revision that has the traffic: deploy once without it");
	if (tag === undefined) return traffic;
	return [...traffic.filter((target) => target.tag !== tag), { latestRevision: true, percent: 0, tag }];
}
