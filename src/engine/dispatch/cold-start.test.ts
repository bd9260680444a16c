/** Which requests have a cold start, and what of. The clock runs 100 times as fast (engine/testing/dispatcher.ts). */
import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { test } from "node:test";
import { type ColdStart, stageTotals } from "../../core/invocation/cold-start.ts";
import type { FakeProgram } from "../../core/sandbox/fake-sandbox-runtime.ts";
import { revision, setUp } from "../testing/dispatcher.ts";
import { fakeExtension } from "../testing/fake-extension.ts";
import { fakeFunction } from "../testing/fake-function.ts";

const works = fakeFunction(({ payload }) => payload);
const settle = (ms = 1) => new Promise((resolve) => setTimeout(resolve, ms));
const now = () => performance.now() * 100;
const total = ({ steps }: ColdStart) => steps.reduce((sum, { ms }) => sum + ms, 0);

test("the stages of a cold start are the time from the call to the hand-over, without a gap", async (t) => {
	let handedAt = 0;
	const { invoke, meter, idle } = setUp(t, {
		program: fakeFunction(({ payload }) => {
			handedAt = now();
			return payload;
		}),
	});
	const calledAt = now();
	const { coldStart } = await invoke();
	assert(coldStart);
	assert.deepEqual(
		coldStart.steps.map(({ stage }) => stage),
		["queue", "sandbox", "process", "init", "first-poll"],
	);
	const { process, init } = stageTotals(coldStart);
	assert.ok(process > 0 && init > 0 && coldStart.steps.every(({ ms }) => ms >= 0));
	const sum = total(coldStart);
	assert.ok(sum > 0 && sum <= handedAt - calledAt, `${sum} of ${handedAt - calledAt}`);
	// What is left is the way into the process: a few milliseconds of HTTP within one process, 100 times as long here.
	assert.ok(handedAt - calledAt - sum < 5000, `${sum} of ${handedAt - calledAt}`);
	await idle();
	assert.deepEqual([meter.usage("f").coldStarts, meter.usage("f").stages?.process.sumMs], [1, process]);
});

test("a slow process and a slow init are told apart by the first connection, an extension's too", async (t) => {
	const slow: FakeProgram = async (process) => {
		await settle(20);
		return works(process);
	};
	const alone = await setUp(t, { program: slow }).invoke();
	const late = stageTotals(alone.coldStart!);
	assert.ok(late.process > 1500 && late.init < 1500, JSON.stringify(late));
	const extension = "/opt/extensions/watch";
	const beside = setUp(t, { companions: [extension], programs: { [extension]: fakeExtension([]) }, program: slow });
	const early = stageTotals((await beside.invoke()).coldStart!);
	assert.ok(early.init > 1500 && early.process < 1500, JSON.stringify(early));
});

test("an event that waits for a sandbox in use, and gets it, had no cold start", async (t) => {
	const { invoke, meter, idle } = setUp(t, {
		options: { maxSandboxes: 1 },
		program: fakeFunction(async ({ payload }) => {
			await settle(10);
			return payload;
		}),
	});
	const [first, second] = await Promise.all([invoke({ n: 1 }), invoke({ n: 2 })]);
	assert.ok(first.coldStart);
	assert.equal(second.coldStart, undefined);
	await idle();
	assert.deepEqual([meter.usage("f").invocations, meter.usage("f").coldStarts], [2, 1]);
});

test("a start that has to wait for its turn is queued", async (t) => {
	const { invoke } = setUp(t, {
		revisions: [revision("f"), revision("g")],
		options: { maxSandboxes: 1 },
		program: fakeFunction(async ({ payload }) => {
			await settle(30);
			return payload;
		}),
	});
	const first = invoke({ n: 1 }, "f");
	await settle(10);
	const second = await invoke({ n: 2 }, "g");
	assert.ok((await first).coldStart);
	assert.ok(second.coldStart && stageTotals(second.coldStart).queue > 1000, JSON.stringify(second.coldStart?.steps));
});

