/** Functions and queues that feed themselves or each other: found by the trace header that the SDK in the function sends on. */
import assert from "node:assert/strict";
import type { Message } from "@aws-sdk/client-sqs";
import { cli } from "../services/service-client.ts";
import { map } from "./mappings.ts";
import type { Clause, TestQueue, World } from "./world.ts";

/** AWS stops a function at its 17th run in one chain ("approximately 16 times"). */
const maxRuns = 16;

async function loopQueue(w: World, name: string, dead: TestQueue): Promise<TestQueue> {
	const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: dead.arn, maxReceiveCount: 3 });
	return await w.queue(name, { RedrivePolicy, VisibilityTimeout: "30" });
}

/** The one message that is left of the loop, and what `slipway events show` says of it. */
async function stopped(w: World, dead: TestQueue): Promise<{ message: Message; hop: number; story: string }> {
	const [message] = await w.take(dead, 1);
	assert.ok(message);
	const story = await cli(w.daemon, "events", "show", message.MessageId ?? "");
	return { message, hop: JSON.parse(message.Body ?? "").hop, story };
}

export const loopClauses: readonly Clause[] = [
	{
		says: "a function that feeds its own queue is stopped after 16 runs: the message is in the dead-letter queue",
		run: async (w) => {
			const dead = await w.queue("loop-dead");
			const queue = await loopQueue(w, "loop", dead);
			await w.function("loop", { handler: "feed", env: { NEXT: "loop" } });
			await map(w, queue, "loop", { BatchSize: 1 });
			await w.send(queue, { hop: 0 });
			const { hop, story } = await stopped(w, dead);
			assert.equal(hop, maxRuns);
			assert.match(story, /recurs|loop/i);
			assert.deepEqual(await w.receive(queue), []);
		},
	},
	{
		says: "two queues that feed each other are stopped too",
		run: async (w) => {
			const dead = await w.queue("pair-dead");
			const [left, right] = [await loopQueue(w, "pair-left", dead), await loopQueue(w, "pair-right", dead)];
			await w.function("pair-left", { handler: "feed", env: { NEXT: right.name } });
			await w.function("pair-right", { handler: "feed", env: { NEXT: left.name } });
			await map(w, left, "pair-left", { BatchSize: 1 });
			await map(w, right, "pair-right", { BatchSize: 1 });
			await w.send(left, { hop: 0 });
			const { hop } = await stopped(w, dead);
			assert.equal(hop, 2 * maxRuns);
		},
	},
	{
		says: "a function that invokes itself asynchronously is stopped: its event goes to its dead-letter queue",
		run: async (w) => {
			const dead = await w.queue("self-dead");
			await w.function("self", { handler: "again", DeadLetterConfig: { TargetArn: dead.arn } });
			await w.functions.invoke("self", { hop: 0 });
			const [letter] = await w.take(dead, 1);
			// The first run was not asynchronous.
			assert.equal(JSON.parse(letter?.Body ?? "").hop, maxRuns + 1);
			assert.match(letter?.MessageAttributes?.ErrorMessage?.StringValue ?? "", /recurs|loop/i);
		},
	},
];
