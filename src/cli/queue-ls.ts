import type { QueueView } from "../client/event-schema.ts";
import { age } from "./event-text.ts";
import { table } from "./format.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "queue ls [PREFIX] [--json]",
	summary: "List queues and what waits in them",
	positionals: [0, 1],
	options: jsonOption,
	examples: [["slipway queue ls", ""]],
	run: list,
};

async function list({ context, values, positionals: [prefix] }: Call): Promise<number> {
	const queues = await context.client().events.queues(prefix);
	if (values.json) context.printJson(queues);
	else context.print(queueTable(queues));
	return exitCodes.ok;
}

export function queueTable(queues: readonly QueueView[]): string {
	const rows = queues.map(({ name, visible, delayed, inFlight, oldestSentMs, deadLetterQueue, maxReceiveCount }) => [
		name,
		...[visible, delayed, inFlight].map(String),
		age(oldestSentMs),
		deadLetterQueue === undefined ? "" : `${deadLetterQueue} after ${maxReceiveCount}`,
	]);
	return table(["QUEUE", "VISIBLE", "DELAYED", "IN FLIGHT", "OLDEST", "DEAD LETTERS"], rows);
}
