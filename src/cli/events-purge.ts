import { placeOf } from "./event-text.ts";
import { usage } from "./options.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "events purge PLACE --yes",
	summary: "Delete everything that waits at a place",
	positionals: [1, 2],
	options: { yes: { type: "boolean", short: "y", description: "Do it: deleted events are gone" }, ...jsonOption },
	examples: [["slipway events purge function/orders --yes", ""]],
	run: purge,
};

async function purge({ context, values, positionals }: Call): Promise<number> {
	const place = placeOf(positionals);
	if (!values.yes)
		throw usage(`Everything at '${place}' would be deleted: say --yes`, `\`slipway events ls ${place}\` shows it`);
	const purged = await context.client().events.purge(place);
	if (values.json) context.printJson({ purged });
	else context.print(`${purged} deleted`);
	return exitCodes.ok;
}
