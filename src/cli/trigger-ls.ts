import type { TriggerView } from "../client/event-schema.ts";
import { table } from "./format.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "trigger ls [--json]",
	summary: "List what takes events from queues and brokers",
	positionals: [0, 0],
	options: jsonOption,
	examples: [["slipway trigger ls", ""]],
	run: list,
};

async function list({ context, values }: Call): Promise<number> {
	const triggers = await context.client().events.triggers();
	if (values.json) context.printJson(triggers);
	else {
		const rows = triggers.map((trigger) => [
			trigger.name,
			trigger.source,
			shortTarget(trigger.target),
			trigger.state,
			String(trigger.inHand),
			trigger.message ?? "",
		]);
		context.print(table(["TRIGGER", "SOURCE", "TARGET", "STATE", "IN HAND", "MESSAGE"], rows));
	}
	return exitCodes.ok;
}

/** `NAME: queue orders -> function:work` */
export function triggerText({ name, source, target, state }: TriggerView): string {
	return `${name}: ${source} -> ${shortTarget(target)} (${state})`;
}

/** An ARN without what is the same in all of them: `function:work`, `service/default/shop`. */
export function shortTarget(arn: string): string {
	const [, , service = "", , , ...rest] = arn.split(":");
	return service === "sqs" ? `queue:${rest.join(":")}` : rest.join(":");
}
