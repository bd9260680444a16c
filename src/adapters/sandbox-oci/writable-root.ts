import { chmodSync, chownSync, closeSync, constants, lstatSync, mkdirSync, openSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { SlipwayError, systemCode } from "../../base/error.ts";
import { MNT_DETACH, MS_NODEV, MS_NOSUID, MS_PRIVATE, MS_REC, mount, umount } from "../../base/syscall.ts";

interface WritableRootOptions {
	/** The stacked root of the image. Its mount points have been checked: /tmp is a folder, not a link. */
	image: string;
	/** A folder to mount it on. */
	target: string;
	/** A path that nobody has taken, for as long as this call takes. */
	memoryFolder: string;
	/** What it may grow to. */
	bytes: number;
}

const PAGE_BYTES = 4096;
/** <fcntl.h>, which Node has no name for: the descriptor only names the folder. */
const O_PATH = 0o10000000;

/**
 * Mounts the image with a layer over it that is a tmpfs of its own: pages are charged to the control group of the process
 * that writes them first, which is the sandbox's, and past the size there is no space left. Nobody but this mount has the
 * layer then: no path of the host leads there. Leaves nothing when it throws.
 */
export function mountWritableRoot({ image, target, memoryFolder, bytes }: WritableRootOptions): void {
	mkdirSync(memoryFolder, { mode: 0o700 });
	try {
		// An inode costs memory like a page does, and nobody's files are smaller than one each.
		const options = `mode=0700,size=${bytes},nr_inodes=${Math.ceil(bytes / PAGE_BYTES)}`;
		mount("tmpfs", memoryFolder, "tmpfs", MS_NOSUID | MS_NODEV, options);
		try {
			stack(image, memoryFolder, target);
		} finally {
			umount(memoryFolder, MNT_DETACH);
		}
	} finally {
		rmdirSync(memoryFolder);
	}
	try {
		// The image's own may be closed to others, and there is no other /tmp.
		chmodSync(join(target, "tmp"), 0o1777);
	} catch (error) {
		umount(target, MNT_DETACH);
		throw error;
	}
}

function stack(image: string, memoryFolder: string, target: string): void {
	const upper = join(memoryFolder, "upper");
	const { mode, uid, gid } = lstatSync(image);
	// What the stack has for its own root's owner and mode.
	mkdirSync(upper);
	chmodSync(upper, mode & 0o7777);
	chownSync(upper, uid, gid);
	mkdirSync(join(memoryFolder, "work"));
	const flags = constants.O_RDONLY | constants.O_DIRECTORY | O_PATH;
	const [imageFd, memoryFd] = [openSync(image, flags), openSync(memoryFolder, flags)];
	try {
		// By descriptor: the sandbox reads these options in its /proc/self/mountinfo, and the host's paths are not its business.
		const [lower, memory] = [`/proc/self/fd/${imageFd}`, `/proc/self/fd/${memoryFd}`];
		const options = `lowerdir=${lower},upperdir=${memory}/upper,workdir=${memory}/work`;
		mount("overlay", target, "overlay", MS_NOSUID | MS_NODEV, options);
	} catch (error) {
		// Two file systems may be stacked, no more: the image's root is one already (FILESYSTEM_MAX_STACK_DEPTH).
		if (systemCode(error) !== "EINVAL") throw error;
		throw new SlipwayError("UNSUPPORTED", "The machine can't put a writable layer over the image", {
			hint: "If the daemon runs in a container, have its state folder on a volume and not on the container's own overlay",
			cause: error,
		});
	} finally {
		closeSync(imageFd);
		closeSync(memoryFd);
	}
}

/**
 * Takes our side of a root away from a sandbox that has its own by now, with all that is mounted in it: what the sandbox
 * wrote is given back when its last process ends, in the kernel's own time, and not when we unmount.
 */
export function letGoOf(root: string): void {
	// A mount that others have parts of takes theirs along.
	mount("none", root, "none", MS_REC | MS_PRIVATE);
	umount(root, MNT_DETACH);
}
