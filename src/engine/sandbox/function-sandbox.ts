import { SlipwayError } from "../../base/error.ts";
import type { Ids } from "../../base/ids.ts";
import type { ColdStart } from "../../core/invocation/cold-start.ts";
import type {
	Failure,
	FunctionRevision,
	InitializationType,
	RuntimeFailure,
	SandboxIdentity,
	ShutdownReason,
} from "../../core/invocation/function-contract.ts";
import type { InvocationRequest, InvocationResult } from "../../core/invocation/invocation.ts";
import type { InitPhase, LifecycleEvent } from "../../core/invocation/lifecycle.ts";
import type { LogStore } from "../../core/log/log-store.ts";
import {
	isAvailable,
	isEnded,
	nextSandboxState,
	type SandboxEvent,
	type SandboxState,
} from "../../core/sandbox/sandbox-state.ts";
import { type EnvironmentDeps, ExecutionEnvironment } from "./execution-environment.ts";
import { endsProcesses, launchFailure, timeoutOf } from "./failures.ts";
import { invocationReport, type Measured, runtimeDone } from "./invocation-report.ts";
import { invocationResult } from "./invocation-result.ts";
import { type Outcome, RunningInvocation } from "./running-invocation.ts";
import { SandboxLog } from "./sandbox-log.ts";
import type { RunListener, SandboxRun } from "./sandbox-run.ts";
import { StartTimeline } from "./start-timeline.ts";

export interface FunctionSandboxDeps extends EnvironmentDeps {
	logs: LogStore;
	ids: Ids;
	/** The meter: every reader of lifecycle events stands behind it. */
	onLifecycle: (event: LifecycleEvent, revision: FunctionRevision) => void;
}

/** Milliseconds that the processes get to ask for the next event when the answer came just before the function's timeout. */
const minNextMs = 1000;

/** Reason of the error that `invoke` throws when the processes were gone before they saw the event: another sandbox may take it. */
export const sandboxGone = "SandboxGone";

/**
 * One execution environment of a function: a sandbox, its log, and the processes that run in it. One event at a time.
 * Processes that fail are replaced by others in the same sandbox (a reset: /tmp stays), which start with the next event.
 */
export class FunctionSandbox {
	readonly id: string;
	readonly revision: FunctionRevision;
	readonly initializationType: InitializationType;
	readonly createdMs: number;
	/**
	 * Ages are taken from these, on the monotonic clock: its making, or the release of its processes where it stood created
	 * for long before it, and when its init was good or its last event had its answer.
	 */
	createdAt: number;
	lastUsedAt: number;
	state: SandboxState = "creating";
	lastUsedMs: number;
	invocations = 0;
	/** Milliseconds of its init, as Lambda counts it: from the release of its processes until all of them were ready. */
	initMs = 0;
	/** Milliseconds from the beginning of its last start to the end of its init; undefined before. */
	startMs: number | undefined;
	/** Its init ran ahead of any event: none has waited for it. */
	preInitialized = false;
	/** Called when it was made for the first time; not when it could not be. */
	onCreated: () => void = () => {};
	/** Called whenever the sandbox may take an event. */
	onIdle: () => void = () => {};
	/** Called once, when it can take no more. */
	onEnd: () => void = () => {};
	/** Called when it has to end by itself; whoever listens calls `end` and hears of what goes wrong there. */
	onOver: (reason: string, error?: unknown) => void = () => {};
	readonly #deps: FunctionSandboxDeps;
	readonly #environment: ExecutionEnvironment;
	readonly #log: SandboxLog;
	#created: Promise<void> | undefined;
	#resetting: Promise<void> | undefined;
	/** Of the start that no event has taken yet; undefined while it serves them. */
	#timeline: StartTimeline | undefined;
	/** An init of it was good once. */
	#wasReady = false;
	/** Its init, or its event: whatever happens to the processes now happens to this. */
	#current: RunningInvocation | undefined;
	/** What ended these processes; none of them gets another event. It may have come when nobody was left to hear of it. */
	#broken: Failure | undefined;
	#cancelDeadline: () => void = () => {};
	/** Somebody has it who will hand it an event or `release` it. */
	#claimed = false;
	#ending: Promise<void> | undefined;

