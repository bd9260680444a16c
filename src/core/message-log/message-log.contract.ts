/** What every MessageLog has to do; an adapter's test calls this with a way to make an empty one. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { VirtualClock } from "../../../tests/simulation/virtual-clock.ts";
import { type ErrorCode, isSlipwayError } from "../../base/error.ts";
import {
	type Append,
	type ChangeResult,
	defaultLaneSettings,
	type LaneSettings,
	type LeasedMessage,
	type MessageLog,
	type SettleOutcome,
} from "./message-log.ts";
import { faultContract } from "./message-log-bounds.contract.ts";
import { groupContract } from "./message-log-groups.contract.ts";
import { trailContract } from "./message-log-trail.contract.ts";

export interface MessageLogFixture extends AsyncDisposable {
	log: MessageLog;
	clock: VirtualClock;
	/** As when the process was killed and another one opened the log: the log to go on with. */
	restart(): Promise<MessageLog>;
	sweep(): Promise<void>;
}

/** A contract's test: a title, and what is done with an empty log. */
export type LogTest = (title: string, body: (given: LogUser) => Promise<void>) => void;

/** Short forms of what the tests do all the time. */
export class LogUser {
	readonly fixture: MessageLogFixture;
	log: MessageLog;
	#id = 0;

	constructor(fixture: MessageLogFixture) {
		this.fixture = fixture;
		this.log = fixture.log;
	}

	get clock(): VirtualClock {
		return this.fixture.clock;
	}

	append(lane: string, text: string, more: Partial<Append> = {}): Append {
		return { change: "append", lane, id: `id-${++this.#id}`, body: Buffer.from(text), ...more };
	}

	async send(lane: string, ...texts: string[]): Promise<ChangeResult[]> {
		return this.log.commit(texts.map((text) => this.append(lane, text)));
	}

	async take(lane: string, max = 10, visibility: number | "process" = "process"): Promise<LeasedMessage[]> {
		return this.log.lease(lane, { max, visibility });
	}

	async takeOne(lane: string, visibility: number | "process" = "process"): Promise<LeasedMessage> {
		const [message] = await this.take(lane, 1, visibility);
		assert.ok(message, `'${lane}' has nothing ready`);
		return message;
	}

	async settle(message: { token: string }, outcome: SettleOutcome = { outcome: "done" }): Promise<void> {
		await this.log.commit([{ change: "settle", token: message.token, ...outcome }]);
	}

	async define(lane: string, settings: Partial<LaneSettings> = {}): Promise<void> {
		await this.log.defineLane(lane, { ...defaultLaneSettings, ...settings });
	}

	/** visible, delayed, in flight */
	async counts(lane: string): Promise<number[]> {
		const { visible, delayed, inFlight } = await this.log.counts(lane);
		return [visible, delayed, inFlight];
	}

	async restart(): Promise<void> {
		this.log = await this.fixture.restart();
	}
}

export const texts = (messages: readonly { body: Uint8Array }[]): string[] =>
	messages.map(({ body }) => Buffer.from(body).toString());

export function refused(code: ErrorCode, reason?: string): (error: unknown) => true {
	return (error) => {
		assert.ok(isSlipwayError(error), `${error} is not a SlipwayError`);
		assert.deepEqual([error.code, error.reason], [code, reason]);
		return true;
	};
}

export function messageLogContract(name: string, make: () => Promise<MessageLogFixture>): void {
	const test: LogTest = (title, body) =>
		it(title, async () => {
			await using fixture = await make();
			await body(new LogUser(fixture));
		});
	describe(`MessageLog contract: ${name}`, () => {
		appending(test);
		leasing(test);
		settling(test);
		timeAndProcesses(test);
		watching(test);
		groupContract(test);
		trailContract(test);
		faultContract(test);
	});
}

