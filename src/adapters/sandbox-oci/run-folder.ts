import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SlipwayError } from "../../base/error.ts";
import { MS_BIND, MS_SHARED, mount } from "../../base/syscall.ts";
import { STAGE } from "./attach-script.ts";
import { LAUNCHER, mountPoints } from "./bundle.ts";
import { HostsFile } from "./hosts-file.ts";
import { launcherProgram } from "./launcher-program.ts";

/** What a blank sandbox has for its root: mount points and the launcher. */
export function makeBlankRoot(folder: string): string {
	for (const name of [...mountPoints.directories, STAGE.slice(1)]) mkdirSync(join(folder, name), { recursive: true });
	for (const name of mountPoints.files) writeFileSync(join(folder, name), "");
	const launcher = launcherProgram(process.arch);
	if (!launcher) throw new SlipwayError("UNSUPPORTED", `Sandboxes are not supported on ${process.arch}`);
	writeFileSync(join(folder, LAUNCHER), launcher, { mode: 0o755 });
	return folder;
}

/** Its mounts are handed on to the mount namespaces that have a part of it. */
export function makeSharedFolder(folder: string): string {
	mkdirSync(folder, { mode: 0o700 });
	mount(folder, folder, "none", MS_BIND);
	mount("none", folder, "none", MS_SHARED);
	return folder;
}

/** The files of /etc that all sandboxes share; of these the one that changes. */
export function writeEtc(folder: string): HostsFile {
	writeFileSync(join(folder, "hostname"), "sandbox\n");
	writeFileSync(join(folder, "resolv.conf"), "");
	return new HostsFile(join(folder, "hosts"), "127.0.0.1 localhost sandbox.localdomain sandbox\n");
}
