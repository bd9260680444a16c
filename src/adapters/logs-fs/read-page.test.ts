import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { silentLog } from "../../base/log.ts";
import { FakeLogStore } from "../../core/log/fake-log-store.ts";
import type { LogCursor, LogPageQuery, LogStore } from "../../core/log/log-store.ts";
import { FsLogStore } from "./fs-log-store.ts";

const dayMs = 86_400_000;

function randomFrom(seed: number): (below: number) => number {
	let state = seed;
	return (below) => {
		state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
		return (state >>> 8) % below;
	};
}

/** Every page's messages, joined in order. */
async function walk(store: LogStore, query: LogPageQuery): Promise<{ messages: string[]; pages: number }> {
	const found: string[][] = [];
	let next: LogCursor | undefined;
	do {
		const from = next && (query.fromStart ? { after: next } : { before: next });
		const page = await store.page("g", { ...query, ...from });
		found.push(page.events.map((event) => event.message));
		next = page.next;
		assert.ok(found.length < 2000, "the pages come to an end");
	} while (next);
	return { messages: (query.fromStart ? found : found.reverse()).flat(), pages: found.length };
}

test("pages over segments whose times overlap are what one sorted list has, whatever is asked", async () => {
	const root = mkdtempSync(join(tmpdir(), "slipway-logs-"));
	try {
		for (const seed of [1, 2, 3]) {
			const random = randomFrom(seed);
			let nowMs = 1_700_000_000_000;
			const clock = { ...systemClock, now: () => nowMs };
			await using store = await FsLogStore.open({
				root: join(root, `${seed}`),
				clock,
				log: silentLog,
				maxScanBytes: 5000,
			});
			const model = new FakeLogStore(() => nowMs);
			// A segment a day, of events up to three segments back.
			for (let day = 0; day < 12; day++, nowMs += dayMs) {
				for (let i = 0; i < 10; i++) {
					const events = Array.from({ length: random(8) }, () => ({
						timestamp: (Math.max(0, day - random(4)) * 100 + random(100)) * 10,
						message: `${day}.${i} ${"x".repeat(random(200))}`,
					}));
					for (const each of [store, model]) each.append("g", `s${i % 3}`, events);
				}
				await store.flush("g");
			}
			for (let round = 0; round < 60; round++) {
				const startMs = random(12_000);
				const query: LogPageQuery = {
					fromStart: random(2) === 0,
					limit: 1 + random(60),
					...(random(2) && { startMs, endMs: startMs + random(6000) }),
					...(random(3) === 0 && { streams: [`s${random(4)}`] }),
					...(random(3) === 0 && { matches: (message: string) => message.includes("1") }),
					...(random(4) === 0 && { maxBytes: 1 + random(2000) }),
				};
				const [ours, theirs] = [await walk(store, query), await walk(model, query)];
				assert.deepEqual(ours.messages, theirs.messages, `seed ${seed}, ${JSON.stringify(query)}`);
			}
		}
	} finally {
		rmSync(root, { recursive: true });
	}
});