function appending(test: LogTest): void {
	test("keeps messages whole, in order, and gives rising sequences", async (given) => {
		const headers = { deep: [{ text: "hellö\u0000\u2028" }, null, 1.5] };
		const whole = given.append("a", "", { body: Uint8Array.of(0, 255, 128), headers, correlation: "c", group: "g" });
		const large = given.append("a", "x".repeat(100_000), {
			headers: { big: "y".repeat(10_000) },
			sentMs: given.clock.now() - 1234,
		});
		const results = await given.log.commit([whole, large]);
		assert.deepEqual(
			results.map(({ id, duplicate }) => [id, duplicate]),
			[
				[whole.id, false],
				[large.id, false],
			],
		);
		assert.ok((results[0]?.sequence ?? 0) < (results[1]?.sequence ?? 0));
		const [first, second] = await given.take("a");
		assert.deepEqual([first?.headers, [...(first?.body ?? [])]], [headers, [0, 255, 128]]);
		assert.deepEqual([first?.correlation, first?.group, first?.attempts], ["c", "g", 1]);
		assert.equal(first?.sentMs, given.clock.now());
		assert.ok(second && texts([second])[0] === "x".repeat(100_000));
		assert.deepEqual([second?.headers, second?.sentMs], [{ big: "y".repeat(10_000) }, given.clock.now() - 1234]);
	});

	test("keeps messages of the same id apart: an id is the sender's word", async (given) => {
		await given.log.commit([given.append("a", "1", { id: "x" }), given.append("a", "2", { id: "x" })]);
		const first = await given.takeOne("a");
		await given.settle(first);
		await assert.rejects(given.settle(first), refused("PRECONDITION", "StaleLease"));
		assert.deepEqual(texts(await given.log.find("x")), ["2"]);
	});

	test("answers a second append of the same key with the first until the window is over", async (given) => {
		const add = (key: string, lane = "a") =>
			given.log.commit([given.append(lane, key, { deduplication: { key, windowMs: 1000 } })]);
		const [first] = await add("k");
		await given.settle(await given.takeOne("a"));
		await given.clock.advance(999);
		assert.deepEqual(await add("k"), [{ ...first, duplicate: true }]);
		assert.deepEqual(await given.counts("a"), [0, 0, 0]);
		assert.equal((await add("other"))[0]?.duplicate, false);
		assert.equal((await add("k", "b"))[0]?.duplicate, false);
		await given.clock.advance(1);
		assert.equal((await add("k"))[0]?.duplicate, false);
	});

	test("does all of a commit or nothing of it", async (given) => {
		await given.send("a", "one");
		const token = (await given.takeOne("a")).token;
		const change = { change: "settle", token, outcome: "done" } as const;
		await assert.rejects(
			given.log.commit([given.append("b", "x"), change, given.append("c", "y"), change]),
			refused("PRECONDITION", "StaleLease"),
		);
		assert.deepEqual(await given.counts("a"), [0, 0, 1]);
		assert.deepEqual(
			(await given.log.lanes("")).map(({ lane }) => lane),
			["a"],
		);
		await given.log.commit([given.append("b", "x"), change]);
		assert.deepEqual(
			[await given.counts("a"), await given.counts("b")],
			[
				[0, 0, 0],
				[1, 0, 0],
			],
		);
	});

	test("lets each of many calls at once fail alone", async (given) => {
		await given.send("a", "one");
		const message = await given.takeOne("a");
		const settle = { change: "settle", token: message.token, outcome: "done" } as const;
		const calls = [
			given.log.commit([given.append("b", "1")]),
			given.log.commit([given.append("b", "lost"), { ...settle, token: "zz.1" }]),
			given.log.commit([given.append("b", "2"), settle]),
			given.log.commit([given.append("b", "lost too"), settle]),
			given.log.commit([given.append("b", "3")]),
		];
		const states = (await Promise.allSettled(calls)).map(({ status }) => status);
		assert.deepEqual(states, ["fulfilled", "rejected", "fulfilled", "rejected", "fulfilled"]);
		assert.deepEqual(texts(await given.take("b")), ["1", "2", "3"]);
		assert.deepEqual(await given.counts("b"), [0, 0, 3]);
	});
}

