import assert from "node:assert/strict";
import http from "node:http";
import { test } from "node:test";
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import { stageTotals } from "../../core/invocation/cold-start.ts";
import type { FakeProcess, FakeProgram } from "../../core/sandbox/fake-sandbox-runtime.ts";
import { recordingLog, revision, setUp } from "../testing/dispatcher.ts";
import { type FakeAnswer, fakeFunction, runtimeCall } from "../testing/fake-function.ts";

test("the first event makes a sandbox, the second one finds it", async (t) => {
	const { runtime, invoke, messages, idle, meter } = setUp(t, {});
	const cold = await invoke({ n: 1 });
	assert.deepEqual(cold.json, { n: 1 });
	assert.ok(cold.coldStart && stageTotals(cold.coldStart).init > 0);
	await idle();
	const warm = await invoke({ n: 2 });
	assert.equal(warm.coldStart, undefined);
	await idle();
	assert.equal(runtime.created.length, 1);
	assert.deepEqual(meter.usage("f").invocations, 2);
	const lines = await messages();
	assert.equal(lines.length, 6);
	assert.match(lines[0]!, /^START RequestId: [0-9a-f-]{36} Version: \$LATEST$/);
	assert.match(lines[1]!, /^END RequestId: [0-9a-f-]{36}$/);
	assert.match(
		lines[2]!,
		/^REPORT RequestId: [0-9a-f-]{36}\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\tMax Memory Used: \d+ MB\tInit Duration: \d+\.\d\d ms\tCold Start: queue;dur=\S+, sandbox;dur=\S+, process;dur=\S+, init;dur=\S+, first-poll;dur=\S+\t$/,
	);
	assert.doesNotMatch(lines[5]!, /Init Duration|Cold Start/);
});

test("the process gets the image's environment, the function's, and the platform's", async (t) => {
	const { invoke } = setUp(t, {
		program: fakeFunction(({ process }) => JSON.stringify({ ...process.env, args: process.args })),
	});
	const { json } = await invoke();
	assert.deepEqual(json.args, ["/bootstrap", "handler"]);
	assert.equal(json.FROM, "image");
	assert.equal(json.MINE, "yes");
	assert.equal(json.AWS_LAMBDA_FUNCTION_NAME, "f");
	assert.equal(json.AWS_LAMBDA_FUNCTION_MEMORY_SIZE, "128");
	assert.equal(json.AWS_EXECUTION_ENV, "AWS_Lambda_Image");
	assert.equal(json._HANDLER, undefined);
	assert.match(json.AWS_LAMBDA_LOG_STREAM_NAME, /^\d{4}\/\d\d\/\d\d\/\[\$LATEST\][0-9a-f]{32}$/);
});

test("events at the same time each get a sandbox of their own, and each its own answer", async (t) => {
	let busy = 0;
	const { runtime, invoke } = setUp(t, {
		program: fakeFunction(async ({ payload }) => {
			busy++;
			while (busy < 10) await new Promise(setImmediate);
			return payload;
		}),
	});
	const answers = await Promise.all(Array.from({ length: 10 }, (_, n) => invoke({ n })));
	assert.deepEqual(
		answers.map((answer) => answer.json.n),
		Array.from({ length: 10 }, (_, n) => n),
	);
	assert.equal(runtime.created.length, 10);
});

test("what the function writes is in the log between START and END, and in the tail", async (t) => {
	const { invoke } = setUp(t, {
		program: fakeFunction(({ process, payload }) => {
			process.stdout.write("one\ntwo\nno newline");
			process.stderr.write("three\n");
			return payload;
		}),
	});
	const { logTail } = await invoke({}, "f", true);
	const lines = Buffer.from(logTail!).toString().split("\n");
	assert.match(lines[0]!, /^START/);
	assert.deepEqual(lines.slice(1, 5).sort(), ["no newline", "one", "three", "two"]);
	assert.match(lines[5]!, /^END/);
	assert.match(lines[6]!, /^REPORT/);
});

