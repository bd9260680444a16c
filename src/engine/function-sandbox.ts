import type { Clock } from "../base/clock.ts";
import { isSlipwayError, SlipwayError } from "../base/error.ts";
import type { Ids } from "../base/ids.ts";
import type { Rootfs, RootfsStore } from "../core/image/rootfs-store.ts";
import type {
	ContractSession,
	Failure,
	FunctionContract,
	FunctionRevision,
} from "../core/invocation/function-contract.ts";
import type { InvocationRequest, InvocationResult } from "../core/invocation/invocation.ts";
import type { InitPhase, InvocationReport, LifecycleEvent } from "../core/invocation/lifecycle.ts";
import type { LogStore } from "../core/log/log-store.ts";
import type { Sandbox, SandboxExit, SandboxRuntime } from "../core/sandbox/sandbox-runtime.ts";
import { isAvailable, nextSandboxState, type SandboxEvent, type SandboxState } from "../core/sandbox/sandbox-state.ts";
import { LogPump } from "./log-pump.ts";
import { SandboxLog } from "./sandbox-log.ts";

export interface FunctionSandboxDeps {
	runtime: SandboxRuntime;
	rootfs: RootfsStore;
	contract: FunctionContract;
	logs: LogStore;
	clock: Clock;
	ids: Ids;
	/** Whether functions may reach the outside. */
	egress: boolean;
	/** The meter: every reader of lifecycle events stands behind it. */
	onLifecycle: (event: LifecycleEvent, revision: FunctionRevision) => void;
}

/** CPU in proportion to memory: 1,769 MB is one vCPU (lambda-contract 3.8). */
const memoryMiBPerCpu = 1769;
/** Processes and threads, and open files (lambda-contract 3.8). */
const maxPids = 1024;
const maxOpenFiles = 1024;
/** Milliseconds that a process gets to ask for its next event when its answer came just before the function's timeout. */
const minNextMs = 1000;
/** Milliseconds to wait for the last output of a process that has ended. */
const lastOutputMs = 200;

/** Reason of the error that `invoke` throws when the process was gone before it saw the event: another sandbox may take it. */
export const sandboxGone = "SandboxGone";

type Outcome = { kind: "response"; payload: Uint8Array } | { kind: "failure"; failure: Failure };

/** One execution environment of a function: a sandbox, its contract session, its log. One event at a time. */
export class FunctionSandbox {
	readonly id: string;
	readonly revision: FunctionRevision;
	readonly createdMs: number;
	state: SandboxState = "creating";
	lastUsedMs: number;
	invocations = 0;
	/** Milliseconds that making the sandbox took, and its init. */
	sandboxMs = 0;
	initMs = 0;
	/** Called whenever the sandbox may take an event. */
	onIdle: () => void = () => {};
	/** Called once, when it can take no more. */
	onEnd: () => void = () => {};
	/** Called when it has to end by itself; whoever listens calls `end` and hears of what goes wrong there. */
	onOver: (reason: string, error?: unknown) => void = () => {};
	readonly #deps: FunctionSandboxDeps;
	readonly #log: SandboxLog;
	readonly #logStream: string;
	readonly #session: ContractSession;
	#created: Promise<void> | undefined;
	#rootfs: Rootfs | undefined;
	#sandbox: Sandbox | undefined;
	#pumps: LogPump[] = [];
	#ready = false;
	#reported = true;
	#settle: ((outcome: Outcome) => void) | undefined;
	#exited = false;
	#cancelNext: () => void = () => {};
	#ending: Promise<void> | undefined;

