import { isIPv4 } from "node:net";
import { posix } from "node:path";
import { SlipwayError } from "../../base/error.ts";
import type { SandboxSpec } from "./sandbox-runtime.ts";

/** More than any service has volumes: each is a mount to be made before the start. */
export const MAX_MOUNTS = 64;
/** A metadata service, the names inside, and as many ports of the host as may be allowed. */
export const MAX_LISTENERS = 40;
/** At these, and below the first three, is what every sandbox has of its own. */
const platformFolders = ["/proc", "/dev", "/sys"];
const platformPaths = ["/", "/etc", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];

/** INVALID for mounts, listeners and neighbours that no runtime takes. Costs nothing where a spec has none. */
export function checkSpec({ mounts, listeners, beside, endpoint }: SandboxSpec): void {
	if (mounts && mounts.length > 0) checkMounts(mounts);
	if (listeners && listeners.length > 0) checkListeners(listeners);
	if (beside && (endpoint || (listeners && listeners.length > 0)))
		throw invalid("A sandbox beside another has the other's endpoint and listeners, and none of its own");
}

function checkMounts(mounts: NonNullable<SandboxSpec["mounts"]>): void {
	if (mounts.length > MAX_MOUNTS) throw invalid(`More than ${MAX_MOUNTS} mounts in one sandbox`);
	const targets = new Set<string>();
	for (const { source, target } of mounts) {
		if (!posix.isAbsolute(source) || source.includes("\0"))
			throw invalid(`The source of a mount must be an absolute path, not "${source}"`);
		if (!posix.isAbsolute(target) || target.includes("\0") || target.split("/").includes(".."))
			throw invalid(`A mount's target must be an absolute path without "..", not "${target}"`);
		const plain = plainPath(target);
		if (isPlatformPath(plain)) throw invalid(`Nothing can be mounted at ${target}, which is the platform's`);
		if (targets.has(plain)) throw invalid(`Two mounts at ${plain}`);
		targets.add(plain);
	}
}

function checkListeners(listeners: NonNullable<SandboxSpec["listeners"]>): void {
	if (listeners.length > MAX_LISTENERS) throw invalid(`More than ${MAX_LISTENERS} listeners in one sandbox`);
	const taken = new Set<string>();
	for (const { host, port } of listeners) {
		const address = `${host}:${port}`;
		if (!isIPv4(host) || !host.startsWith("169.254.")) throw invalid(`${host} is no address of 169.254.0.0/16`);
		if (!Number.isInteger(port) || port < 1 || port > 65_535) throw invalid(`${address} is no port`);
		if (taken.has(address)) throw invalid(`Two listeners at ${address}`);
		taken.add(address);
	}
}

/** Whether a path without links in it, as a sandbox sees it, is one that every sandbox has from the platform. */
export function isPlatformPath(path: string): boolean {
	return platformPaths.includes(path) || platformFolders.some((folder) => isAtOrBelow(path, folder));
}

export function isAtOrBelow(path: string, folder: string): boolean {
	return path === folder || path.startsWith(`${folder}/`);
}

/** Without "." and doubled or trailing slashes. */
export function plainPath(path: string): string {
	const plain = posix.normalize(path);
	return plain.length > 1 && plain.endsWith("/") ? plain.slice(0, -1) : plain;
}

function invalid(message: string): SlipwayError {
	return new SlipwayError("INVALID", message);
}