function leasing(test: LogTest): void {
	test("leases the oldest first, each once, within the given number and bytes", async (given) => {
		await given.send("a", "1111", "2222", "3333", "4444", "5555");
		assert.deepEqual(texts(await given.log.lease("a", { max: 2, visibility: 1000 })), ["1111", "2222"]);
		assert.deepEqual(texts(await given.log.lease("a", { max: 9, maxBytes: 9, visibility: 1000 })), ["3333", "4444"]);
		assert.deepEqual(texts(await given.log.lease("a", { max: 9, maxBytes: 1, visibility: 1000 })), ["5555"]);
		assert.deepEqual(await given.take("a"), []);
		assert.deepEqual(await given.take("nowhere"), []);
		assert.deepEqual(await given.counts("a"), [0, 0, 5]);
	});

	test("gives no message to two of many who ask at once", async (given) => {
		await given.send("a", ...Array.from({ length: 50 }, (_, i) => `${i}`));
		const taken = await Promise.all(Array.from({ length: 20 }, () => given.take("a", 3)));
		const all = taken.flat().map(({ id }) => id);
		assert.deepEqual([all.length, new Set(all).size], [50, 50]);
	});

	test("leases no more than the lane may have in flight, and tells who watches when there is room again", async (given) => {
		await given.define("a", { maxInFlight: 2 });
		await given.send("a", "1", "2", "3");
		const taken = await given.take("a");
		assert.deepEqual([texts(taken), texts(await given.take("a"))], [["1", "2"], []]);
		const heard: string[] = [];
		given.log.watch("", (lane) => heard.push(lane));
		for (let i = 0; i < 3; i++) await given.log.counts("a");
		heard.length = 0;
		await given.settle(taken[0] ?? { token: "" });
		await given.log.counts("a");
		assert.deepEqual(heard, ["a"]);
		assert.deepEqual(texts(await given.take("a")), ["3"]);
	});

	test("moves a message that was leased too often to the dead letters instead of leasing it, once", async (given) => {
		await given.define("a", { redrive: { maxLeases: 2, lane: "dead" } });
		await given.log.commit([given.append("a", "poison", { headers: { kept: 1 } }), given.append("a", "later")]);
		for (let attempt = 1; attempt <= 2; attempt++) {
			const message = await given.takeOne("a");
			assert.deepEqual([texts([message]), message.attempts], [["poison"], attempt]);
			await given.settle(message, { outcome: "retry", delayMs: 0, note: "n" });
		}
		assert.deepEqual(texts(await given.take("a")), ["later"]);
		const [dead, ...more] = await given.log.scan("dead", { limit: 10 });
		assert.equal(more.length, 0);
		assert.deepEqual([dead?.origin, dead?.attempts, dead?.note, dead?.headers], ["a", 0, undefined, { kept: 1 }]);
		const trail = await given.log.trail(dead?.id ?? "");
		assert.deepEqual(
			trail.map(({ result, attempt, to }) => [result, attempt, to]),
			[
				["retry", 1, undefined],
				["retry", 2, undefined],
				["dead", 2, "dead"],
			],
		);
	});
}