	constructor(
		deps: FunctionSandboxDeps,
		revision: FunctionRevision,
		initializationType: InitializationType = "on-demand",
	) {
		const { clock, ids } = deps;
		this.#deps = deps;
		this.revision = revision;
		this.initializationType = initializationType;
		this.id = `fn-${ids.hex(8)}`;
		this.createdMs = clock.now();
		this.createdAt = clock.monotonic();
		this.lastUsedAt = this.createdAt;
		this.lastUsedMs = this.createdMs;
		const day = new Date(this.createdMs).toISOString().slice(0, 10).replaceAll("-", "/");
		const logStream = `${day}/[${revision.version}]${ids.hex(16)}`;
		this.#environment = this.#newEnvironment(deps, { id: this.id, logStream, initializationType });
		this.#log = new SandboxLog(deps.logs, clock, revision.configuration.logGroup, logStream);
	}

	/**
	 * Makes the sandbox, unless it stands ready, and runs its init phase. Returns the failure when the image did not get
	 * ready within `limitMs`: the sandbox is being reset then and stays the caller's, who may `invoke` it at once (a second
	 * init, inside that event) or `release` it. Throws when the platform could not make it.
	 */
	async initialize(phase: InitPhase, limitMs: number): Promise<Failure | undefined> {
		const { clock } = this.#deps;
		const { initializationType } = this;
		const createAt = clock.monotonic();
		this.#timeline ??= new StartTimeline(createAt);
		const timeline = this.#timeline;
		if (this.state === "created") {
			timeline.released(createAt);
			this.createdAt = createAt;
		}
		let startAt = createAt;
		let failure: Failure | undefined;
		this.#claimed = true;
		try {
			await this.#resetting;
			this.#broken = undefined;
			this.#requireProcess();
			await this.create();
			startAt = clock.monotonic();
			timeline.enter("process", startAt);
			this.#requireProcess();
			this.#move("started");
			this.#emit({ type: "init-start", phase, initializationType, atMs: clock.now() });
			failure = await this.#runInit(limitMs);
		} catch (error) {
			failure = launchFailure(error);
			if (!failure) {
				await this.end("failure");
				throw error;
			}
		}
		const endAt = clock.monotonic();
		this.initMs = endAt - startAt;
		this.startMs = endAt - createAt;
		// Others take the place of processes that have failed: that making begins here.
		timeline.enter(failure ? "sandbox" : "first-poll", endAt);
		this.#cancelDeadline();
		if (failure) await this.#run?.lastOutput(failure.kind === "exit");
		this.#initEnded(phase, failure);
		this.#current = undefined;
		if (failure) this.#reset(failure);
		else if (this.state === "initializing") this.#initialized();
		return failure;
	}

	/** After a failed `initialize` that no event waits for: `onIdle` tells when the sandbox may take one. */
	release(): void {
		this.#claimed = false;
		if (this.state === "reset") this.onIdle();
	}

	#initialized(): void {
		this.#move("initialized");
		this.lastUsedAt = this.#deps.clock.monotonic();
		if (this.#broken) this.#onFailure(this.#broken);
	}

