import { integerOf, usage } from "./options.ts";
import { messageTable } from "./queue-messages.ts";
import { type Call, exitCodes, jsonOption, text, type Verb } from "./verb.ts";

const states = ["ready", "delayed", "leased", "blocked"] as const;

export const verb: Verb = {
	usage: "queue peek NAME [--limit 10] [--state STATE] [--json]",
	summary: "Look at messages without taking them",
	details: "Bodies are shown whole with --json.",
	positionals: [1, 1],
	options: {
		limit: { type: "string", value: "N", description: "At most so many; 10 by default, 1000 at most" },
		state: { type: "string", value: "STATE", description: `Only ${states.join(", ")} ones` },
		...jsonOption,
	},
	examples: [["slipway queue peek orders-dlq --limit 100", ""]],
	run: peek,
};

async function peek({ context, values, positionals: [name = ""] }: Call): Promise<number> {
	const given = text(values.state);
	const state = states.find((one) => one === given);
	if (given !== undefined && !state) throw usage(`--state is '${given}': it must be one of ${states.join(", ")}`);
	const { messages, next } = await context
		.client()
		.events.peek(name, { limit: integerOf("limit", values.limit), state });
	if (values.json) context.printJson({ messages, ...(next !== undefined && { next }) });
	else context.print(messages.length === 0 ? `'${name}' has no such messages` : messageTable(messages));
	return exitCodes.ok;
}
