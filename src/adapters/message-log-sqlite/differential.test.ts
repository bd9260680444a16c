/** The adapter against the state machine: the same random operations, the same answers. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import { silentLog } from "../../base/log.ts";
import { FakeMessageLog } from "../../core/message-log/fake-message-log.ts";
import {
	defaultLaneSettings,
	type LaneSettings,
	type LogChange,
	type MessageLog,
	type SettleOutcome,
} from "../../core/message-log/message-log.ts";
import { SqliteMessageLog } from "./sqlite-message-log.ts";

const lanes = ["plain", "fifo", "small", "dead"] as const;
const settings: Record<string, Partial<LaneSettings>> = {
	plain: { retentionMs: 5000, redrive: { maxLeases: 3, lane: "dead" } },
	fifo: { ordered: true, redrive: { maxLeases: 2, lane: "dead" } },
	small: { maxMessages: 8, maxInFlight: 3 },
};

/** Numerical Recipes' generator: the same run for the same seed. */
function generator(seed: number): (below: number) => number {
	let state = seed >>> 0;
	return (below) => {
		state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
		return Math.floor((state / 2 ** 32) * below);
	};
}

type Operation = { name: string; run: (log: MessageLog & { sweep(): Promise<void> }) => Promise<unknown> };

/** What is asked of both logs; tokens are those of one, and have to be those of the other. */
class Operations {
	readonly #random: (below: number) => number;
	#ids = 0;
	tokens: string[] = [];

	constructor(random: (below: number) => number) {
		this.#random = random;
	}

	#pick<T>(from: readonly T[]): T {
		return from[this.#random(from.length)] as T;
	}

	#id(): string {
		return `id${this.#random(this.#ids + 1)}`;
	}

	next(): Operation {
		const lane = this.#pick(lanes);
		const kind = this.#random(22);
		if (kind < 12) {
			const changes = Array.from({ length: 1 + this.#random(3) }, () => this.#change(lane));
			return { name: `commit ${JSON.stringify(changes)}`, run: (log) => log.commit(changes) };
		}
		if (kind < 17) {
			const visibility = this.#random(2) === 0 ? ("process" as const) : this.#random(500);
			const options = { max: this.#random(6), maxBytes: this.#random(60), visibility };
			return { name: `lease ${lane} ${JSON.stringify(options)}`, run: (log) => log.lease(lane, options) };
		}
		return this.#rarer(kind, lane);
	}

	#rarer(kind: number, lane: string): Operation {
		if (kind === 17) {
			const to = this.#random(2) === 0 ? ("origin" as const) : { lane: this.#pick(lanes) };
			const ids = this.#random(2) === 0 ? { ids: [this.#id(), this.#id()] } : {};
			const options = { max: this.#random(5), to, ...ids, untold: this.#random(3) === 0 };
			return { name: `move ${lane} ${JSON.stringify(options)}`, run: (log) => log.move(lane, options) };
		}
		if (kind === 18) {
			const [id, purge] = [this.#id(), this.#random(20) === 0];
			if (purge) return { name: `purge ${lane}`, run: (log) => log.purge(lane) };
			return { name: `find ${id}`, run: async (log) => [await log.find(id), await log.trail(id)] };
		}
		if (kind === 19) return { name: "sweep", run: (log) => log.sweep() };
		const options = { limit: 1 + this.#random(10), after: this.#random(20) };
		const run = async (log: MessageLog) => [
			(await log.scan(lane, options)).map(({ sequence: _, ...one }) => one),
			await log.lanes(""),
		];
		return { name: `scan ${lane} ${JSON.stringify(options)}`, run };
	}

	#change(lane: string): LogChange {
		const kind = this.#random(10);
		if (kind < 5) return this.#append(lane);
		const token = this.#pick(this.tokens) ?? "0.0";
		if (kind === 5) {
			const visibilityMs = this.#random(4) === 0 ? undefined : this.#random(3) * 200;
			return { change: "extend", token, visibilityMs, detail: this.#random(2) === 0 ? { failed: kind } : undefined };
		}
		const outcomes: SettleOutcome[] = [
			{ outcome: "done" },
			{ outcome: "done", result: "dropped" },
			{ outcome: "retry", delayMs: this.#random(3) * 100, counts: this.#random(2) === 0 },
			{ outcome: "retry", delayMs: 0, note: "n".repeat(this.#random(3)) },
			{ outcome: "move", lane: this.#pick(lanes), headers: { moved: this.#random(9) } },
		];
		return { change: "settle", token, detail: { n: kind }, ...this.#pick(outcomes) };
	}

	#append(lane: string): LogChange {
		const body = Buffer.alloc(this.#random(8) === 0 ? 5000 : this.#random(30), this.#random(256));
		return {
			change: "append",
			lane,
			id: `id${++this.#ids}`,
			body,
			group: lane === "fifo" ? `g${this.#random(3)}` : undefined,
			delayMs: this.#random(4) === 0 ? this.#random(300) : undefined,
			correlation: this.#random(3) === 0 ? this.#id() : undefined,
			headers: this.#random(2) === 0 ? { h: this.#random(100) } : undefined,
			deduplication: this.#random(5) === 0 ? { key: `k${this.#random(4)}`, windowMs: 400 } : undefined,
		};
	}
}

async function answerOf(operation: Operation, log: MessageLog & { sweep(): Promise<void> }): Promise<unknown> {
	try {
		return await operation.run(log);
	} catch (error) {
		if (!isSlipwayError(error)) throw error;
		return { code: error.code, reason: error.reason, message: error.message };
	}
}

async function compare(seed: number, steps: number): Promise<number> {
	const root = await mkdtemp(join(tmpdir(), "slipway-events-"));
	const path = join(root, "events.db");
	let nowMs = 1_000_000;
	// No timers: what falls due is done by the next operation, at the same time in both.
	const clock = { now: () => nowMs, after: () => () => {} };
	const random = generator(seed);
	const operations = new Operations(random);
	const fake = new FakeMessageLog({ clock });
	let real = await SqliteMessageLog.open({ path, clock, log: silentLog });
	let answers = 0;
	try {
		for (const log of [fake, real])
			for (const [lane, given] of Object.entries(settings))
				await log.defineLane(lane, { ...defaultLaneSettings, ...given });
		for (let step = 0; step < steps; step++) {
			nowMs += random(3) === 0 ? random(200) : 0;
			if (random(100) === 0) {
				fake.restart();
				await real[Symbol.asyncDispose]();
				real = await SqliteMessageLog.open({ path, clock, log: silentLog });
			}
			const operation = operations.next();
			const expected = await answerOf(operation, fake);
			assert.deepEqual(await answerOf(operation, real), expected, `seed ${seed}, step ${step}: ${operation.name}`);
			for (const one of Array.isArray(expected) ? expected : [])
				if (typeof one?.token === "string") operations.tokens = [...operations.tokens, one.token as string].slice(-12);
			if (expected) answers++;
		}
	} finally {
		await real[Symbol.asyncDispose]();
		await rm(root, { recursive: true });
	}
	return answers;
}

for (const seed of [1, 4])
	it(`answers random operations as the state machine does, seed ${seed}`, async () => {
		assert.ok((await compare(seed, 620)) > 500);
	});
