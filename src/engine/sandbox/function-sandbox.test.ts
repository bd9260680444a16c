import assert from "node:assert/strict";
import http from "node:http";
import { describe, it } from "node:test";
import { SlipwayError } from "../../base/error.ts";
import type { FakeProcess, FakeProgram } from "../../core/sandbox/fake-sandbox-runtime.ts";
import { revision, setUp } from "../testing/dispatcher.ts";
import { fakeExtension } from "../testing/fake-extension.ts";
import { fakeFunction, runtimeCall } from "../testing/fake-function.ts";

const extension = "/opt/extensions/watch";
const settle = (ms = 20) => new Promise((resolve) => setTimeout(resolve, ms));

/** Until it holds, at most 2 s: then the assertion that follows tells what is wrong. */
async function eventually(holds: () => boolean | Promise<boolean>): Promise<void> {
	for (const until = performance.now() + 2000; performance.now() < until; await settle(1)) if (await holds()) return;
}

describe("A sandbox with companions", () => {
	it("starts them before the main process and waits for both", async (t) => {
		const order: string[] = [];
		const main = fakeFunction(({ payload }) => payload);
		const { invoke } = setUp(t, {
			companions: [extension],
			programs: {
				[extension]: (process) => {
					order.push("extension");
					return fakeExtension(["INVOKE"], ({ requestId }) => void order.push(requestId ? "INVOKE" : "?"))(process);
				},
			},
			program: (process) => {
				order.push("main");
				return main(process);
			},
		});
		assert.deepEqual((await invoke({ a: 1 })).json, { a: 1 });
		await eventually(() => order.length === 3);
		assert.deepEqual(order, ["extension", "main", "INVOKE"]);
	});

	it("answers the caller before a companion is done, and takes no further event until then", async (t) => {
		const gate = Promise.withResolvers<void>();
		const { invoke, dispatcher, messages, idle } = setUp(t, {
			companions: [extension],
			programs: { [extension]: fakeExtension(["INVOKE"], () => gate.promise) },
		});
		await invoke();
		await settle();
		assert.deepEqual(
			(await dispatcher.sandboxes()).map(({ state }) => state),
			["busy"],
		);
		assert.ok(!(await messages()).some((line) => line.startsWith("REPORT")));
		gate.resolve();
		await idle();
		assert.deepEqual(
			(await dispatcher.sandboxes()).map(({ state }) => state),
			["idle"],
		);
		assert.equal((await messages()).filter((line) => line.startsWith("REPORT")).length, 1);
	});

	it("does not wait for one that only wants the end", async (t) => {
		const { invoke, dispatcher } = setUp(t, {
			companions: [extension],
			programs: { [extension]: fakeExtension(["SHUTDOWN"]) },
		});
		await invoke();
		await eventually(async () => (await dispatcher.sandboxes())[0]?.state === "idle");
		assert.deepEqual(
			(await dispatcher.sandboxes()).map(({ state }) => state),
			["idle"],
		);
	});

	it("tells them why it ends, and gives them time", async (t) => {
		const reasons: string[] = [];
		const { invoke, dispatcher, idle } = setUp(t, {
			// They get two seconds.
			speed: 10,
			companions: [extension],
			programs: {
				[extension]: fakeExtension(["SHUTDOWN"], async ({ shutdownReason = "" }) => {
					await settle(5);
					reasons.push(shutdownReason);
				}),
			},
			program: fakeFunction(({ payload }) => (payload.includes("die") ? { exit: 3 } : payload)),
		});
		assert.equal((await invoke({ do: "die" })).json.errorType, "Runtime.ExitError");
		await eventually(async () => (await dispatcher.sandboxes())[0]?.state === "reset");
		await invoke();
		await idle();
		await dispatcher.close(0);
		assert.deepEqual(reasons, ["failure", "spindown"]);
	});

	it("is made anew when one ends just after its event was over", async (t) => {
		let crash: (code: number) => void = () => {};
		const { invoke, runtime, dispatcher } = setUp(t, {
			companions: [extension],
			programs: {
				[extension]: (process) =>
					Promise.race([
						fakeExtension(["INVOKE"])(process),
						new Promise<number>((resolve) => {
							crash = resolve;
						}),
					]),
			},
		});
		await invoke();
		await eventually(async () => (await dispatcher.sandboxes())[0]?.state === "idle");
		for (const sandbox of runtime.sandboxes.values())
			sandbox.memoryPeak = async () => {
				crash(3);
				await settle();
				return 0;
			};
		await invoke();
		await eventually(async () => (await dispatcher.sandboxes())[0]?.state === "reset");
		assert.equal(runtime.resets.length, 1);
		assert.deepEqual((await invoke({ a: 1 })).json, { a: 1 });
	});

	it("is freed when its processes can't be asked to end, or its companions can't be found", async (t) => {
		const stuck = setUp(t, { companions: [extension], programs: { [extension]: fakeExtension(["SHUTDOWN"]) } });
		await stuck.invoke();
		for (const sandbox of stuck.runtime.sandboxes.values()) sandbox.thaw = () => Promise.reject(new Error("no cgroup"));
		await assert.rejects(stuck.dispatcher.close(0), /no cgroup/);
		assert.deepEqual([stuck.runtime.sandboxes.size, stuck.acquired()], [0, 0]);
		const unread = Object.assign([extension], {
			filter: () => {
				throw new Error("no such disk");
			},
		});
		const lost = setUp(t, { companions: unread });
		await assert.rejects(lost.invoke(), /no such disk/);
		await eventually(() => lost.acquired() === 0);
		assert.deepEqual([lost.runtime.sandboxes.size, lost.acquired()], [0, 0]);
	});

	it("fails its init when one crashes or can't be started, and says which kind it was", async (t) => {
		const crashing = setUp(t, { companions: [extension], programs: { [extension]: async () => 3 } });
		assert.equal((await crashing.invoke()).json.errorType, "Extension.Crash");
		const onExec = () => {
			throw new SlipwayError("INVALID_IMAGE", "permission denied", { reason: "InvalidEntrypoint" });
		};
		const refused = setUp(t, { companions: [extension], onExec });
		assert.equal((await refused.invoke()).json.errorType, "Extension.LaunchError");
	});
});

