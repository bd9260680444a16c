import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import type { Admission } from "./admission.ts";
import { answered, setUpPool, testRevision, testScaling } from "./testing/served-revision.ts";

const is = (code: string, reason: string) => (error: unknown) =>
	isSlipwayError(error) && error.code === code && error.reason === reason;
const crash = () => {
	throw new SlipwayError("UNAVAILABLE", 'Container "main" exited with code 3', { reason: "ContainerExited" });
};

describe("Requests", () => {
	it("start an instance at zero, wait for it in order and never exceed its concurrency", async () => {
		const { pool, admit, clock, pokes, running } = setUpPool(testRevision({ concurrency: 2 }), {
			instances: { start: () => new Promise((resolve) => setImmediate(() => setImmediate(resolve))) },
		});
		const order: number[] = [];
		const admitted: Admission[] = [];
		const all = [0, 1, 2, 3, 4].map((n) =>
			admit().then((admission) => {
				order.push(n);
				admitted.push(admission);
			}),
		);
		assert.deepEqual([pokes(), pool.waiting], [1, 5]);
		await clock.advance(10);
		assert.deepEqual([order, running().length, admitted[0]?.cold], [[0, 1], 1, true]);
		admitted[1]?.release(answered);
		await clock.advance(0);
		assert.deepEqual(order, [0, 1, 2]);
		for (let next = 0; next < 5; next++) {
			if (next !== 1) admitted[next]?.release(answered);
			await clock.advance(0);
		}
		await Promise.all(all);
		assert.deepEqual(order, [0, 1, 2, 3, 4]);
		assert.equal(pool.usage.requests, 5);
		assert.equal(pool.usage.coldStarts, 5);
		assert.throws(() => admitted[0]?.release(answered), /twice/);
	});

	it("go to the instance with the fewest without a limit, to the first with room with a small one, and where they were before", async () => {
		for (const [concurrency, expected] of [
			[0, ["i-0", "i-1", "i-0", "i-1"]],
			[2, ["i-0", "i-0", "i-1", "i-1"]],
			[10, ["i-0", "i-1", "i-0", "i-1"]],
		] as const) {
			const { pool, admit, clock } = setUpPool(testRevision({ concurrency }));
			pool.scaleTo(2);
			await clock.advance(0);
			const ids: string[] = [];
			for (let n = 0; n < 4; n++) ids.push((await admit()).instance.id);
			assert.deepEqual(ids, expected);
		}
		const { pool, admit, clock } = setUpPool(testRevision({ concurrency: 2 }));
		pool.scaleTo(2);
		await clock.advance(0);
		const ids: string[] = [];
		for (let n = 0; n < 3; n++) ids.push((await admit("i-1")).instance.id);
		assert.deepEqual(ids, ["i-1", "i-1", "i-0"]);
	});

	it("are refused past the bound, out of time, and taken out by their client", async () => {
		const { pool, admit, clock, running } = setUpPool(testRevision({ timeoutMs: 5000 }), {
			instances: { start: () => new Promise(() => {}) },
			maxWaiting: 2,
		});
		const abort = new AbortController();
		const late = admit();
		const gone = admit(undefined, abort.signal);
		await assert.rejects(admit(), is("THROTTLED", "QueueFull"));
		abort.abort(new Error("client"));
		await assert.rejects(gone, /client/);
		assert.equal(pool.waiting, 1);
		const inTime = assert.rejects(late, is("DEADLINE", "NoInstanceInTime"));
		await clock.advance(4999);
		assert.equal(pool.waiting, 1);
		await clock.advance(1);
		await inTime;
		assert.deepEqual([pool.waiting, running().length, pool.usage.refused], [0, 1, 2]);
	});

	it("wait for room on the machine and say so when there is none", async () => {
		const { pool, admit, clock, slots } = setUpPool(testRevision({ timeoutMs: 5000 }), { slots: 1 });
		const other = slots.tryAcquire();
		const refused = assert.rejects(admit(), is("EXHAUSTED", "NoInstanceSlot"));
		await clock.advance(5000);
		await refused;
		const served = admit();
		other?.();
		await clock.advance(0);
		(await served).release(answered);
		assert.equal(slots.taken, 1);
		await pool.close(0);
		assert.equal(slots.taken, 0);
	});
});

