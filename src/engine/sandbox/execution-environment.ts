import type { Clock } from "../../base/clock.ts";
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import type { Rootfs, RootfsStore } from "../../core/image/rootfs-store.ts";
import type {
	FunctionContract,
	FunctionRevision,
	SandboxIdentity,
	ShutdownReason,
} from "../../core/invocation/function-contract.ts";
import type { Sandbox, SandboxRuntime } from "../../core/sandbox/sandbox-runtime.ts";
import { type RunListener, SandboxRun } from "./sandbox-run.ts";

export interface EnvironmentDeps {
	runtime: SandboxRuntime;
	rootfs: RootfsStore;
	contract: FunctionContract;
	clock: Clock;
	/** Whether functions may reach the outside. */
	egress: boolean;
	/** Files of a revision's image are no longer on this machine: somebody has to bring them back. */
	onCodeGone: (revision: FunctionRevision) => Promise<void>;
}

/** CPU in proportion to memory: 1,769 MB is one vCPU (lambda-contract 3.8). */
const memoryMiBPerCpu = 1769;
/**
 * What an init may use where the function's share is less. Measured of Lambda: the Node image is ready after 295 ms at 128 MB
 * (docs/adr/0010-language-start-up.md), which its 7 % of a CPU would take a second for. Not more than one: runtimes that size
 * themselves by the number of CPUs then see the one they have afterwards.
 */
const minStartCpus = 1;
/** Processes and threads, and open files (lambda-contract 3.8). */
const maxPids = 1024;
const maxOpenFiles = 1024;

/** The sandbox that a function's revision asks for, and the processes that run in it now. Calls come one after the other. */
export class ExecutionEnvironment {
	readonly #deps: EnvironmentDeps;
	readonly #revision: FunctionRevision;
	readonly #identity: SandboxIdentity;
	readonly #listener: RunListener;
	#rootfs: Rootfs | undefined;
	/** Of the image: the same for every start. */
	#companions: readonly string[] | undefined;
	#run: SandboxRun | undefined;
	#ended = false;

	/** `listener` hears of the current processes only. */
	constructor(deps: EnvironmentDeps, revision: FunctionRevision, identity: SandboxIdentity, listener: RunListener) {
		this.#deps = deps;
		this.#revision = revision;
		this.#identity = identity;
		this.#listener = listener;
	}

	/** Undefined until the sandbox is made. */
	get run(): SandboxRun | undefined {
		return this.#run;
	}

	/** Makes the sandbox and runs nothing in it yet. Errors as SandboxRuntime.create; may be tried again. */
	async create(): Promise<void> {
		const { runtime, contract, egress } = this.#deps;
		const { configuration } = this.#revision;
		const cpus = configuration.memoryMiB / memoryMiBPerCpu;
		if (this.#ended) throw new SlipwayError("SANDBOX_FAILED", "The sandbox was given up before it was made");
		this.#rootfs ??= await this.#acquireRoot();
		this.#companions ??= await this.#findCompanions(this.#rootfs);
		const sandbox = await runtime.create({
			id: this.#identity.id,
			owner: `function/${this.#revision.name}`,
			rootfs: this.#rootfs.path,
			...contract.process(this.#revision, this.#identity),
			readonlyRoot: true,
			limits: {
				memoryMiB: configuration.memoryMiB,
				cpus,
				...(cpus < minStartCpus && { startCpus: minStartCpus }),
				pids: maxPids,
				openFiles: maxOpenFiles,
				tmpMiB: configuration.tmpMiB,
			},
			egress,
			endpoint: {
				envName: contract.endpointVariable,
				onConnection: (socket) => {
					if (this.#run) this.#run.onConnection(socket);
					else socket.destroy();
				},
			},
		});
		this.#newRun(sandbox);
	}

	/** CONFLICT, as of a function that is not ready, when the image is no longer here. */
	async #acquireRoot(): Promise<Rootfs> {
		try {
			return await this.#deps.rootfs.acquire(this.#revision.image.diffIds);
		} catch (error) {
			if (!isSlipwayError(error, "NOT_FOUND")) throw error;
			await this.#deps.onCodeGone(this.#revision);
			const message =
				"The operation cannot be performed at this time. The function is currently in the following state: Pending";
			throw new SlipwayError("CONFLICT", message, { reason: "Pending", cause: error });
		}
	}

	/** Ends the processes, in the order and time the contract promises them, and has others ready in the same sandbox. */
	async reset(reason: ShutdownReason): Promise<void> {
		const run = this.#run;
		if (!run) return;
		await run.shutdown(reason);
		this.#newRun(await run.sandbox.reset());
	}

	/** Ends the processes in the same way, and frees what the sandbox held. */
	async end(reason: ShutdownReason): Promise<void> {
		this.#ended = true;
		try {
			await this.#run?.shutdown(reason);
		} finally {
			await this.#free();
		}
	}

	async #free(): Promise<void> {
		try {
			await this.#run?.sandbox[Symbol.asyncDispose]();
		} finally {
			await this.#rootfs?.release();
		}
	}

	#newRun(sandbox: Sandbox): void {
		const { contract, clock } = this.#deps;
		const setup = {
			...this.#identity,
			revision: this.#revision,
			companions: this.#companions ?? [],
			connect: (port: number) => sandbox.connect(port),
		};
		const run: SandboxRun = new SandboxRun(
			sandbox,
			setup,
			{ contract, clock, isCurrent: () => this.#run === run },
			this.#listener,
		);
		this.#run = run;
	}

	async #findCompanions(rootfs: Rootfs): Promise<string[]> {
		const { contract } = this.#deps;
		const { companionFolder, companionsDisabledBy } = contract;
		if (companionFolder === undefined) return [];
		const files = await rootfs.files(companionFolder);
		if (files.length === 0) return [];
		const beside = companionsDisabledBy === undefined ? [] : await rootfs.files(folderOf(companionsDisabledBy));
		return contract.companions([...files, ...beside.filter((file) => file === companionsDisabledBy)], this.#revision);
	}
}

function folderOf(path: string): string {
	return path.slice(0, path.lastIndexOf("/"));
}
