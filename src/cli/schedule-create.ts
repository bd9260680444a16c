import { usage } from "./options.ts";
import { type Call, exitCodes, jsonOption, text, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "schedule create NAME EXPRESSION --function NAME | --queue NAME | --to ARN [--input JSON] [--time-zone ZONE]",
	summary: "Create a schedule",
	details:
		"EXPRESSION is rate(5 minutes), cron(MINUTES HOURS DAY-OF-MONTH MONTH DAY-OF-WEEK YEAR) or at(2026-12-24T18:00:00). A tick is kept\n" +
		"until it is delivered; one that came due while the daemon was down fires when it starts.",
	positionals: [2, 2],
	options: {
		function: { type: "string", value: "NAME", description: "Function, version or alias that is invoked" },
		queue: { type: "string", value: "NAME", description: "Queue that a message is sent to" },
		to: { type: "string", value: "ARN", description: "Any other target" },
		input: { type: "string", short: "d", value: "JSON", description: "What it gets" },
		"time-zone": {
			type: "string",
			value: "ZONE",
			description: "Of the expression, such as Europe/Berlin; UTC by default",
		},
		group: { type: "string", value: "GROUP", description: "Schedule group (default)" },
		once: { type: "boolean", description: "Delete it after its last tick" },
		...jsonOption,
	},
	examples: [
		["slipway schedule create nightly 'cron(0 2 * * ? *)' --queue jobs --time-zone Asia/Tokyo", ""],
		["slipway schedule create tick 'rate(1 minute)' --queue orders -d '{\"tick\":true}'", ""],
	],
	run: create,
};

async function create({ context, values, positionals: [name = "", expression = ""] }: Call): Promise<number> {
	const client = context.client();
	const given = [values.function, values.queue, values.to].filter((value) => value !== undefined);
	if (given.length !== 1) throw usage("One of --function, --queue and --to is needed");
	const queue = text(values.queue);
	const target =
		text(values.to) ??
		(queue === undefined
			? await functionArn(client, text(values.function) ?? "")
			: (await client.events.queue(queue)).arn);
	const schedule = await client.events.createSchedule({
		name,
		expression,
		target,
		...(values.input !== undefined && { input: text(values.input) }),
		...(values["time-zone"] !== undefined && { timeZone: text(values["time-zone"]) }),
		...(values.group !== undefined && { group: text(values.group) }),
		...(values.once === true && { once: true }),
	});
	if (values.json) context.printJson(schedule);
	else context.print(schedule.name);
	return exitCodes.ok;
}

async function functionArn(client: ReturnType<Call["context"]["client"]>, name: string): Promise<string> {
	const [functionName = "", qualifier] = name.split(/:(.*)/s);
	const { arn } = await client.getFunction(functionName);
	return qualifier === undefined ? arn : `${arn}:${qualifier}`;
}