describe("Scaling", () => {
	it("down ends the idle and drains the busy, up takes back one that only drains", async () => {
		const { pool, admit, clock, instances } = setUpPool(testRevision({ concurrency: 1 }));
		pool.scaleTo(3);
		await clock.advance(0);
		const busy = [await admit(), await admit()];
		pool.scaleTo(1);
		await clock.advance(0);
		assert.deepEqual([...instances.instances.keys()], ["i-0", "i-1"]);
		assert.deepEqual(pool.instances.map(({ isDraining }) => isDraining).sort(), [false, true]);
		pool.scaleTo(2);
		assert.ok(pool.instances.every(({ isDraining }) => !isDraining));
		pool.scaleTo(0);
		for (const admission of busy) {
			assert.ok(!admission.instance.gone.aborted);
			admission.release(answered);
		}
		await clock.advance(0);
		assert.equal(instances.instances.size, 0);
		assert.equal(clock.pending, 0);
	});

	it("to zero does not outrun a request that waits", async () => {
		const { pool, admit, clock } = setUpPool(testRevision(), {
			instances: { start: () => new Promise<void>((resolve) => setImmediate(resolve)) },
		});
		const request = admit();
		pool.scaleTo(0);
		await clock.advance(0);
		(await request).release(answered);
	});

	it("is observed by time-weighted concurrency and arrivals", async () => {
		const { pool, admit, clock } = setUpPool(testRevision());
		pool.scaleTo(1);
		await clock.advance(0);
		pool.observe();
		const requests = [await admit(), await admit()];
		await clock.advance(500);
		for (const request of requests) request.release(answered);
		await clock.advance(500);
		assert.deepEqual(pool.observe(), { ready: 1, starting: 0, concurrency: 1, requests: 2, waiting: 0 });
		assert.equal(pool.observe().requests, 0);
	});

	it("from zero makes as many as the activation scale says", async () => {
		const { admit, clock, running } = setUpPool(testRevision({ scaling: { ...testScaling, activationScale: 3 } }));
		void admit();
		await clock.advance(0);
		assert.equal(running().length, 3);
	});
});

describe("CPU for requests only", () => {
	it("freezes an instance soon after its last request, and thaws it for the next", async () => {
		const { pool, admit, clock, running } = setUpPool(testRevision({ cpu: "request" }));
		const first = await (async () => {
			const request = admit();
			await clock.advance(0);
			return request;
		})();
		await clock.advance(10_000);
		assert.equal(running()[0]?.frozen, false);
		first.release(answered);
		await clock.advance(99);
		assert.equal(running()[0]?.frozen, false);
		await clock.advance(2);
		assert.equal(running()[0]?.frozen, true);
		const next = await admit();
		assert.equal(running()[0]?.frozen, false);
		next.release(answered);
		await clock.advance(1000);
		assert.equal(running()[0]?.frozen, true);
		assert.equal(clock.pending, 0);
		await pool.close(0);
	});
});

describe("Starts that fail", () => {
	it("of a revision that never was ready refuse who waits, at once, and are tried again with a back-off", async () => {
		const { pool, admit, clock, instances } = setUpPool(testRevision(), { instances: { start: crash } });
		const first = [admit(), admit()].map((request) => assert.rejects(request, is("UNAVAILABLE", "RevisionFailed")));
		await clock.advance(0);
		await Promise.all(first);
		// The first restart is at once, and fails too.
		await clock.advance(1);
		assert.equal(instances.started.length, 2);
		await assert.rejects(admit(), /exited with code 3/);
		await clock.advance(9000);
		assert.equal(instances.started.length, 2);
		await clock.advance(1001);
		assert.equal(instances.started.length, 3);
		await clock.advance(19_000);
		assert.equal(instances.started.length, 3);
		await clock.advance(1001);
		assert.equal(instances.started.length, 4);
		pool.scaleTo(0);
		await clock.advance(600_000);
		assert.deepEqual([instances.started.length, clock.pending], [4, 0]);
	});

	it("of one that has been ready keep who waits", async () => {
		let fails = false;
		const { pool, admit, clock, running } = setUpPool(testRevision(), {
			instances: {
				start: () => {
					if (fails) crash();
				},
			},
		});
		pool.scaleTo(1);
		await clock.advance(0);
		fails = true;
		running()[0]?.exit(1);
		await clock.advance(0);
		const request = admit();
		await clock.advance(5000);
		assert.equal(pool.waiting, 1);
		fails = false;
		await clock.advance(10_000);
		(await request).release(answered);
	});

	it("an instance that dies is replaced, with a back-off when that goes on", async () => {
		const { pool, clock, running, instances } = setUpPool(testRevision());
		pool.scaleTo(2);
		await clock.advance(0);
		running()[0]?.exit(1);
		await clock.advance(0);
		assert.equal(running().length, 2);
		running()[1]?.exit(1);
		await clock.advance(9999);
		assert.deepEqual([running().length, pool.observe().starting], [1, 1]);
		await clock.advance(2);
		assert.deepEqual([running().length, instances.started.length], [2, 4]);
		await pool.close(0);
	});
});

