/** The part of the contract about what is refused. */
import assert from "node:assert/strict";
import { type LogTest, refused } from "./message-log.contract.ts";
import { maxBodyBytes, maxHeadersLength, maxNoteLength } from "./message-log.ts";

export function faultContract(test: LogTest): void {
	test("takes messages up to the lane's bound; what leaves makes room", async (given) => {
		await given.define("a", { maxMessages: 2 });
		await given.send("a", "1", "2");
		await assert.rejects(given.send("a", "3"), refused("EXHAUSTED", "LaneFull"));
		await given.send("b", "x");
		const other = await given.takeOne("b");
		await assert.rejects(given.settle(other, { outcome: "move", lane: "a" }), refused("EXHAUSTED", "LaneFull"));
		await given.settle(await given.takeOne("a"));
		await given.settle(other, { outcome: "move", lane: "a" });
		assert.deepEqual(await given.counts("a"), [2, 0, 0]);
	});

	test("takes bodies, headers and notes up to their bounds", async (given) => {
		const append = (more: object) => given.log.commit([given.append("a", "", more)]);
		await append({ body: Buffer.alloc(maxBodyBytes, 1) });
		await assert.rejects(append({ body: Buffer.alloc(maxBodyBytes + 1) }), refused("TOO_LARGE"));
		await assert.rejects(append({ headers: { a: "x".repeat(maxHeadersLength) } }), refused("TOO_LARGE"));
		const message = await given.takeOne("a");
		assert.equal(message.body.length, maxBodyBytes);
		const retry = { outcome: "retry", delayMs: 0 } as const;
		await assert.rejects(
			given.settle(message, { ...retry, note: "x".repeat(maxNoteLength + 1) }),
			refused("TOO_LARGE"),
		);
		await given.settle(message, { ...retry, note: "x".repeat(maxNoteLength) });
		assert.equal((await given.takeOne("a")).note?.length, maxNoteLength);
	});

	test("refuses what makes no sense", async (given) => {
		const invalid = refused("INVALID");
		for (const more of [
			{ id: "" },
			{ lane: "" },
			{ delayMs: -1 },
			{ delayMs: 0.5 },
			{ group: "" },
			{ sentMs: Number.NaN },
		])
			await assert.rejects(given.log.commit([given.append("a", "", more)]), invalid);
		for (const settings of [{ maxMessages: -1 }, { retentionMs: Number.NaN }, { redrive: { maxLeases: 1, lane: "a" } }])
			await assert.rejects(given.define("a", settings), invalid);
		await assert.rejects(given.log.lease("a", { max: -1, visibility: 1 }), invalid);
		await assert.rejects(given.log.lease("a", { max: 1, visibility: -1 }), invalid);
		await assert.rejects(given.log.scan("a", { limit: 1001 }), invalid);
		await assert.rejects(given.log.move("a", { max: 10_001, to: "origin" }), invalid);
		assert.deepEqual(await given.log.commit([]), []);
		assert.deepEqual(await given.log.faults(), []);
	});
}