describe("A reset", () => {
	/** Counts in memory and in /tmp, and does what the event says. */
	const counting: FakeProgram = (process) => {
		let count = 0;
		return fakeFunction(({ payload }) => {
			const inTmp = Number(process.tmp.get("count") ?? 0) + 1;
			process.tmp.set("count", String(inTmp));
			if (payload.includes("hang")) return { hang: true };
			if (payload.includes("exit")) return { exit: 3 };
			return JSON.stringify([++count, inTmp]);
		})(process);
	};

	it("keeps the sandbox and its /tmp, and loses the memory of the processes", async (t) => {
		const { invoke, runtime, dispatcher } = setUp(t, {
			revisions: [revision("f", { timeoutS: 5 })],
			program: counting,
		});
		const is = (state: string) => eventually(async () => (await dispatcher.sandboxes())[0]?.state === state);
		assert.deepEqual((await invoke()).json, [1, 1]);
		await is("idle");
		assert.equal((await invoke({ do: "hang" })).errorType, "Sandbox.Timedout");
		await is("reset");
		assert.deepEqual((await invoke()).json, [1, 3]);
		await is("idle");
		assert.equal((await invoke({ do: "exit" })).errorType, "Runtime.ExitError");
		await is("reset");
		assert.deepEqual((await invoke()).json, [1, 5]);
		assert.equal(runtime.created.length, 1);
	});

	it("has the init in the next event's Duration and writes no INIT_REPORT for it", async (t) => {
		const { invoke, messages, dispatcher } = setUp(t, { program: counting });
		await invoke({ do: "exit" });
		await eventually(async () => (await dispatcher.sandboxes())[0]?.state === "reset");
		await invoke();
		await eventually(async () => (await messages()).filter((line) => line.startsWith("REPORT")).length === 2);
		assert.ok(!(await messages()).some((line) => line.includes("INIT_REPORT")));
	});

	it("that the platform can't make costs the sandbox, not the next event", async (t) => {
		const onReset = () => {
			throw new SlipwayError("EXHAUSTED", "no room");
		};
		const { invoke, dispatcher, runtime } = setUp(t, { program: counting, onReset });
		await invoke({ do: "exit" });
		await eventually(() => dispatcher.sandboxCount === 0);
		assert.deepEqual(await dispatcher.sandboxes(), []);
		assert.deepEqual((await invoke()).json, [1, 1]);
		assert.equal(runtime.created.length, 2);
	});

	it("of an init that failed serves the event that waited, and the next ones", async (t) => {
		let starts = 0;
		const program: FakeProgram = async (process) => (++starts === 1 ? 1 : counting(process));
		const { invoke, messages, runtime, idle } = setUp(t, { program });
		assert.deepEqual((await invoke()).json, [1, 1]);
		await idle();
		assert.deepEqual((await invoke()).json, [2, 2]);
		assert.equal(runtime.created.length, 1);
		const reports = (await messages()).filter((line) => line.startsWith("INIT_REPORT"));
		assert.equal(reports.length, 1);
		assert.match(reports[0] ?? "", /\tPhase: init\tStatus: error\tError Type: Runtime\.ExitError$/);
	});

	it("of an init that never works is made again for each event", async (t) => {
		let starts = 0;
		const program: FakeProgram = async () => {
			starts++;
			return 1;
		};
		const { invoke, runtime, dispatcher } = setUp(t, { program });
		assert.equal((await invoke()).json.errorType, "Runtime.ExitError");
		await eventually(async () => (await dispatcher.sandboxes())[0]?.state === "reset");
		assert.equal((await invoke()).json.errorType, "Runtime.ExitError");
		assert.equal(starts, 3);
		assert.equal(runtime.created.length, 1);
	});
});

