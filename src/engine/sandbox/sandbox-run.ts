import type { Socket } from "node:net";
import { type Clock, settledWithin } from "../../base/clock.ts";
import { isSlipwayError } from "../../base/error.ts";
import type {
	ContractSession,
	Failure,
	FunctionContract,
	LogSource,
	SessionListener,
	SessionSetup,
	ShutdownReason,
} from "../../core/invocation/function-contract.ts";
import type { LogEvent } from "../../core/log/log-store.ts";
import type { Sandbox, SandboxExit, SandboxProcess } from "../../core/sandbox/sandbox-runtime.ts";
import { LogPump } from "./log-pump.ts";

export interface SandboxRunDeps {
	contract: FunctionContract;
	clock: Clock;
	/** False as soon as other processes have taken the place of these: the listener hears no more then. */
	isCurrent: () => boolean;
}

/** What a session tells, less what the run sees to itself, and what becomes of the processes. */
export interface RunListener extends Omit<SessionListener, "onCompanionsReady" | "onCompanionError"> {
	/** One of the processes has connected to the endpoint for the first time since the start. */
	onConnected(): void;
	/** Whole lines that the processes wrote, as they belong into the function's log. */
	onLines(lines: readonly LogEvent[]): void;
	/** The main process has ended. */
	onExit(exit: SandboxExit): void;
	/** A companion could not be started, has ended before it was asked to, or said that it can't go on. */
	onCompanionFailure(failure: Failure): void;
}

/** Milliseconds after which an init has only its share of CPU any more: as long as the cloud's init phase (lambda-contract 3.3). */
const maxStartMs = 10_000;
/** Milliseconds to wait for the last output of a process that has ended. */
const lastOutputMs = 200;
/** The main process's share of the time for an orderly end, where companions come after it (RIE, rapid/shutdown.go). */
const mainShare = 0.3;

/** The processes of a sandbox from one start to their end: the main one, its companions, and their talk with the contract. */
export class SandboxRun {
	readonly sandbox: Sandbox;
	readonly session: ContractSession;
	/** Whether the main process has ended. */
	exited = false;
	readonly #deps: SandboxRunDeps;
	readonly #setup: SessionSetup;
	readonly #listener: RunListener;
	readonly #companionsReady = Promise.withResolvers<void>();
	readonly #companions = new Map<string, SandboxProcess>();
	readonly #pumps: LogPump[];
	#started = false;
	#connected = false;
	/** The main process was released; before that there is none to end. */
	#mainStarted = false;
	#ending = false;
	#startEnded = false;
	#cancelEndOfStart: () => void = () => {};

	constructor(sandbox: Sandbox, setup: SessionSetup, deps: SandboxRunDeps, listener: RunListener) {
		this.sandbox = sandbox;
		this.#setup = setup;
		this.#deps = deps;
		this.#listener = listener;
		this.session = deps.contract.openSession(
			{
				...listener,
				onReady: () => {
					this.#endStart();
					listener.onReady();
				},
				onCompanionsReady: () => this.#companionsReady.resolve(),
				onCompanionError: (path, errorType) => this.#companionFailed(path, errorType, `${errorType} was reported`),
			},
			setup,
		);
		this.#pumps = this.#pump(sandbox, "function");
		void sandbox.exited.then((exit) => {
			this.exited = true;
			if (deps.isCurrent()) listener.onExit(exit);
		});
	}

	/** A connection that arrives from the sandbox. */
	onConnection(socket: Socket): void {
		if (!this.#connected) {
			this.#connected = true;
			this.#listener.onConnected();
		}
		this.session.onConnection(socket);
	}