test("events that follow each other in one sandbox each have the tail of their own", async (t) => {
	const { invoke } = setUp(t, { options: { maxSandboxes: 1 } });
	const answers = await Promise.all([invoke({}, "f", true), invoke({}, "f", true), invoke({}, "f", true)]);
	for (const { logTail } of answers) {
		const lines = Buffer.from(logTail ?? [])
			.toString()
			.split("\n");
		assert.deepEqual(
			lines.map((line) => line.split(" ")[0]),
			["START", "END", "REPORT", ""],
		);
	}
});

test("the tail is the last 4 KB", async (t) => {
	const { invoke } = setUp(t, {
		program: fakeFunction(({ process, payload }) => {
			process.stdout.write(`${"x".repeat(999)}\n`.repeat(100));
			return payload;
		}),
	});
	const { logTail } = await invoke({}, "f", true);
	assert.equal(logTail!.length, 4096);
	assert.match(Buffer.from(logTail!).toString(), /REPORT RequestId.*\n$/);
});

const failures: [
	name: string,
	answer: FakeAnswer,
	payload: (id: string) => object,
	report: RegExp,
	survives: boolean,
][] = [
	[
		"a handler error is the runtime's own body",
		{ error: '{"errorMessage":"no","errorType":"E"}' },
		() => ({ errorMessage: "no", errorType: "E" }),
		/\tStatus: error\tError Type: Runtime.Unknown$/,
		true,
	],
	[
		"an exit has its status",
		{ exit: 7 },
		(id) => ({
			errorType: "Runtime.ExitError",
			errorMessage: `RequestId: ${id} Error: Runtime exited with error: exit status 7`,
		}),
		/\tStatus: error\tError Type: Runtime.ExitError$/,
		false,
	],
	[
		"an exit without an error has no reason",
		{ exit: 0 },
		(id) => ({
			errorType: "Runtime.ExitError",
			errorMessage: `RequestId: ${id} Error: Runtime exited without providing a reason`,
		}),
		/\tStatus: error\tError Type: Runtime.ExitError$/,
		false,
	],
	[
		"a timeout takes exactly the limit",
		{ hang: true },
		(id) => ({
			errorType: "Sandbox.Timedout",
			errorMessage: `RequestId: ${id} Error: Task timed out after 20.00 seconds`,
		}),
		/\tDuration: 20000.00 ms\tBilled Duration: \d+ ms\t.*\tStatus: timeout$/,
		false,
	],
];

for (const [name, answer, payload, report, survives] of failures)
	test(name, async (t) => {
		let starts = 0;
		const fails = fakeFunction(({ payload }) => (JSON.parse(payload).fail ? answer : payload));
		const { invoke, messages, idle, dispatcher, runtime, acquired } = setUp(t, {
			program: (process) => {
				starts++;
				return fails(process);
			},
		});
		const requests = await invoke({ fail: true });
		assert.equal(requests.functionError, "Unhandled");
		await idle();
		const lines = await messages();
		const id = /RequestId: (\S+)/.exec(lines[0]!)![1]!;
		assert.deepEqual(requests.json, payload(id));
		assert.match(lines.at(-1)!, report);
		assert.deepEqual((await invoke({ again: 1 })).json, { again: 1 });
		await idle();
		// The same environment, with other processes in it where these have failed.
		assert.deepEqual([runtime.created.length, starts], [1, survives ? 1 : 2]);
		await dispatcher.close(0);
		assert.deepEqual([runtime.sandboxes.size, acquired()], [0, 0]);
	});

test("out of memory is told apart", async (t) => {
	const { invoke, messages } = setUp(t, {
		program: fakeFunction(({ process }) => {
			process.useMemory(200 * 1024 * 1024);
			return "{}";
		}),
	});
	const { json } = await invoke();
	assert.equal(json.errorType, "Runtime.OutOfMemory");
	assert.match(json.errorMessage, /^RequestId: \S+ Error: Runtime exited with error: signal: killed$/);
	while ((await messages()).length < 3) await new Promise(setImmediate);
	assert.match(
		(await messages()).at(-1)!,
		/Max Memory Used: 128 MB\t.*Status: error\tError Type: Runtime.OutOfMemory$/,
	);
});

