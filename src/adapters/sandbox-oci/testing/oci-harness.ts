import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Lifetime } from "../../../base/lifetime.ts";
import type { Log } from "../../../base/log.ts";
import type { SandboxContractHarness } from "../../../core/sandbox/sandbox-runtime.contract.ts";
import { contractPrograms } from "../../../core/sandbox/sandbox-runtime.programs.ts";
import { OciSandboxRuntime } from "../oci-sandbox-runtime.ts";
import { busyboxPath, makeBusyboxRootfs } from "./busybox-rootfs.ts";

const runtimePaths = {
	crun: ["/usr/bin/crun", "/usr/local/bin/crun"],
	runc: ["/usr/sbin/runc", "/usr/bin/runc", "/usr/local/sbin/runc"],
};

export type OciRuntimeName = keyof typeof runtimePaths;

export function runtimePath(name: OciRuntimeName): string | undefined {
	return runtimePaths[name].find((path) => existsSync(path));
}

/** Why the suites can't run here, or undefined when they can. */
export function whyNot(name: OciRuntimeName): string | undefined {
	if (process.getuid?.() !== 0) return "needs root";
	if (!busyboxPath()) return "needs a static busybox (apt install busybox-static)";
	if (!runtimePath(name)) return `needs ${name} (apt install ${name})`;
	return undefined;
}

export interface OciHarness extends SandboxContractHarness {
	runtime: OciSandboxRuntime;
	stateFolder: string;
}

/** A runtime of its own in a temporary folder, with a busybox root. */
export async function openOciHarness(
	name: OciRuntimeName,
	options: { poolSize?: number; log?: Log; withDoors?: boolean } = {},
): Promise<OciHarness> {
	const lifetime = new Lifetime();
	const folder = mkdtempSync(join(tmpdir(), `slipway-${name}-`));
	lifetime.defer(() => rmSync(folder, { recursive: true, force: true }));
	const stateFolder = join(folder, "state");
	const path = runtimePath(name)!;
	const runtime = lifetime.use(
		await OciSandboxRuntime.open({
			runtime: { name, path, version: "0.0.0" },
			stateFolder,
			allowVulnerableRuntime: true,
			...options,
		}),
	);
	const rootfs = makeBusyboxRootfs(join(folder, "rootfs"), busyboxPath()!);
	return {
		runtime,
		stateFolder,
		rootfs,
		args: (program, ...args) => ["sh", "-c", contractPrograms[program].shell, "sh", ...args],
		[Symbol.asyncDispose]: () => lifetime[Symbol.asyncDispose](),
	};
}
