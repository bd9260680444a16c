import { lstatSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { SandboxUser } from "../../core/sandbox/sandbox-runtime.ts";

/** Past it an image's own file stays as it is: no system has so many users in it. */
const maxBytes = 1 << 20;

/**
 * The image's /etc/passwd with the sandbox's user in it, so that programs find a name and a home for themselves (passwd(5)).
 * Undefined where the image has no such file of its own (a link is left alone), and where it knows the number already.
 * `rootfs` has passed the check of its mount points: its /etc is a folder, not a link.
 */
export function userDatabase(rootfs: string, { name, uid, gid, home = "/" }: SandboxUser): string | undefined {
	if (name === undefined) return undefined;
	const file = join(rootfs, "etc/passwd");
	const stat = lstatSync(file, { throwIfNoEntry: false });
	if (!stat?.isFile() || stat.size > maxBytes) return undefined;
	const own = readFileSync(file, "utf8");
	if (own.split("\n").some((line) => line.split(":")[2] === String(uid))) return undefined;
	const separator = own === "" || own.endsWith("\n") ? "" : "\n";
	return `${own}${separator}${name}:x:${uid}:${gid}::${home}:/sbin/nologin\n`;
}
