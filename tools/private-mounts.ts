import { readFileSync } from "node:fs";

/**
 * The words that start `command` in a mount namespace of its own, so that every mount a test or bench makes goes with
 * it; and without the cgroup v2 view of a hybrid host, beside which crun 1.8 refuses to work. Only root may do that: for
 * others the command stays as it is.
 */
export function inPrivateMounts(command: string[]): string[] {
	if (process.getuid?.() !== 0) return command;
	const unified = hybridView();
	const script = unified === undefined ? 'exec "$@"' : `umount -l '${unified}' && exec "$@"`;
	return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", ...command];
}

function hybridView(): string | undefined {
	const mounts = readFileSync("/proc/mounts", "utf8")
		.split("\n")
		.map((line) => line.split(" "));
	if (!mounts.some(([, , type]) => type === "cgroup")) return undefined;
	return mounts.find(([, point, type]) => type === "cgroup2" && point?.startsWith("/sys/fs/cgroup/"))?.[1];
}
