import type { Clock } from "../../base/clock.ts";
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import { Lifetime } from "../../base/lifetime.ts";
import type { Log } from "../../base/log.ts";
import type { Rootfs, RootfsStore } from "../../core/image/rootfs-store.ts";
import type { LogStore } from "../../core/log/log-store.ts";
import type { Sandbox, SandboxRuntime, SandboxSpec } from "../../core/sandbox/sandbox-runtime.ts";
import type { ProbeFailure, ProbeRunner } from "../../core/workload/probe-runner.ts";
import { defaultStartupProbe } from "../../core/workload/probe-state.ts";
import type { Probe, WorkloadContainer } from "../../core/workload/workload.ts";
import { ContainerLog } from "./container-log.ts";
import { containerUser, type ReadImageFile } from "./container-user.ts";
import { Prober } from "./prober.ts";

export interface ContainerDeps {
	runtime: SandboxRuntime;
	rootfs: RootfsStore;
	logs: LogStore;
	clock: Clock;
	log: Log;
	probes: ProbeRunner;
	/** Reads files of an image's mounted root. */
	readImageFile: (rootfs: string) => ReadImageFile;
	/** Brings back an image's files that are no longer on this machine. Rejects when they can't be had. */
	restoreImage: (container: WorkloadContainer) => Promise<void>;
}

/** What its instance gives a container. */
export interface ContainerPlace {
	/** Of its sandbox. */
	id: string;
	env: Readonly<Record<string, string>>;
	log: { group: string; stream: string };
	network: Pick<SandboxSpec, "beside" | "listeners" | "egress">;
	mounts: SandboxSpec["mounts"] & object;
	/** Runs something for which it needs its CPU, which may be withheld otherwise. */
	withCpu: <T>(task: () => Promise<T>) => Promise<T>;
	/** `isStarted` or `isReady` has changed. */
	onChange: () => void;
}

/** How one process of a container ended. */
export interface ContainerEnd {
	container: string;
	code: number | undefined;
	signal: string | undefined;
	oomKilled: boolean;
	/** The probe that had it killed. */
	probe: { name: "startup" | "liveness"; failure: ProbeFailure } | undefined;
	/** The last of its output. */
	lastLines: readonly string[];
	/** From its start, milliseconds. */
	ranMs: number;
}

/** Where programs are looked for when the image does not say (runc, libcontainer). */
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/** Size of a /tmp beside a read-only root: what functions have. */
const tmpMiB = 512;
/** Cloud Run's startup CPU boost, in the form that workload.ts gives it. */
const boostCpus = 1;

/** One process of one container, from the making of its sandbox to its end. A restart is another of these. */
export class Container {
	readonly spec: WorkloadContainer;
	readonly sandbox: Sandbox;
	/** Resolves when its startup probe has succeeded; never when it ends before. */
	readonly started: Promise<void>;
	/** Resolves when the process is gone and its output is in the log. */
	readonly ended: Promise<ContainerEnd>;
	isStarted = false;
	isReady = false;
	readonly #deps: ContainerDeps;
	readonly #place: ContainerPlace;
	readonly #made: Pick<SandboxSpec, "env" | "cwd" | "user">;
	readonly #lifetime: Lifetime;
	readonly #log: ContainerLog;
	readonly #onStarted: () => void;
	readonly #over = new AbortController();
	#startAt: number | undefined;
	#killedBy: ContainerEnd["probe"];

	/** Makes it ready and runs nothing. INVALID_IMAGE, EXHAUSTED, SANDBOX_FAILED; UNAVAILABLE (reason "ImageGone"). */
	static async create(deps: ContainerDeps, spec: WorkloadContainer, place: ContainerPlace): Promise<Container> {
		const lifetime = new Lifetime();
		try {
			const root = await acquireRoot(deps, spec);
			lifetime.defer(() => root.release());
			const made = sandboxSpec(deps, spec, place, root);
			const sandbox = lifetime.use(await deps.runtime.create(made));
			return new Container(deps, spec, place, { sandbox, made, lifetime });
		} catch (error) {
			await lifetime[Symbol.asyncDispose]();
			throw error;
		}
	}

	private constructor(
		deps: ContainerDeps,
		spec: WorkloadContainer,
		place: ContainerPlace,
		{ sandbox, made, lifetime }: { sandbox: Sandbox; made: SandboxSpec; lifetime: Lifetime },
	) {
		this.#deps = deps;
		this.#place = place;
		this.#lifetime = lifetime;
		this.spec = spec;
		this.#made = made;
		this.sandbox = sandbox;
		const { promise, resolve } = Promise.withResolvers<void>();
		this.started = promise;
		this.#onStarted = resolve;
		this.#log = new ContainerLog(deps.logs, deps.clock, place.log.group, place.log.stream);
		this.#log.follow(sandbox);
		this.ended = this.#end();
	}

	/** Whether its process was released. */
	get wasStarted(): boolean {
		return this.#startAt !== undefined;
	}