	constructor(deps: FunctionSandboxDeps, revision: FunctionRevision) {
		const { clock, ids } = deps;
		this.#deps = deps;
		this.revision = revision;
		this.id = `fn-${ids.hex(8)}`;
		this.createdMs = clock.now();
		this.lastUsedMs = this.createdMs;
		this.#logStream = `${new Date(this.createdMs).toISOString().slice(0, 10).replaceAll("-", "/")}/[${revision.version}]${ids.hex(16)}`;
		this.#log = new SandboxLog(deps.logs, clock, revision.configuration.logGroup, this.#logStream);
		this.#session = deps.contract.openSession({
			onReady: () => this.#onReady(),
			onInitError: (error) => this.#finish({ kind: "failure", failure: { kind: "runtime", ...error } }),
			onResponse: (payload) => this.#finish({ kind: "response", payload }),
			onError: (error) => this.#finish({ kind: "failure", failure: { kind: "runtime", ...error } }),
		});
	}

	/**
	 * Makes the sandbox and runs its init phase. Returns the failure when the image did not get ready within `limitMs`;
	 * the sandbox is ended then. Throws when the platform could not make it.
	 */
	async initialize(phase: InitPhase, limitMs: number, signal?: AbortSignal): Promise<Failure | undefined> {
		const { clock } = this.#deps;
		const createAt = clock.monotonic();
		let failure: Failure | undefined;
		try {
			await this.create(signal);
			const startAt = clock.monotonic();
			this.sandboxMs = startAt - createAt;
			this.#move("started");
			this.#emit({ type: "init-start", phase, atMs: clock.now() });
			failure = await this.#runInit(limitMs);
			this.initMs = clock.monotonic() - startAt;
		} catch (error) {
			failure = launchFailure(error);
			await this.end("failure");
			if (!failure) throw error;
		}
		if (failure) await this.#lastOutput();
		this.#emit({ type: "init-end", phase, atMs: clock.now(), durationMs: this.initMs, failure });
		if (failure) await this.end("failure");
		else if (this.state === "initializing") this.#move("initialized");
		return failure;
	}

	/** Makes the sandbox and runs nothing in it yet. Idempotent. */
	create(signal?: AbortSignal): Promise<void> {
		this.#created ??= this.#create(signal);
		return this.#created;
	}

	async #create(signal?: AbortSignal): Promise<void> {
		const { runtime, rootfs, contract, egress } = this.#deps;
		const { configuration, image } = this.revision;
		if (this.#ending) throw new SlipwayError("SANDBOX_FAILED", "The sandbox was given up before it was made");
		this.#rootfs = await rootfs.acquire(image.diffIds);
		const sandbox = await runtime.create(
			{
				id: this.id,
				rootfs: this.#rootfs.path,
				...contract.process(this.revision, { id: this.id, logStream: this.#logStream }),
				readonlyRoot: true,
				limits: {
					memoryMiB: configuration.memoryMiB,
					cpus: configuration.memoryMiB / memoryMiBPerCpu,
					pids: maxPids,
					openFiles: maxOpenFiles,
					tmpMiB: configuration.tmpMiB,
				},
				egress,
				endpoint: { envName: contract.endpointVariable, onConnection: (socket) => this.#session.onConnection(socket) },
			},
			signal,
		);
		this.#sandbox = sandbox;
		const write = (lines: string[]) => this.#log.write(lines);
		this.#pumps = [new LogPump(sandbox.stdout, write), new LogPump(sandbox.stderr, write)];
		if (this.state === "creating") this.#move("created");
		void sandbox.exited.then((exit) => this.#onExit(exit));
	}

	async #runInit(limitMs: number): Promise<Failure | undefined> {
		const outcome = this.#outcome(limitMs, () => ({ kind: "timeout", timeoutS: limitMs / 1000 }));
		await this.#sandbox!.start();
		const ended = await outcome;
		return ended.kind === "failure" ? ended.failure : undefined;
	}

	/**
	 * Hands the event over and waits for its end, at most the function's timeout. `sinceMs` (monotonic) is set when an
	 * init inside this invocation came before. Throws only when the platform failed.
	 */
	async invoke(request: InvocationRequest, sinceMs?: number): Promise<InvocationResult> {
		const { clock } = this.#deps;
		const { timeoutS } = this.revision.configuration;
		const first = this.invocations === 0;
		const frozen = this.state === "frozen";
		if (frozen) this.#move("thawed");
		this.#move("assigned");
		if (frozen) await this.#sandbox?.thaw();
		if (this.#exited)
			throw new SlipwayError("SANDBOX_FAILED", "The sandbox ended before the event reached it", {
				reason: sandboxGone,
			});
		this.#ready = false;
		this.#reported = false;
		this.invocations++;
		if (request.tail) this.#log.beginTail();
		const startAt = sinceMs ?? clock.monotonic();
		const leftMs = timeoutS * 1000 - (clock.monotonic() - startAt);
		this.#emit({
			type: "invocation-start",
			requestId: request.requestId,
			version: this.revision.version,
			atMs: clock.now(),
		});
		const ended = this.#outcome(leftMs, () => ({ kind: "timeout", timeoutS }));
		this.#session.deliver({ ...request, deadlineMs: clock.now() + leftMs });
		const outcome = await ended;
		const durationMs = clock.monotonic() - startAt;
		this.lastUsedMs = clock.now();
		const initMs = first && sinceMs === undefined ? this.initMs : undefined;
		this.#expectNext(outcome, timeoutS * 1000 - durationMs);
		const reported = this.#report(request, outcome, durationMs, initMs);
		if (request.tail) await reported;
		else reported.catch((error: unknown) => this.onOver("failure", error));
		return this.#result(request, outcome, first);
	}

	/** An invocation that no process was ever ready for: START to REPORT, and the payload for its caller. */
	async failedInvocation(request: InvocationRequest, sinceMs: number, failure: Failure): Promise<InvocationResult> {
		const { clock } = this.#deps;
		if (request.tail) this.#log.beginTail();
		this.#emit({
			type: "invocation-start",
			requestId: request.requestId,
			version: this.revision.version,
			atMs: clock.now(),
		});
		const outcome: Outcome = { kind: "failure", failure };
		await this.#report(request, outcome, clock.monotonic() - sinceMs, undefined);
		return this.#result(request, outcome, true);
	}

	#result(request: InvocationRequest, outcome: Outcome, first: boolean): InvocationResult {
		const failed = outcome.kind === "failure";
		return {
			payload: failed ? this.#deps.contract.failurePayload(outcome.failure, request.requestId) : outcome.payload,
			functionError: failed ? "Unhandled" : undefined,
			executedVersion: this.revision.version,
			logTail: request.tail ? this.#log.endTail() : undefined,
			coldStart: first ? { sandboxMs: this.sandboxMs, initMs: this.initMs } : undefined,
		};
	}

	/** Resolves with how the current phase ends: by the session, by the process's exit, or by the limit. */
	#outcome(limitMs: number, timedOut: () => Failure): Promise<Outcome> {
		return new Promise((resolve) => {
			const cancel = this.#deps.clock.after(limitMs, () => {
				this.#session.abandon();
				this.#finish({ kind: "failure", failure: timedOut() });
			});
			this.#settle = (outcome) => {
				cancel();
				resolve(outcome);
			};
		});
	}

	#finish(outcome: Outcome): void {
		const settle = this.#settle;
		this.#settle = undefined;
		settle?.(outcome);
	}

	/** An answer ends the wait of the caller, not the event's time: a process that never asks again would hold its sandbox for ever. */
	#expectNext(outcome: Outcome, leftMs: number): void {
		if (this.#ready || (outcome.kind === "failure" && endsSandbox(outcome.failure))) return;
		this.#cancelNext = this.#deps.clock.after(Math.max(leftMs, minNextMs), () => this.onOver("timeout"));
	}

	#onReady(): void {
		this.#cancelNext();
		if (this.state === "initializing") return this.#finish({ kind: "response", payload: new Uint8Array() });
		this.#ready = true;
		this.#offer();
	}

	#onExit(exit: SandboxExit): void {
		this.#exited = true;
		const failure: Failure = { kind: "exit", code: exit.code, signal: exit.signal, oomKilled: exit.oomKilled };
		if (this.#settle) this.#finish({ kind: "failure", failure });
		else if (this.state === "created" || isAvailable(this.state)) {
			this.#move("exited");
			this.onOver("exit");
		} else if (this.state === "busy" && this.#reported) this.onOver("exit");
	}

	/** END and REPORT, after the last output of the invocation and what it really used. */
	async #report(
		request: InvocationRequest,
		outcome: Outcome,
		durationMs: number,
		initMs: number | undefined,
	): Promise<void> {
		const failure = outcome.kind === "failure" ? outcome.failure : undefined;
		if (failure?.kind === "exit") await this.#lastOutput();
		else await outputArrived();
		for (const pump of this.#pumps) pump.flush();
		const peakBytes = (await this.#sandbox?.memoryPeak()) ?? 0;
		const { memoryMiB, timeoutS } = this.revision.configuration;
		const shownMs = failure?.kind === "timeout" ? timeoutS * 1000 : durationMs;
		const report: InvocationReport = {
			durationMs: shownMs,
			billedMs: Math.max(1, Math.ceil(shownMs + (initMs ?? 0))),
			memorySizeMiB: memoryMiB,
			maxMemoryUsedMiB: Math.min(memoryMiB, Math.ceil(peakBytes / 1024 / 1024)),
			initMs,
			failure,
			traceId: request.traceId,
		};
		this.#emit({ type: "invocation-end", requestId: request.requestId, atMs: this.#deps.clock.now(), report });
		this.#reported = true;
		if (failure && endsSandbox(failure)) this.onOver(failure.kind);
		// It answered, and went before it asked for the next event.
		else if (this.#exited) this.onOver("exit");
		else this.#offer();
	}

	#offer(): void {
		if (!this.#ready || !this.#reported || this.state !== "busy") return;
		this.#move("finished");
		this.onIdle();
	}

	/** Stops an idle sandbox's processes in place until the next event. */
	async freeze(): Promise<void> {
		if (this.state !== "idle") return;
		this.#move("frozen");
		await this.#sandbox?.freeze();
	}

	async memoryBytes(): Promise<number | undefined> {
		return (await this.#sandbox?.stats())?.memoryBytes;
	}

	/** Ends the sandbox and frees what it held. Idempotent. */
	end(reason: string): Promise<void> {
		this.#ending ??= this.#end(reason);
		return this.#ending;
	}

	async #end(reason: string): Promise<void> {
		this.#move("drain");
		this.#finish({ kind: "failure", failure: { kind: "exit", code: undefined, signal: "SIGKILL", oomKilled: false } });
		this.#cancelNext();
		this.#session.close();
		// What is just being made has to be there before it can go; how its making ended is its maker's business.
		await this.#created?.catch(() => {});
		try {
			await this.#sandbox?.[Symbol.asyncDispose]();
		} finally {
			this.#move("exited");
			try {
				await this.#rootfs?.release();
			} finally {
				this.#emit({ type: "sandbox-end", atMs: this.#deps.clock.now(), reason });
				this.onEnd();
			}
		}
	}

	/** The output of a process that has ended is complete when its pipes are; a child that keeps them open is not waited for. */
	async #lastOutput(): Promise<void> {
		const { clock } = this.#deps;
		await Promise.race([Promise.all(this.#pumps.map((pump) => pump.ended)), clock.sleep(lastOutputMs)]);
	}

	#move(event: SandboxEvent): void {
		this.state = nextSandboxState(this.state, event);
	}

	#emit(event: LifecycleEvent): void {
		this.#log.write(this.#deps.contract.logLines(event, this.revision));
		this.#deps.onLifecycle(event, this.revision);
	}
}

function endsSandbox(failure: Failure): boolean {
	return failure.kind === "timeout" || failure.kind === "exit";
}

/** An image whose process can't be started fails like an invocation would; anything else is the platform's. */
function launchFailure(error: unknown): Failure | undefined {
	if (!isSlipwayError(error, "INVALID_IMAGE")) return undefined;
	if (error.reason === "InvalidEntrypoint") return { kind: "invalid-entrypoint", message: error.message };
	if (error.reason === "InvalidWorkingDir") return { kind: "invalid-working-dir", message: error.message };
	return undefined;
}

/**
 * What the process wrote before it answered is in the pipe by then: two turns of the event loop, each with its poll
 * phase, read all that a pipe holds.
 */
function outputArrived(): Promise<void> {
	return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}
