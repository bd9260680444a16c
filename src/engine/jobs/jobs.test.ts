import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { VirtualClock } from "../../../tests/simulation/virtual-clock.ts";
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import { randomIds } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { FakeResourceStore } from "../../core/resource/fake-resource-store.ts";
import {
	type FakeInstance,
	FakeInstanceHost,
	type FakeInstanceHostOptions,
} from "../../core/workload/fake-instance-host.ts";
import { BoundedSlots } from "../serving/instance-slots.ts";
import { Jobs } from "./jobs.ts";
import { FakeJobImages, jobManifest } from "./testing.ts";

const user = { user: "me" };

async function engine(
	context: TestContext,
	given: {
		store?: FakeResourceStore;
		clock?: VirtualClock;
		host?: FakeInstanceHostOptions;
		doomed?: boolean;
		slots?: number;
	} = {},
) {
	const clock = given.clock ?? new VirtualClock();
	const store = given.store ?? new FakeResourceStore();
	const instances = new FakeInstanceHost(given.host);
	const images = new FakeJobImages();
	const slots = new BoundedSlots(given.slots ?? 1000);
	const jobs = await Jobs.open({
		store,
		images,
		instances,
		slots,
		contract: { onMetadata: () => () => {} },
		architecture: "x86_64",
		clock,
		ids: randomIds,
		log: silentLog,
	});
	jobs.resume();
	if (!given.doomed) context.after(() => jobs[Symbol.asyncDispose]());
	return { clock, store, instances, slots, images, jobs };
}

function taskOf({ options }: FakeInstance): { index: number; attempt: number } {
	const { CLOUD_RUN_TASK_INDEX: index, CLOUD_RUN_TASK_ATTEMPT: attempt } = options.environment("container-0");
	return { index: Number(index), attempt: Number(attempt) };
}

function running(instances: FakeInstanceHost): string[] {
	return [...instances.instances.values()].map(taskOf).map(({ index, attempt }) => `${index}.${attempt}`);
}

function end(instances: FakeInstanceHost, index: number, code: number): void {
	const found = [...instances.instances.values()].find((one) => taskOf(one).index === index);
	assert.ok(found, `task ${index} is running`);
	found.exit(code);
}

test("An execution: environment, log, retries, result", async (context) => {
	const { jobs, instances, clock } = await engine(context);
	const job = await jobs.apply(
		"default",
		jobManifest("nightly", { execution: { taskCount: 2 }, task: { maxRetries: 1 } }),
		user,
	);
	assert.equal(job.spec.template.spec.template.spec.timeoutSeconds, 600);
	assert.match(job.status.imageDigests["127.0.0.1/app:1"] ?? "", /@sha256:a{64}$/);
	const { metadata } = await jobs.run("default", "nightly");
	assert.match(metadata.name, /^nightly-[0-9a-f]{5}$/);
	await clock.advance(0);
	const [first] = instances.started;
	assert.deepEqual(first?.environment("container-0"), {
		CLOUD_RUN_JOB: "nightly",
		CLOUD_RUN_EXECUTION: metadata.name,
		CLOUD_RUN_TASK_INDEX: "0",
		CLOUD_RUN_TASK_ATTEMPT: "0",
		CLOUD_RUN_TASK_COUNT: "2",
	});
	assert.equal(first?.restart, "never");
	assert.deepEqual(first?.log.group, "/slipway/jobs/default/nightly");
	assert.equal(first?.log.stream("container-0"), `${metadata.name}/0/0`);
	const [container] = first?.workload.containers ?? [];
	assert.deepEqual(container?.args, ["/bin/app", "serve"]);
	assert.deepEqual(container?.env, { PATH: "/bin", A: "b" });
	assert.deepEqual([container?.limits.cpus, container?.limits.memoryMiB], [1, 512]);

	end(instances, 0, 3);
	await clock.advance(0);
	assert.deepEqual(running(instances), ["1.0", "0.1"]);
	end(instances, 0, 0);
	end(instances, 1, 0);
	await clock.advance(0);
	const { status } = jobs.execution("default", metadata.name);
	assert.equal(status.conditions[0]?.status, "True");
	assert.deepEqual([status.succeededCount, status.retriedCount, status.runningCount], [2, 1, 0]);
	assert.ok(status.startTime && status.completionTime);
	assert.equal(jobs.job("default", "nightly").status.latestCreatedExecution?.name, metadata.name);
	const [task] = jobs.tasks("default", metadata.name);
	assert.equal(task?.status.retried, 1);
	assert.equal(task?.status.logStream, `${metadata.name}/0/1`);
});

