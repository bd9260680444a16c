/** A thousand deletions during a thousand starts: each event is answered, each deletion works, and nothing is left of any function. */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { DeleteFunctionCommand } from "@aws-sdk/client-lambda";
import { pushStaticImage } from "../../bench/slipway-client.ts";
import { type LocalDaemon, startDaemon } from "../../tools/local-daemon.ts";
import { FunctionClient } from "../e2e/function-client.ts";
import { missingForFunctionImages } from "../e2e/function-image.ts";
import { marksOf, remains, takeInventory } from "../soak/leftovers.ts";

/** Functions, each with one event and one deletion; `SLIPWAY_TEST_DELETES` for more than what a quick test does. */
const count = Number(process.env.SLIPWAY_TEST_DELETES ?? 150);
/** Functions made, called and deleted at once. */
const lanes = 10;
/** From the event to the deletion: some come before the start, some in it, some after the answer. */
const maxDelayMs = 60;
const settleMs = 20_000;
const answerMs = 20_000;

describe("deletions during starts", { skip: missingForFunctionImages() ?? false, timeout: 600_000 }, () => {
	let base: string;
	let daemon: LocalDaemon;
	let client: FunctionClient;
	let image: string;

	before(async () => {
		base = await mkdtemp(join(tmpdir(), "slipway-deletes-"));
		await mkdir(join(base, "tmp"));
		daemon = await startDaemon({ home: join(base, "home"), env: { TMPDIR: join(base, "tmp"), SLIPWAY_EGRESS: "0" } });
		client = new FunctionClient(daemon);
		image = await pushStaticImage(daemon);
	});
	after(async () => {
		client?.[Symbol.dispose]();
		await daemon?.[Symbol.asyncDispose]();
		await rm(base, { recursive: true, force: true });
	});

	test("each event is answered well or told that there is no such function", async () => {
		const outcomes = new Map<string, number>();
		let next = 0;
		await Promise.all(
			Array.from({ length: lanes }, async () => {
				while (next < count) {
					const n = next++;
					const outcome = await startAndDelete(`doomed-${n}`, n);
					outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
				}
			}),
		);
		const known = ["ok", "ResourceNotFoundException"];
		assert.deepEqual(
			[...outcomes.keys()].filter((outcome) => !known.includes(outcome)),
			[],
			JSON.stringify([...outcomes]),
		);
		assert.ok((outcomes.get("ok") ?? 0) >= count / 2, JSON.stringify([...outcomes]));
		const marks = marksOf(daemon.pid, daemon.home, join(base, "tmp"));
		for (const until = performance.now() + settleMs; ; await sleep(100)) {
			const { sandboxes } = (await (await client.native("/sandboxes")).json()) as { sandboxes: unknown[] };
			const { containers, processes, zombies, cgroups } = await takeInventory(marks);
			// Blank sandboxes, of which none is a function's: a holder and a launcher each.
			if (processes === 2 * containers && zombies === 0 && sandboxes.length === 0) break;
			const seen = { containers, processes, zombies, cgroups, sandboxes: sandboxes.length };
			assert.ok(performance.now() < until, JSON.stringify(seen));
		}
		await daemon[Symbol.asyncDispose]();
		assert.equal(daemon.process?.exitCode, 0);
		assert.deepEqual(await remains(marks), []);
	});

	async function startAndDelete(name: string, n: number): Promise<string> {
		await client.createActive(name, image);
		const started = performance.now();
		const answer = client.invoke(name, { n }).then(
			({ json, error }) => (error === undefined && json.n === n ? "ok" : JSON.stringify(json)),
			(error: Error) => error.name,
		);
		await sleep((n * 7) % maxDelayMs);
		await client.lambda.send(new DeleteFunctionCommand({ FunctionName: name }));
		const outcome = await answer;
		const ms = performance.now() - started;
		return ms <= answerMs ? outcome : `${outcome} after ${ms} ms`;
	}
});
