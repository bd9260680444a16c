import { integerOf, listOf, usage } from "./options.ts";
import { secondsOr0 } from "./queue-create.ts";
import { triggerText } from "./trigger-ls.ts";
import { type Call, exitCodes, jsonOption, text, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "queue trigger QUEUE --function NAME[:QUALIFIER] | --service NAME | NAMESPACE/NAME[/PATH] [options]",
	summary: "Let a queue's messages go to a function or a service",
	details:
		"A function gets batches as from SQS, and is polled for as it scales. A service gets one HTTP request a message, as a CloudEvent;\n" +
		"with --format batch the JSON that a function gets.",
	positionals: [1, 1],
	options: {
		function: { type: "string", value: "NAME", description: "Function, version or alias" },
		service: {
			type: "string",
			value: "NAME",
			description: "Service; with a path behind its namespace and name, that is called",
		},
		format: { type: "string", value: "FORMAT", description: "Of a service: cloudevents (default) or batch" },
		"batch-size": { type: "string", value: "N", description: "Messages at once; 10 by default" },
		window: { type: "string", value: "DURATION", description: "Wait so long for a batch to fill" },
		filter: {
			type: "string",
			multiple: true,
			value: "PATTERN",
			description: "Only messages that match this event pattern; repeatable",
		},
		"max-concurrency": { type: "string", value: "N", description: "Batches at once, 2 to 1000" },
		"item-failures": { type: "boolean", description: "The target answers which messages failed (batchItemFailures)" },
		paused: { type: "boolean", description: "Make it, and take nothing yet" },
		...jsonOption,
	},
	examples: [
		["slipway queue trigger orders --function work --item-failures", ""],
		["slipway queue trigger orders --service orders", "to a service of the namespace default"],
		["slipway queue trigger orders --service default/orders/inbox", "to its path /inbox"],
	],
	run: create,
};

async function create({ context, values, positionals: [queue = ""] }: Call): Promise<number> {
	if ((values.function === undefined) === (values.service === undefined))
		throw usage("Either --function or --service is needed");
	const format = text(values.format);
	if (format !== undefined && format !== "cloudevents" && format !== "batch")
		throw usage(`--format is '${format}': it must be cloudevents or batch`);
	const batchSize = integerOf("batch-size", values["batch-size"]);
	const windowS = secondsOr0("window", values.window);
	const maximumConcurrency = integerOf("max-concurrency", values["max-concurrency"]);
	const filters = listOf(values.filter);
	const trigger = await context.client().events.createQueueTrigger(queue, {
		...(values.function !== undefined && { function: text(values.function) }),
		...(values.service !== undefined && { service: text(values.service) }),
		...(format !== undefined && { format }),
		...(batchSize !== undefined && { batchSize }),
		...(windowS !== undefined && { windowS }),
		...(maximumConcurrency !== undefined && { maximumConcurrency }),
		...(filters.length > 0 && { filters }),
		...(values["item-failures"] === true && { reportsItemFailures: true }),
		...(values.paused === true && { enabled: false }),
	});
	if (values.json) context.printJson(trigger);
	else context.print(triggerText(trigger));
	return exitCodes.ok;
}
