import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import { workloadOf } from "../../core/job/container-workload.ts";
import {
	type AttemptOutcome,
	type Decision,
	decide,
	type ExecutionAction,
	type ExecutionEvent,
	type ExecutionState,
	executionState,
	isOver,
} from "../../core/job/execution-state.ts";
import { type Execution, type ImageProgress, jobLogGroup, taskEnvironment, taskLogStream } from "../../core/job/job.ts";
import type { ResourceChange } from "../../core/resource/resource-store.ts";
import type { Workload } from "../../core/workload/workload.ts";
import { type ExecutionRecord, executionView, putExecution, putTask, type TaskRecord } from "./execution-record.ts";
import { prepareImages } from "./resolve-images.ts";
import { startInstance } from "./start-instance.ts";
import { TaskAttempt } from "./task-attempt.ts";
import type { InstanceOfWorkload, JobsDeps } from "./types.ts";

/** Tasks of one execution at a time, whatever its parallelism says: a machine that runs more of them does none well. */
export const maxParallelTasks = 100;
/** From SIGTERM to SIGKILL (http-contracts 1.1). */
const graceMs = 10_000;
/** Before the store, or a machine without room, is tried again. Doubles up to the most. */
const firstRetryMs = 1000;
const longestRetryMs = 30_000;

interface Waiter {
	resolve: () => void;
	reject: (error: unknown) => void;
}

/**
 * One execution that is not over: it writes down what has happened before it does what follows from it, so that after a crash
 * nothing runs that is not in the store. Ends by itself; `seal` and `stop` end it earlier.
 */
export class ExecutionRun {
	readonly #deps: JobsDeps;
	readonly #onChange: () => void;
	readonly #attempts = new Map<number, TaskAttempt>();
	readonly #events: ExecutionEvent[] = [];
	readonly #waiters: Waiter[] = [];
	readonly tasks: Map<number, TaskRecord>;
	#record: ExecutionRecord;
	#state: ExecutionState;
	#workload: Workload | undefined;
	/** While its images are made ready. */
	#progress: ImageProgress | undefined;
	#working = Promise.resolve();
	#busy = false;
	#sealed = false;
	readonly #closing = new AbortController();
	#noRoomMs = firstRetryMs;
	#cancelRoomWait: (() => void) | undefined;

	constructor(deps: JobsDeps, record: ExecutionRecord, tasks: Map<number, TaskRecord>, onChange: () => void) {
		this.#deps = deps;
		this.#record = record;
		this.tasks = tasks;
		this.#onChange = onChange;
		this.#state = stateOf(record, tasks);
	}

	get record(): ExecutionRecord {
		return this.#record;
	}

