import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import { fromSystemError, isSlipwayError, SlipwayError } from "../../base/error.ts";
import { Lifetime } from "../../base/lifetime.ts";
import type { Log } from "../../base/log.ts";
import { MS_BIND, mount, type WaitStatus } from "../../base/syscall.ts";
import type { SandboxSpec } from "../../core/sandbox/sandbox-runtime.ts";
import {
	type AttachOptions,
	attachScript,
	confineScript,
	launcherCapabilities,
	stageEntries,
} from "./attach-script.ts";
import { blankConfig, launcherProcess } from "./bundle.ts";
import type { Cgroup } from "./cgroup.ts";
import type { ChildReaper } from "./child-reaper.ts";
import type { KernelThread } from "./kernel-thread.ts";
import { Launcher, refusal, setupFailure } from "./launcher.ts";
import { LAUNCHER_FILE } from "./launcher-program.ts";
import type { ScriptFailure } from "./launcher-script.ts";
import { removeFolder } from "./mount-points.ts";
import type { OciProcess } from "./oci-process.ts";
import type { RuntimeCommands } from "./runtime-program.ts";
import { placeMounts } from "./sandbox-mounts.ts";
import type { SandboxNetwork } from "./sandbox-network.ts";
import { letGoOf, mountWritableRoot } from "./writable-root.ts";

/** What all blank sandboxes are made with. */
export interface BlankHost {
	commands: RuntimeCommands;
	reaper: ChildReaper;
	clock: Clock;
	log: Log;
	thread: KernelThread;
	/** struct sock_filter[] */
	seccomp: Buffer;
	/** The root of blank sandboxes. */
	rootFolder: string;
	/** The launcher, open. */
	launcherFile: number;
	/** Mounts made below it appear in the sandboxes. */
	stagesFolder: string;
	bundlesFolder: string;
}

export interface BlankOptions {
	/** The container's, unique on the machine. */
	id: string;
	/** The blank sandbox's from now on, also when it could not be made. */
	network: SandboxNetwork;
	etc: { hosts: string; hostname: string; resolvConf: string };
	cgroup: Cgroup;
	/** From the top of the cgroup hierarchies. */
	cgroupName: string;
}

/** What it becomes. */
export interface Attachment {
	spec: SandboxSpec;
	/** Mounted at /tmp. None where the root is writable. */
	tmpPath: string | undefined;
	/** In place of the image's own when it is given. */
	passwd: string | undefined;
}

export interface Program {
	/** As `checkImage` found it. */
	path: string;
	args: readonly string[];
	/** NAME=value */
	env: readonly string[];
}

/**
 * A container that any function's sandbox can be made of: everything is there but the image, the limits and the program. Its
 * process, the launcher, waits to be told them.
 */
export class BlankSandbox implements AsyncDisposable {
	readonly network: SandboxNetwork;
	readonly cgroup: Cgroup;
	readonly #host: BlankHost;
	readonly #id: string;
	readonly #container: Container;
	readonly #lifetime: Lifetime;
	#execs = 0;

	/** SANDBOX_FAILED, UNAVAILABLE; nothing is left then. */
	static async create(host: BlankHost, options: BlankOptions): Promise<BlankSandbox> {
		const lifetime = new Lifetime();
		lifetime.use(options.network);
		try {
			return new BlankSandbox(host, options, await createContainer(host, options, lifetime), lifetime);
		} catch (error) {
			await lifetime[Symbol.asyncDispose]().catch((failure: unknown) => {
				host.log.error("What was made of a sandbox could not be removed cleanly", {
					error: failure,
					sandbox: options.id,
				});
			});
			throw error;
		}
	}

	private constructor(host: BlankHost, options: BlankOptions, container: Container, lifetime: Lifetime) {
		this.#host = host;
		this.#id = options.id;
		this.network = options.network;
		this.cgroup = options.cgroup;
		this.#container = container;
		this.#lifetime = lifetime;
	}

	/** Its process, and later the program's. */
	get main(): OciProcess {
		return this.#container.launcher.process;
	}

	/** Whether it can still become something. */
	get isAlive(): boolean {
		return !this.network.holder.isGone && !this.main.hasEnded;
	}

	onExit(listener: (status: WaitStatus) => void): void {
		this.#container.launcher.onExit = listener;
	}