describe("An answer that takes its time", () => {
	it("has its latency up to its first byte, and its duration from there", async (t) => {
		const slowly = (agent: http.Agent, process: FakeProcess, requestId: string) =>
			new Promise<void>((resolve, reject) => {
				const [host, port] = (process.env.AWS_LAMBDA_RUNTIME_API ?? "").split(":");
				const path = `/2018-06-01/runtime/invocation/${requestId}/response`;
				const request = http.request({ agent, host, port, path, method: "POST" }, (response) => {
					response.resume().once("end", resolve);
				});
				request.once("error", reject);
				request.write('"one');
				setTimeout(() => request.end(' two"'), 50);
			});
		const { invoke, messages, idle } = setUp(t, {
			revisions: [revision("f", { logFormat: "JSON", systemLogLevel: "DEBUG", timeoutS: 900 })],
			program: async (process) => {
				const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
				process.signal.addEventListener("abort", () => agent.destroy());
				for (;;) {
					const { headers } = await runtimeCall(agent, process, "GET", "invocation/next");
					await slowly(agent, process, String(headers["lambda-runtime-aws-request-id"]));
				}
			},
		});
		assert.equal((await invoke()).json, "one two");
		await idle();
		const done = (await messages()).map((line) => JSON.parse(line)).find(({ type }) => type === "platform.runtimeDone");
		const spans: { name: string; durationMs: number }[] = done.record.spans;
		const [latency, duration] = ["responseLatency", "responseDuration"].map(
			(name) => spans.find((span) => span.name === name)?.durationMs ?? 0,
		);
		// The clock is a hundred times as fast.
		// A busy machine hands over the first byte late.
		assert.ok(latency! + duration! >= 4500 && duration! > 100, `${latency} ms, then ${duration} ms`);
	});
});

describe("An image that is no longer on this machine", () => {
	it("is told of, and its event is refused as that of a function that is not ready", async (t) => {
		const { invoke, gone } = setUp(t, { lostLayers: true });
		await assert.rejects(invoke(), (error: SlipwayError) => error.code === "CONFLICT" && error.reason === "Pending");
		assert.deepEqual(gone, [revision().id]);
	});
});

describe("An event's time", () => {
	it("is over for a runtime that answers and never asks again, with a timeout in its REPORT", async (t) => {
		const { invoke, messages, dispatcher } = setUp(t, {
			revisions: [revision("f", { timeoutS: 3 })],
			program: fakeFunction(({ payload }) => payload, { asksAgain: false }),
		});
		assert.deepEqual((await invoke({ b: 2 })).json, { b: 2 });
		await eventually(async () => (await messages()).some((line) => line.startsWith("REPORT")));
		const report = (await messages()).find((line) => line.startsWith("REPORT")) ?? "";
		assert.match(report, /\tDuration: 3000\.00 ms\t.*\tStatus: timeout$/);
		await eventually(async () => (await dispatcher.sandboxes())[0]?.state === "reset");
		assert.deepEqual(
			(await dispatcher.sandboxes()).map(({ state }) => state),
			["reset"],
		);
	});
});