	get over(): boolean {
		return isOver(this.#record);
	}

	view(): Execution {
		return executionView(this.#record, this.#state, this.#progress);
	}

	instances(): Promise<InstanceOfWorkload[]> {
		const { namespace, job, name } = this.#record;
		return Promise.all(
			Array.from(this.#attempts, ([index, attempt]) =>
				attempt.view({ namespace, name: job, part: `${name}/${index}` }),
			),
		);
	}

	/** Makes the images ready and starts tasks; of an execution that a stopped daemon left, too. Never rejects. */
	async begin(): Promise<void> {
		const { spec, images } = this.#record;
		try {
			await prepareImages(this.#deps, images, (progress) => {
				this.#progress = progress;
				if (!this.#sealed) this.#onChange();
			});
			const { containers, volumes = [] } = spec.template.spec;
			this.#workload = workloadOf({ containers, volumes, images, graceMs });
			this.#progress = undefined;
			this.#push({ type: "begin" });
		} catch (error) {
			this.#progress = undefined;
			this.#deps.log.warn("An execution could not begin", { error, execution: this.#record.name });
			const message = isSlipwayError(error) ? error.message : "Internal error: the image could not be made ready";
			this.#push({ type: "abandon", message });
		}
	}

	/** Resolves when it is on the disk that it is being cancelled. UNAVAILABLE when the daemon is stopping. */
	cancel(): Promise<void> {
		if (this.#sealed) throw sealedError();
		const written = new Promise<void>((resolve, reject) => this.#waiters.push({ resolve, reject }));
		this.#push({ type: "cancel" });
		return written;
	}

	/** Nothing is written any more from when this resolves: its documents can be deleted. */
	async seal(): Promise<void> {
		this.#sealed = true;
		this.#closing.abort();
		this.#cancelRoomWait?.();
		await this.#working;
	}

	/** After `seal`: ends what runs. What was running stays so in the store, and counts as interrupted later. */
	async stop(): Promise<void> {
		await Promise.all([...this.#attempts.values()].map((attempt) => attempt.stop()));
	}

	#push(event: ExecutionEvent): void {
		this.#events.push(event);
		if (this.#busy || this.#sealed) return;
		this.#busy = true;
		this.#working = this.#work();
	}

	/** Events that come while one is written are handled together after it. Never rejects. */
	async #work(): Promise<void> {
		while (this.#events.length > 0 && !this.#sealed) {
			const waiters = this.#waiters.splice(0);
			if (await this.#handle(this.#events.splice(0))) for (const { resolve } of waiters) resolve();
			else this.#waiters.push(...waiters);
		}
		this.#busy = false;
		if (this.#sealed) for (const { reject } of this.#waiters.splice(0)) reject(sealedError());
	}

	async #handle(events: readonly ExecutionEvent[]): Promise<boolean> {
		const decision = decide(this.#state, events);
		const change = this.#changeOf(decision, events);
		if (!(await this.#persist(change.documents))) return false;
		this.#record = change.record;
		for (const task of change.tasks) this.tasks.set(task.index, task);
		this.#state = decision.state;
		for (const action of decision.actions) this.#act(action);
		this.#onChange();
		return true;
	}

	#changeOf(
		{ state, changed }: Decision,
		events: readonly ExecutionEvent[],
	): {
		record: ExecutionRecord;
		tasks: TaskRecord[];
		documents: ResourceChange[];
	} {
		const now = this.#deps.clock.now();
		const before = this.#record;
		const record: ExecutionRecord = {
			...before,
			phase: state.phase,
			startedMs: before.startedMs ?? (state.counts.running > 0 ? now : undefined),
			endedMs: isOver(state) ? (before.endedMs ?? now) : undefined,
			message: before.message ?? events.find((event) => event.type === "abandon")?.message,
		};
		const tasks = Array.from(changed, (index) => this.#taskRecord(index, state, now));
		const same = record.phase === before.phase && record.startedMs === before.startedMs;
		return { record, tasks, documents: [...(same ? [] : [putExecution(record)]), ...tasks.map(putTask)] };
	}

	#taskRecord(index: number, state: ExecutionState, now: number): TaskRecord {
		const task = state.tasks[index]!;
		const before = this.tasks.get(index);
		const { namespace, name } = this.#record;
		return {
			namespace,
			execution: name,
			index,
			state: task,
			startedMs: before?.startedMs ?? (task.phase === "running" ? now : undefined),
			endedMs: task.phase === "running" || task.phase === "waiting" ? undefined : now,
		};
	}

	/** Until it is written: what follows must not happen before. False when it was sealed meanwhile. */
	async #persist(changes: readonly ResourceChange[]): Promise<boolean> {
		const { store, clock, log } = this.#deps;
		for (let waitMs = firstRetryMs; ; waitMs = Math.min(waitMs * 2, longestRetryMs)) {
			try {
				if (changes.length > 0) await store.commit(changes);
				return true;
			} catch (error) {
				log.error("An execution's state could not be written; it is tried again", {
					error,
					execution: this.#record.name,
				});
			}
			await clock.sleep(waitMs, this.#closing.signal).catch(() => {}); // Sealed: said below.
			if (this.#sealed) return false;
		}
	}

	#act(action: ExecutionAction): void {
		const { index } = action;
		if (action.type === "start") {
			void this.#runTask(index, action.attempt).catch((error: unknown) => this.#unstartable(index, error));
			return;
		}
		const attempt = this.#attempts.get(index);
		if (attempt) return void attempt.stop();
		// A daemon that stopped left it as running.
		this.#push({
			type: "ended",
			index,
			outcome: { kind: "cancelled", exitCode: undefined, message: "It was cancelled" },
		});
	}

	async #runTask(index: number, attempt: number): Promise<void> {
		const { slots, clock, ids } = this.#deps;
		const { namespace, job, name, spec } = this.#record;
		const workload = this.#workload!;
		const single = workload.containers.length === 1;
		const instance = startInstance(this.#deps, {
			id: `task-${ids.hex(10)}`,
			workload,
			environment: () => taskEnvironment({ job, execution: name, index, attempt, count: spec.taskCount }),
			log: {
				group: jobLogGroup({ namespace, name: job }),
				stream: (container) => taskLogStream(name, index, attempt, single ? undefined : container),
			},
			restart: "never",
		});
		if (!instance) return this.#putBack(index, (callback) => slots.whenFree(callback));
		const run = new TaskAttempt(instance, clock, {
			timeoutMs: spec.template.spec.timeoutSeconds * 1000,
			memoryMiB: workload.containers[0]?.limits.memoryMiB ?? 0,
		});
		this.#attempts.set(index, run);
		const outcome = await run.done;
		this.#attempts.delete(index);
		if (outcome) return this.#ended(index, outcome);
		const waitMs = this.#noRoomMs;
		this.#noRoomMs = Math.min(waitMs * 2, longestRetryMs);
		this.#putBack(index, (callback) => clock.after(waitMs, callback));
	}

	/** A fault of ours: the task has ended, and the daemon goes on. */
	#unstartable(index: number, error: unknown): void {
		this.#deps.log.error("A task could not be run", { error, execution: this.#record.name, index });
		this.#ended(index, { kind: "unstartable", exitCode: undefined, message: "Internal error: it could not be run" });
	}

	#ended(index: number, outcome: AttemptOutcome): void {
		this.#noRoomMs = firstRetryMs;
		this.#push({ type: "ended", index, outcome });
	}

	/** One wait is enough for all of its tasks: with each room that there is it tries for as many as it may. */
	#putBack(index: number, whenRoom: (callback: () => void) => () => void): void {
		this.#push({ type: "put-back", index });
		if (this.#sealed) return;
		this.#cancelRoomWait ??= whenRoom(() => {
			this.#cancelRoomWait = undefined;
			this.#push({ type: "room" });
		});
	}
}

function sealedError(): SlipwayError {
	return new SlipwayError("UNAVAILABLE", "The daemon is stopping, or the job is being deleted");
}

export function stateOf({ spec, phase }: ExecutionRecord, tasks: ReadonlyMap<number, TaskRecord>): ExecutionState {
	const { parallelism, taskCount, template } = spec;
	return executionState(
		{
			taskCount,
			parallelism: Math.min(parallelism === 0 ? maxParallelTasks : parallelism, maxParallelTasks),
			maxRetries: template.spec.maxRetries,
		},
		{ tasks: new Map(Array.from(tasks, ([index, { state }]) => [index, state])), cancelling: phase === "cancelling" },
	);
}