function settling(test: LogTest): void {
	test("gives a message back after its delay, with its note, counting or not", async (given) => {
		await given.send("a", "1");
		await given.settle(await given.takeOne("a"), { outcome: "retry", delayMs: 1000, note: "first" });
		assert.deepEqual(await given.counts("a"), [0, 1, 0]);
		await given.clock.advance(999);
		assert.deepEqual(await given.take("a"), []);
		await given.clock.advance(1);
		const second = await given.takeOne("a");
		assert.deepEqual([second.attempts, second.note], [2, "first"]);
		assert.equal(second.firstLeasedMs, given.clock.now() - 1000);
		await given.settle(second, { outcome: "retry", delayMs: 0, counts: false });
		const third = await given.takeOne("a");
		assert.deepEqual([third.attempts, third.note], [2, "first"]);
		assert.notEqual(third.token, second.token);
	});

	test("refuses a lease that was settled, taken over, or never was; takes one that has only lapsed", async (given) => {
		await given.send("a", "1");
		const stale = refused("PRECONDITION", "StaleLease");
		const first = await given.takeOne("a", 1000);
		await given.clock.advance(1000);
		const second = await given.takeOne("a", 1000);
		await assert.rejects(given.settle(first), stale);
		await assert.rejects(given.log.commit([{ change: "extend", token: first.token, visibilityMs: 1 }]), stale);
		await given.clock.advance(1000);
		const late = { change: "extend", token: second.token, visibilityMs: 1 } as const;
		await assert.rejects(given.log.commit([late]), refused("PRECONDITION", "LeaseEnded"));
		await given.settle(second);
		for (const token of [second.token, "", "?", "1.0", `${"z".repeat(11)}.1`])
			await assert.rejects(given.settle({ token }), stale);
		await given.send("a", "2");
		const third = await given.takeOne("a");
		await given.settle(third, { outcome: "retry", delayMs: 0 });
		await assert.rejects(given.settle(third), stale);
	});

	test("moves to the end of another lane, as the message was and with headers put over its own", async (given) => {
		await given.log.commit([given.append("a", "1", { headers: { a: 1, b: 2 }, correlation: "c" })]);
		await given.clock.advance(500);
		await given.send("b", "0");
		const message = await given.takeOne("a");
		await given.settle(message, { outcome: "move", lane: "b", headers: { b: 3 } });
		const [zero, moved] = await given.take("b");
		assert.deepEqual(texts(zero ? [zero] : []), ["0"]);
		assert.deepEqual([moved?.id, moved?.headers, moved?.origin], [message.id, { a: 1, b: 3 }, "a"]);
		assert.deepEqual([moved?.attempts, moved?.correlation], [1, "c"]);
		assert.equal(moved?.sentMs, given.clock.now() - 500);
		assert.ok((moved?.sequence ?? 0) > message.sequence);
		assert.deepEqual(await given.counts("a"), [0, 0, 0]);
	});

	test("extends a lease from now, and gives the message back at once for 0", async (given) => {
		await given.send("a", "1");
		const message = await given.takeOne("a", 1000);
		await given.clock.advance(900);
		await given.log.commit([{ change: "extend", token: message.token, visibilityMs: 1000 }]);
		await given.clock.advance(900);
		assert.deepEqual(await given.take("a"), []);
		await given.log.commit([{ change: "extend", token: message.token, visibilityMs: 0 }]);
		assert.equal((await given.takeOne("a")).attempts, 2);
	});

	test("remembers what became of each lease, by id and by correlation", async (given) => {
		await given.log.commit([given.append("a", "1", { id: "m", correlation: "c" })]);
		const retry = { outcome: "retry", delayMs: 0 } as const;
		const change = { change: "settle", token: (await given.takeOne("a")).token, detail: { error: "x" } } as const;
		await given.log.commit([{ ...change, ...retry }]);
		await given.settle(await given.takeOne("a"), { outcome: "done", result: "dropped" });
		const entry = { id: "m", correlation: "c", lane: "a", atMs: given.clock.now(), sentMs: given.clock.now() };
		const expected = [
			{ ...entry, attempt: 1, result: "retry", to: undefined, detail: { error: "x" } },
			{ ...entry, attempt: 2, result: "dropped", to: undefined, detail: undefined },
		];
		assert.deepEqual(await given.log.trail("m"), expected);
		assert.deepEqual(await given.log.trail("c"), expected);
		assert.deepEqual(await given.log.trail("x"), []);
	});
}