	#initEnded(phase: InitPhase, failure: Failure | undefined): void {
		const { initializationType, initMs: durationMs } = this;
		const atMs = this.#deps.clock.now();
		const again = this.#wasReady;
		this.#emit({ type: "init-runtime-done", phase, initializationType, atMs, failure });
		this.#emit({ type: "init-end", phase, initializationType, atMs, durationMs, failure, again });
		if (!failure) this.#wasReady = true;
	}

	get #run(): SandboxRun | undefined {
		return this.#environment.run;
	}

	/** Makes the sandbox and runs nothing in it yet. Idempotent. */
	create(): Promise<void> {
		this.#created ??= this.#environment.create().then(() => {
			if (this.state === "creating") this.#move("created");
			this.onCreated();
		});
		return this.#created;
	}

	#newEnvironment(deps: FunctionSandboxDeps, identity: SandboxIdentity): ExecutionEnvironment {
		const runtimeFailure = (error: RuntimeFailure): Failure => ({ kind: "runtime", ...error });
		const listener: RunListener = {
			onConnected: () => this.#timeline?.connected(deps.clock.monotonic()),
			onReady: () => this.#onReady(),
			onInitError: (error) => this.#current?.fail(runtimeFailure(error)),
			onAnswering: () => this.#current?.answering(deps.clock.monotonic()),
			onResponse: (payload) => this.#current?.answer({ kind: "response", payload }),
			onStreamed: ({ bytes, failure }) =>
				this.#current?.answer({ kind: "streamed", bytes, failure: failure && runtimeFailure(failure) }),
			onError: (error) => this.#current?.answer({ kind: "failure", failure: runtimeFailure(error) }),
			onLifecycle: (event) => this.#emit(event),
			onLines: (lines) => this.#log.append(lines),
			onExit: (exit) =>
				this.#onFailure({ kind: "exit", code: exit.code, signal: exit.signal, oomKilled: exit.oomKilled }),
			onCompanionFailure: (failure) => this.#onFailure(failure),
		};
		return new ExecutionEnvironment(deps, this.revision, identity, listener);
	}

	async #runInit(limitMs: number): Promise<Failure | undefined> {
		const init = this.#begin(limitMs, { kind: "timeout", timeoutS: limitMs / 1000 });
		const started = this.#run!.start();
		await Promise.race([started, init.done]);
		// Past a failure the start has nothing more to tell: the processes are about to be ended.
		started.catch(() => {});
		return init.done;
	}

	#begin(limitMs: number, timeout: Failure): RunningInvocation {
		const running = new RunningInvocation();
		this.#current = running;
		this.#cancelDeadline = this.#deps.clock.after(limitMs, () => this.#onDeadline(running, timeout, minNextMs));
		return running;
	}

	/** An answer ends the wait of the caller, not the event's time: processes that never ask again would hold their sandbox for ever. */
	#onDeadline(running: RunningInvocation, timeout: Failure, graceMs: number): void {
		if (running.hasAnswer && graceMs > 0) {
			this.#cancelDeadline = this.#deps.clock.after(graceMs, () => this.#onDeadline(running, timeout, 0));
			return;
		}
		this.#run?.session.abandon();
		running.fail(timeout);
	}

	/**
	 * Hands the event over and waits for its answer, at most the function's timeout; a sandbox that was reset starts its
	 * processes first, on the event's time. `waitingSince`: when the event came, on the monotonic clock, if it had to wait for
	 * this sandbox. Throws only when the platform failed.
	 */
	async invoke(request: InvocationRequest, waitingSince?: number): Promise<InvocationResult> {
		const { clock } = this.#deps;
		const timeoutMs = this.revision.configuration.timeoutS * 1000;
		// The end of the former processes is not the event's time; that it failed, `onOver` tells.
		let cameAt = waitingSince;
		if (this.state === "resetting") {
			cameAt ??= clock.monotonic();
			await this.#resetting?.catch(() => {});
		}
		const startAt = clock.monotonic();
		const first = this.invocations === 0;
		const inside = this.state === "reset" || this.state === "resetting";
		this.#claimed = true;
		if (request.tail) this.#log.beginTail();
		if (inside) {
			const failure = await this.initialize("invoke", timeoutMs);
			if (failure) return this.#neverReady(request, startAt, failure, this.#takeColdStart(cameAt ?? startAt));
		}
		await this.#assign();
		this.#requireProcess();
		this.invocations++;
		const running = this.#begin(Math.max(1, timeoutMs - (clock.monotonic() - startAt)), timeoutOf(this.revision));
		const coldStart = this.#timeline && this.#takeColdStart(cameAt ?? startAt);
		this.#deliver(request, timeoutMs - (clock.monotonic() - startAt), coldStart);
		const outcome = await running.answered;
		this.#emitRuntimeDone(request, outcome, startAt, running.answeringAt);
		this.lastUsedMs = clock.now();
		this.lastUsedAt = clock.monotonic();
		this.#claimed = false;
		const initMs = first && !inside && this.initializationType === "on-demand" ? this.initMs : undefined;
		// Taken before the next event may come, which keeps a tail of its own.
		const takeTail = () => (request.tail ? this.#log.endTail() : undefined);
		const reported = this.#whenDone(request, running, startAt, initMs, coldStart).then(
			(failure) => {
				const tail = takeTail();
				this.#afterInvocation(failure);
				return tail;
			},
			(error: unknown) => {
				this.onOver("failure", error);
				return takeTail();
			},
		);
		return this.#result(request, outcome, coldStart, request.tail ? await reported : undefined);
	}

	async #assign(): Promise<void> {
		this.#requireProcess();
		const frozen = this.state === "frozen";
		if (frozen) this.#move("thawed");
		this.#move("assigned");
		if (frozen) await this.#run?.sandbox.thaw();
	}

	/** It may have ended, or been told to, while it waited. */
	#requireProcess(): void {
		if (!this.#ending && !this.#broken && !this.#run?.exited && !isEnded(this.state)) return;
		const message = "The sandbox ended before the event reached it";
		throw new SlipwayError("SANDBOX_FAILED", message, { reason: sandboxGone });
	}

	#deliver(request: InvocationRequest, leftMs: number, coldStart: ColdStart | undefined): void {
		this.#emitStart(request);
		const { stream } = request;
		const event = { ...request, deadlineMs: this.#deps.clock.now() + leftMs };
		// The head of a streamed answer goes out long before there is a result.
		if (coldStart && stream) event.stream = (head) => stream({ ...head, coldStart });
		this.#run?.session.deliver(event);
	}

	/** The stages that the event waited for which takes the sandbox now; the start is over with it. */
	#takeColdStart(cameAt: number): ColdStart | undefined {
		const { clock } = this.#deps;
		const coldStart = this.#timeline?.coldStart(cameAt, clock.monotonic(), clock.now());
		this.#timeline = undefined;
		// Of an init that failed: what comes next waits for the new sandbox from here on.
		if (this.state === "resetting") this.#timeline = new StartTimeline(clock.monotonic());
		return coldStart;
	}

	#emitStart({ requestId, traceId }: InvocationRequest): void {
		const { version } = this.revision;
		this.#emit({ type: "invocation-start", requestId, version, traceId, atMs: this.#deps.clock.now() });
	}

	/** An invocation that no process was ever ready for: START to REPORT, and the payload for its caller. */
	async #neverReady(
		request: InvocationRequest,
		startAt: number,
		failure: Failure,
		coldStart: ColdStart | undefined,
	): Promise<InvocationResult> {
		const outcome: Outcome = { kind: "failure", failure };
		this.#emitStart(request);
		this.#emitRuntimeDone(request, outcome, startAt, undefined);
		const durationMs = this.#deps.clock.monotonic() - startAt;
		this.#report(request, { failure, durationMs, initMs: undefined, peakBytes: 0, coldStart });
		this.invocations++;
		const result = this.#result(request, outcome, coldStart, request.tail ? this.#log.endTail() : undefined);
		// Last: it may take its next event here and now.
		this.release();
		return result;
	}

	#result(
		request: InvocationRequest,
		outcome: Outcome,
		coldStart: ColdStart | undefined,
		logTail: Uint8Array | undefined,
	): InvocationResult {
		const { contract } = this.#deps;
		return invocationResult(contract, this.revision.version, {
			requestId: request.requestId,
			outcome,
			coldStart,
			logTail,
		});
	}

	#onReady(): void {
		this.#cancelDeadline();
		this.#current?.ready();
	}

	/** Of the processes: it ends what they are at, or a sandbox that waits. */
	#onFailure(failure: Failure): void {
		if (this.state === "initializing" || this.state === "busy") {
			this.#broken ??= failure;
			this.#current?.fail(failure);
		} else if (this.state === "created" || isAvailable(this.state)) {
			this.#move("exited");
			this.onOver("exit");
		}
	}

	#emitRuntimeDone(
		request: InvocationRequest,
		outcome: Outcome,
		startAt: number,
		answeringAt: number | undefined,
	): void {
		const { clock } = this.#deps;
		const nowAt = clock.monotonic();
		const answeringMs = answeringAt === undefined ? 0 : nowAt - answeringAt;
		const runtime = runtimeDone(outcome, nowAt - startAt, answeringMs, request.traceId);
		this.#emit({ type: "invocation-runtime-done", requestId: request.requestId, atMs: clock.now(), runtime });
	}

	/** END and REPORT, when everybody is done with the event, after the last output of it and with what it really used. */
	async #whenDone(
		request: InvocationRequest,
		running: RunningInvocation,
		startAt: number,
		initMs: number | undefined,
		coldStart: ColdStart | undefined,
	): Promise<Failure | undefined> {
		const failure = await running.done;
		this.#cancelDeadline();
		const durationMs = this.#deps.clock.monotonic() - startAt;
		await this.#run?.lastOutput(failure?.kind === "exit");
		this.#run?.flush();
		const peakBytes = (await this.#run?.sandbox.memoryPeak()) ?? 0;
		this.#report(request, { failure, durationMs, initMs, peakBytes, coldStart });
		return failure;
	}

	#report(request: InvocationRequest, measured: Measured): void {
		const report = invocationReport(this.revision.configuration, request.traceId, measured);
		this.#emit({ type: "invocation-end", requestId: request.requestId, atMs: this.#deps.clock.now(), report });
	}

	#afterInvocation(failure: Failure | undefined): void {
		this.#current = undefined;
		if (this.state !== "busy") return;
		const ended = failure && endsProcesses(failure) ? failure : this.#broken;
		if (ended) return this.#reset(ended);
		this.#move("finished");
		this.onIdle();
	}

	/** Others take the place of processes that have failed (lambda-contract 3.7); they are made now and start with the next event. */
	#reset(failure: Failure): void {
		if (this.#ending) return;
		this.#timeline ??= new StartTimeline(this.#deps.clock.monotonic());
		this.#move("reset");
		this.#resetting = this.#replace(failure.kind === "timeout" ? "timeout" : "failure");
		this.#resetting.then(
			() => {
				if (!this.#claimed) this.release();
			},
			(error: unknown) => this.onOver("failure", error),
		);
	}

	async #replace(reason: ShutdownReason): Promise<void> {
		if (this.#run) await this.#environment.reset(reason);
		// The runtime refused the image: it is asked again with the next event.
		else this.#created = undefined;
		if (this.state === "resetting") this.#move("created");
	}

	/** Stops an idle sandbox's processes in place until the next event. */
	async freeze(): Promise<void> {
		if (this.state !== "idle") return;
		this.#move("frozen");
		await this.#run?.sandbox.freeze();
	}

	async memoryBytes(): Promise<number | undefined> {
		return (await this.#run?.sandbox.stats())?.memoryBytes;
	}

	/** Ends the sandbox and frees what it held, after the orderly end that its processes may ask for. Idempotent. */
	end(reason: string): Promise<void> {
		this.#ending ??= this.#end(reason);
		return this.#ending;
	}

	async #end(reason: string): Promise<void> {
		this.#move("drain");
		this.#cancelDeadline();
		this.#current?.fail({ kind: "exit", code: undefined, signal: "SIGKILL", oomKilled: false });
		// What is just being made has to be there before it can go; how its making ended is its maker's business.
		await this.#created?.catch(() => {});
		await this.#resetting?.catch(() => {});
		try {
			await this.#environment.end(shutdownReasons[reason] ?? "spindown");
		} finally {
			this.#move("exited");
			this.#emit({ type: "sandbox-end", atMs: this.#deps.clock.now(), reason });
			this.onEnd();
		}
	}

	#move(event: SandboxEvent): void {
		this.state = nextSandboxState(this.state, event);
	}

	#emit(event: LifecycleEvent): void {
		this.#log.write(this.#deps.contract.logLines(event, this.revision, this.#log.stream));
		this.#run?.session.onLifecycle(event);
		this.#deps.onLifecycle(event, this.revision);
	}
}

const shutdownReasons: Readonly<Record<string, ShutdownReason>> = {
	timeout: "timeout",
	failure: "failure",
	exit: "failure",
};
