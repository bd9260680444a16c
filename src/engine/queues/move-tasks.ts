import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import { Semaphore } from "../../base/semaphore.ts";
import type { StoredMessage } from "../../core/message-log/message-log.ts";
import { invalidParameter, invalidValue, queueError } from "../../core/queue/queue-error.ts";
import { laneOf, nameOfArn, nameOfLane } from "../../core/queue/queue-name.ts";
import { isActive, type MoveTask, moveTaskDeletion, moveTaskKind, putMoveTask, taskIdOf } from "./move-task.ts";
import type { QueueConfig } from "./queue-config.ts";
import type { Queue, QueuesDeps } from "./types.ts";

/** Of an account (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html). */
const maxActiveTasks = 100;
const maxRate = 500;
/** Tasks of one source that are remembered, as ListMessageMoveTasks shows. */
const maxKept = 10;
/** Messages of one move: they pass through memory, 1 MiB each at most. */
const stepMessages = 100;
/** Between two writes of how far a task is, milliseconds. */
const saveMs = 1000;
const firstRetryMs = 200;
const longestRetryMs = 30_000;

export interface MoveRequest {
	sourceArn: string;
	destinationArn?: string | undefined;
	/** 1 to 500 messages; as fast as it goes where it is left out. */
	maxPerSecond?: number | undefined;
}

type TasksDeps = Pick<QueuesDeps, "store" | "log" | "clock" | "ids" | "logger" | "region" | "accountId">;

/** Moves dead letters back in the background. What is under way goes on in the next process. */
export class MoveTasks {
	readonly #deps: TasksDeps;
	readonly #config: QueueConfig;
	/** Oldest first. */
	readonly #tasks = new Map<string, MoveTask>();
	readonly #running = new Set<Promise<void>>();
	readonly #closing = new AbortController();
	readonly #changes = new Semaphore(1);

	private constructor(deps: TasksDeps, config: QueueConfig) {
		this.#deps = deps;
		this.#config = config;
	}

	static async open(deps: TasksDeps, config: QueueConfig): Promise<MoveTasks> {
		const tasks = new MoveTasks(deps, config);
		const stored = (await deps.store.list(moveTaskKind)).map(({ document }) => document as MoveTask);
		for (const task of stored.sort((a, b) => a.startedMs - b.startedMs)) tasks.#tasks.set(task.id, task);
		for (const task of stored) if (isActive(task)) tasks.#run(task.id);
		return tasks;
	}