	/** Releases its process. Errors as SandboxRuntime.create. */
	async start(): Promise<void> {
		this.#startAt = this.#deps.clock.monotonic();
		await this.sandbox.start();
		if (!this.#over.signal.aborted) this.#report(this.#probe(), "A container could not be probed");
	}

	/** No probe looks at it any more: it is to end. */
	endProbes(): void {
		this.#over.abort();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#over.abort();
		await this.#lifetime[Symbol.asyncDispose]();
	}

	async #end(): Promise<ContainerEnd> {
		const { code, signal, oomKilled } = await this.sandbox.exited;
		const { clock } = this.#deps;
		const ranMs = this.#startAt === undefined ? 0 : clock.monotonic() - this.#startAt;
		this.#over.abort();
		this.isReady = false;
		this.#place.onChange();
		await this.#log.lastOutput();
		return {
			container: this.spec.name,
			code,
			signal,
			oomKilled,
			probe: this.#killedBy,
			lastLines: this.#log.lastLines,
			ranMs,
		};
	}

	async #probe(): Promise<void> {
		const { runner, clock } = { runner: this.#deps.probes, clock: this.#deps.clock };
		const connect = (port: number) => this.sandbox.connect(port);
		const exec = (command: readonly string[], signal: AbortSignal) => this.#exec(command, signal);
		const prober = new Prober({ runner, clock, connect, exec, withCpu: this.#place.withCpu }, this.#over.signal);
		const { port, livenessProbe, readinessProbe } = this.spec;
		const startupProbe = this.spec.startupProbe ?? (port && defaultStartupProbe(port.number));
		const failure = startupProbe && (await prober.untilStarted(startupProbe));
		if (this.#over.signal.aborted) return;
		if (failure) return this.#kill({ name: "startup", failure });
		this.isStarted = true;
		this.#onStarted();
		if (this.spec.startupCpuBoost) this.#report(this.sandbox.endStart(), "The CPU boost of a start was not ended");
		if (livenessProbe)
			this.#watch(prober, livenessProbe, (failure) => {
				if (failure) this.#kill({ name: "liveness", failure });
			});
		if (readinessProbe) this.#watch(prober, readinessProbe, (failure) => this.#setReady(!failure));
		else this.#setReady(true);
	}

	/** As Kubernetes runs the program of a probe: with the container's user, folder and environment; what it writes is nobody's. */
	async #exec(args: readonly string[], signal: AbortSignal): Promise<number | undefined> {
		const { env, cwd, user } = this.#made;
		const program = await this.sandbox.exec({ args, env, cwd, user });
		program.stdout.resume();
		program.stderr.resume();
		const kill = () => program.signal("SIGKILL");
		if (signal.aborted) kill();
		signal.addEventListener("abort", kill, { once: true });
		const { code } = await program.exited;
		signal.removeEventListener("abort", kill);
		return code;
	}

	#watch(prober: Prober, probe: Probe, onVerdict: (failure: ProbeFailure | undefined) => void): void {
		this.#report(prober.watch(probe, onVerdict), "A container could not be probed");
	}

	#setReady(ready: boolean): void {
		this.isReady = ready;
		this.#place.onChange();
	}

	/** At once, as Cloud Run does it: what does not answer its probe would not hear a SIGTERM. */
	#kill(probe: NonNullable<ContainerEnd["probe"]>): void {
		this.#killedBy = probe;
		this.#over.abort();
		this.#report(this.sandbox.kill(), "A container that failed its probe could not be killed");
	}

	#report(task: Promise<unknown>, message: string): void {
		task.catch((error) => this.#deps.log.error(message, { error, sandbox: this.#place.id }));
	}
}

async function acquireRoot({ rootfs, restoreImage }: ContainerDeps, spec: WorkloadContainer): Promise<Rootfs> {
	try {
		return await rootfs.acquire(spec.image.diffIds);
	} catch (error) {
		if (!isSlipwayError(error, "NOT_FOUND")) throw error;
	}
	try {
		await restoreImage(spec);
		return await rootfs.acquire(spec.image.diffIds);
	} catch (cause) {
		const why = cause instanceof SlipwayError ? `: ${cause.message}` : "";
		const message = `The files of image ${spec.imageDigest} are no longer on this machine${why}`;
		throw new SlipwayError("UNAVAILABLE", message, { reason: "ImageGone", cause });
	}
}

function sandboxSpec(deps: ContainerDeps, spec: WorkloadContainer, place: ContainerPlace, root: Rootfs): SandboxSpec {
	const { limits } = spec;
	const { user, home } = containerUser(spec.user ?? spec.image.user, deps.readImageFile(root.path));
	return {
		id: place.id,
		owner: place.log.group,
		rootfs: root.path,
		args: spec.args,
		env: {
			PATH: defaultPath,
			HOME: home,
			...spec.env,
			...place.env,
			...(spec.port && { PORT: String(spec.port.number) }),
		},
		cwd: spec.cwd || "/",
		user,
		capabilities: spec.capabilities,
		readonlyRoot: spec.readOnlyRoot,
		mounts: place.mounts,
		...place.network,
		limits: { ...limits, tmpMiB, ...(spec.startupCpuBoost && { startCpus: limits.cpus + boostCpus }) },
	};
}