test("an init that fails is tried once more inside the invocation, then the caller hears its words", async (t) => {
	const words = '{"errorMessage":"no module","errorType":"Runtime.ImportModuleError"}';
	let starts = 0;
	const { invoke, messages, runtime } = setUp(t, {
		program: async (process) => {
			starts++;
			await runtimeCall(new http.Agent(), process, "POST", "init/error", words);
			return 1;
		},
	});
	const { json, functionError } = await invoke();
	assert.deepEqual([json, functionError], [JSON.parse(words), "Unhandled"]);
	assert.deepEqual([runtime.created.length, starts], [1, 2]);
	const lines = await messages();
	assert.match(
		lines[0]!,
		/^INIT_REPORT Init Duration: \d+\.\d\d ms\tPhase: init\tStatus: error\tError Type: Runtime\.Unknown$/,
	);
	assert.match(lines[1]!, /^INIT_REPORT Init Duration: .*\tPhase: invoke\tStatus: error/);
	assert.match(lines[2]!, /^START/);
	assert.match(lines.at(-1)!, /^REPORT .*Status: error/);
});

test("an init that works the second time answers the event", async (t) => {
	let starts = 0;
	const works = fakeFunction(({ payload }) => payload);
	const { invoke } = setUp(t, { program: (process) => (starts++ === 0 ? Promise.resolve(3) : works(process)) });
	assert.deepEqual((await invoke({ ok: 1 })).json, { ok: 1 });
});

test("an init without an end is cut at 10 s, and at the function's timeout the second time", async (t) => {
	const { invoke, messages } = setUp(t, {
		revisions: [revision("f", { timeoutS: 3 })],
		program: ({ signal }) => new Promise((resolve) => signal.addEventListener("abort", () => resolve(0))),
	});
	const { json } = await invoke();
	assert.equal(json.errorType, "Sandbox.Timedout");
	const lines = await messages();
	assert.match(lines[0]!, /^INIT_REPORT Init Duration: (9\d{3}|1\d{4})\.\d\d ms\tPhase: init\tStatus: timeout$/);
	assert.match(lines[1]!, /^INIT_REPORT Init Duration: [2-9]\d{3}\.\d\d ms\tPhase: invoke\tStatus: timeout$/);
});

test("an entrypoint that can't be started is told as such", async (t) => {
	const { invoke, messages } = setUp(t, {
		onCreate: () => {
			throw new SlipwayError("INVALID_IMAGE", "fork/exec /bootstrap: no such file or directory", {
				reason: "InvalidEntrypoint",
			});
		},
	});
	const { json } = await invoke();
	assert.equal(json.errorType, "Runtime.InvalidEntrypoint");
	assert.match(json.errorMessage, /Error: fork\/exec \/bootstrap: no such file or directory$/);
	assert.ok((await messages()).some((line) => line.startsWith("IMAGE\tLaunch error: fork/exec /bootstrap")));
});

test("a platform that can't make sandboxes says so and leaks nothing", async (t) => {
	const { invoke, runtime, dispatcher, acquired } = setUp(t, {
		onCreate: () => {
			throw new SlipwayError("EXHAUSTED", "No address is left");
		},
	});
	await assert.rejects(invoke(), (error) => isSlipwayError(error, "EXHAUSTED"));
	assert.deepEqual([runtime.sandboxes.size, dispatcher.sandboxCount, acquired()], [0, 0, 0]);
});

test("with no room left an event waits for the next free sandbox", async (t) => {
	const { runtime, invoke } = setUp(t, { options: { maxSandboxes: 2 } });
	const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => invoke({ n })));
	assert.deepEqual(
		answers.map((answer) => answer.json.n),
		Array.from({ length: 20 }, (_, n) => n),
	);
	assert.equal(runtime.created.length, 2);
});

test("with no room left the longest idle sandbox of another function goes", async (t) => {
	const { runtime, invoke, idle, dispatcher } = setUp(t, {
		revisions: [revision("a"), revision("b")],
		options: { maxSandboxes: 1 },
	});
	await invoke({}, "a");
	await idle();
	assert.deepEqual((await invoke({ b: 1 }, "b")).json, { b: 1 });
	assert.equal(runtime.created.length, 2);
	assert.deepEqual(
		(await dispatcher.sandboxes()).map((sandbox) => sandbox.functionName),
		["b"],
	);
});

