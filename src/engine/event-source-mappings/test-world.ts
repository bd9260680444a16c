/** A mapping's whole world in memory, for its tests. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { VirtualClock } from "../../../tests/simulation/virtual-clock.ts";
import { SlipwayError } from "../../base/error.ts";
import { FakeMessageLog } from "../../core/message-log/fake-message-log.ts";
import { EventSourceMappings, type EventSourceMappingsDeps } from "./event-source-mappings.ts";
import type { CreateMapping, MappingTarget } from "./mapping.ts";
import { FakeFunctions, type FakeQueueOptions, FakeQueues, queueArn, type TestFunction, testDeps } from "./testing.ts";

export const worker: MappingTarget = { kind: "function", name: "worker", qualifier: undefined };

export interface World {
	clock: VirtualClock;
	log: FakeMessageLog;
	queues: FakeQueues;
	functions: FakeFunctions;
	mappings: EventSourceMappings;
	deps: EventSourceMappingsDeps;
	/** Bodies of each batch, in the order in which they came. */
	batches: string[][];
	map(more?: Partial<CreateMapping>): ReturnType<EventSourceMappings["create"]>;
	send(...bodies: string[]): Promise<string[]>;
	left(name?: string): Promise<number>;
}

export async function world(
	context: TestContext,
	code: TestFunction = () => null,
	{
		queue = "work",
		more,
		...options
	}: FakeQueueOptions & { queue?: string; more?: Partial<EventSourceMappingsDeps> } = {},
): Promise<World> {
	const clock = new VirtualClock();
	const log = new FakeMessageLog({ clock });
	const queues = new FakeQueues(log);
	await queues.create("dead");
	await queues.create(queue, options);
	const batches: string[][] = [];
	const functions = new FakeFunctions((records, request) => {
		batches.push(records.map(({ body }) => body));
		return code(records, request);
	});
	const deps = testDeps({ clock, log, queues, functions, ...(more && { more }) });
	const mappings = await EventSourceMappings.open(deps);
	mappings.start();
	context.after(async () => {
		const ending = mappings[Symbol.asyncDispose]();
		await clock.advance(60_000);
		await ending;
		log[Symbol.dispose]();
	});
	return {
		clock,
		log,
		queues,
		functions,
		mappings,
		deps,
		batches,
		map: (more = {}) => mappings.create({ source: queueArn(queue), target: worker, ...more }),
		send: async (...bodies) => {
			const ids: string[] = [];
			for (const body of bodies)
				ids.push(await queues.send(queue, body, queue.endsWith(".fifo") ? { groupId: "g" } : {}));
			return ids;
		},
		left: async (name = queue) =>
			(await log.counts(`sqs/${name}`)).visible +
			(await log.counts(`sqs/${name}`)).delayed +
			(await log.counts(`sqs/${name}`)).inFlight,
	};
}

export const refusal = (code: string, message: string | RegExp) => (error: unknown) => {
	assert.ok(error instanceof SlipwayError);
	assert.equal(error.code, code);
	if (typeof message === "string") assert.equal(error.message, message);
	else assert.match(error.message, message);
	return true;
};

/** A function whose batches end when the test says so. */
export function held(): { code: TestFunction; release(count?: number): void } {
	const waiting: ((value: unknown) => void)[] = [];
	return {
		code: () => new Promise((resolve) => waiting.push(resolve)),
		release: (count = waiting.length) => {
			for (const resolve of waiting.splice(0, count)) resolve(null);
		},
	};
}
