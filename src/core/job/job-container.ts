/** Containers and volumes of jobs and worker pools: as a service's, without ports and, for jobs, without probes. */
import { at } from "../service/field-problems.ts";
import type { Container, KubernetesProbe, Volume } from "../service/knative.ts";
import { dns1123LabelProblem, environmentNameProblem } from "../service/kubernetes-names.ts";
import type { ObjectReader } from "../service/object-reader.ts";
import { parseQuantity } from "../service/quantity.ts";
import type { WorkerVolume } from "./job.ts";

/** Cloud Run's bound (http-contracts 1.10). */
const maxContainers = 10;
/** Bytes of one variable (http-contracts 1.2). */
const maxEnvValueBytes = 32 * 1024;
/** Set by the platform or kept for it (http-contracts 1.2). */
const reservedNames =
	/^(PORT|K_SERVICE|K_REVISION|K_CONFIGURATION|CLOUD_RUN_(JOB|EXECUTION|TASK_INDEX|TASK_ATTEMPT|TASK_COUNT|WORKER_POOL|REVISION)|X_GOOGLE_.*)$/;

export function readContainers(spec: ObjectReader, options: { probes: boolean }): Container[] {
	const { problems } = spec;
	const readers = spec.objects("containers");
	if (readers.length === 0) problems.missing(spec.at("containers"));
	if (readers.length > maxContainers)
		problems.add(`expected at most ${maxContainers} containers`, spec.at("containers"));
	const containers = readers.map((reader, index) => readContainer(reader, index, options));
	const names = containers.map(({ name }) => name);
	names.forEach((name, index) => {
		if (names.indexOf(name) < index) problems.invalid(name, `${readers[index]!.path}.name`, "names must be unique");
	});
	return containers;
}

function readContainer(reader: ObjectReader, index: number, { probes }: { probes: boolean }): Container {
	const { problems } = reader;
	const image = reader.text("image") ?? "";
	if (image === "" && (reader.any("image") ?? "") === "") problems.missing(reader.at("image"));
	const name = reader.text("name") ?? `container-${index}`;
	const wrong = dns1123LabelProblem(name);
	if (wrong) problems.invalid(name, reader.at("name"), wrong);
	reader.refuse({
		ports: "jobs and workers get no requests; use a service",
		envFrom: "list the variables in env",
		lifecycle: "handle SIGTERM instead",
	});
	if (!probes)
		reader.refuse({
			livenessProbe: "a task ends by itself",
			readinessProbe: "a task gets no requests",
			startupProbe: "a task gets no requests",
		});
	const startupProbe = probes ? readProbe(reader, "startupProbe") : undefined;
	const livenessProbe = probes ? readProbe(reader, "livenessProbe") : undefined;
	reader.ignore("imagePullPolicy", "terminationMessagePath", "terminationMessagePolicy");
	const container: Container = {
		name,
		image,
		...present("command", reader.texts("command")),
		...present("args", reader.texts("args")),
		...present("workingDir", reader.text("workingDir")),
		...present("env", readEnvironment(reader)),
		...present("resources", readResources(reader)),
		...present("startupProbe", startupProbe),
		...present("livenessProbe", livenessProbe),
		...present("volumeMounts", readMounts(reader)),
		...present("securityContext", readSecurityContext(reader)),
	};
	reader.end();
	return container;
}

function present<Key extends string, Value>(key: Key, value: Value | undefined): { [K in Key]?: Value } {
	return value === undefined ? {} : ({ [key]: value } as { [K in Key]?: Value });
}

export function readEnvironment(reader: ObjectReader): Container["env"] {
	if (!reader.has("env")) return undefined;
	return reader.objects("env").map((variable) => {
		const { problems } = variable;
		const name = variable.text("name") ?? "";
		const wrong = environmentNameProblem(name);
		if (wrong) problems.invalid(name, variable.at("name"), wrong);
		else if (reservedNames.test(name)) problems.invalid(name, variable.at("name"), "is set by the platform");
		const value = variable.text("value");
		if (value !== undefined && Buffer.byteLength(value) > maxEnvValueBytes)
			problems.invalid(value, variable.at("value"), `must have at most ${maxEnvValueBytes} bytes`);
		variable.refuse({ valueFrom: "give the value itself" });
		variable.end();
		return { name, ...(value !== undefined && { value }) };
	});
}

function readResources(reader: ObjectReader): Container["resources"] {
	const resources = reader.object("resources");
	if (!resources) return undefined;
	const check = (key: string, value: string, path: string) => {
		if (key !== "cpu" && key !== "memory") reader.problems.disallowed(at(path, key), "only cpu and memory are limited");
		else if (!((parseQuantity(value) ?? 0) > 0))
			reader.problems.invalid(value, at(path, key), "must be a quantity above 0, such as 500m, 2, 512Mi or 1Gi");
	};
	const limits = resources.textMap("limits", check);
	const requests = resources.textMap("requests", check);
	resources.end();
	return { limits, requests };
}

function readMounts(reader: ObjectReader): Container["volumeMounts"] {
	if (!reader.has("volumeMounts")) return undefined;
	return reader.objects("volumeMounts").map((mount) => {
		const { problems } = mount;
		const name = mount.text("name") ?? "";
		const mountPath = mount.text("mountPath") ?? "";
		const subPath = mount.text("subPath");
		if (!/^\/[^:]*$/.test(mountPath) || mountPath.split("/").includes(".."))
			problems.invalid(mountPath, mount.at("mountPath"), "must be an absolute path without '..' and ':'");
		if (subPath?.split("/").includes("..") || subPath?.startsWith("/"))
			problems.invalid(subPath, mount.at("subPath"), "must be a relative path without '..'");
		const readOnly = mount.flag("readOnly");
		mount.end();
		return { name, mountPath, ...present("subPath", subPath), ...present("readOnly", readOnly) };
	});
}

