import { formatTime, table } from "./format.ts";
import { shortTarget } from "./trigger-ls.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "schedule ls [--json]",
	summary: "List schedules and when they fire next",
	positionals: [0, 0],
	options: jsonOption,
	examples: [["slipway schedule ls", ""]],
	run: list,
};

async function list({ context, values }: Call): Promise<number> {
	const schedules = await context.client().events.schedules();
	if (values.json) context.printJson(schedules);
	else {
		const rows = schedules.map(({ group, name, expression, timeZone, target, enabled, nextMs }) => [
			group === "default" ? name : `${group}/${name}`,
			`${expression}${timeZone === undefined ? "" : ` ${timeZone}`}`,
			shortTarget(target),
			!enabled ? "disabled" : nextMs === undefined ? "" : formatTime(nextMs),
		]);
		context.print(table(["SCHEDULE", "WHEN", "TARGET", "NEXT"], rows));
	}
	return exitCodes.ok;
}