	/** Gives it an image and limits: all but the execution of the program. INVALID_IMAGE, INVALID, SANDBOX_FAILED. Once. */
	async attach(attachment: Attachment): Promise<void> {
		const { spec } = attachment;
		const { stage, launcher } = this.#container;
		let inStage: StageContent;
		try {
			this.cgroup.limit(spec.limits);
			inStage = fillStage(this.#container, attachment);
		} catch (cause) {
			const error = fromSystemError(cause, "a sandbox was made");
			if (isSlipwayError(error)) throw error;
			throw new SlipwayError("SANDBOX_FAILED", "The sandbox could not be given its image and limits", { cause });
		}
		const script = attachScript({ spec, ...inStage, seccomp: this.#host.seccomp });
		checkConfined(await launcher.run(script), spec.cwd);
		if (!isPlain(spec)) letGoOf(join(stage, stageEntries.root));
	}

	/** Its process becomes the program. INVALID_IMAGE, SANDBOX_FAILED. */
	execute(program: Program): Promise<void> {
		return this.#container.launcher.execute(program.path, program.args, program.env);
	}

	/** A further process becomes another program. Same errors. */
	async exec(
		program: Program & Pick<SandboxSpec, "user" | "cwd" | "capabilities">,
		openFiles: number,
	): Promise<OciProcess> {
		const { commands, launcherFile, seccomp } = this.#host;
		const folder = join(this.#container.bundle, `exec-${++this.#execs}`);
		mkdirSync(folder);
		const process = launcherProcess(`/proc/self/fd/${LAUNCHER_FILE}`, launcherCapabilities);
		const launcher = await Launcher.start({
			...this.#host,
			cgroup: this.cgroup,
			lifetime: this.#lifetime,
			files: [launcherFile],
			start: (files) => commands.exec(this.#id, folder, process, files),
		});
		try {
			checkConfined(await launcher.run(confineScript({ ...program, openFiles, seccomp })), program.cwd);
			await launcher.execute(program.path, program.args, program.env);
			return launcher.process;
		} catch (error) {
			launcher.dismiss();
			throw error;
		}
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.#lifetime[Symbol.asyncDispose]();
	}
}

interface Container {
	/** Of the runtime program, and for files of its calls. */
	bundle: string;
	/** What is mounted or made in here is in the sandbox's STAGE. */
	stage: string;
	launcher: Launcher;
}

async function createContainer(host: BlankHost, options: BlankOptions, lifetime: Lifetime): Promise<Container> {
	const { id, network, cgroup, cgroupName } = options;
	const stage = makeStage(host, id, lifetime);
	const bundle = join(host.bundlesFolder, id);
	mkdirSync(bundle);
	lifetime.defer(() => removeFolder(bundle));
	const config = blankConfig({
		networkPath: network.path,
		processesPath: network.holder.path,
		rootPath: host.rootFolder,
		stagePath: stage,
		etc: options.etc,
		cgroupsPath: `/${cgroupName}`,
		cgroupNamespace: existsSync("/proc/self/ns/cgroup"),
	});
	writeFileSync(join(bundle, "config.json"), JSON.stringify(config));
	lifetime.defer(() => cgroup.remove());
	lifetime.defer(() => host.commands.forget(id));
	// A create that failed half-way may have left a process; after a good one there is none by now.
	lifetime.defer(() => cgroup.killAll());
	lifetime.defer(() => network.holder.end());
	const launcher = await Launcher.start({
		...host,
		cgroup,
		lifetime,
		start: (files) => host.commands.create(id, bundle, files),
	});
	network.holder.mustHold(launcher.process.pid);
	await host.commands.start(id, bundle, () => launcher.process.hasEnded);
	return { bundle, stage, launcher };
}

function makeStage({ stagesFolder, thread }: BlankHost, id: string, lifetime: Lifetime): string {
	const stage = join(stagesFolder, id);
	const mounts = [stageEntries.root, stageEntries.tmp].map((name) => join(stage, name));
	for (const folder of [stage, ...mounts]) mkdirSync(folder);
	lifetime.defer(() => removeFolder(stage));
	lifetime.defer(() => thread.run("unmount", { targets: mounts }));
	return stage;
}

/** What a function's sandbox is: the image, and nothing of its own but /tmp. */
function isPlain({ readonlyRoot, mounts }: SandboxSpec): boolean {
	return readonlyRoot && (mounts === undefined || mounts.length === 0);
}

/** What the script has to mount on the root from the stage. */
type StageContent = Pick<AttachOptions, "passwd" | "tmp">;

function fillStage(container: Container, { spec, tmpPath, passwd }: Attachment): StageContent {
	const { stage } = container;
	if (!isPlain(spec)) return fillRoot(container, { spec, tmpPath, passwd });
	mount(spec.rootfs, join(stage, stageEntries.root), "none", MS_BIND);
	if (tmpPath !== undefined) mount(tmpPath, join(stage, stageEntries.tmp), "none", MS_BIND);
	if (passwd !== undefined) writeFileSync(join(stage, stageEntries.passwd), passwd, { mode: 0o644 });
	return { passwd: passwd !== undefined, tmp: tmpPath !== undefined };
}

/** The whole root is put together on our side, where what is mounted on may be made, and where a mount in /tmp finds its /tmp. */
function fillRoot({ stage, bundle }: Container, { spec, tmpPath, passwd }: Attachment): StageContent {
	const root = join(stage, stageEntries.root);
	if (spec.readonlyRoot) mount(spec.rootfs, root, "none", MS_BIND);
	else {
		const bytes = spec.limits.memoryMiB * 2 ** 20;
		mountWritableRoot({ image: spec.rootfs, target: root, memoryFolder: join(bundle, "memory"), bytes });
	}
	if (tmpPath !== undefined) mount(tmpPath, join(root, "tmp"), "none", MS_BIND);
	const mountsPasswd = passwd !== undefined && spec.readonlyRoot;
	if (mountsPasswd) writeFileSync(join(stage, stageEntries.passwd), passwd, { mode: 0o644 });
	// The image's own is no link, or there would be none to replace it.
	else if (passwd !== undefined) writeFileSync(join(root, "etc/passwd"), passwd);
	const makesTargets = !spec.readonlyRoot;
	placeMounts({ root, mounts: spec.mounts ?? [], workPath: join(bundle, "mount"), makesTargets });
	return { passwd: mountsPasswd, tmp: false };
}

function checkConfined(failure: ScriptFailure | undefined, cwd: string): void {
	if (!failure) return;
	const isCwd = failure.name === "chdir" && failure.texts[0] === cwd;
	throw isCwd ? refusal(failure, `chdir ${cwd}`, "InvalidWorkingDir") : setupFailure(failure);
}
