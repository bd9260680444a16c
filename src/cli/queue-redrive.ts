import { setTimeout as sleep } from "node:timers/promises";
import { SlipwayError } from "../base/error.ts";
import type { EventClient } from "../client/event-client.ts";
import type { MoveTaskView } from "../client/event-schema.ts";
import { integerOf } from "./options.ts";
import { type Call, exitCodes, jsonOption, text, type Verb } from "./verb.ts";

/** Milliseconds between two looks at how far it is. */
const lookMs = 200;

export const verb: Verb = {
	usage: "queue redrive DEAD-LETTER-QUEUE [--to QUEUE] [--rate N] [--no-wait] [--json]",
	summary: "Move dead letters back to the queue they came from",
	details: "It goes on in the daemon when this command ends, and over a restart.",
	positionals: [1, 1],
	options: {
		to: { type: "string", value: "QUEUE", description: "To this queue instead" },
		rate: { type: "string", value: "N", description: "At most so many a second" },
		"no-wait": { type: "boolean", description: "Don't wait until it is done" },
		...jsonOption,
	},
	examples: [["slipway queue redrive orders-dlq", ""]],
	run: redrive,
};

async function redrive({ context, values, positionals: [name = ""] }: Call): Promise<number> {
	const { events } = context.client();
	const maxPerSecond = integerOf("rate", values.rate);
	const begun = await events.redrive(name, {
		...(values.to !== undefined && { destination: text(values.to) }),
		...(maxPerSecond !== undefined && { maxPerSecond }),
	});
	const task = values["no-wait"] ? begun : await ended(events, name, begun);
	if (values.json) context.printJson(task);
	else context.print(`${task.moved} of ${task.toMove} moved${task.status === "COMPLETED" ? "" : ` (${task.status})`}`);
	if (task.status !== "FAILED") return exitCodes.ok;
	throw new SlipwayError("UNAVAILABLE", `The redrive failed: ${task.failureReason ?? "no reason is known"}`, {
		hint: `\`slipway queue peek ${name}\` shows what is left`,
	});
}

async function ended(events: EventClient, queue: string, begun: MoveTaskView): Promise<MoveTaskView> {
	for (let task = begun; ; await sleep(lookMs)) {
		if (task.status !== "RUNNING" && task.status !== "CANCELLING") return task;
		task = (await events.redrives(queue)).find(({ id }) => id === begun.id) ?? task;
	}
}
