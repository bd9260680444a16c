import assert from "node:assert/strict";
import { test } from "node:test";
import { decideEndLimit, type EndPressure, EndQueue } from "../../src/engine/dispatch/end-queue.ts";
import { VirtualClock } from "./virtual-clock.ts";

function setUp(endMs: number) {
	const clock = new VirtualClock();
	const pressure: EndPressure = { starting: false, roomWanted: false };
	const queue = new EndQueue(clock, 2, () => pressure);
	const counts = { running: 0, most: 0, ended: 0 };
	const add = (count: number) => {
		for (let n = 0; n < count; n++)
			void queue.run(async () => {
				counts.most = Math.max(counts.most, ++counts.running);
				await clock.sleep(endMs);
				counts.running--;
				counts.ended++;
			});
	};
	return { clock, pressure, queue, counts, add };
}

test("the limit: few beside starts, unless room is wanted or it has been long", () => {
	assert.equal(decideEndLimit(2, 0, { starting: false, roomWanted: false }), 4);
	assert.equal(decideEndLimit(2, 0, { starting: true, roomWanted: false }), 1);
	assert.equal(decideEndLimit(2, 0, { starting: true, roomWanted: true }), 4);
	assert.equal(decideEndLimit(2, 1000, { starting: true, roomWanted: false }), 4);
});

test("without starts ends run a few at a time", async () => {
	const { clock, counts, add } = setUp(20);
	add(100);
	await clock.advance(500);
	assert.deepEqual(counts, { running: 0, most: 4, ended: 100 });
});

test("beside starts one after the other, for a second at most", async () => {
	const { clock, pressure, counts, add } = setUp(20);
	pressure.starting = true;
	add(200);
	await clock.advance(900);
	assert.equal(counts.most, 1);
	assert.ok(counts.ended >= 40 && counts.ended <= 45, `${counts.ended} ended`);
	await clock.advance(1000);
	assert.deepEqual(counts, { running: 0, most: 4, ended: 200 });
});

test("they hurry when the starts are over, and when room is wanted", async () => {
	for (const change of [{ starting: false }, { roomWanted: true }]) {
		const { clock, pressure, queue, counts, add } = setUp(20);
		pressure.starting = true;
		add(40);
		await clock.advance(100);
		Object.assign(pressure, change);
		queue.serve();
		await clock.advance(200);
		assert.deepEqual(counts, { running: 0, most: 4, ended: 40 });
	}
});

test("ends that take seconds hold up no others for that long", async () => {
	const { clock, counts, add } = setUp(2000);
	add(100);
	await clock.advance(2600);
	assert.equal(counts.running + counts.ended, 100);
	await clock.advance(2000);
	assert.equal(counts.ended, 100);
	assert.equal(clock.pending, 0);
});

test("the caller hears of an end that fails, and the others go on", async () => {
	const { clock, queue, counts, add } = setUp(20);
	const failed = queue.run(async () => {
		throw new Error("no");
	});
	add(10);
	await assert.rejects(failed, /no/);
	await clock.advance(100);
	assert.equal(counts.ended, 10);
});