test("an event that waits for another function's busy sandbox gets its room in the end", async (t) => {
	let release = () => {};
	const held = new Promise<void>((resolve) => {
		release = resolve;
	});
	const { invoke } = setUp(t, {
		revisions: [revision("a"), revision("b")],
		options: { maxSandboxes: 1 },
		program: fakeFunction(async ({ payload }) => {
			if (JSON.parse(payload).hold) await held;
			return payload;
		}),
	});
	const first = invoke({ hold: true }, "a");
	await new Promise((resolve) => setTimeout(resolve, 20));
	const second = invoke({ b: 1 }, "b");
	setTimeout(release, 20);
	await first;
	assert.deepEqual((await second).json, { b: 1 });
});

test("past the account's concurrency the caller is throttled with the reason", async (t) => {
	const { invoke } = setUp(t, { options: { accountConcurrency: 1 }, program: fakeFunction(() => ({ hang: true })) });
	const first = invoke();
	await assert.rejects(
		invoke(),
		(error) => isSlipwayError(error, "THROTTLED") && error.reason === "ConcurrentInvocationLimitExceeded",
	);
	await first;
});

test("a new revision serves new events; the old one finishes what it has", async (t) => {
	let release = () => {};
	const held = new Promise<void>((resolve) => {
		release = resolve;
	});
	const { invoke, current, dispatcher, idle, runtime } = setUp(t, {
		program: fakeFunction(async ({ payload, process }) => {
			if (JSON.parse(payload).hold) await held;
			return JSON.stringify(process.env.MINE);
		}),
	});
	const old = invoke({ hold: true });
	await new Promise((resolve) => setTimeout(resolve, 20));
	current.set("f", { ...revision("f", { environment: { MINE: "new" } }), id: "second" });
	dispatcher.retire("f");
	assert.equal((await invoke()).json, "new");
	release();
	assert.equal((await old).json, "yes");
	await idle();
	while (runtime.sandboxes.size > 1) await new Promise(setImmediate);
});

test("idle sandboxes are frozen after a while, thawed for an event, and removed after the idle time", async (t) => {
	const { invoke, runtime, dispatcher, idle } = setUp(t, { options: { freezeAfterMs: 200, idleTimeoutMs: 30_000 } });
	await invoke();
	await idle();
	const [sandbox] = [...runtime.sandboxes.values()];
	while (!sandbox!.isFrozen) await new Promise((resolve) => setTimeout(resolve, 1));
	assert.equal((await dispatcher.sandboxes())[0]?.state, "frozen");
	assert.deepEqual((await invoke({ thawed: 1 })).json, { thawed: 1 });
	assert.equal(runtime.created.length, 1);
	while (runtime.sandboxes.size > 0) await new Promise((resolve) => setTimeout(resolve, 5));
});

test("a sandbox whose process ends while idle is not given an event", async (t) => {
	const { invoke, runtime, idle } = setUp(t, {});
	await invoke();
	await idle();
	await [...runtime.sandboxes.values()][0]!.kill();
	assert.deepEqual((await invoke({ n: 2 })).json, { n: 2 });
	assert.equal(runtime.created.length, 2);
});

/** Asks once, answers, then does what `afterwards` does instead of asking again. */
function answersOnce(afterwards: (process: FakeProcess) => Promise<number>): FakeProgram {
	return async (process) => {
		const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
		const next = await runtimeCall(agent, process, "GET", "invocation/next");
		const id = String(next.headers["lambda-runtime-aws-request-id"]);
		await runtimeCall(agent, process, "POST", `invocation/${id}/response`, next.body);
		agent.destroy();
		return afterwards(process);
	};
}

test("a process that ends after its answer leaves nothing", async (t) => {
	const { invoke, runtime, dispatcher, acquired } = setUp(t, {
		program: answersOnce(async () => 0),
		options: { idleTimeoutMs: 10_000 },
	});
	for (let n = 0; n < 20; n++) assert.deepEqual((await invoke({ n })).json, { n });
	while (dispatcher.sandboxCount > 0) await new Promise((resolve) => setTimeout(resolve, 1));
	assert.deepEqual([runtime.sandboxes.size, acquired()], [0, 0]);
});

