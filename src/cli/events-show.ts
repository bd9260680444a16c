import type { EventStory } from "../client/event-schema.ts";
import { stepText } from "./event-text.ts";
import { formatTime } from "./format.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "events show ID [--body] [--json]",
	summary: "Show what became of one event, attempt by attempt",
	details:
		"ID is the request id of an asynchronous invocation, a queue's message id or a bus's event id. What came of the event is\n" +
		"shown too: its destination's message, and so on.",
	positionals: [1, 1],
	options: {
		body: { type: "boolean", short: "b", description: "Show the bodies of what is still there" },
		...jsonOption,
	},
	examples: [["slipway events show 0199f3…", ""]],
	run: show,
};

async function show({ context, values, positionals: [id = ""] }: Call): Promise<number> {
	const story = await context.client().events.story(id, { body: values.body === true });
	if (values.json) context.printJson(story);
	else context.print(storyText(story));
	return exitCodes.ok;
}

function storyText({ id, state, steps, present, truncated }: EventStory): string {
	const lines = [`${id}: ${state}`, ...steps.map(stepText)];
	for (const event of present) {
		const due = event.dueMs === undefined ? "" : `, until ${formatTime(event.dueMs)}`;
		const other = event.id === id ? "" : ` (${event.id})`;
		lines.push(`now: ${event.state} at ${event.name}${due}${other}`);
		if (event.body !== undefined) lines.push(`${event.body}${event.truncated ? "…" : ""}`);
		const place = event.lane.startsWith("sqs/") ? `queue/${event.lane.slice("sqs/".length)}` : event.lane;
		if (event.state === "dead") lines.push(`replay it: slipway events replay ${place} --id ${event.id}`);
	}
	if (truncated) lines.push("There is more than is shown.");
	return lines.join("\n");
}