	start({ sourceArn, destinationArn, maxPerSecond }: MoveRequest): Promise<MoveTask> {
		return this.#changes.run(async () => {
			const { log, clock, ids, store } = this.#deps;
			if (
				maxPerSecond !== undefined &&
				!(Number.isSafeInteger(maxPerSecond) && maxPerSecond >= 1 && maxPerSecond <= maxRate)
			)
				throw invalidValue(maxPerSecond, "MaxNumberOfMessagesPerSecond", `Must be between 1 and ${maxRate}.`);
			const source = this.#checkQueues(sourceArn, destinationArn);
			this.#checkActive(sourceArn);
			const { visible, delayed } = await log.counts(laneOf(source.name));
			const task: MoveTask = {
				id: ids.uuid(),
				sourceArn,
				destinationArn,
				maxPerSecond,
				status: "RUNNING",
				moved: 0,
				toMove: visible + delayed,
				failureReason: undefined,
				startedMs: clock.now(),
			};
			const old = this.list(sourceArn).slice(maxKept - 1);
			await store.commit([putMoveTask(task), ...old.map(moveTaskDeletion)]);
			for (const { id } of old) this.#tasks.delete(id);
			this.#tasks.set(task.id, task);
			this.#run(task.id);
			return task;
		});
	}

	/** Newest first. */
	list(sourceArn: string): MoveTask[] {
		return [...this.#tasks.values()].filter((task) => task.sourceArn === sourceArn).reverse();
	}

	/** It ends after the messages that are being moved now. */
	cancel(handle: string): Promise<MoveTask> {
		return this.#changes.run(async () => {
			const task = this.#tasks.get(taskIdOf(handle));
			if (!task) throw queueError("ResourceNotFoundException", "Task does not exist.");
			if (task.status !== "RUNNING") throw queueError("UnsupportedOperation", "Only active tasks can be cancelled.");
			return this.#save({ ...task, status: "CANCELLING" });
		});
	}

	/** The source is deleted: what was moved from it is of no interest, and what is left is gone. */
	forget(sourceArn: string): Promise<void> {
		return this.#changes.run(async () => {
			const tasks = this.list(sourceArn);
			if (tasks.length === 0) return;
			await this.#deps.store.commit(tasks.map(moveTaskDeletion));
			for (const { id } of tasks) this.#tasks.delete(id);
		});
	}

	/** Resolves when nothing is being moved by this process any more. */
	async [Symbol.asyncDispose](): Promise<void> {
		this.#closing.abort();
		await Promise.all(this.#running);
	}

	#checkQueues(sourceArn: string, destinationArn: string | undefined): Queue {
		const queue = (arn: string, parameter: string) => {
			const name = nameOfArn(arn, this.#deps);
			const found = name === undefined ? undefined : this.#config.find(name);
			if (found) return found;
			throw queueError(
				"ResourceNotFoundException",
				`The resource that you specified for the ${parameter} parameter doesn't exist.`,
			);
		};
		const source = queue(sourceArn, "SourceArn");
		if (this.#config.sourcesOf(source.name).length === 0) throw noDeadLetters(source);
		if (destinationArn === undefined) return source;
		const destination = queue(destinationArn, "DestinationArn");
		if (destination.name === source.name)
			throw invalidParameter("Source queue and destination queue must be different.");
		if (destination.fifo !== source.fifo)
			throw invalidParameter("Destination queue must be of the same type as the source queue.");
		return source;
	}

	#checkActive(sourceArn: string): void {
		const active = [...this.#tasks.values()].filter(isActive);
		if (active.some((task) => task.sourceArn === sourceArn))
			throw queueError(
				"UnsupportedOperation",
				"There is already a task running. Only one active task is allowed for a source queue arn at a given time.",
			);
		if (active.length >= maxActiveTasks)
			throw queueError("OverLimit", `There are ${maxActiveTasks} active message move tasks, which is the bound.`);
	}

	#run(id: string): void {
		const work = this.#work(id)
			.catch((error) => {
				if (!this.#closing.signal.aborted)
					this.#deps.logger.error("A message move task stopped; it goes on when the daemon starts again", {
						id,
						error,
					});
			})
			.finally(() => this.#running.delete(work));
		this.#running.add(work);
	}

	async #work(id: string): Promise<void> {
		const { clock } = this.#deps;
		const { signal } = this.#closing;
		let after = 0;
		let failures = 0;
		let skipped = false;
		let savedMs = clock.monotonic();
		while (!signal.aborted) {
			const task = this.#tasks.get(id);
			if (!task) return;
			try {
				if (task.status === "CANCELLING") return await this.#finish(id, "CANCELLED");
				const step = await this.#step(task, after);
				failures = 0;
				after = step.after;
				skipped ||= step.skipped;
				this.#count(id, step.moved);
				if (step.done) return await this.#complete(id, skipped);
				if (clock.monotonic() - savedMs >= saveMs) {
					await this.#update(id, (newest) => newest);
					savedMs = clock.monotonic();
				}
				if (task.maxPerSecond !== undefined && step.moved > 0)
					await clock.sleep((step.moved * 1000) / task.maxPerSecond, signal);
			} catch (error) {
				if (signal.aborted) return;
				if (!passes(error)) return void (await this.#fail(id, error));
				await clock.sleep(Math.min(firstRetryMs * 2 ** failures++, longestRetryMs), signal);
			}
		}
	}

	/** Moves the next ones after that sequence. */
	async #step(task: MoveTask, after: number) {
		const { log } = this.#deps;
		const source = nameOfArn(task.sourceArn, this.#deps) ?? "";
		if (!this.#config.find(source)) throw new SlipwayError("NOT_FOUND", "AWS.SimpleQueueService.NonExistentQueue");
		const limit = Math.min(stepMessages, task.maxPerSecond ?? stepMessages);
		const found = await log.scan(laneOf(source), { limit, after });
		const free = found.filter(({ state }) => state !== "leased");
		const movable = free.filter((message) => this.#hasDestination(task, message, source));
		const to = task.destinationArn === undefined ? "origin" : this.#destination(task.destinationArn);
		const ids = movable.map(({ id }) => id);
		const moved = ids.length > 0 ? await log.move(laneOf(source), { max: ids.length, to, ids }) : 0;
		return {
			moved,
			skipped: movable.length < free.length,
			after: found.at(-1)?.sequence ?? after,
			done: found.length < limit,
		};
	}

	#destination(arn: string): { lane: string } {
		const name = nameOfArn(arn, this.#deps);
		if (name === undefined || !this.#config.find(name))
			throw new SlipwayError("NOT_FOUND", "AWS.SimpleQueueService.NonExistentQueue");
		return { lane: laneOf(name) };
	}

	/** Back to where it came from only if that is a queue still: a lane without one would keep it where nobody looks. */
	#hasDestination({ destinationArn }: MoveTask, { origin }: StoredMessage, source: string): boolean {
		if (destinationArn !== undefined) return true;
		const name = origin === undefined ? undefined : nameOfLane(origin);
		return name !== undefined && name !== source && this.#config.find(name) !== undefined;
	}

	async #complete(id: string, skipped: boolean): Promise<void> {
		if (skipped) await this.#finish(id, "FAILED", "CouldNotDetermineMessageSource");
		else await this.#finish(id, "COMPLETED");
	}

	async #fail(id: string, error: unknown): Promise<void> {
		const reason = isSlipwayError(error) ? (error.reason ?? error.message) : "InternalError";
		this.#deps.logger.warn("A message move task failed", { id, error });
		await this.#finish(id, "FAILED", reason);
	}

	async #finish(id: string, status: MoveTask["status"], failureReason?: string): Promise<void> {
		await this.#update(id, (task) => ({ ...task, status, failureReason }));
	}

	async #update(id: string, change: (task: MoveTask) => MoveTask): Promise<void> {
		await this.#changes.run(async () => {
			const task = this.#tasks.get(id);
			if (task) await this.#save(change(task));
		});
	}

	#count(id: string, moved: number): void {
		const task = this.#tasks.get(id);
		if (task) this.#tasks.set(id, { ...task, moved: task.moved + moved });
	}

	async #save(task: MoveTask): Promise<MoveTask> {
		await this.#deps.store.commit([putMoveTask(task)]);
		const { moved } = this.#tasks.get(task.id) ?? task;
		this.#tasks.set(task.id, { ...task, moved });
		return task;
	}
}

/** What may be over the next time. */
function passes(error: unknown): boolean {
	if (!isSlipwayError(error)) return false;
	return (
		error.code === "UNAVAILABLE" ||
		error.code === "THROTTLED" ||
		(error.code === "EXHAUSTED" && error.reason !== "LaneFull")
	);
}

function noDeadLetters({ name, settings }: Queue): SlipwayError {
	const own = settings.redrivePolicy?.deadLetterTargetArn.split(":").at(-1);
	return queueError(
		"InvalidParameterValue",
		"Source queue must be configured as a Dead Letter Queue.",
		own === undefined
			? `\`slipway events replay queue/${name}\` takes dead letters of functions, rules and schedules back`
			: `What '${name}' has given up is in '${own}': \`slipway queue redrive ${own}\``,
	);
}
