import assert from "node:assert/strict";
import { test } from "node:test";
import { revision, setUp } from "../testing/dispatcher.ts";
import { fakeFunction } from "../testing/fake-function.ts";

test("a thousand events of which many fail: each caller gets its own answer, and nothing is left (seeded)", async (t) => {
	let seed = 20261121;
	const random = (n: number) => {
		seed = (seed * 1103515245 + 12345) % 2147483648;
		return seed % n;
	};
	const outcomes = ["echo", "echo", "echo", "echo", "echo", "echo", "error", "exit", "hang", "memory"] as const;
	const { invoke, dispatcher, runtime, acquired } = setUp(t, {
		// In truth 600 ms for an event, and twice that for the wait for a sandbox: what does not hang is done long before, on a busy machine too.
		speed: 25,
		revisions: ["a", "b", "c"].map((name) => revision(name, { timeoutS: 15 })),
		options: {
			maxSandboxes: 10,
			freezeAfterMs: 100,
			idleTimeoutMs: 2000,
			spares: { maxTotal: 2, maxPerFunction: 1, keepMs: 60_000 },
		},
		program: fakeFunction(({ payload, process }) => {
			const { outcome, n } = JSON.parse(payload);
			if (outcome === "error") return { error: JSON.stringify({ errorType: "E", errorMessage: String(n) }) };
			if (outcome === "exit") return { exit: 1 };
			if (outcome === "hang") return { hang: true };
			if (outcome === "memory") process.useMemory(1 << 30);
			return payload;
		}),
	});
	const expected = {
		echo: undefined,
		error: "E",
		exit: "Runtime.ExitError",
		hang: "Sandbox.Timedout",
		memory: "Runtime.OutOfMemory",
	};
	let next = 0;
	const client = async () => {
		while (next < 1000) {
			const n = next++;
			const picked = outcomes[random(outcomes.length)]!;
			// Few of those that take all of their time.
			const outcome = picked === "hang" && random(4) > 0 ? "exit" : picked;
			const { json } = await invoke({ outcome, n }, "abc"[random(3)]!);
			assert.equal(json.errorType, expected[outcome], `event ${n}, seed 20261121`);
			if (outcome === "echo") assert.equal(json.n, n);
			if (outcome === "error") assert.equal(json.errorMessage, String(n));
		}
	};
	await Promise.all(Array.from({ length: 12 }, client));
	await dispatcher.close(0);
	assert.deepEqual([runtime.sandboxes.size, dispatcher.sandboxCount, acquired()], [0, 0, 0]);
});
