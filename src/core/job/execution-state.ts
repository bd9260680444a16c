/**
 * What an execution of a job does next, as a function of its state and what has happened: which task starts, which is stopped,
 * when all of it is done. Time, sandboxes and the store are the caller's.
 *
 * Every task runs until it has succeeded or used its retries up; the others go on whatever one of them does, and the execution
 * has failed when any of them has (Cloud Run's rules, http-contracts 1.12).
 */
export interface ExecutionSettings {
	/** 1 to 10,000. */
	taskCount: number;
	/** Tasks at a time, at least 1. */
	parallelism: number;
	/** Attempts after the first of each task. */
	maxRetries: number;
}

export type TaskPhase = "waiting" | "running" | "succeeded" | "failed" | "cancelled";

export interface TaskState {
	phase: TaskPhase;
	/** Attempts that have begun; a running one is number `attempts - 1`, which is CLOUD_RUN_TASK_ATTEMPT. */
	attempts: number;
	/** Of the newest attempt that has ended. */
	outcome: AttemptOutcome | undefined;
}

export interface AttemptOutcome {
	/** Interrupted: the daemon was not there to see its end. Unstartable: no container ever ran. */
	kind: "succeeded" | "exit" | "timeout" | "cancelled" | "interrupted" | "unstartable";
	exitCode: number | undefined;
	message: string;
}

export type ExecutionPhase = "running" | "cancelling" | "succeeded" | "failed" | "cancelled";

export interface ExecutionState {
	readonly settings: ExecutionSettings;
	readonly phase: ExecutionPhase;
	/** By index. */
	readonly tasks: readonly TaskState[];
	readonly counts: Readonly<Record<TaskPhase, number>>;
	/** Attempts after a first one, over all tasks. */
	readonly retried: number;
	/** Indexes of tasks that failed and wait for their next attempt, or were put back; they go before new ones. */
	readonly again: readonly number[];
	/** No task from here on has been started. */
	readonly next: number;
	/** The machine had no room for an instance: nothing starts before `room`. */
	readonly held: boolean;
}

export type ExecutionEvent =
	/** The first, and again after a restart of the daemon. */
	| { type: "begin" }
	| { type: "ended"; index: number; outcome: AttemptOutcome }
	/** The attempt did not begin for want of room: it does not count. */
	| { type: "put-back"; index: number }
	| { type: "room" }
	/** No task can run at all: an image could not be made ready. Comes before `begin`, or in its place. */
	| { type: "abandon"; message: string }
	| { type: "cancel" };

export type ExecutionAction = { type: "start"; index: number; attempt: number } | { type: "stop"; index: number };

export interface Decision {
	state: ExecutionState;
	actions: ExecutionAction[];
	/** Tasks whose state is another one now. */
	changed: ReadonlySet<number>;
}

const waiting: TaskState = Object.freeze({ phase: "waiting", attempts: 0, outcome: undefined });

/** `tasks`: of those that had begun before the daemon was started again, by index. What was running then counts as interrupted. */
export function executionState(
	settings: ExecutionSettings,
	options: { tasks?: ReadonlyMap<number, TaskState>; cancelling?: boolean } = {},
): ExecutionState {
	const counts: Record<TaskPhase, number> = { waiting: 0, running: 0, succeeded: 0, failed: 0, cancelled: 0 };
	const again: number[] = [];
	let retried = 0;
	let next = 0;
	const tasks = Array.from({ length: settings.taskCount }, (_, index) => {
		const task = options.tasks?.get(index) ?? waiting;
		counts[task.phase]++;
		retried += Math.max(0, task.attempts - 1);
		if (options.tasks?.has(index)) {
			next = index + 1;
		}
		return task;
	});
	for (let index = 0; index < next; index++) if (tasks[index]?.phase === "waiting") again.push(index);
	return {
		settings,
		phase: options.cancelling ? "cancelling" : "running",
		tasks,
		counts,
		retried,
		again,
		next,
		held: false,
	};
}

/** Events that are handled together are one decision: one write makes them last. Those that come too late change nothing. */
export function decide(state: ExecutionState, events: readonly ExecutionEvent[]): Decision {
	const draft = new Draft(state);
	for (const event of events) draft.take(event);
	return draft.decision();
}

export function isOver({ phase }: Pick<ExecutionState, "phase">): boolean {
	return phase === "succeeded" || phase === "failed" || phase === "cancelled";
}