test("a spare was made before: its sandbox stage is 0 and says so", async (t) => {
	const { invoke, dispatcher, runtime, current, meter, idle } = setUp(t, {
		options: { spares: { maxTotal: 1, maxPerFunction: 1, keepMs: 600_000 } },
	});
	dispatcher.expect(current.get("f")!);
	while (runtime.created.length < 1) await settle();
	while ((await dispatcher.sandboxes())[0]?.state !== "created") await settle();
	assert.equal(dispatcher.census().spares, 1);
	const { coldStart } = await invoke();
	assert.equal(coldStart?.spare, true);
	const { sandbox, process } = stageTotals(coldStart);
	assert.ok(sandbox === 0 && process > 0);
	await idle();
	assert.equal(meter.usage("f").spareStarts, 1);
});

test("one that is initialised ahead of its event gives it no cold start", async (t) => {
	const { invoke, dispatcher, current } = setUp(t, {});
	dispatcher.provision(current.get("f")!, 1);
	while (dispatcher.provisionedState("f", "$LATEST")?.status !== "READY") await settle();
	assert.equal((await invoke()).coldStart, undefined);
	assert.equal(dispatcher.census().provisioned, 1);
});

test("a second init inside of the invocation is part of its cold start, and so is a start after a crash", async (t) => {
	let starts = 0;
	const { invoke, messages, idle, meter } = setUp(t, {
		program: (process) => (starts++ === 0 ? Promise.resolve(3) : crashable(process)),
	});
	const { coldStart } = await invoke();
	assert.deepEqual(
		coldStart?.steps.map(({ stage }) => stage),
		["queue", "sandbox", "process", "sandbox", "process", "init", "first-poll"],
	);
	await idle();
	const crashed = await invoke({ exit: true });
	assert.deepEqual([crashed.functionError, crashed.coldStart], ["Unhandled", undefined]);
	await idle();
	const after = await invoke({ n: 3 });
	const totals = stageTotals(after.coldStart ?? assert.fail("it waited for the processes"));
	assert.ok(totals.process > 0 && totals.init > 0 && totals.queue < 100);
	await idle();
	assert.equal(meter.usage("f").coldStarts, 2);
	const reports = (await messages()).filter((line) => line.startsWith("REPORT"));
	assert.deepEqual(
		reports.map((line) => line.includes("Cold Start: ")),
		[true, false, true],
	);
	assert.ok(!reports[2]?.includes("Init Duration"));
});

const crashable = fakeFunction(({ payload }) => (payload.includes("exit") ? { exit: 1 } : payload));

test("an init that never works is a cold start without an end", async (t) => {
	const { invoke } = setUp(t, { program: async () => 3 });
	const { functionError, coldStart } = await invoke();
	assert.equal(functionError, "Unhandled");
	assert.deepEqual([stageTotals(coldStart!)["first-poll"], stageTotals(coldStart!).init], [0, 0]);
	assert.equal(coldStart?.steps.filter(({ stage }) => stage === "process").length, 2);
});

test("the head of a streamed answer has it already, of a warm one none", async (t) => {
	const { dispatcher, current, idle } = setUp(t, {});
	const heads: (ColdStart | undefined)[] = [];
	const invoke = () =>
		dispatcher.invoke("f", {
			requestId: crypto.randomUUID(),
			payload: Buffer.from("{}"),
			invokedArn: current.get("f")!.arn,
			stream: (head) => {
				heads.push(head.coldStart);
				return new Writable({ write: (_chunk, _encoding, done) => done() });
			},
		});
	const { coldStart } = await invoke();
	await idle();
	await invoke();
	assert.deepEqual(heads, [coldStart, undefined]);
	assert.ok(coldStart);
});

test("events that are refused are counted, and are no invocations", async (t) => {
	const gate = Promise.withResolvers<void>();
	const { invoke, meter, idle } = setUp(t, {
		reserved: { f: 1 },
		program: fakeFunction(async ({ payload }) => {
			await gate.promise;
			return payload;
		}),
	});
	const first = invoke();
	await settle(5);
	await assert.rejects(invoke(), /Rate Exceeded/);
	gate.resolve();
	await first;
	await idle();
	const { throttles, invocations, platformFailures } = meter.usage("f");
	assert.deepEqual([throttles, invocations, platformFailures], [1, 1, 0]);
});
