import { isSlipwayError } from "../../base/error.ts";
import { parseReference } from "../image/reference.ts";
import { at } from "./field-problems.ts";
import type { Container, Volume } from "./knative.ts";
import { dns1123LabelProblem, environmentNameProblem } from "./kubernetes-names.ts";
import type { ObjectReader } from "./object-reader.ts";
import { parseQuantity } from "./quantity.ts";
import type { ServiceProfile } from "./service-revision.ts";
import { readProbe } from "./validate-probe.ts";
import { readQuantityText, readVolumeMounts } from "./validate-volumes.ts";

export interface ContainerContext {
	profile: ServiceProfile;
	volumes: ReadonlyMap<string, Volume>;
	/** Whether requests arrive at it: the only container, or the one with ports. */
	ingress: boolean;
}

/** Knative's queue-proxy's ports (networking.go, 8008 profiling) are refused by Knative alone; here nothing else is in the container's network. */
const reservedEnvironment = new Set(["K_SERVICE", "K_CONFIGURATION", "K_REVISION"]);
/** Cloud Run (http-contracts 1.2). */
const cloudRunReserved = /^(CLOUD_RUN_|X_GOOGLE_)/;
/** Bytes of one variable (http-contracts 1.2). */
const maxEnvironmentValue = 32 * 1024;
const maxId = 2 ** 31 - 1;
const resourceNames = new Set(["cpu", "memory", "ephemeral-storage"]);
/** The registry of an image that names none does not matter here: a reference is only read. */
const anyRegistry = "localhost";

const notHere: Record<string, string> = {
	lifecycle: "Hooks are not supported: handle SIGTERM in the container",
	stdin: "Standard input is always empty",
	stdinOnce: "Standard input is always empty",
	tty: "Containers have no terminal",
	volumeDevices: "Devices can't be mounted",
	envFrom: "Secrets and ConfigMaps are not supported: list the variables under env",
	resizePolicy: "Resources are changed by a new revision",
	restartPolicy: "An instance whose container ends is replaced",
};

/** k8s_validation.go validate, ValidateUserContainer and validateSidecarContainer. */
export function readContainer(reader: ObjectReader, context: ContainerContext): Container {
	const { problems } = reader;
	if (reader.size === 0) problems.missing(reader.path);
	const name = reader.text("name") ?? "";
	if (name === "queue-proxy") problems.add(`"${name}" is a reserved container name`, reader.at("name"));
	const nameProblem = name === "" ? undefined : dns1123LabelProblem(name);
	if (nameProblem) problems.invalid(name, reader.at("name"), nameProblem);
	const ports = readPorts(reader);
	const portName = context.ingress ? ports[0]?.name || "http" : undefined;
	const probe = (use: "startup" | "liveness" | "readiness") =>
		readProbe(reader.object(`${use}Probe`), { use, profile: context.profile, portName });
	const [command, args] = [reader.texts("command"), reader.texts("args")];
	const env = readEnvironment(reader, context);
	const volumeMounts = readVolumeMounts(reader, context.volumes);
	const container: Container = {
		name,
		image: readImage(reader),
		...optional("command", command),
		...optional("args", args),
		...optional("workingDir", reader.text("workingDir") || undefined),
		...optional("env", env.length > 0 ? env : undefined),
		...optional("ports", ports.length > 0 ? ports : undefined),
		...optional("resources", readResources(reader.object("resources"))),
		...optional("startupProbe", probe("startup")),
		...optional("livenessProbe", probe("liveness")),
		...optional("readinessProbe", probe("readiness")),
		...optional("volumeMounts", volumeMounts.length > 0 ? volumeMounts : undefined),
		...optional("securityContext", readSecurityContext(reader.object("securityContext"))),
		...readTexts(reader),
	};
	reader.refuse(notHere);
	reader.end();
	return container;
}

/** Under strict optional properties, `undefined` is left out rather than set. */
export function optional<Key extends string, Value>(key: Key, value: Value | undefined): { [K in Key]?: Value } {
	return value === undefined ? {} : ({ [key]: value } as { [K in Key]?: Value });
}

function readImage(reader: ObjectReader): string {
	const image = reader.text("image") ?? "";
	if (image === "") {
		reader.problems.missing(reader.at("image"));
		return image;
	}
	try {
		parseReference(image, anyRegistry);
	} catch (error) {
		if (!isSlipwayError(error)) throw error;
		reader.problems.add("Failed to parse image reference", reader.at("image"), error.message);
	}
	return image;
}

function readTexts(reader: ObjectReader): Partial<Container> {
	const choice = <T extends string>(field: string, allowed: readonly T[]): T | undefined => {
		const value = reader.text(field) || undefined;
		if (value === undefined || allowed.includes(value as T)) return value as T | undefined;
		reader.problems.invalid(value, reader.at(field), `must be one of ${allowed.join(", ")}`);
		return undefined;
	};
	return {
		...optional("imagePullPolicy", choice("imagePullPolicy", ["Always", "IfNotPresent", "Never"])),
		...optional("terminationMessagePath", reader.text("terminationMessagePath") || undefined),
		...optional(
			"terminationMessagePolicy",
			choice("terminationMessagePolicy", ["File", "FallbackToLogsOnError"] as const),
		),
	};
}