describe("The deployment probe", () => {
	it("resolves with the first ready instance, which stays or not by the initial scale", async () => {
		for (const initialScale of [0, 1, 3]) {
			const { pool, clock, running } = setUpPool(testRevision({ scaling: { ...testScaling, initialScale } }));
			const checked = pool.check();
			await clock.advance(0);
			await checked;
			await clock.advance(0);
			assert.equal(running().length, initialScale);
			await pool.check().catch(() => {});
			await pool.close(0);
			assert.equal(clock.pending, 0);
		}
	});

	it("rejects with what the container said, and leaves nothing running", async () => {
		const { pool, clock, instances } = setUpPool(testRevision(), { instances: { start: crash } });
		const failed = assert.rejects(pool.check(), is("UNAVAILABLE", "ContainerExited"));
		await clock.advance(0);
		await failed;
		await clock.advance(600_000);
		assert.deepEqual([instances.instances.size, clock.pending], [0, 0]);
	});

	it("is tried again where the machine lacked something, until its deadline", async () => {
		let lacking = 3;
		const full = new SlipwayError("EXHAUSTED", "The machine has no more processes");
		const start = () => (lacking-- > 0 ? Promise.reject(full) : undefined);
		const first = setUpPool(testRevision(), { instances: { start } });
		const checked = first.pool.check();
		const served = first.admit();
		await first.clock.advance(60_000);
		await checked;
		(await served).release(answered);
		await first.pool.close(0);
		const second = setUpPool(testRevision({ progressDeadlineMs: 30_000 }), {
			instances: { start: () => Promise.reject(full) },
		});
		const failed = assert.rejects(second.pool.check(), full);
		await second.clock.advance(30_000);
		await failed;
		await second.clock.advance(600_000);
		assert.deepEqual([second.instances.instances.size, second.clock.pending], [0, 0]);
	});

	it("rejects after the progress deadline", async () => {
		const { pool, clock, instances } = setUpPool(testRevision({ progressDeadlineMs: 1000 }), {
			instances: { start: () => new Promise(() => {}) },
		});
		const failed = assert.rejects(pool.check(), is("DEADLINE", "ProgressDeadlineExceeded"));
		await clock.advance(1000);
		await failed;
		await clock.advance(0);
		assert.equal(instances.instances.size, 0);
	});
});

describe("A revision that goes", () => {
	it("refuses who waits and serves who is served", async () => {
		const { pool, admit, clock, instances } = setUpPool(testRevision({ concurrency: 1 }));
		pool.scaleTo(1);
		await clock.advance(0);
		const served = await admit();
		const waiting = assert.rejects(admit(), is("NOT_FOUND", "RevisionGone"));
		let left = false;
		void pool.retire().then(() => {
			left = true;
		});
		await waiting;
		await assert.rejects(admit(), is("NOT_FOUND", "RevisionGone"));
		await clock.advance(60_000);
		assert.deepEqual([left, instances.instances.size], [false, 1]);
		served.release(answered);
		await clock.advance(0);
		assert.deepEqual([left, instances.instances.size, clock.pending], [true, 0, 0]);
	});

	it("with a deadline cuts what is left", async () => {
		const { pool, admit, clock, instances } = setUpPool(testRevision());
		pool.scaleTo(1);
		await clock.advance(0);
		const served = await admit();
		const closed = pool.close(1000);
		await clock.advance(1001);
		await closed;
		assert.deepEqual([instances.instances.size, served.instance.gone.aborted], [0, true]);
		served.release({ ...answered, status: undefined, failure: "closed" });
	});
});

describe("A service that is switched off", () => {
	it("refuses who waits and who comes, and serves what runs to its end", async () => {
		const { pool, admit, clock, running } = setUpPool(testRevision({ concurrency: 1 }));
		pool.scaleTo(1);
		await clock.advance(0);
		const admitted = await admit();
		const waits = admit();
		const isOff = is("UNAVAILABLE", "ServiceDisabled");
		const refused = assert.rejects(waits, isOff);
		pool.settings = { ...testScaling, disabled: true };
		pool.scaleTo(0);
		await refused;
		await assert.rejects(admit(), isOff);
		assert.deepEqual([running().length, pool.usage.requests], [1, 0]);
		admitted.release(answered);
		await clock.advance(0);
		assert.deepEqual([running().length, pool.waiting, clock.pending], [0, 0, 0]);
		pool.settings = testScaling;
		const back = admit();
		await clock.advance(0);
		(await back).release(answered);
	});
});

describe("An instance that ends by itself", () => {
	it("gets no request of those that its end sets free", async () => {
		const { pool, admit, clock, running } = setUpPool(testRevision({ concurrency: 1 }));
		pool.scaleTo(1);
		await clock.advance(0);
		const first = await admit();
		const waits = admit();
		// As the gateway does: its connection is gone, and so is the request.
		first.instance.gone.addEventListener("abort", () => first.release({ ...answered, failure: "closed" }));
		running()[0]?.exit(137);
		await clock.advance(60_000);
		assert.notEqual((await waits).instance.id, first.instance.id);
	});
});