test("A task that goes on too long is stopped and tried again; one that fails for good fails the execution", async (context) => {
	const { jobs, instances, clock } = await engine(context);
	await jobs.apply("default", jobManifest("slow", { task: { maxRetries: 1, timeoutSeconds: "5" } }), user);
	const { metadata } = await jobs.run("default", "slow");
	await clock.advance(4_999);
	assert.deepEqual(running(instances), ["0.0"]);
	await clock.advance(1);
	assert.deepEqual(running(instances), ["0.1"]);
	await clock.advance(5_000);
	const { status } = jobs.execution("default", metadata.name);
	assert.deepEqual([status.conditions[0]?.status, status.conditions[0]?.reason], ["False", "NonZeroExitCode"]);
	assert.deepEqual(jobs.tasks("default", metadata.name)[0]?.status.lastAttemptResult, {
		exitCode: 0,
		reason: "timeout",
		message: "It ran longer than its timeout of 5 s",
	});
	assert.equal(clock.pending, 0);
});

test("Overrides change one execution alone; what does not fit is refused", async (context) => {
	const { jobs, instances, clock } = await engine(context);
	await jobs.apply("default", jobManifest("x"), user);
	const containerOverrides = [
		{
			args: ["once"],
			env: [
				{ name: "A", value: "c" },
				{ name: "B", value: "d" },
			],
		},
	];
	const { spec } = await jobs.run("default", "x", { containerOverrides, taskCount: 3, timeoutSeconds: 7 });
	assert.deepEqual([spec.taskCount, spec.template.spec.timeoutSeconds], [3, 7]);
	await clock.advance(0);
	assert.deepEqual(instances.started[0]?.workload.containers[0]?.args, ["/bin/app", "once"]);
	assert.deepEqual(instances.started[0]?.workload.containers[0]?.env, { PATH: "/bin", A: "c", B: "d" });
	assert.equal(jobs.job("default", "x").spec.template.spec.taskCount, 1);
	await assert.rejects(
		jobs.run("default", "x", { containerOverrides: [{ name: "other" }] }),
		/must be one of container-0/,
	);
});

test("Cancel: tasks are stopped, and that it was asked for is on the disk first", async (context) => {
	const { jobs, instances, clock, store } = await engine(context);
	await jobs.apply("default", jobManifest("x", { execution: { taskCount: 5, parallelism: 2 } }), user);
	const { metadata } = await jobs.run("default", "x");
	await clock.advance(0);
	assert.equal(instances.instances.size, 2);
	const seen: (string | undefined)[] = [];
	const watching = (async () => {
		for await (const { status } of jobs.watch("default", metadata.name, new AbortController().signal))
			seen.push(status.conditions[0]?.reason);
	})();
	store.onCommit = (when) => {
		if (when === "before") assert.equal(instances.instances.size, 2);
	};
	await jobs.cancel("default", metadata.name);
	store.onCommit = undefined;
	await clock.advance(0);
	await watching;
	assert.equal(seen.at(-1), "Cancelled");
	assert.equal(jobs.execution("default", metadata.name).status.cancelledCount, 5);
	await assert.rejects(jobs.cancel("default", metadata.name), (error) => isSlipwayError(error, "CONFLICT"));
	await jobs.deleteExecution("default", metadata.name);
	assert.deepEqual(await store.list("task"), []);
	assert.deepEqual(jobs.executions("default", "x"), []);
});