function readPorts(container: ObjectReader): NonNullable<Container["ports"]> {
	return container.objects("ports").map((reader) => {
		const name = reader.text("name") ?? "";
		if (name !== "" && name !== "http1" && name !== "h2c")
			reader.problems.add(
				`Port name ${name} is not allowed`,
				reader.path,
				"Name must be empty, or one of: 'h2c', 'http1'",
			);
		const containerPort = reader.bounded("containerPort", 0, 65_535);
		const protocol = reader.text("protocol");
		if (protocol && protocol !== "TCP") reader.problems.invalid(protocol, reader.at("protocol"), "must be TCP");
		reader.refuse({
			hostPort: "Requests arrive through the gateway",
			hostIP: "Requests arrive through the gateway",
		});
		reader.end();
		return {
			...(name === "" ? {} : { name }),
			...(containerPort ? { containerPort } : { containerPort: 0 }),
			...(protocol === "TCP" ? { protocol } : {}),
		};
	});
}

function readEnvironment(container: ObjectReader, context: ContainerContext): NonNullable<Container["env"]> {
	return container.objects("env").map((reader) => {
		const { problems } = reader;
		const name = reader.text("name") ?? "";
		const isReserved =
			reservedEnvironment.has(name) ||
			(name === "PORT" && context.ingress) ||
			(context.profile === "cloudrun" && cloudRunReserved.test(name));
		const problem = name === "" ? undefined : environmentNameProblem(name);
		if (name === "") problems.missing(reader.at("name"));
		else if (isReserved) problems.add(`"${name}" is a reserved environment variable`, reader.at("name"));
		else if (problem) problems.invalid(name, reader.at("name"), problem);
		const value = reader.text("value");
		if (value !== undefined && Buffer.byteLength(value) > maxEnvironmentValue)
			problems.invalid(value, reader.at("value"), `must have at most ${maxEnvironmentValue} bytes`);
		const from = reader.object("valueFrom");
		from?.refuse({
			secretKeyRef: "Secrets are not supported: set the value",
			configMapKeyRef: "ConfigMaps are not supported: set the value",
			fieldRef: "Fields can't be referred to: K_SERVICE, K_REVISION and K_CONFIGURATION are set",
			resourceFieldRef: "Fields can't be referred to: set the value",
		});
		from?.end();
		reader.end();
		return { name, ...(value === undefined ? {} : { value }) };
	});
}

function readResources(reader: ObjectReader | undefined): Container["resources"] {
	if (!reader) return undefined;
	const amounts = (field: string) => {
		const list = reader.object(field);
		if (!list) return undefined;
		const read = [...resourceNames].flatMap((name): [string, string][] => {
			const text = readQuantityText(list, name);
			return text === undefined ? [] : [[name, text]];
		});
		list.refuse({ "nvidia.com/gpu": "GPUs are not supported" });
		list.end();
		return Object.fromEntries(read);
	};
	const limits = amounts("limits");
	const requests = amounts("requests");
	for (const [name, text] of Object.entries(requests ?? {})) {
		const limit = limits?.[name];
		if (limit !== undefined && (parseQuantity(text) ?? 0) > (parseQuantity(limit) ?? 0))
			reader.problems.invalid(
				text,
				at(reader.at("requests"), name),
				`must be less than or equal to ${name} limit of ${limit}`,
			);
	}
	for (const name of ["cpu", "memory"]) {
		const limit = limits?.[name];
		if (limit !== undefined && parseQuantity(limit) === 0)
			reader.problems.invalid(limit, at(reader.at("limits"), name), "must be more than 0");
	}
	reader.refuse({ claims: "Resource claims are not supported" });
	reader.end();
	return { ...optional("limits", limits), ...optional("requests", requests) };
}

function readSecurityContext(reader: ObjectReader | undefined): Container["securityContext"] {
	if (!reader) return undefined;
	const { problems } = reader;
	const context = {
		...optional("runAsUser", reader.bounded("runAsUser", 0, maxId)),
		...optional("runAsGroup", reader.bounded("runAsGroup", 0, maxId)),
		...optional("runAsNonRoot", reader.flag("runAsNonRoot")),
		...optional("readOnlyRootFilesystem", reader.flag("readOnlyRootFilesystem")),
		...optional("allowPrivilegeEscalation", reader.flag("allowPrivilegeEscalation")),
	};
	if (reader.flag("privileged")) problems.disallowed(reader.at("privileged"), "Containers are never privileged");
	const capabilities = reader.object("capabilities");
	const drop = capabilities?.texts("drop");
	capabilities?.refuse({ add: "Containers get no further capabilities" });
	capabilities?.end();
	const seccomp = reader.object("seccompProfile");
	const type = seccomp?.text("type");
	if (seccomp && type !== "RuntimeDefault")
		problems.invalid(type ?? "", seccomp.at("type"), "must be RuntimeDefault: the platform's filter always holds");
	seccomp?.end();
	reader.refuse({
		seLinuxOptions: "Not supported",
		procMount: "Not supported",
		windowsOptions: "Not supported",
		appArmorProfile: "Not supported",
	});
	reader.end();
	return {
		...context,
		...(capabilities ? { capabilities: optional("drop", drop) } : {}),
		...(type === "RuntimeDefault" ? { seccompProfile: { type } } : {}),
	};
}