function readSecurityContext(reader: ObjectReader): Container["securityContext"] {
	const context = reader.object("securityContext");
	if (!context) return undefined;
	const value = {
		...present("runAsUser", context.bounded("runAsUser", 0, 2 ** 31 - 1)),
		...present("runAsGroup", context.bounded("runAsGroup", 0, 2 ** 31 - 1)),
		...present("runAsNonRoot", context.flag("runAsNonRoot")),
		...present("readOnlyRootFilesystem", context.flag("readOnlyRootFilesystem")),
	};
	const capabilities = context.object("capabilities");
	const drop = capabilities?.texts("drop");
	capabilities?.refuse({ add: "Containers get no further capabilities" });
	capabilities?.end();
	context.ignore("allowPrivilegeEscalation", "seccompProfile");
	context.end();
	return { ...value, ...(drop && { capabilities: { drop } }) };
}

/** Bounds: http-contracts 1.6. */
function readProbe(reader: ObjectReader, field: string): KubernetesProbe | undefined {
	const probe = reader.object(field);
	if (!probe) return undefined;
	const kinds = ["httpGet", "tcpSocket", "grpc"].filter((kind) => probe.has(kind));
	if (kinds.length === 0) probe.problems.neither(probe.path, ["httpGet", "tcpSocket", "grpc"]);
	if (kinds.length > 1) probe.problems.both(probe.path, kinds);
	const times = {
		...present("initialDelaySeconds", probe.bounded("initialDelaySeconds", 0, 3600)),
		...present("timeoutSeconds", probe.bounded("timeoutSeconds", 1, 3600)),
		...present("periodSeconds", probe.bounded("periodSeconds", 1, 3600)),
		...present("successThreshold", probe.bounded("successThreshold", 1, 1)),
		...present("failureThreshold", probe.bounded("failureThreshold", 1, 1000)),
	};
	const http = probe.object("httpGet");
	const tcp = probe.object("tcpSocket");
	const grpc = probe.object("grpc");
	// Without an ingress port there is none to fall back on.
	const port = (check: ObjectReader) => {
		if (!check.has("port")) check.problems.missing(check.at("port"));
		return check.bounded("port", 1, 65_535) ?? 0;
	};
	const value: KubernetesProbe = {
		...times,
		...(http && {
			httpGet: {
				port: port(http),
				...present("path", http.text("path")),
				httpHeaders: http.objects("httpHeaders").map((header) => ({
					name: header.text("name") ?? "",
					value: header.text("value") ?? "",
				})),
			},
		}),
		...(tcp && { tcpSocket: { port: port(tcp) } }),
		...(grpc && { grpc: { port: port(grpc), ...present("service", grpc.text("service")) } }),
	};
	for (const one of [http, tcp, grpc, probe]) one?.end();
	return value;
}

export function readVolumes(
	spec: ObjectReader,
	containers: readonly Container[],
	options: { persistent: boolean },
): WorkerVolume[] | undefined {
	const { problems } = spec;
	const volumes = spec.objects("volumes").map((volume) => readVolume(volume, options));
	const names = new Set(volumes.map(({ name }) => name));
	if (names.size < volumes.length) problems.invalid("a name twice", spec.at("volumes"), "names must be unique");
	containers.forEach((container, index) => {
		container.volumeMounts?.forEach(({ name }, mount) => {
			if (!names.has(name))
				problems.invalid(
					name,
					at(at(at(at(spec.path, "containers"), index), "volumeMounts"), mount),
					"must be the name of a volume",
				);
		});
	});
	return volumes.length > 0 ? volumes : undefined;
}

function readVolume(volume: ObjectReader, { persistent }: { persistent: boolean }): Volume {
	const { problems } = volume;
	const name = volume.text("name") ?? "";
	const wrong = dns1123LabelProblem(name);
	if (wrong) problems.invalid(name, volume.at("name"), wrong);
	volume.refuse({ secret: "use env", configMap: "use env", csi: "use emptyDir", nfs: "use emptyDir" });
	if (!persistent) volume.refuse({ persistentVolumeClaim: "tasks have emptyDir only" });
	const emptyDir = volume.object("emptyDir");
	const claim = volume.object("persistentVolumeClaim");
	if (!emptyDir === !claim) problems.add("expected exactly one of emptyDir, persistentVolumeClaim", volume.path);
	const sizeLimit = emptyDir?.text("sizeLimit");
	if (sizeLimit !== undefined && !((parseQuantity(sizeLimit) ?? 0) > 0))
		problems.invalid(sizeLimit, emptyDir!.at("sizeLimit"), "must be a quantity above 0, such as 64Mi");
	const medium = emptyDir?.text("medium");
	if (medium !== undefined && medium !== "" && medium !== "Memory")
		problems.invalid(medium, emptyDir!.at("medium"), 'must be "" or "Memory"');
	const claimName = claim?.text("claimName");
	if (claim && dns1123LabelProblem(claimName ?? ""))
		problems.invalid(claimName ?? "", claim.at("claimName"), dns1123LabelProblem(claimName ?? ""));
	emptyDir?.end();
	claim?.end();
	volume.end();
	return {
		name,
		...(emptyDir && { emptyDir: { medium: "Memory" as const, ...present("sizeLimit", sizeLimit) } }),
		...(claim && { persistentVolumeClaim: { claimName: claimName ?? "" } }),
	};
}
