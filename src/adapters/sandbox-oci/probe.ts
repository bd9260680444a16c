import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SlipwayError } from "../../base/error.ts";
import { OciSandboxRuntime } from "./oci-sandbox-runtime.ts";
import type { RuntimeProgram } from "./runtime-program.ts";
import { exitProgram } from "./tiny-elf.ts";
import { runTool, TOOL_ENVIRONMENT } from "./tool.ts";
import { openVulnerabilities, refusal } from "./vulnerability-check.ts";

export interface ProbedRuntime extends RuntimeProgram {
	/** Whether a sandbox was made, run and removed, and no known way out of it is open. */
	usable: boolean;
	/** What is wrong, in a sentence. */
	why?: string;
	/** A command or setting that mends it. */
	hint?: string;
}

export interface ProbeOptions {
	/** Takes runtimes with known vulnerabilities for usable; `why` names them still. */
	allowVulnerableRuntime?: boolean;
	/** On a file system like the state folder's; by default the temporary folder. */
	folder?: string;
}

/** In order of preference: crun takes a third of runc's time. */
export const runtimeNames = ["crun", "runc"] as const;
const PROBE_LIMITS = { memoryMiB: 64, cpus: 1, pids: 16, openFiles: 64, tmpMiB: 8 };
const PROBE_TIMEOUT_MS = 15_000;

/**
 * Finds crun and runc and really makes a sandbox with each: a program on the PATH says little about a machine's cgroups,
 * namespaces and loop devices. Takes a few tenths of a second. To be called as root, in the mount namespace the daemon will live in.
 */
export async function probeRuntimes(options: ProbeOptions = {}): Promise<ProbedRuntime[]> {
	const probed: ProbedRuntime[] = [];
	for (const name of runtimeNames) probed.push(await probeRuntime(name, options));
	return probed;
}

/** The same for one of them. */
export async function probeRuntime(name: RuntimeProgram["name"], options: ProbeOptions = {}): Promise<ProbedRuntime> {
	const path = find(name);
	if (path === undefined)
		return { name, path: "", version: "", usable: false, why: `${name} is not installed`, hint: `apt install ${name}` };
	let program: RuntimeProgram = { name, path, version: "" };
	try {
		program = { name, path, version: await runtimeVersion(path) };
		const open = await openVulnerabilities(program);
		if (open.length > 0 && !options.allowVulnerableRuntime)
			return { ...program, usable: false, ...refusal(program, open) };
		await runOnce(program, options.folder ?? tmpdir());
		return { ...program, usable: true, ...(open.length > 0 ? refusal(program, open) : {}) };
	} catch (error) {
		return { ...program, usable: false, ...explain(error) };
	}
}

function find(name: string): string | undefined {
	return TOOL_ENVIRONMENT.PATH.split(":")
		.map((folder) => join(folder, name))
		.find((path) => existsSync(path));
}

/** "1.8.1" of "crun version 1.8.1", the first line of both. */
async function runtimeVersion(path: string): Promise<string> {
	const output = await runTool(path, ["--version"]);
	const version = /version (\S+)/.exec(output)?.[1];
	if (version === undefined) throw new SlipwayError("UNAVAILABLE", `${path} does not tell its version`);
	return version;
}

/** One sandbox of a program that only exits, through everything that real ones go through. */
async function runOnce(program: RuntimeProgram, parent: string): Promise<void> {
	if (process.getuid?.() !== 0)
		throw new SlipwayError("UNAVAILABLE", "Making sandboxes needs root", { hint: "Run it with sudo" });
	const folder = mkdtempSync(join(parent, "slipway-probe-"));
	try {
		const rootfs = makeRootfs(join(folder, "rootfs"));
		const stateFolder = join(folder, "state");
		await using runtime = await OciSandboxRuntime.open({ runtime: program, stateFolder, allowVulnerableRuntime: true });
		await using sandbox = await runtime.create(
			{
				id: "probe",
				rootfs,
				args: ["/exit"],
				env: {},
				cwd: "/",
				user: { uid: 65534, gid: 65534 },
				readonlyRoot: true,
				limits: PROBE_LIMITS,
				egress: false,
			},
			AbortSignal.timeout(PROBE_TIMEOUT_MS),
		);
		await sandbox.start();
		const exit = await sandbox.exited;
		if (exit.code !== 0)
			throw new SlipwayError(
				"UNAVAILABLE",
				`A program that only exits ended with ${exit.signal ?? `code ${exit.code}`} in a sandbox`,
			);
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}

function makeRootfs(rootfs: string): string {
	const program = exitProgram(process.arch);
	if (!program) throw new SlipwayError("UNSUPPORTED", `Sandboxes are not supported on ${process.arch}`);
	for (const folder of ["proc", "sys", "dev", "tmp", "etc"]) mkdirSync(join(rootfs, folder), { recursive: true });
	for (const file of ["hosts", "hostname", "resolv.conf"]) writeFileSync(join(rootfs, "etc", file), "");
	writeFileSync(join(rootfs, "exit"), program);
	chmodSync(join(rootfs, "exit"), 0o755);
	return rootfs;
}

function explain(error: unknown): { why: string; hint?: string } {
	const why = error instanceof Error ? error.message : String(error);
	if (/hybrid mode/.test(why))
		return {
			why: "crun refuses hosts that mix cgroup versions 1 and 2",
			hint: "Run in a mount namespace of its own with the version 2 view unmounted: unshare --mount sh -c 'umount /sys/fs/cgroup/unified && exec …', or boot with systemd.unified_cgroup_hierarchy=1",
		};
	const hint = error instanceof SlipwayError ? error.hint : undefined;
	return hint === undefined ? { why } : { why, hint };
}
