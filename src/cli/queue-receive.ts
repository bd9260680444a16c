import { integerOf } from "./options.ts";
import { secondsOr0 } from "./queue-create.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "queue receive NAME [--max 1] [--wait 20s] [--visibility 30s] [--keep] [--json]",
	summary: "Take messages from a queue and print their bodies",
	details:
		"Messages are deleted when they were printed, as by a consumer that is done with them. With --keep they are not: they are visible\n" +
		"again after the visibility timeout. The exit code is 4 when there was none.",
	positionals: [1, 1],
	options: {
		max: { type: "string", value: "N", description: "At most so many, up to 10; 1 by default" },
		wait: { type: "string", short: "w", value: "DURATION", description: "Wait so long for the first, up to 20s" },
		visibility: {
			type: "string",
			value: "DURATION",
			description: "How long nobody else gets them; the queue's own by default",
		},
		keep: { type: "boolean", short: "k", description: "Don't delete them" },
		...jsonOption,
	},
	examples: [
		["slipway queue receive orders", "one, if there is one"],
		["slipway queue receive orders --max 10 --wait 20s --keep --json", "up to ten, with their receipt handles"],
	],
	run: receive,
};

async function receive({ context, values, positionals: [name = ""] }: Call): Promise<number> {
	const { events } = context.client();
	const max = integerOf("max", values.max);
	const waitS = secondsOr0("wait", values.wait);
	const visibilityS = secondsOr0("visibility", values.visibility);
	const messages = await events.receive(name, {
		...(max !== undefined && { max }),
		...(waitS !== undefined && { waitS }),
		...(visibilityS !== undefined && { visibilityS }),
	});
	if (values.json) context.printJson(messages);
	else for (const { body } of messages) context.print(body);
	if (!values.keep)
		for (const { receiptHandle } of messages)
			if (receiptHandle !== undefined) await events.deleteMessage(name, receiptHandle);
	if (messages.length === 0 && !values.json) context.err.write(`No message is visible in '${name}'\n`);
	return messages.length === 0 ? exitCodes.notFound : exitCodes.ok;
}