test("No room: it is tried again later, and no attempt is used up", async (context) => {
	let full = true;
	const start = async () => {
		if (full) throw new SlipwayError("EXHAUSTED", "No memory is left");
	};
	const { jobs, instances, clock } = await engine(context, { host: { start } });
	await jobs.apply("default", jobManifest("x", { task: { maxRetries: 0 } }), user);
	const { metadata } = await jobs.run("default", "x");
	await clock.advance(10_000);
	assert.ok(
		instances.started.length >= 3 && instances.started.length <= 6,
		`${instances.started.length} tries in 10 s`,
	);
	full = false;
	await clock.advance(30_000);
	assert.deepEqual(running(instances), ["0.0"]);
	end(instances, 0, 0);
	await clock.advance(0);
	assert.equal(jobs.execution("default", metadata.name).status.conditions[0]?.status, "True");
});

test("As many instances as the machine may have: tasks wait for one, and take it as it becomes free", async (context) => {
	const { jobs, instances, clock, slots } = await engine(context, { slots: 2 });
	const others = slots.tryAcquire();
	await jobs.apply("default", jobManifest("x", { execution: { taskCount: 3 }, task: { maxRetries: 0 } }), user);
	const { metadata } = await jobs.run("default", "x");
	await clock.advance(0);
	assert.deepEqual(
		[running(instances), clock.pending],
		[["0.0"], 1],
		"nothing but the task's own timeout is waited for",
	);
	assert.deepEqual(
		(await jobs.instances()).map(({ name, part, state, startedMs }) => [name, part, state, startedMs]),
		[["x", `${metadata.name}/0`, "ready", clock.now()]],
	);
	others?.();
	await clock.advance(0);
	assert.deepEqual(running(instances), ["0.0", "1.0"]);
	end(instances, 0, 0);
	await clock.advance(0);
	assert.deepEqual(running(instances), ["1.0", "2.0"]);
	await jobs[Symbol.asyncDispose]();
	assert.deepEqual([slots.taken, clock.pending], [0, 0]);
});

test("The contract's address is answered, by instance", async (context) => {
	const { jobs, instances, clock } = await engine(context);
	await jobs.apply("default", jobManifest("x"), user);
	await jobs.run("default", "x");
	await clock.advance(0);
	assert.equal(typeof instances.started[0]?.onMetadata, "function");
});

test("Nothing runs before it is resumed, and what a job or a running execution needs is not collected", async (context) => {
	const first = await engine(context, { doomed: true });
	await first.jobs.apply("default", jobManifest("x"), user);
	await first.jobs.run("default", "x");
	await first.jobs.run("default", "x");
	await first.clock.advance(0);
	await first.jobs[Symbol.asyncDispose]();
	await assert.rejects(first.jobs.run("default", "x"), (error) => isSlipwayError(error, "UNAVAILABLE"));
	const { store, images, clock, slots } = first;
	const instances = new FakeInstanceHost();
	const deps = { store, images, instances, slots, clock, ids: randomIds, log: silentLog } as const;
	const jobs = await Jobs.open({ ...deps, architecture: "x86_64" });
	context.after(() => jobs[Symbol.asyncDispose]());
	await clock.advance(0);
	assert.equal(instances.instances.size, 0);
	const used = {
		manifestDigest: `sha256:${"a".repeat(64)}`,
		diffIds: [`sha256:${"a".repeat(64)}`],
		user: "job default/x",
	};
	assert.deepEqual([...jobs.imagesInUse()], [used, used, used]);
	jobs.resume();
	await clock.advance(0);
	assert.deepEqual(running(instances), ["0.1", "0.1"], "what ran was an attempt");
	for (const instance of instances.instances.values()) instance.exit(0);
	await clock.advance(0);
	assert.deepEqual([...jobs.imagesInUse()], [used]);
});

test("A job that is applied while it is run keeps both changes", async (context) => {
	const { jobs, store } = await engine(context);
	await jobs.apply("default", jobManifest("x"), user);
	let commits = 0;
	store.onCommit = (at) =>
		at === "before" && commits++ === 0 ? new Promise((resolve) => setImmediate(resolve)) : undefined;
	await Promise.all([
		jobs.apply("default", jobManifest("x", { execution: { taskCount: 7 } }), user),
		jobs.run("default", "x"),
		jobs.run("default", "x"),
	]);
	const { spec, status, metadata } = jobs.job("default", "x");
	assert.deepEqual([spec.template.spec.taskCount, status.executionCount, metadata.generation], [7, 2, 2]);
});

