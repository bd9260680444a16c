/** From queues to functions and services, with the batch processors of Powertools for AWS Lambda. */
import assert from "node:assert/strict";
import {
	CreateEventSourceMappingCommand,
	type CreateEventSourceMappingCommandInput,
	DeleteEventSourceMappingCommand,
	GetEventSourceMappingCommand,
	UpdateEventSourceMappingCommand,
} from "@aws-sdk/client-lambda";
import { type Clause, type TestQueue, until, type World } from "./world.ts";

/** Returns its UUID when it is in force. */
export async function map(
	w: World,
	queue: TestQueue,
	FunctionName: string,
	change: Partial<CreateEventSourceMappingCommandInput> = {},
): Promise<string> {
	const { UUID = "" } = await w.lambda.send(
		new CreateEventSourceMappingCommand({ FunctionName, EventSourceArn: queue.arn, ...change }),
	);
	await untilState(w, UUID, "Enabled");
	return UUID;
}

const untilState = (w: World, UUID: string, state: string) =>
	until(`mapping ${state}`, async () => {
		const { State } = await w.lambda.send(new GetEventSourceMappingCommand({ UUID }));
		return State === state ? true : undefined;
	});

const itemFailures = { FunctionResponseTypes: ["ReportBatchItemFailures" as const] };

export const mappingClauses: readonly Clause[] = [
	{
		says: "Powertools' batch processor fails one message of a batch: it comes again alone, and then is a dead letter",
		run: async (w) => {
			const [report, dead] = [await w.queue("pt-report"), await w.queue("pt-dead")];
			const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: dead.arn, maxReceiveCount: 2 });
			const queue = await w.queue("pt", { VisibilityTimeout: "3", RedrivePolicy });
			await w.function("pt", { handler: "standard", env: { REPORT: report.name }, Timeout: 3 });
			for (const value of [{ n: 1 }, { n: 2, fail: 1 }, { n: 3, fail: 9 }, { n: 4 }]) await w.send(queue, value);
			await map(w, queue, "pt", { BatchSize: 10, ...itemFailures });
			const seen = await w.values(report, 6);
			const count = (n: number) => seen.filter((value) => value.n === n).length;
			assert.deepEqual([1, 2, 3, 4].map(count), [1, 2, 2, 1]);
			const [letter] = await w.take(dead, 1);
			assert.equal(letter?.Body, '{"n":3,"fail":9}');
			assert.deepEqual(await w.receive(queue, 0), []);
		},
	},
	{
		says: "Powertools' FIFO processor keeps a group's order over failures",
		run: async (w) => {
			const report = await w.queue("pt-fifo-report");
			const queue = await w.queue("pt.fifo", { FifoQueue: "true", VisibilityTimeout: "3" });
			await w.function("pt-fifo", { handler: "fifo", env: { REPORT: report.name }, Timeout: 3 });
			for (const n of [1, 2, 3, 4]) {
				const MessageDeduplicationId = String(n);
				await w.send(queue, { n, ...(n === 2 && { fail: 1 }) }, { MessageGroupId: "g", MessageDeduplicationId });
			}
			await map(w, queue, "pt-fifo", { BatchSize: 4, ...itemFailures });
			const seen: Record<string, unknown>[] = [];
			while (!seen.some(({ n }) => n === 4)) seen.push(...(await w.values(report, 1)));
			const done = seen.filter(({ failed }) => failed !== true);
			// The report is a standard queue: times say the order.
			done.sort((a, b) => Number(a.at) - Number(b.at));
			assert.deepEqual(
				done.map(({ n }) => n),
				[1, 2, 3, 4],
			);
			assert.equal(seen.filter(({ n, failed }) => n === 2 && failed === true).length, 1);
		},
	},
	{
		says: "a filter's other messages are deleted unseen; a batch window fills a batch",
		run: async (w) => {
			const [report, queue] = [await w.queue("filter-report"), await w.queue("filter")];
			await w.function("filter", { env: { REPORT: report.name } });
			for (let n = 0; n < 12; n++) await w.send(queue, { kind: n % 2 === 0 ? "even" : "odd", n });
			const Pattern = JSON.stringify({ body: { kind: ["even"], n: [{ numeric: ["<", 10] }] } });
			const FilterCriteria = { Filters: [{ Pattern }] };
			await map(w, queue, "filter", { BatchSize: 5, MaximumBatchingWindowInSeconds: 1, FilterCriteria });
			const numbers: number[] = [];
			while (numbers.length < 5) {
				const [seen = {}] = await w.values(report, 1);
				const { Records } = seen.event as { Records: { body: string; eventSource: string; eventSourceARN: string }[] };
				for (const { body, eventSource, eventSourceARN } of Records) {
					numbers.push(JSON.parse(body).n);
					assert.deepEqual([eventSource, eventSourceARN], ["aws:sqs", queue.arn]);
				}
			}
			assert.deepEqual(numbers.sort(), [0, 2, 4, 6, 8]);
			await until("no message left", async () => {
				const left = (await w.count(queue)) + (await w.count(queue, "NotVisible"));
				return left === 0 ? true : undefined;
			});
		},
	},
	{
		says: "a disabled mapping takes nothing, and goes on when it is enabled; a maximum of concurrent batches holds",
		run: async (w) => {
			const [report, queue] = [await w.queue("pause-report"), await w.queue("pause", { VisibilityTimeout: "60" })];
			await w.function("pause", { handler: "slow", env: { REPORT: report.name } });
			const limits = { BatchSize: 1, ScalingConfig: { MaximumConcurrency: 2 } };
			const UUID = await map(w, queue, "pause", limits);
			await w.lambda.send(new UpdateEventSourceMappingCommand({ UUID, Enabled: false }));
			await untilState(w, UUID, "Disabled");
			for (let n = 0; n < 8; n++) await w.send(queue, { n });
			assert.deepEqual(await w.receive(report), []);
			await w.lambda.send(new UpdateEventSourceMappingCommand({ UUID, Enabled: true }));
			const spans = (await w.values(report, 8)) as { from: number; to: number }[];
			const together = spans.map(({ from }) => spans.filter((other) => other.from <= from && from < other.to).length);
			assert.ok(Math.max(...together) <= 2, `${together} at once`);
			await w.lambda.send(new DeleteEventSourceMappingCommand({ UUID }));
		},
	},
];
