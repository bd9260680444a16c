import { posix } from "node:path";
import type { Container, Volume } from "./knative.ts";
import { dns1123LabelProblem } from "./kubernetes-names.ts";
import type { ObjectReader } from "./object-reader.ts";
import { parseQuantity } from "./quantity.ts";

/** k8s_validation.go reservedPaths, and what the sandbox mounts itself. */
const reservedPaths = new Set(["/", "/dev", "/dev/log", "/proc", "/sys"]);

/** Volume types that an installation on one machine does not have. */
const notHere: Record<string, string> = {
	secret: "Volumes of secrets are not supported: set the value as an environment variable",
	configMap: "Volumes of ConfigMaps are not supported: put the files into the image or set environment variables",
	projected: "Projected volumes are not supported: put the files into the image or set environment variables",
	hostPath: "Folders of the machine can't be mounted: use emptyDir, or persistentVolumeClaim in a core service",
	csi: "CSI volumes (Cloud Storage among them) are not supported: use emptyDir",
	nfs: "NFS volumes are not supported: use emptyDir, or persistentVolumeClaim in a core service",
	ephemeral: "Ephemeral volume claims are not supported: use emptyDir",
	image: "Image volumes are not supported: copy the files into the container's image",
	downwardAPI: "Downward API volumes are not supported: use the environment variables K_SERVICE, K_REVISION",
};

const types = ["emptyDir", "persistentVolumeClaim", ...Object.keys(notHere)];

export function readVolumes(spec: ObjectReader, mounted: ReadonlySet<string>, core: boolean): Volume[] {
	const { problems } = spec;
	const names = new Set<string>();
	return spec.objects("volumes").map((reader) => {
		const name = reader.text("name") ?? "";
		if (names.has(name)) problems.add(`duplicate volume name "${name}"`, reader.at("name"));
		if (name === "") problems.missing(reader.at("name"));
		else {
			const problem = dns1123LabelProblem(name);
			if (problem) problems.invalid(name, reader.at("name"), problem);
			if (!mounted.has(name)) problems.add(`volume with name "${name}" not mounted`, reader.at("name"));
		}
		names.add(name);
		const given = types.filter((type) => reader.has(type));
		if (given.length === 0) problems.neither(reader.path, ["emptyDir", "persistentVolumeClaim"]);
		if (given.length > 1) problems.both(reader.path, given);
		const volume = { name, ...readEmptyDir(reader.object("emptyDir")), ...readClaim(reader, core) };
		reader.refuse(notHere);
		reader.end();
		return volume;
	});
}

function readEmptyDir(reader: ObjectReader | undefined): Pick<Volume, "emptyDir"> {
	if (!reader) return {};
	const medium = reader.text("medium");
	if (medium !== undefined && medium !== "" && medium !== "Memory")
		reader.problems.invalid(medium, reader.at("medium"), 'must be "" or "Memory"');
	const sizeLimit = readQuantityText(reader, "sizeLimit");
	reader.end();
	return {
		emptyDir: {
			...(medium === "Memory" ? { medium } : {}),
			...(sizeLimit === undefined ? {} : { sizeLimit }),
		},
	};
}

function readClaim(volume: ObjectReader, core: boolean): Pick<Volume, "persistentVolumeClaim"> {
	const reader = volume.object("persistentVolumeClaim");
	if (!reader) return {};
	if (!core) {
		const instead =
			'Volumes that outlive an instance belong to a service of one instance: set the annotation slipway.dev/core: "true" on spec.template.metadata, or use emptyDir';
		reader.problems.disallowed(reader.path, instead);
	}
	const claimName = reader.text("claimName") ?? "";
	const problem = claimName === "" ? undefined : dns1123LabelProblem(claimName);
	if (claimName === "") reader.problems.missing(reader.at("claimName"));
	else if (problem) reader.problems.invalid(claimName, reader.at("claimName"), problem);
	const readOnly = reader.flag("readOnly");
	reader.end();
	return { persistentVolumeClaim: { claimName, ...(readOnly ? { readOnly } : {}) } };
}

/** A quantity as text, whether it was written as a number or as text. Must not be negative. */
export function readQuantityText(reader: ObjectReader, field: string): string | undefined {
	const given = reader.any(field);
	if (given === undefined) return undefined;
	const text = typeof given === "number" ? String(given) : given;
	const value = typeof text === "string" ? parseQuantity(text) : undefined;
	if (typeof text === "string" && value !== undefined && value >= 0) return text;
	reader.problems.invalid(given, reader.at(field), 'must be a quantity such as "500m", "0.5", "512Mi" or "1G"');
	return undefined;
}

export function readVolumeMounts(
	container: ObjectReader,
	volumes: ReadonlyMap<string, Volume>,
): NonNullable<Container["volumeMounts"]> {
	const { problems } = container;
	const paths = new Set<string>();
	return container.objects("volumeMounts").map((reader) => {
		const name = reader.text("name") ?? "";
		const volume = volumes.get(name);
		if (!volume) problems.add("volumeMount has no matching volume", reader.at("name"));
		const mountPath = reader.text("mountPath") ?? "";
		const clean = posix.normalize(mountPath).replace(/(.)\/$/, "$1");
		if (mountPath === "") problems.missing(reader.at("mountPath"));
		else if (reservedPaths.has(clean) || /^\/(proc|sys)\//.test(clean))
			problems.add(`mountPath "${clean}" is a reserved path`, reader.at("mountPath"));
		else if (!posix.isAbsolute(mountPath) || mountPath.includes(":"))
			problems.invalid(mountPath, reader.at("mountPath"), "must be an absolute path without ':'");
		else if (paths.has(clean)) problems.invalid(`"${mountPath}" must be unique`, reader.at("mountPath"));
		paths.add(clean);
		const subPath = reader.text("subPath");
		if (subPath?.split("/").includes("..") || subPath?.startsWith("/"))
			problems.invalid(subPath, reader.at("subPath"), "must be a relative path without '..'");
		const readOnly = reader.flag("readOnly");
		if (volume?.persistentVolumeClaim?.readOnly && !readOnly)
			problems.add("volume is readOnly but volume mount is not", reader.at("readOnly"));
		reader.refuse({ mountPropagation: "Mounts are not propagated", subPathExpr: "Use subPath" });
		reader.end();
		return { name, mountPath, ...(subPath ? { subPath } : {}), ...(readOnly ? { readOnly } : {}) };
	});
}
