import { createHash } from "node:crypto";
import { readdirSync, readFileSync, readlinkSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { systemCode } from "../../../base/error.ts";
import { interfacePrefix } from "../egress.ts";

/** What sandboxes take from their host, as text that two snapshots can be compared by. */
export function hostSnapshot(stateFolder: string): Record<string, string[]> {
	return {
		mounts: readFileSync("/proc/self/mountinfo", "utf8")
			.split("\n")
			.flatMap((line) => line.split(" ")[4] ?? [])
			.filter((path) => path.startsWith(stateFolder))
			.sort(),
		interfaces: readdirSync("/sys/class/net").filter((name) => name.startsWith(interfacePrefix(hashOf(stateFolder)))),
		cgroups: cgroupsNamed("contract-"),
		loops: readdirSync("/sys/block")
			.filter((name) => name.startsWith("loop"))
			.map((name) => readIfThere(`/sys/block/${name}/loop/backing_file`))
			.filter((file) => file.startsWith(stateFolder)),
		disks: filesOf(join(stateFolder, "disks")).filter((name) => !name.startsWith("template-")),
		descriptors: readdirSync("/proc/self/fd")
			.map((fd) => linkIfThere(`/proc/self/fd/${fd}`).replace(/\d+/g, "N"))
			.filter((target) => target !== "" && !target.startsWith("/proc/"))
			.sort(),
	};
}

function hashOf(stateFolder: string): string {
	return createHash("sha256").update(realpathSync(stateFolder)).digest("hex");
}

function cgroupsNamed(part: string): string[] {
	const root = "/sys/fs/cgroup";
	const groups = readdirSync(root).flatMap((top) => filesOf(join(root, top)).map((name) => join(root, top, name)));
	return [...groups, ...filesOf(root).map((name) => join(root, name))]
		.filter((path) => path.includes("/slipway-"))
		.flatMap((path) => filesOf(path).map((name) => join(path, name)))
		.filter((path) => path.includes(part + process.pid));
}

function filesOf(path: string): string[] {
	try {
		return readdirSync(path);
	} catch (error) {
		if (systemCode(error) === "ENOENT" || systemCode(error) === "ENOTDIR") return [];
		throw error;
	}
}

function readIfThere(path: string): string {
	try {
		return readFileSync(path, "utf8").trim();
	} catch (error) {
		if (systemCode(error) === "ENOENT" || systemCode(error) === "ENXIO") return "";
		throw error;
	}
}

function linkIfThere(path: string): string {
	try {
		return readlinkSync(path);
	} catch (error) {
		if (systemCode(error) === "ENOENT") return "";
		throw error;
	}
}
