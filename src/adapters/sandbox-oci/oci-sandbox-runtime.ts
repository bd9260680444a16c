import { createHash, randomUUID } from "node:crypto";
import { closeSync, mkdirSync, realpathSync, writeFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { join } from "node:path";
import { type Clock, systemClock } from "../../base/clock.ts";
import { fromSystemError, SlipwayError } from "../../base/error.ts";
import { Lifetime } from "../../base/lifetime.ts";
import { type Log, silentLog } from "../../base/log.ts";
import { sealedCopy } from "../../base/sealed-copy.ts";
import { Semaphore } from "../../base/semaphore.ts";
import { checkedNames } from "../../core/sandbox/sandbox-names.ts";
import type { Sandbox, SandboxRuntime, SandboxSpec } from "../../core/sandbox/sandbox-runtime.ts";
import { checkSpec } from "../../core/sandbox/sandbox-spec.ts";
import { type BlankHost, BlankSandbox } from "./blank-sandbox.ts";
import { LAUNCHER } from "./bundle.ts";
import { type CgroupHost, openCgroupHost } from "./cgroup.ts";
import { ChildReaper } from "./child-reaper.ts";
import { favorDynamicCgroups } from "./dynamic-cgroups.ts";
import { Egress, removeEgressLeftovers } from "./egress.ts";
import { Holders } from "./holders.ts";
import type { HostsFile } from "./hosts-file.ts";
import { checkImage } from "./image-check.ts";
import { KernelThread } from "./kernel-thread.ts";
import { mountsBelow } from "./mount-points.ts";
import { OciSandbox, type ProgramSpec } from "./oci-sandbox.ts";
import { makeBlankRoot, makeSharedFolder, writeEtc } from "./run-folder.ts";
import { RuntimeCommands, type RuntimeProgram } from "./runtime-program.ts";
import { ENDPOINT_HOST, ENDPOINT_PORT, SandboxNetwork } from "./sandbox-network.ts";
import { seccompFilter } from "./seccomp-filter.ts";
import { seccompProfile } from "./seccomp-profile.ts";
import { type TmpDisk, TmpDisks } from "./tmp-disks.ts";
import { userDatabase } from "./user-database.ts";
import { refuseVulnerableRuntime } from "./vulnerability-check.ts";
import { type Pooling, WarmPool } from "./warm-pool.ts";

export interface OciSandboxRuntimeOptions {
	runtime: RuntimeProgram;
	/** Ours alone; on a real disk, because the sandboxes' /tmp is here. */
	stateFolder: string;
	clock?: Clock;
	log?: Log;
	/** Blank sandboxes and /tmp disks that stand ready of each shape, at least; none at all with 0. */
	poolSize?: number;
	/** Asked once a second and after each start: then no more than that stand ready. */
	memoryIsShort?: () => boolean;
	/** Private range of the sandboxes that may reach the outside; by default the first free one of a few. */
	egressSubnet?: string;
	/** False: as where the kernel has no socket lookup (door.ts), for tests of that. */
	withDoors?: boolean;
	/** Opens a runtime program whose version has known ways out of its containers, which is refused otherwise. */
	allowVulnerableRuntime?: boolean;
}

interface OpenedParts {
	cgroups: CgroupHost;
	kernelThread: KernelThread;
	/** A tmpfs. */
	runFolder: string;
	/** Of the runtime: closes what was opened so far. */
	lifetime: Lifetime;
}

const DEFAULT_POOL_SIZE = 2;
/** What a burst may raise it to. Each costs the machine half a megabyte: together no more than a hundredth of its memory. */
const MAX_POOL_SIZE = Math.max(8, Math.min(128, Math.floor(totalmem() / 100 / 2 ** 19)));
/** Making a blank sandbox is CPU work in a process of its own; more at a time than this only makes all of them later. */
const PARALLEL_MAKES = Math.max(2, availableParallelism());
const ID_PATTERN = /^[a-z0-9-]{1,40}$/;
const HASH_CHARACTERS = 8;
/** In the names of all that a runtime makes, so that it knows them from what an earlier process left. */
const RUN_CHARACTERS = 8;

/** Sandboxes made by an OCI runtime program, crun or runc. */
export class OciSandboxRuntime implements SandboxRuntime {
	readonly name: string;
	readonly version: string;
	readonly #log: Log;
	readonly #clock: Clock;
	readonly #lifetime: Lifetime;
	/** On a tmpfs in our own mount namespace: what is here disappears with us. */
	readonly #runFolder: string;
	/** The name of our control group, and the mark on everything that is ours on this machine. */
	readonly #mark: string;
	readonly #cgroups: CgroupHost;
	readonly #commands: RuntimeCommands;
	readonly #reaper: ChildReaper;
	/** One for all, as each thread costs the daemon 10 MB: what it does takes a millisecond or two and is off the path. */
	readonly #kernelThread: KernelThread;
	readonly #holders: Holders;
	readonly #hosts: HostsFile;
	readonly #disks: TmpDisks;
	readonly #closedBlanks: WarmPool<BlankSandbox>;
	readonly #openBlanks: WarmPool<BlankSandbox>;
	readonly #blankHost: BlankHost;
	readonly #pooling: Pooling;
	readonly #hash: string;
	/** What the ids of our blank sandboxes begin with. */
	readonly #ours: string;
	readonly #egressSubnet: string | undefined;
	#withDoors: boolean;
	#egress: Promise<Egress> | undefined;
	readonly #makes = new Semaphore(PARALLEL_MAKES);
	readonly #creating = new Set<Promise<unknown>>();
	readonly #sandboxes = new Map<string, OciSandbox | "creating">();
	#nextNetwork = 1;
	#nextBlank = 1;
	#disposed: Promise<void> | undefined;

	/** UNAVAILABLE when the machine lacks something, with a hint that names it. Removes nothing: call `reap` for that. */
	static async open(options: OciSandboxRuntimeOptions): Promise<OciSandboxRuntime> {
		if (options.allowVulnerableRuntime) {
			const { name, version } = options.runtime;
			options.log?.warn("The runtime program is used without a look at its known vulnerabilities", { name, version });
		} else await refuseVulnerableRuntime(options.runtime);
		mkdirSync(options.stateFolder, { recursive: true, mode: 0o700 });
		const stateFolder = realpathSync(options.stateFolder);
		const cgroups = openCgroupHost();
		const lifetime = new Lifetime();
		try {
			const kernelThread = lifetime.use(new KernelThread("sandbox-kernel"));
			const runFolder = join(stateFolder, "run");
			// Only where an earlier process shared our mount namespace; in one of our own there is nothing of it.
			await kernelThread.run("unmount", { targets: mountsBelow(runFolder) });
			lifetime.defer(() => kernelThread.run("unmount", { targets: mountsBelow(runFolder) }));
			await kernelThread.run("mountTmpfs", { target: runFolder, options: "mode=0711" });
			favorDynamicCgroups(runFolder, options.log ?? silentLog);
			return new OciSandboxRuntime({ ...options, stateFolder }, { cgroups, kernelThread, runFolder, lifetime });
		} catch (error) {
			await lifetime[Symbol.asyncDispose]();
			throw error;
		}
	}

	private constructor(options: OciSandboxRuntimeOptions, { cgroups, kernelThread, runFolder, lifetime }: OpenedParts) {
		this.#lifetime = lifetime;
		this.name = options.runtime.name;
		this.version = options.runtime.version;
		this.#log = options.log ?? silentLog;
		this.#clock = options.clock ?? systemClock;
		this.#cgroups = cgroups;
		this.#hash = createHash("sha256").update(options.stateFolder).digest("hex").slice(0, HASH_CHARACTERS);
		this.#mark = `slipway-${this.#hash}`;
		this.#ours = `blank-${this.#hash}-${randomUUID().slice(0, RUN_CHARACTERS)}-`;
		this.#egressSubnet = options.egressSubnet;
		this.#withDoors = options.withDoors ?? true;
		this.#runFolder = runFolder;
		for (const folder of ["networks", "bundles", "tmp", "state", "etc"]) mkdirSync(join(runFolder, folder));
		this.#hosts = this.#lifetime.use(writeEtc(join(runFolder, "etc")));
		this.#reaper = this.#lifetime.use(new ChildReaper(this.#clock));
		const state = join(runFolder, "state");
		this.#commands = this.#lifetime.use(new RuntimeCommands(options.runtime, state, this.#reaper, this.#clock));
		this.#kernelThread = kernelThread;
		this.#holders = this.#lifetime.use(new Holders(join(runFolder, "holders"), this.#reaper));
		this.#lifetime.defer(() => this.#cgroups.removeParent(this.#mark));
		const floor = options.poolSize ?? DEFAULT_POOL_SIZE;
		this.#pooling = {
			bounds: { floor, ceiling: floor === 0 ? 0 : Math.max(floor, MAX_POOL_SIZE) },
			memoryIsShort: options.memoryIsShort ?? (() => false),
			clock: this.#clock,
			log: this.#log,
		};
		this.#disks = this.#lifetime.use(
			new TmpDisks({
				thread: kernelThread,
				diskFolder: join(options.stateFolder, "disks"),
				mountFolder: join(runFolder, "tmp"),
				pooling: this.#pooling,
			}),
		);
		this.#lifetime.defer(async () => (await this.#egress)?.[Symbol.asyncDispose]());
		const rootFolder = makeBlankRoot(join(runFolder, "blank"));
		// User 0 of a sandbox owns the file as well: what all sandboxes run nobody may write to (CVE-2019-5736).
		const launcherFile = sealedCopy(join(rootFolder, LAUNCHER));
		this.#lifetime.defer(() => closeSync(launcherFile));
		this.#blankHost = {
			commands: this.#commands,
			reaper: this.#reaper,
			clock: this.#clock,
			log: this.#log,
			thread: kernelThread,
			seccomp: seccompFilter(seccompProfile(process.arch)),
			rootFolder,
			launcherFile,
			stagesFolder: makeSharedFolder(join(runFolder, "stages")),
			bundlesFolder: join(runFolder, "bundles"),
		};
		this.#closedBlanks = this.#lifetime.use(this.#blankPool("a sandbox", false));
		this.#openBlanks = this.#lifetime.use(this.#blankPool("a sandbox with egress", true));
	}

	#blankPool(name: string, egress: boolean): WarmPool<BlankSandbox> {
		const destroy = (blank: BlankSandbox) => blank[Symbol.asyncDispose]();
		return new WarmPool({ ...this.#pooling, name, make: () => this.#makeBlank(egress), destroy });
	}

	prepare(shape: { tmpMiB?: number; egress: boolean }): void {
		if (this.#disposed) return;
		if (shape.tmpMiB !== undefined) this.#disks.prepare(shape.tmpMiB);
		(shape.egress ? this.#openBlanks : this.#closedBlanks).fill();
	}

	publishNames(names: Readonly<Record<string, string>>): void {
		this.#hosts.publish(checkedNames(names));
	}

	/** Resolves when the pools are full, for tests and measurements. */
	async settled(): Promise<void> {
		await Promise.all([this.#disks.settled(), this.#closedBlanks.settled(), this.#openBlanks.settled()]);
	}

	async create(spec: SandboxSpec, signal?: AbortSignal): Promise<Sandbox> {
		signal?.throwIfAborted();
		if (this.#disposed) throw new SlipwayError("SANDBOX_FAILED", "The sandbox runtime has been closed");
		if (!ID_PATTERN.test(spec.id))
			throw new SlipwayError("INVALID", `Sandbox id "${spec.id}" does not match ${ID_PATTERN}`);
		if (this.#sandboxes.has(spec.id)) throw new SlipwayError("ALREADY_EXISTS", `There is a sandbox ${spec.id} already`);
		checkSpec(spec);
		const program = imageProgram(spec);
		this.#sandboxes.set(spec.id, "creating");
		try {
			return await this.#tracked(this.#createOrNothing(spec, program, signal));
		} finally {
			if (this.#sandboxes.get(spec.id) === "creating") this.#sandboxes.delete(spec.id);
		}
	}

	/** The same sandbox over again, around the disk that it had. */
	async #reset(old: OciSandbox, spec: SandboxSpec, kept: KeptDisk): Promise<Sandbox> {
		if (this.#disposed) throw new SlipwayError("SANDBOX_FAILED", "The sandbox runtime has been closed");
		const disk = kept.disk;
		if (!disk && spec.readonlyRoot) throw new Error(`Sandbox ${spec.id} has no disk to keep`);
		kept.disk = undefined;
		let program: string;
		try {
			await old[Symbol.asyncDispose]();
			program = imageProgram(spec);
		} catch (error) {
			if (disk) await this.#disks.remove(disk);
			throw error;
		}
		this.#sandboxes.set(spec.id, "creating");
		try {
			return await this.#createOrNothing(spec, program, undefined, disk);
		} finally {
			if (this.#sandboxes.get(spec.id) === "creating") this.#sandboxes.delete(spec.id);
		}
	}

	/** For `dispose`, which waits for it. */
	#tracked<T>(creating: Promise<T>): Promise<T> {
		this.#creating.add(creating);
		return creating.finally(() => this.#creating.delete(creating));
	}

	/** Cleans up behind itself. */
	async #createOrNothing(
		spec: SandboxSpec,
		program: string,
		signal: AbortSignal | undefined,
		disk?: TmpDisk,
	): Promise<OciSandbox> {
		const lifetime = new Lifetime();
		try {
			const sandbox = await this.#create(spec, program, lifetime, { disk, signal });
			if (!signal?.aborted) return sandbox;
			await sandbox[Symbol.asyncDispose]();
			throw signal.reason;
		} catch (error) {
			await lifetime[Symbol.asyncDispose]().catch((failure: unknown) => {
				this.#log.error("What was made of a sandbox could not be removed cleanly", {
					error: failure,
					sandbox: spec.id,
				});
			});
			throw fromSystemError(error, "making a sandbox");
		}
	}

	async #create(
		spec: SandboxSpec,
		path: string,
		lifetime: Lifetime,
		{ disk, signal }: { disk: TmpDisk | undefined; signal: AbortSignal | undefined },
	): Promise<OciSandbox> {
		const kept: KeptDisk = { disk };
		lifetime.defer(() => this.#sandboxes.delete(spec.id));
		lifetime.defer(async () => kept.disk && this.#disks.remove(kept.disk));
		const blank = lifetime.use(await this.#blankFor(spec, signal));
		const { network, cgroup, main } = blank;
		await network.serve(spec.endpoint?.onConnection);
		if (spec.listeners && spec.listeners.length > 0) await network.listen(spec.listeners);
		if (spec.readonlyRoot) kept.disk ??= await this.#disks.take(spec.limits.tmpMiB);
		else await network.openLowPorts();
		await blank.attach({ spec, tmpPath: kept.disk?.path, passwd: userDatabase(spec.rootfs, spec.user) });
		const endpoint = endpointVariable(spec);
		const programOf = (path: string, { args, env }: ProgramSpec) => ({ path, args, env: environmentOf(env, endpoint) });
		const sandbox: OciSandbox = new OciSandbox({
			id: spec.id,
			main,
			network,
			cgroup,
			memoryBytes: spec.limits.memoryMiB * 2 ** 20,
			cpusAfterStart: spec.limits.startCpus === undefined ? undefined : spec.limits.cpus,
			clock: this.#clock,
			release: () => blank.execute(programOf(path, spec)),
			exec: async (other) => {
				const program = programOf(checkImage({ ...spec, ...other }), other);
				return blank.exec({ ...other, ...program, capabilities: spec.capabilities }, spec.limits.openFiles);
			},
			anew: () => this.#tracked(this.#reset(sandbox, spec, kept)),
			lifetime,
		});
		blank.onExit((status) => sandbox.onMainExit(status));
		this.#sandboxes.set(spec.id, sandbox);
		return sandbox;
	}

	async #blankFor({ beside, egress }: SandboxSpec, signal: AbortSignal | undefined): Promise<BlankSandbox> {
		if (!beside) return this.#takeBlank(egress, signal);
		if (!(beside instanceof OciSandbox) || this.#sandboxes.get(beside.id) !== beside)
			throw new SlipwayError("INVALID", `There is no sandbox ${beside.id} here to be beside of`);
		const share = () => SandboxNetwork.beside(this.#kernelThread, this.#holders, beside.network);
		return this.#makes.run(async () => this.#makeBlankIn(await share()), signal);
	}

	/** One that stands ready, or else a new one. */
	async #takeBlank(egress: boolean, signal: AbortSignal | undefined): Promise<BlankSandbox> {
		const pool = egress ? this.#openBlanks : this.#closedBlanks;
		for (let blank = pool.take(); blank; blank = pool.take()) {
			if (blank.isAlive) return blank;
			// The kernel may have ended it for want of memory while it stood ready.
			await blank[Symbol.asyncDispose]();
		}
		return this.#makeBlank(egress, signal);
	}

	#makeBlank(egress: boolean, signal?: AbortSignal): Promise<BlankSandbox> {
		return this.#makes.run(() => this.#makeBlankNow(egress), signal);
	}

	async #makeBlankNow(egress: boolean): Promise<BlankSandbox> {
		return this.#makeBlankIn(await this.#makeNetwork(egress));
	}

	#makeBlankIn(network: SandboxNetwork): Promise<BlankSandbox> {
		const id = `${this.#ours}${this.#nextBlank++}`;
		const cgroupName = join(this.#mark, id);
		const cgroup = this.#cgroups.group(cgroupName);
		return BlankSandbox.create(this.#blankHost, { id, network, etc: this.#etc(network.hasEgress), cgroup, cgroupName });
	}

	async #makeNetwork(egress: boolean): Promise<SandboxNetwork> {
		const path = join(this.#runFolder, "networks", `${this.#nextNetwork++}`);
		const network = await SandboxNetwork.create(this.#kernelThread, this.#holders, { path, withDoor: this.#withDoors });
		this.#noteDoor(network);
		if (!egress) return network;
		try {
			await network.connect(await this.#openEgress());
			return network;
		} catch (error) {
			await network[Symbol.asyncDispose]();
			throw error;
		}
	}

	#noteDoor({ noDoor }: SandboxNetwork): void {
		if (noDoor === undefined || !this.#withDoors) return;
		// The kernel would say the same each time.
		this.#withDoors = false;
		this.#log.warn(
			"Programs in sandboxes can't listen on 0.0.0.0 on a port where the daemon serves them names, such as 80, and starts are slower: the kernel gives us no BPF socket lookup",
			{ reason: noDoor },
		);
	}

	/** The host is set up for egress when the first sandbox needs it, not before. */
	#openEgress(): Promise<Egress> {
		if (this.#egress) return this.#egress;
		const options = { hash: this.#hash, thread: this.#kernelThread, clock: this.#clock, log: this.#log };
		const opening = Egress.open(
			this.#egressSubnet === undefined ? options : { ...options, subnet: this.#egressSubnet },
		);
		this.#egress = opening.then((egress) => {
			writeFileSync(join(this.#runFolder, "etc/resolv.conf.egress"), egress.resolvConf);
			return egress;
		});
		this.#egress.catch(() => {
			this.#egress = undefined;
		});
		return this.#egress;
	}

	#etc(egress: boolean): { hosts: string; hostname: string; resolvConf: string } {
		const file = (name: string) => join(this.#runFolder, "etc", name);
		return {
			hosts: file("hosts"),
			hostname: file("hostname"),
			resolvConf: file(egress ? "resolv.conf.egress" : "resolv.conf"),
		};
	}

	/** Everything bears the mark of the state folder; what is in our own mount namespace went with the earlier process. */
	async reap(): Promise<number> {
		const orphans = this.#cgroups.children(this.#mark).filter((id) => !id.startsWith(this.#ours));
		await Promise.all(
			orphans.map(async (id) => {
				const group = this.#cgroups.group(join(this.#mark, id));
				await group.killAll();
				await group.remove();
			}),
		);
		await this.#disks.reap();
		// With egress in use the table is ours, and was made anew when it was first used.
		if (!this.#egress) await removeEgressLeftovers(this.#hash, this.#kernelThread);
		return orphans.length;
	}

	[Symbol.asyncDispose](): Promise<void> {
		this.#disposed ??= this.#dispose();
		return this.#disposed;
	}

	async #dispose(): Promise<void> {
		// Creates under way see `#disposed` no more.
		await Promise.allSettled(this.#creating);
		const sandboxes = [...this.#sandboxes.values()].filter((sandbox) => sandbox !== "creating");
		const ends = await Promise.allSettled(sandboxes.map((sandbox) => sandbox[Symbol.asyncDispose]()));
		await this.#lifetime[Symbol.asyncDispose]();
		for (const end of ends) if (end.status === "rejected") throw end.reason;
	}
}

/** EXHAUSTED where even looking at the image takes what the machine has no more of. */
function imageProgram(spec: SandboxSpec): string {
	try {
		return checkImage(spec);
	} catch (error) {
		throw fromSystemError(error, "making a sandbox");
	}
}

/** A reset takes the disk away from the sandbox that is disposed. */
interface KeptDisk {
	disk: TmpDisk | undefined;
}

function endpointVariable({ endpoint }: SandboxSpec): Readonly<Record<string, string>> {
	return endpoint ? { [endpoint.envName]: `${ENDPOINT_HOST}:${ENDPOINT_PORT}` } : {};
}

function environmentOf(...sources: readonly Readonly<Record<string, string>>[]): string[] {
	return Object.entries(Object.assign({}, ...sources)).map(([name, value]) => `${name}=${value}`);
}
