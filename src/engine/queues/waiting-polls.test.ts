import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TestClock, turns } from "./testing.ts";
import { maxWaitingPolls, WaitingPolls } from "./waiting-polls.ts";

/** Polls over a list of messages; `ready` tells of them. */
function start() {
	const clock = new TestClock();
	const messages: string[] = [];
	let ready = () => {};
	const log = {
		watch(_prefix: string, onReady: (lane: string) => void) {
			ready = () => onReady("sqs/q");
			return () => {};
		},
	};
	let leases = 0;
	const lease = async () => {
		leases++;
		return messages.splice(0, 1);
	};
	const polls = new WaitingPolls(log, clock);
	const poll = (signal?: AbortSignal) => polls.poll("sqs/q", { waitMs: 1000, signal }, lease);
	const send = (...texts: string[]) => {
		messages.push(...texts);
		ready();
	};
	return { clock, polls, poll, send, lease, leases: () => leases };
}

describe("Waiting polls", () => {
	it("get one wake-up for many messages, and pass it on", async () => {
		const { poll, send, leases } = start();
		const all = [poll(), poll(), poll()];
		await turns();
		assert.equal(leases(), 3);
		send("a", "b", "c");
		assert.deepEqual((await Promise.all(all)).flat(), ["a", "b", "c"]);
		assert.equal(leases(), 6);
	});

	it("wake one of those who wait for one message", async () => {
		const { poll, send, leases, clock } = start();
		const all = Array.from({ length: 100 }, () => poll());
		await turns();
		send("a");
		await turns();
		// One gets it, the next finds nothing; the others sleep on.
		assert.equal(leases(), 102);
		await clock.advance(1000);
		assert.deepEqual((await Promise.all(all)).flat(), ["a"]);
	});

	it("do not miss what comes while they look", async () => {
		const { polls, send, clock } = start();
		let first = true;
		const got: string[] = [];
		const poll = polls.poll("sqs/q", { waitMs: 1000 }, async () => {
			if (!first) return ["found"];
			first = false;
			send();
			return [];
		});
		await turns();
		got.push(...(await poll));
		assert.deepEqual(got, ["found"]);
		assert.equal(clock.now(), clock.monotonic());
	});

	it("leave what woke one that went away to the next", async () => {
		const { poll, send } = start();
		const gone = new AbortController();
		const [left, stays] = [poll(gone.signal), poll()];
		await turns();
		send("a");
		gone.abort();
		const answers = await Promise.all([left, stays]);
		assert.deepEqual(answers.flat(), ["a"]);
	});

	it("leave what woke one that failed to the next", async () => {
		const { polls, poll, send } = start();
		let calls = 0;
		const failing = polls.poll("sqs/q", { waitMs: 1000 }, async () => {
			if (++calls === 2) throw new Error("The disk is gone");
			return [];
		});
		const stays = poll();
		await turns();
		send("a");
		await assert.rejects(failing, /The disk is gone/);
		assert.deepEqual(await stays, ["a"]);
	});

	it("are so many and no more", async () => {
		const { polls, poll, lease } = start();
		const all = Array.from({ length: maxWaitingPolls }, () => poll());
		await assert.rejects(poll(), { reason: "RequestThrottled" });
		// Those that do not wait are not bounded here.
		assert.deepEqual(await polls.poll("sqs/q", { waitMs: 0 }, lease), []);
		await turns();
		polls.stop();
		assert.deepEqual((await Promise.all(all)).flat(), []);
	});
});
