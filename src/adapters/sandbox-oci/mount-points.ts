import { readFileSync, rmSync } from "node:fs";
import { MNT_DETACH, umount } from "../../base/syscall.ts";

/** Mount points at and below `folder` in our mount namespace, deepest first. */
export function mountsBelow(folder: string): string[] {
	const points = readFileSync("/proc/self/mountinfo", "utf8")
		.split("\n")
		.flatMap((line) => line.split(" ")[4] ?? [])
		.map((path) => path.replace(/\\([0-7]{3})/g, (_, code) => String.fromCharCode(Number.parseInt(code, 8))));
	return points.filter((point) => point === folder || point.startsWith(`${folder}/`)).reverse();
}

/** With the mounts in it, which a runtime program leaves when it is killed: a file that is mounted over can't be removed. */
export function removeFolder(folder: string): void {
	try {
		rmSync(folder, { recursive: true, force: true });
	} catch (error) {
		const mounts = mountsBelow(folder);
		if (mounts.length === 0) throw error;
		for (const point of mounts) umount(point, MNT_DETACH);
		rmSync(folder, { recursive: true, force: true });
	}
}
