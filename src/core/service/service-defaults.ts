/** Defaults as Knative (revision_defaults.go) and Cloud Run write them into what they store. */
import type { Container, KubernetesProbe, RevisionSpec } from "./knative.ts";
import { parseQuantity } from "./quantity.ts";
import type { ServiceProfile } from "./service-revision.ts";

const userContainerName = "user-container";
/** Of both. */
const defaultTimeoutS = 300;
/** Knative's config-defaults revision-response-start-timeout-seconds: written when the timeout is longer. */
const defaultResponseStartTimeoutS = 300;
/** Cloud Run's with a whole CPU or more; with less it is 1 (http-contracts 1.4). */
const cloudRunConcurrency = 80;
export const defaultPort = 8080;
const cloudRunLimits = { cpu: "1", memory: "512Mi" };
/** Cloud Run's startup probe when none is given: the port opens within four minutes (http-contracts 1.6). */
const cloudRunStartupProbe = { timeoutSeconds: 240, periodSeconds: 240, failureThreshold: 1 };

/** What may be missing before the defaults are there. */
export type GivenRevisionSpec = Omit<RevisionSpec, "containerConcurrency" | "timeoutSeconds"> & {
	containerConcurrency: number | undefined;
	timeoutSeconds: number | undefined;
};

export function withDefaults(given: GivenRevisionSpec, profile: ServiceProfile): RevisionSpec {
	const containers = named(given.containers).map((container) =>
		profile === "cloudrun"
			? cloudRunContainer(container, isIngress(container, given.containers))
			: knativeContainer(container, isIngress(container, given.containers)),
	);
	const timeoutSeconds = given.timeoutSeconds || defaultTimeoutS;
	const responseStart =
		given.responseStartTimeoutSeconds ??
		(profile === "knative" && defaultResponseStartTimeoutS < timeoutSeconds ? defaultResponseStartTimeoutS : undefined);
	return {
		...given,
		containers,
		containerConcurrency: given.containerConcurrency ?? defaultConcurrency(containers, profile),
		timeoutSeconds,
		...(responseStart === undefined ? {} : { responseStartTimeoutSeconds: responseStart }),
		...(profile === "knative" ? { enableServiceLinks: given.enableServiceLinks ?? false } : {}),
	};
}

/** Where requests arrive: the only container, or the one that has ports. */
export function isIngress(container: Container, all: readonly Container[]): boolean {
	return all.length === 1 || (container.ports?.length ?? 0) > 0;
}

/** Of all containers together: an instance with less gets one request at a time, as Cloud Run has it. */
export function hasWholeCpu(containers: readonly Container[]): boolean {
	return containers.reduce((cpus, { resources }) => cpus + (parseQuantity(resources?.limits?.cpu ?? "1") ?? 1), 0) >= 1;
}

function defaultConcurrency(containers: readonly Container[], profile: ServiceProfile): number {
	if (profile === "knative") return 0;
	return hasWholeCpu(containers) ? cloudRunConcurrency : 1;
}

/** revision_defaults.go applyDefaultContainerNames. */
function named(containers: readonly Container[]): Container[] {
	const taken = new Set(containers.map(({ name }) => name));
	let next = 0;
	return containers.map((container) => {
		if (container.name !== "") return container;
		let name = userContainerName;
		while (containers.length > 1 || taken.has(name)) {
			name = `${userContainerName}-${next++}`;
			if (!taken.has(name)) break;
		}
		return { ...container, name };
	});
}

function knativeContainer(container: Container, ingress: boolean): Container {
	const probe = container.readinessProbe ?? (ingress ? {} : undefined);
	return withGrpcServices(probe ? { ...container, readinessProbe: readinessDefaults(probe) } : container);
}

function readinessDefaults(probe: KubernetesProbe): KubernetesProbe {
	const hasCheck = probe.httpGet ?? probe.tcpSocket ?? probe.grpc ?? probe.exec;
	return {
		...probe,
		...(hasCheck ? {} : { tcpSocket: {} }),
		successThreshold: probe.successThreshold || 1,
		...(probe.periodSeconds
			? { failureThreshold: probe.failureThreshold || 3, timeoutSeconds: probe.timeoutSeconds || 1 }
			: {}),
	};
}

function withGrpcServices(container: Container): Container {
	const filled = (probe: KubernetesProbe | undefined) =>
		probe?.grpc && probe.grpc.service === undefined ? { ...probe, grpc: { ...probe.grpc, service: "" } } : probe;
	const probes = (["startupProbe", "livenessProbe", "readinessProbe"] as const).flatMap((use) => {
		const probe = filled(container[use]);
		return probe ? [[use, probe] as const] : [];
	});
	return { ...container, ...Object.fromEntries(probes) };
}

function cloudRunContainer(container: Container, ingress: boolean): Container {
	const limits = { ...cloudRunLimits, ...container.resources?.limits };
	const port = container.ports?.[0];
	const ports = [{ ...port, name: port?.name ?? "http1", containerPort: port?.containerPort || defaultPort }];
	return withGrpcServices({
		...container,
		resources: { ...container.resources, limits },
		...(ingress
			? {
					ports,
					startupProbe: container.startupProbe ?? {
						...cloudRunStartupProbe,
						tcpSocket: { port: ports[0]?.containerPort ?? defaultPort },
					},
				}
			: {}),
	});
}