	/** Starts the companions and, when they have made themselves known, the main process. INVALID_IMAGE; SANDBOX_FAILED. */
	async start(): Promise<void> {
		this.#started = true;
		this.#cancelEndOfStart = this.#deps.clock.after(maxStartMs, () => this.#endStart());
		for (const path of this.#setup.companions) if (!this.#ending) await this.#startCompanion(path);
		if (this.#setup.companions.length > 0) await this.#companionsReady.promise;
		// The last companion may make itself known when its time for that is over.
		if (this.#ending) return;
		this.#mainStarted = true;
		await this.sandbox.start();
	}

	/** What can't be limited must not go on: its end is noticed like any other. */
	#endStart(): void {
		if (this.#startEnded) return;
		this.#startEnded = true;
		this.#cancelEndOfStart();
		this.sandbox.endStart().catch(() => this.sandbox.kill());
	}

	async #startCompanion(path: string): Promise<void> {
		const program = this.#deps.contract.companionProcess(path, this.#setup.revision, this.#setup);
		try {
			const process = await this.sandbox.exec(program);
			this.#companions.set(path, process);
			this.#pumps.push(...this.#pump(process, "extension"));
			void process.exited.then((exit) => this.#companionFailed(path, "Extension.Crash", exitWords(exit)));
		} catch (error) {
			if (!isSlipwayError(error, "INVALID_IMAGE")) throw error;
			this.#companionFailed(path, "Extension.LaunchError", error.message);
		}
	}

	#companionFailed(path: string, errorType: string, message: string): void {
		if (this.#ending || !this.#deps.isCurrent()) return;
		const name = path.slice(path.lastIndexOf("/") + 1);
		this.#listener.onCompanionFailure({ kind: "companion", name, errorType, message });
	}

	/** Lets out lines that still wait for their end. */
	flush(): void {
		for (const pump of this.#pumps) pump.flush();
	}

	/**
	 * What the processes wrote before they asked for the next event is in their pipes by then, and is read before the event
	 * loop's next turn. The output of one that has ended is complete when its pipes are closed; a child that keeps them
	 * open is not waited for.
	 */
	async lastOutput(ended: boolean): Promise<void> {
		if (!ended) return new Promise((resolve) => setImmediate(resolve));
		const closed = Promise.all(this.#pumps.slice(0, 2).map((pump) => pump.ended));
		await settledWithin(closed, lastOutputMs, this.#deps.clock);
	}

	/**
	 * Gives the processes the time for an orderly end that the contract promises them, and not more; then the session is
	 * over. Once: a reset that fails after it is followed by the sandbox's end.
	 */
	async shutdown(reason: ShutdownReason): Promise<void> {
		if (this.#ending) return;
		this.#ending = true;
		this.#cancelEndOfStart();
		try {
			const budgetMs = this.#started ? this.session.shutdownMs : 0;
			if (budgetMs > 0) await this.#endInOrder(reason, budgetMs);
		} finally {
			this.session.close();
		}
	}

	async #endInOrder(reason: ShutdownReason, budgetMs: number): Promise<void> {
		await this.sandbox.thaw();
		const { clock } = this.#deps;
		const untilAt = clock.monotonic() + budgetMs;
		const mainMs = this.#companions.size > 0 ? budgetMs * mainShare : budgetMs;
		if (this.#mainStarted && !this.exited) await this.#endMain(mainMs);
		await this.#endCompanions(reason, untilAt);
	}

	async #endMain(graceMs: number): Promise<void> {
		this.sandbox.signal("SIGTERM");
		await settledWithin(this.sandbox.exited, graceMs, this.#deps.clock);
		this.sandbox.signal("SIGKILL");
	}

	/** `untilAt` is monotonic; they are told the same on the wall clock. */
	async #endCompanions(reason: ShutdownReason, untilAt: number): Promise<void> {
		const { clock } = this.#deps;
		const leftMs = () => Math.max(0, untilAt - clock.monotonic());
		const told = this.session.shutdown(reason, clock.now() + leftMs());
		for (const [path, process] of this.#companions) if (!told.includes(path)) process.signal("SIGKILL");
		const ended = Promise.all(told.map((path) => this.#companions.get(path)?.exited));
		if (told.length > 0) await settledWithin(ended, leftMs(), clock);
	}

	#pump(process: SandboxProcess, source: LogSource): LogPump[] {
		const { contract, clock } = this.#deps;
		const onLines = (written: string[]) => {
			const nowMs = clock.now();
			const events = written.flatMap((line) => contract.applicationLine(line, this.#setup.revision, nowMs) ?? []);
			if (events.length === 0) return;
			this.#listener.onLines(events);
			const lines = events.length === written.length ? written : events.map(({ message }) => message);
			this.session.onLog(source, lines);
		};
		return [new LogPump(process.stdout, onLines), new LogPump(process.stderr, onLines)];
	}
}

function exitWords(exit: SandboxExit): string {
	return exit.signal === undefined ? `exit code ${exit.code ?? "unknown"}` : `ended by ${exit.signal}`;
}
