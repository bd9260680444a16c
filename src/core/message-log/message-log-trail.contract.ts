/** The part of the contract about what the trail has of attempts that failed, and of moves. */
import assert from "node:assert/strict";
import type { LogTest, LogUser } from "./message-log.contract.ts";

async function results(given: LogUser, id: string): Promise<unknown[]> {
	return (await given.log.trail(id)).map(({ attempt, result, to, detail }) => [
		attempt,
		result,
		...(to ? [to] : []),
		...(detail ? [detail] : []),
	]);
}

export function trailContract(test: LogTest): void {
	test("has a failed attempt at once, and its lease ends as it would have, without another word", async (given) => {
		await given.log.commit([given.append("a", "1", { id: "m" })]);
		const { token, dueMs } = await given.takeOne("a", 1000);
		await given.clock.advance(400);
		const detail = { error: "no" };
		await given.log.commit([{ change: "extend", token, detail }]);
		const [held] = await given.log.scan("a", { limit: 1 });
		assert.deepEqual([held?.state, held?.dueMs, held?.attempts], ["leased", dueMs, 1]);
		assert.deepEqual(await results(given, "m"), [[1, "retry", detail]]);
		await given.clock.advance(599);
		assert.deepEqual(await given.take("a"), []);
		await given.clock.advance(1);
		await given.takeOne("a", 1000);
		await given.clock.advance(1000);
		const third = await given.takeOne("a");
		await given.log.commit([{ change: "extend", token: third.token, detail: { error: "again" } }]);
		await given.restart();
		const fourth = await given.takeOne("a", 1000);
		await given.log.commit([{ change: "extend", token: fourth.token, visibilityMs: 0, detail: { error: "back" } }]);
		await given.settle(await given.takeOne("a"));
		assert.deepEqual(await results(given, "m"), [
			[1, "retry", detail],
			[2, "lapsed"],
			[3, "retry", { error: "again" }],
			[4, "retry", { error: "back" }],
			[5, "done"],
		]);
	});

	test("has a later extension of a failed lease as nothing new", async (given) => {
		await given.log.commit([given.append("a", "1", { id: "m" })]);
		const { token } = await given.takeOne("a", 1000);
		await given.log.commit([
			{ change: "extend", token, visibilityMs: 5000, detail: { error: "no" } },
			{ change: "extend", token, visibilityMs: 200 },
		]);
		await given.clock.advance(200);
		await given.takeOne("a");
		assert.deepEqual(await results(given, "m"), [[1, "retry", { error: "no" }]]);
	});

	test("has where a message was moved, unless that is untold", async (given) => {
		await given.log.commit([given.append("dead", "1", { id: "m" })]);
		assert.equal(await given.log.move("dead", { max: 1, to: { lane: "hidden" }, untold: true }), 1);
		assert.equal(await given.log.move("hidden", { max: 1, to: "origin", untold: true }), 1);
		assert.deepEqual(await results(given, "m"), []);
		assert.equal(await given.log.move("dead", { max: 1, to: { lane: "a" } }), 1);
		assert.deepEqual(await results(given, "m"), [[0, "moved", "a"]]);
	});
}
