import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { SlipwayError, systemCode } from "../../base/error.ts";
import { close, openInRoot } from "../../base/syscall.ts";
import type { SandboxUser } from "../../core/sandbox/sandbox-runtime.ts";

/** A file of an image's root, undefined when it has none. */
export type ReadImageFile = (path: string) => string | undefined;

/** The kernel's limit of user and group numbers, less the one that means "none" (-1). */
const maxId = 0xfffffffe;
/** No system has so many users. */
const maxBytes = 1 << 20;

/**
 * Who a container runs as (OCI image-spec, config, User): "user", "uid", "user:group", "uid:gid" and their mixtures, "" is
 * root. As with Docker, a number that /etc/passwd knows has its group from there, and else the group 0. `home` is for the
 * variable HOME. INVALID_IMAGE (reason "UnknownUser") for a name that the image does not know.
 */
export function containerUser(wanted: string, read: ReadImageFile): { user: SandboxUser; home: string } {
	const [name = "", groupName] = (wanted || "0").split(":", 2);
	const entry = entries(read("/etc/passwd")).find(([user, , uid]) => (isNumber(name) ? uid === name : user === name));
	if (!entry && !isNumber(name)) throw unknown("user", name, "/etc/passwd");
	const uid = toId(isNumber(name) ? name : (entry?.[2] ?? ""), wanted);
	const gid = groupName ? groupOf(groupName, read, wanted) : toId(entry?.[3] ?? "0", wanted);
	return { user: { uid, gid }, home: entry?.[5] || "/" };
}

function groupOf(name: string, read: ReadImageFile, wanted: string): number {
	if (isNumber(name)) return toId(name, wanted);
	const entry = entries(read("/etc/group")).find(([group]) => group === name);
	if (!entry) throw unknown("group", name, "/etc/group");
	return toId(entry[2] ?? "", wanted);
}

function isNumber(text: string): boolean {
	return /^\d+$/.test(text);
}

function entries(file: string | undefined): string[][] {
	return (file ?? "").split("\n").map((line) => line.split(":"));
}

function toId(text: string, wanted: string): number {
	const id = isNumber(text) ? Number(text) : Number.NaN;
	if (id <= maxId) return id;
	throw new SlipwayError("INVALID_IMAGE", `User "${wanted}" has no number from 0 to ${maxId}`, {
		reason: "UnknownUser",
	});
}

function unknown(what: string, name: string, file: string): SlipwayError {
	return new SlipwayError("INVALID_IMAGE", `The image's ${file} has no ${what} "${name}"`, { reason: "UnknownUser" });
}

/** Reads below `rootfs` and nowhere else, whatever links the image has. */
export function readImageFile(rootfs: string): ReadImageFile {
	return (path) => {
		let root: number | undefined;
		let file: number | undefined;
		try {
			root = openSync(rootfs, constants.O_DIRECTORY | constants.O_RDONLY);
			file = openInRoot(root, path.slice(1));
			const stat = fstatSync(file);
			return stat.isFile() && stat.size <= maxBytes ? readFileSync(`/proc/self/fd/${file}`, "utf8") : undefined;
		} catch (error) {
			if (["ENOENT", "ENOTDIR", "ELOOP"].includes(systemCode(error) ?? "")) return undefined;
			throw error;
		} finally {
			if (file !== undefined) close(file);
			if (root !== undefined) closeSync(root);
		}
	};
}