/** A copy of the state to write in: an execution has up to 10,000 tasks, and an event touches one. */
class Draft {
	readonly #settings: ExecutionSettings;
	#phase: ExecutionPhase;
	readonly #tasks: TaskState[];
	readonly #counts: Record<TaskPhase, number>;
	#retried: number;
	readonly #again: number[];
	#next: number;
	#held: boolean;
	readonly #actions: ExecutionAction[] = [];
	readonly #changed = new Set<number>();

	constructor(state: ExecutionState) {
		this.#settings = state.settings;
		this.#phase = state.phase;
		this.#tasks = [...state.tasks];
		this.#counts = { ...state.counts };
		this.#retried = state.retried;
		this.#again = [...state.again];
		this.#next = state.next;
		this.#held = state.held;
	}

	take(event: ExecutionEvent): void {
		if (isOver({ phase: this.#phase })) return;
		if (event.type === "begin") this.#interrupt();
		else if (event.type === "ended") this.#end(event.index, event.outcome);
		else if (event.type === "put-back") this.#putBack(event.index);
		else if (event.type === "room") this.#held = false;
		else if (event.type === "abandon") return this.#abandon(event.message);
		else this.#cancel();
		this.#goOn();
	}

	decision(): Decision {
		const state: ExecutionState = {
			settings: this.#settings,
			phase: this.#phase,
			tasks: this.#tasks,
			counts: this.#counts,
			retried: this.#retried,
			again: this.#again,
			next: this.#next,
			held: this.#held,
		};
		return { state, actions: this.#actions, changed: this.#changed };
	}

	#interrupt(): void {
		const outcome: AttemptOutcome = {
			kind: "interrupted",
			exitCode: undefined,
			message: "The daemon was stopped while the task ran",
		};
		for (const [index, { phase }] of this.#tasks.entries()) if (phase === "running") this.#end(index, outcome);
	}

	#end(index: number, outcome: AttemptOutcome): void {
		const task = this.#tasks[index];
		if (task?.phase !== "running") return;
		const { attempts } = task;
		if (outcome.kind === "succeeded") this.#set(index, { phase: "succeeded", attempts, outcome });
		else if (this.#phase === "cancelling") this.#set(index, { phase: "cancelled", attempts, outcome });
		else if (attempts > this.#settings.maxRetries) this.#set(index, { phase: "failed", attempts, outcome });
		else {
			this.#set(index, { phase: "waiting", attempts, outcome });
			this.#again.push(index);
		}
	}

	#putBack(index: number): void {
		const task = this.#tasks[index];
		if (task?.phase !== "running") return;
		if (task.attempts > 1) this.#retried--;
		this.#set(index, { ...task, phase: "waiting", attempts: task.attempts - 1 });
		// Those that are put back together keep their order.
		const place = this.#again.findIndex((other) => other > index);
		this.#again.splice(place === -1 ? this.#again.length : place, 0, index);
		this.#held = true;
	}

	#abandon(message: string): void {
		for (const [index, task] of this.#tasks.entries())
			if (task.phase === "running")
				this.#set(index, { ...task, phase: "failed", outcome: { kind: "unstartable", exitCode: undefined, message } });
		this.#phase = "failed";
	}

	#cancel(): void {
		if (this.#phase !== "running") return;
		this.#phase = "cancelling";
		for (const [index, { phase }] of this.#tasks.entries())
			if (phase === "running") this.#actions.push({ type: "stop", index });
	}

	#goOn(): void {
		if (this.#phase === "cancelling") this.#cancelWaiting();
		while (!this.#held && this.#counts.waiting > 0 && this.#counts.running < this.#settings.parallelism) this.#start();
		if (this.#counts.waiting > 0 || this.#counts.running > 0) return;
		// Whoever cancels when the last task has just succeeded has an execution that succeeded.
		if (this.#counts.cancelled > 0) this.#phase = "cancelled";
		else this.#phase = this.#counts.failed > 0 ? "failed" : "succeeded";
	}

	#cancelWaiting(): void {
		for (const [index, task] of this.#tasks.entries())
			if (task.phase === "waiting") this.#set(index, { ...task, phase: "cancelled" });
		this.#again.length = 0;
	}

	#start(): void {
		const index = this.#again.shift() ?? this.#next++;
		const task = this.#tasks[index]!;
		if (task.attempts > 0) this.#retried++;
		this.#set(index, { ...task, phase: "running", attempts: task.attempts + 1 });
		this.#actions.push({ type: "start", index, attempt: task.attempts });
	}

	#set(index: number, task: TaskState): void {
		this.#counts[this.#tasks[index]!.phase]--;
		this.#counts[task.phase]++;
		this.#tasks[index] = task;
		this.#changed.add(index);
	}
}
