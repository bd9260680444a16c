/** Verbs that stop and start triggers. */
import type { EventClient } from "../client/event-client.ts";
import type { TriggerView } from "../client/event-schema.ts";
import { triggerText } from "./trigger-ls.ts";
import { exitCodes, jsonOption, type Verb } from "./verb.ts";

export function triggerSwitch(options: {
	usage: string;
	summary: string;
	change: (events: EventClient, name: string) => Promise<TriggerView>;
}): Verb {
	const { usage, summary, change } = options;
	return {
		usage,
		summary,
		positionals: [1, Number.POSITIVE_INFINITY],
		options: jsonOption,
		examples: [[`slipway ${usage.replace("NAME...", "rabbit-orders")}`, ""]],
		run: async ({ context, values, positionals }) => {
			const { events } = context.client();
			const changed: TriggerView[] = [];
			for (const name of positionals) {
				const trigger = await change(events, name);
				changed.push(trigger);
				if (!values.json) context.print(triggerText(trigger));
			}
			if (values.json) context.printJson(changed);
			return exitCodes.ok;
		},
	};
}
