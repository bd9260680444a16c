/** The process that is killed: queues over the real log and store, and calls that come from the process above it. */
import { join } from "node:path";
import { SqliteMessageLog } from "../../../src/adapters/message-log-sqlite/sqlite-message-log.ts";
import { SqliteStore } from "../../../src/adapters/store-sqlite/sqlite-store.ts";
import { systemClock } from "../../../src/base/clock.ts";
import { isSlipwayError } from "../../../src/base/error.ts";
import { randomIds } from "../../../src/base/ids.ts";
import { silentLog } from "../../../src/base/log.ts";
import { Queues } from "../../../src/engine/queues/queues.ts";
import type { Answer, Call, Received } from "./calls.ts";

const queue = "proof.fifo";
const attributes = {
	FifoQueue: "true",
	DeduplicationScope: "messageGroup",
	FifoThroughputLimit: "perMessageGroupId",
};

/** What SQS answers when the lease is over: the reasons of our errors are its names. */
const refusals = new Set(["InvalidParameterValue", "MessageNotInflight"]);

async function openQueues(folder: string): Promise<Queues> {
	const store = await SqliteStore.open({ path: join(folder, "state.db") });
	const queues = await Queues.open({
		store: store.resources,
		log: await SqliteMessageLog.open({ path: join(folder, "events.db"), clock: systemClock, log: silentLog }),
		clock: systemClock,
		ids: randomIds,
		logger: silentLog,
		region: "us-east-1",
		accountId: "123456789012",
		origin: "http://localhost",
	});
	if (!queues.find(queue)) await queues.create(queue, attributes);
	return queues;
}

async function send(queues: Queues, group: string, from: number, count: number): Promise<void> {
	const prepared = Array.from({ length: count }, (_, i) =>
		queues.prepare(queue, { body: String(from + i), groupId: group, deduplicationId: String(from + i) }),
	);
	await queues.sendPrepared(queue, prepared);
}

async function receive(queues: Queues, max: number, visibilityTimeout: number): Promise<Received[]> {
	const messages = await queues.receive(queue, { max, visibilityTimeout, waitSeconds: 1 });
	return messages.map(({ groupId = "", body, receiptHandle }) => ({ group: groupId, n: Number(body), receiptHandle }));
}

/** Each for itself, asked for in this order: whether it was done. */
function each(handles: readonly string[], call: (handle: string) => Promise<void>): Promise<boolean[]> {
	return Promise.all(
		handles.map((handle) =>
			call(handle).then(
				() => true,
				(error: unknown) => {
					if (isSlipwayError(error) && refusals.has(error.reason ?? "")) return false;
					throw error;
				},
			),
		),
	);
}

async function run(queues: Queues, call: Call): Promise<Answer["value"]> {
	switch (call.kind) {
		case "send":
			await send(queues, call.group, call.from, call.count);
			return null;
		case "receive":
			return await receive(queues, call.max, call.visibilityS);
		case "delete":
			return await each(call.handles, (handle) => queues.deleteMessage(queue, handle));
		case "visibility":
			return await each(call.handles, (handle) => queues.changeVisibility(queue, handle, call.seconds));
		case "counts": {
			const { visible, delayed, inFlight } = await queues.counts(queue);
			return visible + delayed + inFlight;
		}
	}
}

const queues = await openQueues(process.argv[2] ?? "");
process.on("message", (call: Call) => {
	run(queues, call).then(
		(value) => process.send?.({ id: call.id, value } satisfies Answer),
		(error: unknown) => process.send?.({ id: call.id, error: String(error) } satisfies Answer),
	);
});
process.on("disconnect", () => process.exit());
process.send?.({ id: 0, value: null } satisfies Answer);
