import { usage } from "./options.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "queue purge NAME --yes",
	summary: "Delete a queue's messages",
	positionals: [1, 1],
	options: { yes: { type: "boolean", short: "y", description: "Do it: deleted messages are gone" }, ...jsonOption },
	examples: [["slipway queue purge orders --yes", ""]],
	run: purge,
};

async function purge({ context, values, positionals: [name = ""] }: Call): Promise<number> {
	if (!values.yes)
		throw usage(`All messages of '${name}' would be deleted: say --yes`, `\`slipway queue peek ${name}\` shows them`);
	const purged = await context.client().events.purgeQueue(name);
	if (values.json) context.printJson({ purged });
	else context.print(`${purged} deleted`);
	return exitCodes.ok;
}