test("Images: one that is not there is refused at once, one that cannot be unpacked fails the execution with the reason", async (context) => {
	const { jobs, clock } = await engine(context);
	await assert.rejects(jobs.apply("default", jobManifest("x", { image: "127.0.0.1/missing:1" }), user), (error) =>
		isSlipwayError(error, "INVALID_IMAGE"),
	);
	await jobs.apply("default", jobManifest("x", { image: "127.0.0.1/broken:1" }), user);
	const { metadata } = await jobs.run("default", "x");
	await clock.advance(0);
	const [completed] = jobs.execution("default", metadata.name).status.conditions;
	assert.deepEqual([completed?.reason, completed?.message], ["ContainerMissing", "A layer breaks a rule"]);
});

test("A deleted job takes its executions with it, running or not", async (context) => {
	const { jobs, clock, store, instances } = await engine(context);
	await jobs.apply("default", jobManifest("x"), user);
	await jobs.run("default", "x");
	await jobs.run("default", "x");
	await clock.advance(0);
	assert.equal(instances.instances.size, 2);
	await jobs.delete("default", "x");
	await clock.advance(0);
	assert.equal(instances.instances.size, 0);
	for (const kind of ["job", "execution", "task"]) assert.deepEqual(await store.list(kind), []);
	assert.throws(
		() => jobs.job("default", "x"),
		(error) => isSlipwayError(error, "NOT_FOUND"),
	);
});

/** One daemon after the other on the same store; each dies at its next commit, before it or just after it. */
test("Killed at each commit: every task ends, and none runs more often than its attempts", async (context) => {
	for (let commit = 2; commit < 12; commit++)
		for (const when of ["before", "after"] as const) await dieAt(context, commit, when);
});

async function dieAt(context: TestContext, commit: number, when: "before" | "after"): Promise<void> {
	const store = new FakeResourceStore();
	const clock = new VirtualClock();
	const first = await engine(context, { store, clock, doomed: true });
	await first.jobs.apply(
		"default",
		jobManifest("x", { execution: { taskCount: 3, parallelism: 2 }, task: { maxRetries: 3 } }),
		user,
	);
	let dead = false;
	store.onCommit = (at, number) => {
		dead ||= number >= commit && at === when;
		// A process that is gone hears of nothing any more.
		return dead ? new Promise(() => {}) : undefined;
	};
	void first.jobs.run("default", "x");
	const ran: string[] = [];
	for (let step = 0; step < 20 && !dead; step++) {
		await clock.advance(0);
		const [task] = running(first.instances);
		if (task === undefined) break;
		ran.push(task);
		end(first.instances, Number(task.split(".")[0]), 0);
	}
	store.onCommit = undefined;
	const second = await engine(context, { store, clock });
	for (let step = 0; step < 20; step++) {
		await clock.advance(0);
		const [task] = running(second.instances);
		if (task === undefined) break;
		ran.push(task);
		end(second.instances, Number(task.split(".")[0]), 0);
	}
	const executions = second.jobs.executions("default", "x");
	// Killed before its first commit took effect, there never was one, and nobody was told that there is.
	if (executions.length === 0) return assert.deepEqual([commit, when, ran], [2, "before", []]);
	const [execution] = executions;
	assert.equal(execution?.status.conditions[0]?.status, "True", `killed ${when} commit ${commit}: ${ran}`);
	assert.equal(execution?.status.succeededCount, 3);
	assert.equal(new Set(ran).size, ran.length, `no attempt ran twice: ${ran}`);
}

test("A store that fails for a while delays an execution and loses nothing of it", async (context) => {
	const { jobs, instances, clock, store } = await engine(context);
	await jobs.apply("default", jobManifest("x"), user);
	const { metadata } = await jobs.run("default", "x");
	await clock.advance(0);
	store.onCommit = () => {
		throw new SlipwayError("EXHAUSTED", "No space is left");
	};
	end(instances, 0, 0);
	await clock.advance(5_000);
	assert.equal(jobs.execution("default", metadata.name).status.runningCount, 1);
	store.onCommit = undefined;
	await clock.advance(30_000);
	assert.equal(jobs.execution("default", metadata.name).status.succeededCount, 1);
});
