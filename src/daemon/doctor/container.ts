/** Starts a real container: only that tells whether this kernel, these control groups and this program go together. */
import {
	existsSync,
	lstatSync,
	mkdirSync,
	mkdtempSync,
	readlinkSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Outcome, run } from "./command.ts";

/** Folders of the host that /bin/true and its libraries may be in. */
const hostFolders = ["/bin", "/lib", "/lib32", "/lib64", "/usr"];

export async function startContainer(program: "crun" | "runc"): Promise<Outcome> {
	const bundle = mkdtempSync(join(tmpdir(), "slipway-doctor-"));
	try {
		const rootfs = join(bundle, "rootfs");
		for (const folder of ["proc", "dev"]) mkdirSync(join(rootfs, folder), { recursive: true });
		const binds = hostFolders
			.filter((folder) => existsSync(folder))
			.filter((folder) => {
				// On a merged /usr, /bin is a link, and a mount on it would follow the link.
				if (!lstatSync(folder).isSymbolicLink()) return true;
				symlinkSync(readlinkSync(folder), join(rootfs, folder));
				return false;
			});
		writeFileSync(join(bundle, "config.json"), JSON.stringify(configuration(binds)));
		const id = `slipway-doctor-${process.pid}`;
		return await run(program, ["--root", join(bundle, "state"), "run", "--bundle", bundle, id], { cwd: bundle });
	} finally {
		rmSync(bundle, { recursive: true, force: true });
	}
}

/** runtime-spec 1.0: the namespaces that functions get, memory limit included, and nothing else. */
function configuration(binds: readonly string[]) {
	return {
		ociVersion: "1.0.2",
		process: {
			terminal: false,
			user: { uid: 993, gid: 990 },
			args: ["/bin/true"],
			env: ["PATH=/usr/bin:/bin"],
			cwd: "/",
			capabilities: {},
			noNewPrivileges: true,
		},
		root: { path: "rootfs", readonly: true },
		mounts: [
			{ destination: "/proc", type: "proc", source: "proc" },
			{ destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755", "size=64k"] },
			...binds.map((folder) => ({ destination: folder, type: "bind", source: folder, options: ["rbind", "ro"] })),
		],
		linux: {
			namespaces: ["pid", "mount", "network", "ipc", "uts"].map((type) => ({ type })),
			resources: { memory: { limit: 128 * 1024 * 1024 }, pids: { limit: 64 } },
		},
	};
}
