import { formatDuration } from "./format.ts";
import { queueTable } from "./queue-ls.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "queue get NAME [--json]",
	summary: "Show one queue",
	positionals: [1, 1],
	options: jsonOption,
	examples: [["slipway queue get orders", ""]],
	run: get,
};

async function get({ context, values, positionals: [name = ""] }: Call): Promise<number> {
	const queue = await context.client().events.queue(name);
	if (values.json) context.printJson(queue);
	else {
		const { url, arn, visibilityTimeoutS, retentionS, deadLettersOf } = queue;
		const lines = [
			queueTable([queue]),
			`url         ${url}`,
			`arn         ${arn}`,
			`visibility  ${formatDuration(visibilityTimeoutS * 1000)}`,
			`retention   ${formatDuration(retentionS * 1000)}`,
		];
		if (deadLettersOf.length > 0) lines.push(`dead of     ${deadLettersOf.join(", ")}`);
		context.print(lines.join("\n"));
	}
	return exitCodes.ok;
}
