import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../../tests/simulation/random.ts";
import {
	type AttemptOutcome,
	decide,
	type ExecutionAction,
	type ExecutionEvent,
	type ExecutionState,
	executionState,
	isOver,
	type TaskState,
} from "./execution-state.ts";

const ok: AttemptOutcome = { kind: "succeeded", exitCode: 0, message: "" };
const failed: AttemptOutcome = { kind: "exit", exitCode: 1, message: "exit code 1" };

function walk(state: ExecutionState, ...events: ExecutionEvent[]): { state: ExecutionState; actions: string[] } {
	const decision = decide(state, events);
	return { state: decision.state, actions: decision.actions.map(show) };
}

function show(action: ExecutionAction): string {
	return action.type === "start" ? `start ${action.index}.${action.attempt}` : `stop ${action.index}`;
}

test("Tasks start in order, as many at a time as parallelism allows, and the last one ends the execution", () => {
	const begun = walk(executionState({ taskCount: 3, parallelism: 2, maxRetries: 0 }), { type: "begin" });
	assert.deepEqual(begun.actions, ["start 0.0", "start 1.0"]);
	const one = walk(begun.state, { type: "ended", index: 1, outcome: ok });
	assert.deepEqual(one.actions, ["start 2.0"]);
	const all = walk(one.state, { type: "ended", index: 0, outcome: ok }, { type: "ended", index: 2, outcome: ok });
	assert.equal(all.state.phase, "succeeded");
	assert.deepEqual(all.state.counts, { waiting: 0, running: 0, succeeded: 3, failed: 0, cancelled: 0 });
});

test("A task is tried again until its retries are used up; the others go on, and the execution has failed", () => {
	let at = walk(executionState({ taskCount: 2, parallelism: 1, maxRetries: 2 }), { type: "begin" });
	for (const attempt of [1, 2]) {
		at = walk(at.state, { type: "ended", index: 0, outcome: failed });
		assert.deepEqual(at.actions, [`start 0.${attempt}`]);
	}
	at = walk(at.state, { type: "ended", index: 0, outcome: failed });
	assert.deepEqual(at.actions, ["start 1.0"]);
	assert.equal(at.state.tasks[0]?.phase, "failed");
	assert.equal(at.state.phase, "running");
	at = walk(at.state, { type: "ended", index: 1, outcome: ok });
	assert.equal(at.state.phase, "failed");
	assert.equal(at.state.retried, 2);
});

test("Cancelled: running tasks are stopped, waiting ones never start, what succeeds meanwhile has succeeded", () => {
	const begun = walk(executionState({ taskCount: 5, parallelism: 2, maxRetries: 3 }), { type: "begin" });
	const cancelled = walk(begun.state, { type: "cancel" }, { type: "cancel" });
	assert.deepEqual(cancelled.actions, ["stop 0", "stop 1"]);
	assert.equal(cancelled.state.phase, "cancelling");
	assert.equal(cancelled.state.counts.cancelled, 3);
	const end = walk(
		cancelled.state,
		{ type: "ended", index: 0, outcome: ok },
		{ type: "ended", index: 1, outcome: failed },
	);
	assert.equal(end.state.phase, "cancelled");
	assert.deepEqual([end.state.tasks[0]?.phase, end.state.tasks[1]?.phase], ["succeeded", "cancelled"]);
	assert.deepEqual(walk(end.state, { type: "begin" }, { type: "cancel" }).actions, []);
});

test("Without room nothing starts until there is some, and the attempt did not happen", () => {
	const begun = walk(executionState({ taskCount: 3, parallelism: 2, maxRetries: 0 }), { type: "begin" });
	const held = walk(begun.state, { type: "put-back", index: 0 }, { type: "ended", index: 1, outcome: ok });
	assert.deepEqual(held.actions, []);
	assert.equal(held.state.retried, 0);
	assert.deepEqual(walk(held.state, { type: "room" }).actions, ["start 0.0", "start 2.0"]);
});