test("a process that never asks for another event is replaced when the time for its last one is over", async (t) => {
	const { invoke, runtime, dispatcher } = setUp(t, {
		revisions: [revision("f", { timeoutS: 3 })],
		options: { idleTimeoutMs: 10_000 },
		program: answersOnce(({ ended }) => new Promise((resolve) => ended.addEventListener("abort", () => resolve(0)))),
	});
	const state = async () => (await dispatcher.sandboxes())[0]?.state;
	assert.deepEqual((await invoke({ n: 1 })).json, { n: 1 });
	assert.equal(await state(), "busy");
	while ((await state()) !== "reset") await new Promise((resolve) => setTimeout(resolve, 1));
	while (dispatcher.sandboxCount > 0) await new Promise((resolve) => setTimeout(resolve, 1));
	assert.equal(runtime.sandboxes.size, 0);
});

test("a sandbox that can't be removed is said in the log, and other events go on", async (t) => {
	const { log, lines } = recordingLog();
	const { invoke, runtime, dispatcher, idle } = setUp(t, { log, options: { idleTimeoutMs: 30_000 } });
	await invoke();
	await idle();
	const [sandbox] = [...runtime.sandboxes.values()];
	const dispose = sandbox![Symbol.asyncDispose].bind(sandbox);
	sandbox![Symbol.asyncDispose] = async () => {
		await dispose();
		throw new SlipwayError("SANDBOX_FAILED", "The control group stays busy");
	};
	while (dispatcher.sandboxCount > 0) await new Promise((resolve) => setTimeout(resolve, 1));
	assert.deepEqual(lines, ["A sandbox could not be removed cleanly"]);
	assert.deepEqual((await invoke({ n: 2 })).json, { n: 2 });
});

test("spares are created, not started, and used by the next cold start", async (t) => {
	let started = 0;
	const works = fakeFunction(({ payload }) => payload);
	const { invoke, runtime, dispatcher, current } = setUp(t, {
		options: { spares: { maxTotal: 3, maxPerFunction: 2, keepMs: 600_000 } },
		program: (process) => {
			started++;
			return works(process);
		},
	});
	dispatcher.expect(current.get("f")!);
	while (runtime.created.length < 1) await new Promise((resolve) => setTimeout(resolve, 1));
	assert.equal(started, 0);
	assert.equal((await dispatcher.sandboxes())[0]?.state, "created");
	const before = runtime.created[0]!.id;
	await invoke();
	assert.equal((await dispatcher.sandboxes()).find((sandbox) => sandbox.invocations > 0)?.id, before);
});

test("a spare that can't be made is not tried again at each look", async (t) => {
	let tries = 0;
	const { dispatcher, current } = setUp(t, {
		options: { spares: { maxTotal: 3, maxPerFunction: 2, keepMs: 600_000 }, sweepMs: 5 },
		onCreate: () => {
			tries++;
			throw new SlipwayError("EXHAUSTED", "No address is left");
		},
	});
	dispatcher.expect(current.get("f")!);
	await new Promise((resolve) => setTimeout(resolve, 150));
	// Of some thirty looks, in the fast clock's fifteen seconds.
	assert.ok(tries >= 1 && tries <= 3, `${tries}`);
});

test("closing lets events finish and takes no new ones", async (t) => {
	const { invoke, dispatcher, runtime } = setUp(t, {
		program: fakeFunction(async ({ payload }) => {
			await new Promise((resolve) => setTimeout(resolve, 30));
			return payload;
		}),
	});
	const event = invoke({ last: 1 });
	await new Promise((resolve) => setTimeout(resolve, 10));
	const closed = dispatcher.close(60_000);
	await assert.rejects(invoke(), (error) => isSlipwayError(error, "UNAVAILABLE"));
	assert.deepEqual((await event).json, { last: 1 });
	await closed;
	assert.equal(runtime.sandboxes.size, 0);
});
