import { formatTime, table } from "./format.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "events faults [--json]",
	summary: "List messages whose bytes are damaged",
	details:
		"They were set aside when they were read, and are never delivered. A disk that damages bytes should be replaced.",
	positionals: [0, 0],
	options: jsonOption,
	examples: [["slipway events faults", ""]],
	run: list,
};

async function list({ context, values }: Call): Promise<number> {
	const faults = await context.client().events.faults();
	if (values.json) context.printJson(faults);
	else if (faults.length === 0) context.print("No damaged messages");
	else {
		const rows = faults.map(({ lane, id, foundMs, what }) => [lane, id, formatTime(foundMs), what]);
		context.print(table(["PLACE", "ID", "FOUND", "WHAT"], rows));
	}
	return exitCodes.ok;
}