function timeAndProcesses(test: LogTest): void {
	test("holds a delayed message until its time, also over a restart", async (given) => {
		await given.log.commit([given.append("a", "later", { delayMs: 1000 }), given.append("a", "now")]);
		assert.deepEqual(await given.counts("a"), [1, 1, 0]);
		assert.deepEqual(texts(await given.take("a")), ["now"]);
		await given.clock.advance(500);
		await given.restart();
		assert.deepEqual(await given.counts("a"), [1, 1, 0]);
		await given.clock.advance(500);
		assert.deepEqual(texts(await given.take("a")), ["later", "now"]);
	});

	test("ends leases with their time or their process, and says that they lapsed", async (given) => {
		await given.send("a", "1", "2");
		const timed = await given.takeOne("a", 10_000);
		const bound = await given.takeOne("a", "process");
		await given.clock.advance(9_999);
		assert.deepEqual(await given.take("a"), []);
		await given.restart();
		assert.deepEqual(texts(await given.take("a")), ["2"]);
		await given.clock.advance(1);
		assert.deepEqual(texts(await given.take("a")), ["1"]);
		for (const { id } of [timed, bound]) assert.equal((await given.log.trail(id))[0]?.result, "lapsed");
		await assert.rejects(given.settle(bound), refused("PRECONDITION", "StaleLease"));
	});

	test("keeps a lease of the process whatever the wall clock does", async (given) => {
		await given.send("a", "1");
		const message = await given.takeOne("a");
		given.clock.step(365 * 86_400_000);
		await given.clock.advance(120_000);
		assert.deepEqual(await given.take("a"), []);
		await given.settle(message);
	});

	test("brings nothing forward and holds nothing back by more than the wall clock was set", async (given) => {
		await given.log.commit([given.append("a", "1", { delayMs: 10_000 })]);
		given.clock.step(-3_600_000);
		await given.clock.advance(10_000);
		assert.deepEqual(await given.take("a"), []);
		await given.clock.advance(3_600_000);
		await given.settle(await given.takeOne("a"), { outcome: "retry", delayMs: 10_000 });
		given.clock.step(9_000);
		assert.deepEqual(await given.take("a"), []);
		await given.clock.advance(1_000);
		await given.takeOne("a");
	});

	test("deletes what is past its retention: never leased, and gone from the counts", async (given) => {
		await given.define("a", { retentionMs: 1000 });
		await given.send("a", "old", "older");
		await given.clock.advance(500);
		await given.send("a", "young");
		await given.clock.advance(500);
		assert.deepEqual(texts(await given.take("a")), ["young"]);
		assert.deepEqual(await given.counts("a"), [0, 0, 1]);
		await given.define("b", { retentionMs: 1000 });
		await given.send("b", "old");
		await given.clock.advance(1000);
		await given.fixture.sweep();
		assert.deepEqual(await given.counts("b"), [0, 0, 0]);
	});
}

function watching(test: LogTest): void {
	test("tells again, once a minute, of what is still ready", async (given) => {
		await given.send("a/1", "x");
		const heard: string[] = [];
		const end = given.log.watch("a/", (lane) => heard.push(lane));
		for (let i = 0; i < 3; i++) await given.log.counts("a/1");
		assert.deepEqual(heard.splice(0), ["a/1"]);
		await given.fixture.sweep();
		assert.deepEqual(heard.splice(0), ["a/1"]);
		await given.take("a/1");
		await given.fixture.sweep();
		assert.deepEqual(heard, []);
		end();
	});

	test("tells of what is ready already, then of each cause, by the lane's prefix", async (given) => {
		await given.send("a/1", "x");
		await given.send("b/1", "x");
		const heard: string[] = [];
		const end = given.log.watch("a/", (lane) => heard.push(lane));
		assert.deepEqual(heard, []);
		const next = async () => {
			for (let i = 0; i < 3; i++) await given.log.counts("a/1");
			return heard.splice(0);
		};
		assert.deepEqual(await next(), ["a/1"]);
		await given.send("b/1", "y");
		await given.send("a/2", "y");
		assert.deepEqual(await next(), ["a/2"]);
		await given.log.commit([given.append("a/1", "z", { delayMs: 1000 })]);
		const message = await given.takeOne("a/1", 2000);
		assert.deepEqual(await next(), []);
		await given.clock.advance(1000);
		assert.deepEqual(await next(), ["a/1"]);
		await given.clock.advance(1000);
		assert.deepEqual(await next(), ["a/1"]);
		await given.settle(message, { outcome: "retry", delayMs: 0 });
		assert.deepEqual(await next(), ["a/1"]);
		await given.settle(await given.takeOne("a/2"), { outcome: "move", lane: "a/3" });
		assert.deepEqual(await next(), ["a/3"]);
		end();
		await given.send("a/1", "x");
		assert.deepEqual(await next(), []);
	});
}
