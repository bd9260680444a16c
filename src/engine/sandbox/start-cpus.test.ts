import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { FakeSandbox } from "../../core/sandbox/fake-sandbox-runtime.ts";
import { revision, setUp } from "../testing/dispatcher.ts";
import { fakeFunction } from "../testing/fake-function.ts";

const share = (memoryMiB: number) => memoryMiB / 1769;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe("CPU for a start", () => {
	it("is a whole one until the init is over, and the function's share from its first event on", async (t) => {
		const seen: number[] = [];
		let only: FakeSandbox | undefined;
		const answer = fakeFunction(({ payload }) => {
			seen.push(only?.cpus ?? 0);
			return payload;
		});
		const { invoke, runtime, idle } = setUp(t, {
			program: async (process) => {
				[only] = runtime.sandboxes.values();
				seen.push(only?.cpus ?? 0);
				return answer(process);
			},
		});
		await invoke();
		await idle();
		await invoke();
		assert.deepEqual(seen, [1, share(128), share(128)]);
	});

	it("is the function's share where that is more", async (t) => {
		const { invoke, runtime } = setUp(t, { revisions: [revision("f", { memoryMiB: 3538 })] });
		await invoke();
		assert.deepEqual(
			runtime.created.map(({ limits }) => [limits.cpus, limits.startCpus]),
			[[2, undefined]],
		);
	});

	it("is a whole one again for the processes after a reset", async (t) => {
		const seen: (number | undefined)[] = [];
		const answer = fakeFunction(() => ({ exit: 1 }));
		const { invoke, runtime } = setUp(t, {
			program: async (process) => {
				seen.push([...runtime.sandboxes.values()][0]?.cpus);
				return answer(process);
			},
		});
		await invoke();
		await invoke();
		assert.deepEqual(seen, [1, 1]);
	});

	it("lasts ten seconds at most, however long an init takes", async (t) => {
		const { invoke, runtime } = setUp(t, {
			revisions: [revision("f", { timeoutS: 20 })],
			program: async (process) =>
				new Promise<number>((resolve) => process.signal.addEventListener("abort", () => resolve(1))),
		});
		// Its first init is given up after ten seconds, its second one, inside the event, after the function's timeout.
		const failed = invoke();
		while (runtime.resets.length === 0) await sleep(1);
		await sleep(150); // 15 s on this clock
		assert.deepEqual(
			[...runtime.sandboxes.values()].map(({ cpus }) => cpus),
			[share(128)],
		);
		assert.equal((await failed).functionError, "Unhandled");
	});

	it("ends a sandbox that it can't be taken back from, and another one takes the event", async (t) => {
		const { invoke, runtime } = setUp(t, {
			program: async (process) => {
				const [first] = runtime.sandboxes.values();
				if (first && runtime.created.length === 1)
					first.endStart = () => Promise.reject(new Error("The kernel said no"));
				return fakeFunction(({ payload }) => payload)(process);
			},
		});
		assert.deepEqual((await invoke({ a: 1 })).json, { a: 1 });
		assert.equal(runtime.created.length, 2);
		assert.equal(runtime.sandboxes.size, 1);
	});
});
