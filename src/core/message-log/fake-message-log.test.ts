import assert from "node:assert/strict";
import { it } from "node:test";
import { VirtualClock } from "../../../tests/simulation/virtual-clock.ts";
import { FakeMessageLog } from "./fake-message-log.ts";
import { messageLogContract } from "./message-log.contract.ts";

messageLogContract("fake", async () => {
	const clock = new VirtualClock();
	const log = new FakeMessageLog({ clock });
	const restart = async () => {
		log.restart();
		return log;
	};
	return { log, clock, restart, sweep: () => log.sweep(), [Symbol.asyncDispose]: async () => log[Symbol.dispose]() };
});

it("fails a commit before or after it took effect, as a test wants it", async () => {
	const clock = new VirtualClock();
	using log = new FakeMessageLog({ clock });
	const append = { change: "append", lane: "a", id: "1", body: Buffer.from("x") } as const;
	for (const [failing, kept] of [
		["before", 0],
		["after", 1],
	] as const) {
		log.onCommit = (when) => {
			if (when === failing) throw new Error(failing);
		};
		await assert.rejects(log.commit([append]), new Error(failing));
		assert.equal((await log.find("1")).length, kept);
	}
	assert.equal(log.commits, 2);
});
