import { readBody } from "./event-text.ts";
import { integerOf, pairsOf, usage } from "./options.ts";
import { secondsOr0 } from "./queue-create.ts";
import { type Call, exitCodes, jsonOption, text, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "queue send NAME BODY|- [--count N] [--delay 10s] [--group G] [--attribute KEY=VALUE]",
	summary: "Send a message",
	details: "Prints its id when it is on the disk. For a FIFO queue --group is `default` where it is left out.",
	positionals: [1, 2],
	options: {
		file: { type: "string", short: "f", value: "FILE", description: "Read the body from a file" },
		count: { type: "string", short: "c", value: "N", description: "Send so many copies" },
		delay: { type: "string", value: "DURATION", description: "Hidden for this time at first; up to 15m" },
		group: { type: "string", short: "g", value: "GROUP", description: "FIFO: group within which the order holds" },
		deduplication: {
			type: "string",
			value: "ID",
			description: "FIFO: messages with the same id within 5 minutes are one",
		},
		attribute: { type: "string", multiple: true, value: "KEY=VALUE", description: "Message attribute; repeatable" },
		...jsonOption,
	},
	examples: [
		[`slipway queue send orders '{"a":1}'`, ""],
		["jq -c . order.json | slipway queue send orders -", "from a pipe"],
		[`slipway queue send orders.fifo '{"a":1}' --group customer-7`, "behind what that group has"],
	],
	run: send,
};

/** SQS's: 15 minutes. */
const maxDelayS = 900;

async function send({ context, values, positionals }: Call): Promise<number> {
	const [name = "", argument] = positionals;
	const body = await readBody(argument, text(values.file));
	if (body === "") throw usage("A message can't be empty");
	const { deduplication } = values;
	const group = text(values.group) ?? (name.endsWith(".fifo") ? "default" : undefined);
	const count = integerOf("count", values.count);
	const delayS = secondsOr0("delay", values.delay);
	if (delayS !== undefined && delayS > maxDelayS)
		throw usage(`--delay is '${text(values.delay)}': it must be at most 15m`);
	const attributes = pairsOf("attribute", values.attribute).map((pair) => [pair.name, pair.value]);
	const ids = await context.client().events.send(name, {
		body,
		...(count !== undefined && { count }),
		...(delayS !== undefined && { delayS }),
		...(group !== undefined && { group }),
		...(deduplication !== undefined && { deduplicationId: text(deduplication) }),
		...(attributes.length > 0 && { attributes: Object.fromEntries(attributes) }),
	});
	if (values.json) context.printJson({ ids });
	else context.print(ids.join("\n"));
	return exitCodes.ok;
}
