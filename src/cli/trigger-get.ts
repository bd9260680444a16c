import { triggerText } from "./trigger-ls.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "trigger get NAME [--json]",
	summary: "Show one trigger, its state and its counts",
	positionals: [1, 1],
	options: jsonOption,
	examples: [["slipway trigger get rabbit-orders", ""]],
	run: get,
};

async function get({ context, values, positionals: [name = ""] }: Call): Promise<number> {
	const trigger = await context.client().events.trigger(name);
	if (values.json) context.printJson(trigger);
	else {
		context.print(triggerText(trigger));
		if (trigger.message !== undefined) context.print(trigger.message);
		const facts = { ...trigger.counters, "in hand": trigger.inHand };
		context.print(
			Object.entries(facts)
				.map(([what, count]) => `${what} ${count}`)
				.join(", "),
		);
		context.print(JSON.stringify(trigger.definition, null, 2));
	}
	return exitCodes.ok;
}
