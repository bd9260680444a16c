import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type ColdStart, stageTotals } from "../../core/invocation/cold-start.ts";
import { StartTimeline } from "./start-timeline.ts";

/** Begun at 100, made at 110, connected at 125, ready at 130. */
function started(): StartTimeline {
	const timeline = new StartTimeline(100);
	timeline.enter("process", 110);
	timeline.connected(125);
	timeline.enter("first-poll", 130);
	return timeline;
}

const all = (coldStart: ColdStart | undefined) => coldStart?.steps.map(({ stage, ms }) => [stage, ms]);

describe("A start's timeline", () => {
	it("gives an event that came before it every stage, which add up to its wait", () => {
		const coldStart = started().coldStart(90, 132, 5132);
		assert.deepEqual(all(coldStart), [
			["queue", 10],
			["sandbox", 10],
			["process", 15],
			["init", 5],
			["first-poll", 2],
		]);
		assert.deepEqual([coldStart?.arrivedMs, coldStart?.spare], [5090, false]);
	});

	it("gives one that came in the middle what it waited for itself", () => {
		const totals = (arrivedAt: number) => Object.values(stageTotals(started().coldStart(arrivedAt, 132, 0)!));
		assert.deepEqual(totals(105), [0, 5, 15, 5, 2]);
		assert.deepEqual(totals(120), [0, 0, 5, 5, 2]);
		assert.deepEqual(totals(129), [0, 0, 0, 1, 2]);
	});

	it("is nothing to one that came when the init was over", () => {
		assert.equal(started().coldStart(130, 132, 0), undefined);
		assert.equal(started().coldStart(500, 501, 0), undefined);
	});

	it("has the stages of a second try after those of the first", () => {
		const timeline = new StartTimeline(100);
		timeline.released(100);
		timeline.connected(120);
		timeline.connected(121);
		timeline.enter("sandbox", 130);
		timeline.enter("sandbox", 131);
		timeline.enter("process", 135);
		timeline.enter("sandbox", 140);
		assert.deepEqual(all(timeline.coldStart(100, 141, 0)), [
			["queue", 0],
			["sandbox", 0],
			["process", 20],
			["init", 10],
			["sandbox", 5],
			["process", 5],
			["sandbox", 1],
		]);
	});

	it("takes no connection for a start that is not at its process", () => {
		const timeline = started();
		timeline.connected(131);
		assert.equal(stageTotals(timeline.coldStart(90, 132, 0)!).init, 5);
	});
});
