/** For tests: queues over the fakes of their ports, with a clock that tests move. */
import assert from "node:assert/strict";
import type { Clock } from "../../base/clock.ts";
import { isSlipwayError } from "../../base/error.ts";
import { randomIds } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { FakeMessageLog } from "../../core/message-log/fake-message-log.ts";
import { FakeResourceStore } from "../../core/resource/fake-resource-store.ts";
import { Queues } from "./queues.ts";

export const testAccount = "123456789012";
export const testRegion = "us-east-1";

/** Of a queue there. */
export const arn = (name: string) => `arn:aws:sqs:${testRegion}:${testAccount}:${name}`;
/** For `assert.rejects`: AWS's name of the error. */
export const reason = (name: string) => (error: unknown) => {
	assert(isSlipwayError(error), String(error));
	assert.equal(error.reason, name, error.message);
	return true;
};

/** Time stands still but for `advance`. */
export class TestClock implements Clock {
	#nowMs = 1_700_000_000_000;
	readonly #timers = new Set<{ dueMs: number; callback: () => void }>();

	now(): number {
		return this.#nowMs;
	}

	monotonic(): number {
		return this.#nowMs;
	}

	sleep(ms: number, signal?: AbortSignal): Promise<void> {
		return new Promise((resolve, reject) => {
			if (signal?.aborted) return reject(signal.reason);
			const cancel = this.after(ms, resolve);
			signal?.addEventListener("abort", () => {
				cancel();
				reject(signal.reason);
			});
		});
	}

	after(ms: number, callback: () => void): () => void {
		const timer = { dueMs: this.#nowMs + ms, callback };
		this.#timers.add(timer);
		return () => this.#timers.delete(timer);
	}

	/** Runs what becomes due on the way, in its order, each in the time that it is due. */
	async advance(ms: number): Promise<void> {
		const untilMs = this.#nowMs + ms;
		for (;;) {
			const [next] = [...this.#timers].filter(({ dueMs }) => dueMs <= untilMs).sort((a, b) => a.dueMs - b.dueMs);
			if (!next) break;
			this.#timers.delete(next);
			this.#nowMs = Math.max(this.#nowMs, next.dueMs);
			next.callback();
			await turns();
		}
		this.#nowMs = untilMs;
		await turns();
	}
}

/** Until what is under way and needs no time has happened. */
export async function turns(count = 50): Promise<void> {
	for (let i = 0; i < count; i++) await Promise.resolve();
}

export interface TestQueues extends AsyncDisposable {
	queues: Queues;
	log: FakeMessageLog;
	store: FakeResourceStore;
	clock: TestClock;
	/** As a new process over the same store and log. */
	reopen(): Promise<Queues>;
}

export async function openTestQueues(): Promise<TestQueues> {
	const clock = new TestClock();
	const log = new FakeMessageLog({ clock });
	const store = new FakeResourceStore();
	const open = () =>
		Queues.open({
			store,
			log,
			clock,
			ids: randomIds,
			logger: silentLog,
			region: testRegion,
			accountId: testAccount,
			origin: "http://localhost:9000",
		});
	const test: TestQueues = {
		queues: await open(),
		log,
		store,
		clock,
		async reopen() {
			await test.queues[Symbol.asyncDispose]();
			log.restart();
			test.queues = await open();
			return test.queues;
		},
		async [Symbol.asyncDispose]() {
			await test.queues[Symbol.asyncDispose]();
			log[Symbol.dispose]();
		},
	};
	return test;
}