test("After a restart running tasks count as interrupted attempts, waiting ones as they were", () => {
	const task = (phase: TaskState["phase"], attempts: number): TaskState => ({ phase, attempts, outcome: undefined });
	const tasks = new Map([
		[0, task("succeeded", 1)],
		[1, task("running", 1)],
		[3, task("running", 3)],
		[4, task("waiting", 1)],
	]);
	const state = executionState({ taskCount: 6, parallelism: 10, maxRetries: 2 }, { tasks });
	const begun = walk(state, { type: "begin" });
	assert.deepEqual(begun.actions.toSorted(), ["start 1.1", "start 2.0", "start 4.1", "start 5.0"]);
	assert.deepEqual(begun.state.tasks[3]?.outcome?.kind, "interrupted");
	assert.equal(begun.state.tasks[3]?.phase, "failed");
	const cancelling = executionState({ taskCount: 6, parallelism: 10, maxRetries: 2 }, { tasks, cancelling: true });
	const over = walk(cancelling, { type: "begin" });
	assert.deepEqual(over.actions, []);
	assert.equal(over.state.phase, "cancelled");
});

test("Whatever happens in whatever order: bounds hold, every task ends once, and the end is the tasks' own", () => {
	for (let seed = 1; seed <= 300; seed++) check(new Random(seed));
});

function check(random: Random): void {
	const settings = { taskCount: 1 + random.below(12), parallelism: 1 + random.below(5), maxRetries: random.below(4) };
	let state = executionState(settings);
	const running = new Set<number>();
	const attempts = new Map<number, number>();
	let cancelled = false;
	const step = (events: ExecutionEvent[]) => {
		const decision = decide(state, events);
		state = decision.state;
		for (const action of decision.actions) {
			if (action.type === "stop") assert.ok(running.has(action.index));
			else {
				assert.ok(!cancelled, "nothing starts once it is cancelled");
				assert.ok(!running.has(action.index));
				assert.equal(action.attempt, attempts.get(action.index) ?? 0);
				running.add(action.index);
			}
		}
		assert.ok(running.size <= settings.parallelism);
		assert.equal(running.size, state.counts.running);
	};
	const restart = () => {
		const tasks = new Map(
			[...state.tasks.entries()].filter(([, { attempts, phase }]) => attempts > 0 || phase !== "waiting"),
		);
		for (const index of running) attempts.set(index, (attempts.get(index) ?? 0) + 1);
		running.clear();
		state = executionState(settings, { tasks, cancelling: cancelled });
		step([{ type: "begin" }]);
	};
	step([{ type: "begin" }]);
	for (let turn = 0; !isOver(state) && turn < 1000; turn++) {
		const chosen = [...running][random.below(Math.max(1, running.size))];
		const dice = random.below(100);
		if (dice < 3) {
			cancelled = true;
			step([{ type: "cancel" }]);
		} else if (dice < 8) restart();
		else if (dice < 20 || chosen === undefined) step([{ type: "room" }]);
		else {
			running.delete(chosen);
			if (dice < 30) step([{ type: "put-back", index: chosen }]);
			else {
				attempts.set(chosen, (attempts.get(chosen) ?? 0) + 1);
				step([{ type: "ended", index: chosen, outcome: random.chance(50) ? ok : failed }]);
			}
		}
	}
	assert.ok(isOver(state), "it comes to an end");
	assert.equal(state.counts.waiting + state.counts.running, 0);
	for (const { phase, attempts: tried } of state.tasks) {
		assert.ok(tried <= settings.maxRetries + 1);
		if (phase === "failed") assert.equal(tried, settings.maxRetries + 1);
	}
	const { failed: failures, cancelled: stopped } = state.counts;
	assert.equal(state.phase, stopped > 0 ? "cancelled" : failures > 0 ? "failed" : "succeeded");
}
