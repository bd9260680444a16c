import { createHash } from "node:crypto";
import { closeSync, existsSync, fchownSync, mkdirSync, realpathSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { Socket } from "node:net";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { type Clock, systemClock } from "../../base/clock.ts";
import { SlipwayError } from "../../base/error.ts";
import { Lifetime } from "../../base/lifetime.ts";
import { type Log, silentLog } from "../../base/log.ts";
import { Semaphore } from "../../base/semaphore.ts";
import { pipe } from "../../base/syscall.ts";
import type { Sandbox, SandboxRuntime, SandboxSpec } from "../../core/sandbox/sandbox-runtime.ts";
import { bundleConfig, processConfig } from "./bundle.ts";
import { type Cgroup, type CgroupHost, openCgroupHost } from "./cgroup.ts";
import { ChildReaper } from "./child-reaper.ts";
import { Egress, removeEgressLeftovers } from "./egress.ts";
import { Holders } from "./holders.ts";
import { checkImage } from "./image-check.ts";
import { KernelThread } from "./kernel-thread.ts";
import { mountsBelow, removeFolder } from "./mount-points.ts";
import { OciProcess } from "./oci-process.ts";
import { OciSandbox, type ProgramSpec } from "./oci-sandbox.ts";
import { RuntimeCommands, type RuntimeProgram } from "./runtime-program.ts";
import { ENDPOINT_HOST, ENDPOINT_PORT, SandboxNetwork } from "./sandbox-network.ts";
import { type TmpDisk, TmpDisks } from "./tmp-disks.ts";
import { userDatabase } from "./user-database.ts";
import { refuseVulnerableRuntime } from "./vulnerability-check.ts";
import { WarmPool } from "./warm-pool.ts";

export interface OciSandboxRuntimeOptions {
	runtime: RuntimeProgram;
	/** Ours alone; on a real disk, because the sandboxes' /tmp is here. */
	stateFolder: string;
	clock?: Clock;
	log?: Log;
	/** Networks and /tmp disks that stand ready, of each shape. */
	poolSize?: number;
	/** Private range of the sandboxes that may reach the outside; by default the first free one of a few. */
	egressSubnet?: string;
	/** Opens a runtime program whose version has known ways out of its containers, which is refused otherwise. */
	allowVulnerableRuntime?: boolean;
}

const DEFAULT_POOL_SIZE = 2;
/** Creating is CPU work in a process of its own; more at a time than this only makes all of them later. */
const PARALLEL_CREATES = Math.max(2, availableParallelism());
const ID_PATTERN = /^[a-z0-9-]{1,40}$/;
const HASH_CHARACTERS = 8;

/** Sandboxes made by an OCI runtime program, crun or runc. */
export class OciSandboxRuntime implements SandboxRuntime {
	readonly name: string;
	readonly version: string;
	readonly #log: Log;
	readonly #clock: Clock;
	readonly #lifetime = new Lifetime();
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
	readonly #disks: TmpDisks;
	readonly #closedNetworks: WarmPool<SandboxNetwork>;
	readonly #openNetworks: WarmPool<SandboxNetwork>;
	readonly #hash: string;
	readonly #egressSubnet: string | undefined;
	#egress: Promise<Egress> | undefined;
	readonly #creates = new Semaphore(PARALLEL_CREATES);
	readonly #sandboxes = new Map<string, OciSandbox | "creating">();
	#nextNetwork = 1;
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
		const kernelThread = new KernelThread("sandbox-kernel");
		const runFolder = join(stateFolder, "run");
		// Only where an earlier process shared our mount namespace; in one of our own there is nothing of it.
		await kernelThread.run("unmount", { targets: mountsBelow(runFolder) });
		await kernelThread.run("mountTmpfs", { target: runFolder, options: "mode=0711" });
		return new OciSandboxRuntime({ ...options, stateFolder }, cgroups, kernelThread, runFolder);
	}

	private constructor(
		options: OciSandboxRuntimeOptions,
		cgroups: CgroupHost,
		kernelThread: KernelThread,
		runFolder: string,
	) {
		this.name = options.runtime.name;
		this.version = options.runtime.version;
		this.#log = options.log ?? silentLog;
		this.#clock = options.clock ?? systemClock;
		this.#cgroups = cgroups;
		this.#hash = createHash("sha256").update(options.stateFolder).digest("hex").slice(0, HASH_CHARACTERS);
		this.#mark = `slipway-${this.#hash}`;
		this.#egressSubnet = options.egressSubnet;
		this.#runFolder = runFolder;
		this.#lifetime.use(kernelThread);
		this.#lifetime.defer(() => kernelThread.run("unmount", { targets: [runFolder] }));
		for (const folder of ["networks", "bundles", "tmp", "state", "etc"]) mkdirSync(join(runFolder, folder));
		writeEtc(join(runFolder, "etc"));
		this.#commands = new RuntimeCommands(options.runtime, join(runFolder, "state"));
		this.#reaper = this.#lifetime.use(new ChildReaper(this.#clock));
		this.#kernelThread = kernelThread;
		this.#holders = this.#lifetime.use(new Holders(join(runFolder, "holders"), this.#reaper));
		this.#lifetime.defer(() => this.#cgroups.removeParent(this.#mark));
		const poolSize = options.poolSize ?? DEFAULT_POOL_SIZE;
		this.#disks = this.#lifetime.use(
			new TmpDisks({
				thread: kernelThread,
				diskFolder: join(options.stateFolder, "disks"),
				mountFolder: join(runFolder, "tmp"),
				poolSize,
				log: this.#log,
			}),
		);
		this.#lifetime.defer(async () => (await this.#egress)?.[Symbol.asyncDispose]());
		this.#closedNetworks = this.#lifetime.use(this.#networkPool("a network", poolSize, false));
		this.#openNetworks = this.#lifetime.use(this.#networkPool("a network with egress", poolSize, true));
	}

	#networkPool(name: string, size: number, egress: boolean): WarmPool<SandboxNetwork> {
		const destroy = (network: SandboxNetwork) => network[Symbol.asyncDispose]();
		return new WarmPool({ name, size, make: () => this.#makeNetwork(egress), destroy, log: this.#log });
	}

	prepare(shape: { tmpMiB: number; egress: boolean }): void {
		if (this.#disposed) return;
		this.#disks.prepare(shape.tmpMiB);
		(shape.egress ? this.#openNetworks : this.#closedNetworks).fill();
	}

	/** Resolves when the pools are full, for tests and measurements. */
	async settled(): Promise<void> {
		await Promise.all([this.#disks.settled(), this.#closedNetworks.settled(), this.#openNetworks.settled()]);
	}

	async create(spec: SandboxSpec, signal?: AbortSignal): Promise<Sandbox> {
		signal?.throwIfAborted();
		if (this.#disposed) throw new SlipwayError("SANDBOX_FAILED", "The sandbox runtime has been closed");
		if (!ID_PATTERN.test(spec.id))
			throw new SlipwayError("INVALID", `Sandbox id "${spec.id}" does not match ${ID_PATTERN}`);
		if (this.#sandboxes.has(spec.id)) throw new SlipwayError("ALREADY_EXISTS", `There is a sandbox ${spec.id} already`);
		checkImage(spec);
		this.#sandboxes.set(spec.id, "creating");
		try {
			return await this.#creates.run(() => this.#createOrNothing(spec, signal), signal);
		} finally {
			if (this.#sandboxes.get(spec.id) === "creating") this.#sandboxes.delete(spec.id);
		}
	}

	/** The same sandbox over again, around the disk that it had. */
	async #reset(old: OciSandbox, spec: SandboxSpec, kept: KeptDisk): Promise<Sandbox> {
		if (this.#disposed) throw new SlipwayError("SANDBOX_FAILED", "The sandbox runtime has been closed");
		const disk = kept.disk;
		if (!disk) throw new Error(`Sandbox ${spec.id} has no disk to keep`);
		kept.disk = undefined;
		try {
			await old[Symbol.asyncDispose]();
		} catch (error) {
			await this.#disks.remove(disk);
			throw error;
		}
		this.#sandboxes.set(spec.id, "creating");
		try {
			return await this.#createOrNothing(spec, undefined, disk);
		} finally {
			if (this.#sandboxes.get(spec.id) === "creating") this.#sandboxes.delete(spec.id);
		}
	}

	/** Cleans up behind itself while it still holds its permit, so that `dispose` waits for that too. */
	async #createOrNothing(spec: SandboxSpec, signal: AbortSignal | undefined, disk?: TmpDisk): Promise<OciSandbox> {
		const lifetime = new Lifetime();
		try {
			const sandbox = await this.#create(spec, lifetime, disk);
			if (!signal?.aborted) return sandbox;
			await sandbox[Symbol.asyncDispose]();
			throw signal.reason;
		} catch (error) {
			await lifetime[Symbol.asyncDispose]();
			throw error;
		}
	}

	async #create(spec: SandboxSpec, lifetime: Lifetime, oldDisk: TmpDisk | undefined): Promise<OciSandbox> {
		const kept: KeptDisk = { disk: oldDisk };
		lifetime.defer(() => this.#sandboxes.delete(spec.id));
		lifetime.defer(async () => kept.disk && this.#disks.remove(kept.disk));
		const bundle = join(this.#runFolder, "bundles", spec.id);
		const cgroupName = join(this.#mark, spec.id);
		const cgroup = this.#cgroups.group(cgroupName);
		const pool = spec.egress ? this.#openNetworks : this.#closedNetworks;
		const network = (await takeLiving(pool)) ?? (await this.#makeNetwork(spec.egress));
		lifetime.use(network);
		await network.serve(spec.endpoint?.onConnection);
		kept.disk ??= await this.#disks.take(spec.limits.tmpMiB);
		mkdirSync(bundle);
		lifetime.defer(() => removeFolder(bundle));
		const config = bundleConfig(spec, {
			networkPath: network.path,
			processesPath: network.holder.path,
			tmpPath: kept.disk.path,
			etc: { ...this.#etc(spec.egress), passwd: writePasswd(spec, bundle) },
			cgroupsPath: `/${cgroupName}`,
			environment: endpointVariable(spec),
			swapLimit: this.#cgroups.swap,
			cgroupNamespace: existsSync("/proc/self/ns/cgroup"),
		});
		await writeFile(join(bundle, "config.json"), JSON.stringify(config));
		lifetime.defer(() => cgroup.remove());
		lifetime.defer(() => this.#commands.forget(spec.id));
		// A create that failed half-way may have left a process; after a good one there is none by now.
		lifetime.defer(() => cgroup.killAll());
		lifetime.defer(() => network.holder.end());
		const output = openOutput(spec.user, lifetime);
		const pid = await this.#commands.create(spec.id, bundle, output.childEnds).finally(output.closeChildEnds);
		network.holder.mustHold(pid);
		const main = new OciProcess(pid, output, cgroup);
		let execs = 0;
		const sandbox: OciSandbox = new OciSandbox({
			id: spec.id,
			main,
			network,
			cgroup,
			memoryBytes: spec.limits.memoryMiB * 2 ** 20,
			clock: this.#clock,
			release: () => this.#commands.start(spec.id, bundle, () => main.hasEnded),
			exec: (program) => this.#exec(spec, program, join(bundle, `exec-${++execs}`), cgroup, lifetime),
			anew: () => this.#creates.run(() => this.#reset(sandbox, spec, kept)),
			lifetime,
		});
		this.#reaper.watch(pid, (status) => sandbox.onMainExit(status));
		this.#sandboxes.set(spec.id, sandbox);
		return sandbox;
	}

	async #exec(
		spec: SandboxSpec,
		program: ProgramSpec,
		folder: string,
		cgroup: Cgroup,
		lifetime: Lifetime,
	): Promise<OciProcess> {
		checkImage({ ...spec, ...program });
		mkdirSync(folder);
		const output = openOutput(program.user, lifetime);
		const config = processConfig(program, spec.limits, endpointVariable(spec));
		try {
			const pid = await this.#commands.exec(spec.id, folder, config, output.childEnds).finally(output.closeChildEnds);
			const process = new OciProcess(pid, output, cgroup);
			this.#reaper.watch(pid, (status) => process.onExit(status));
			return process;
		} catch (error) {
			output.stdout.destroy();
			output.stderr.destroy();
			throw error;
		}
	}

	async #makeNetwork(egress: boolean): Promise<SandboxNetwork> {
		const folder = join(this.#runFolder, "networks");
		const network = await SandboxNetwork.create(this.#kernelThread, this.#holders, folder, `${this.#nextNetwork++}`);
		if (!egress) return network;
		try {
			await network.connect(await this.#openEgress());
			return network;
		} catch (error) {
			await network[Symbol.asyncDispose]();
			throw error;
		}
	}

	/** The host is set up for egress when the first sandbox needs it, not before. */
	#openEgress(): Promise<Egress> {
		if (this.#egress) return this.#egress;
		const options = { hash: this.#hash, clock: this.#clock, log: this.#log };
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
		const orphans = this.#cgroups.children(this.#mark).filter((id) => !this.#sandboxes.has(id));
		await Promise.all(
			orphans.map(async (id) => {
				const group = this.#cgroups.group(join(this.#mark, id));
				await group.killAll();
				await group.remove();
			}),
		);
		await this.#disks.reap();
		// With egress in use the table is ours, and was made anew when it was first used.
		if (!this.#egress) await removeEgressLeftovers(this.#hash);
		return orphans.length;
	}

	[Symbol.asyncDispose](): Promise<void> {
		this.#disposed ??= this.#dispose();
		return this.#disposed;
	}

	async #dispose(): Promise<void> {
		// Creates under way see `#disposed` no more; they are waited for by taking every permit.
		await Promise.all(Array.from({ length: PARALLEL_CREATES }, () => this.#creates.run(async () => {})));
		const sandboxes = [...this.#sandboxes.values()].filter((sandbox) => sandbox !== "creating");
		await Promise.all(sandboxes.map((sandbox) => sandbox[Symbol.asyncDispose]()));
		await this.#lifetime[Symbol.asyncDispose]();
	}
}

/** A reset takes the disk away from the sandbox that is disposed. */
interface KeptDisk {
	disk: TmpDisk | undefined;
}

function endpointVariable({ endpoint }: SandboxSpec): Readonly<Record<string, string>> {
	return endpoint ? { [endpoint.envName]: `${ENDPOINT_HOST}:${ENDPOINT_PORT}` } : {};
}

/** Undefined when the image's own may stay. */
function writePasswd({ rootfs, user }: SandboxSpec, bundle: string): string | undefined {
	const text = userDatabase(rootfs, user);
	if (text === undefined) return undefined;
	const file = join(bundle, "passwd");
	writeFileSync(file, text);
	return file;
}

function writeEtc(folder: string): void {
	writeFileSync(join(folder, "hosts"), "127.0.0.1 localhost sandbox.localdomain sandbox\n");
	writeFileSync(join(folder, "hostname"), "sandbox\n");
	writeFileSync(join(folder, "resolv.conf"), "");
}

/** One whose first process is alive: the kernel may have ended it for want of memory while it stood ready. */
async function takeLiving(pool: WarmPool<SandboxNetwork>): Promise<SandboxNetwork | undefined> {
	for (let network = pool.take(); network; network = pool.take()) {
		if (!network.holder.isGone) return network;
		await network[Symbol.asyncDispose]();
	}
	return undefined;
}

/** Two pipes that belong to the sandbox's user, so that its programs can open /dev/stdout and /dev/stderr anew. */
function openOutput(user: { uid: number; gid: number }, lifetime: Lifetime) {
	const childEnds: number[] = [];
	const closeChildEnds = () => {
		for (const fd of childEnds.splice(0)) closeSync(fd);
	};
	const open = () => {
		const { read, write } = pipe();
		childEnds.push(write);
		const stream = new Socket({ fd: read, readable: true, writable: false });
		lifetime.defer(() => stream.destroy());
		fchownSync(write, user.uid, user.gid);
		return { stream, write };
	};
	try {
		const stdout = open();
		const stderr = open();
		const childFds = { stdout: stdout.write, stderr: stderr.write };
		return { stdout: stdout.stream, stderr: stderr.stream, childEnds: childFds, closeChildEnds };
	} catch (error) {
		closeChildEnds();
		throw error;
	}
}
