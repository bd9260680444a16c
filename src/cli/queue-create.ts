import { isSlipwayError } from "../base/error.ts";
import type { EventClient } from "../client/event-client.ts";
import { integerOf, pairsOf, secondsOf, usage } from "./options.ts";
import { type Call, exitCodes, jsonOption, text, type Verb } from "./verb.ts";

/** Receives after which a message is a dead letter, where nothing is said: SQS's console proposes 10; fewer show a bug sooner. */
const defaultMaxReceives = 3;

export const verb: Verb = {
	usage: "queue create NAME [--dead-letters QUEUE] [--max-receives 3] [--visibility 30s] [--delay 0s] [--retention 4d]",
	summary: "Create a queue",
	details:
		"A name that ends in .fifo is a FIFO queue's. With --dead-letters a message that was received --max-receives times without\n" +
		"being deleted moves to QUEUE, which is made when it is not there.",
	positionals: [1, 1],
	options: {
		"dead-letters": { type: "string", short: "d", value: "QUEUE", description: "Queue for messages that fail" },
		"max-receives": { type: "string", value: "N", description: "Receives before that; 3 by default" },
		visibility: {
			type: "string",
			value: "DURATION",
			description: "How long a received message is hidden; 30s by default",
		},
		delay: { type: "string", value: "DURATION", description: "How long new messages are hidden; 0s by default" },
		retention: { type: "string", value: "DURATION", description: "How long messages are kept; 4d by default" },
		dedupe: { type: "boolean", description: "FIFO: messages with the same body within 5 minutes are one" },
		attribute: {
			type: "string",
			multiple: true,
			value: "KEY=VALUE",
			description: "Any other attribute of SQS; repeatable",
		},
		tag: { type: "string", multiple: true, value: "KEY=VALUE", description: "Tag; repeatable" },
		...jsonOption,
	},
	examples: [
		["slipway queue create orders", ""],
		["slipway queue create orders --dead-letters orders-dlq", "with a queue for what fails"],
		["slipway queue create orders.fifo --dedupe", "in the order of their groups"],
	],
	run: create,
};

async function create(call: Call): Promise<number> {
	const { context, values, positionals } = call;
	const [name = ""] = positionals;
	const { events } = context.client();
	const deadLetters = text(values["dead-letters"]);
	if (deadLetters === undefined && values["max-receives"] !== undefined)
		throw usage("--max-receives needs --dead-letters: where would they go?");
	if (name.endsWith(".fifo") !== (deadLetters ?? name).endsWith(".fifo"))
		throw usage(`Dead letters of ${name.endsWith(".fifo") ? "a FIFO" : "a standard"} queue go to one of the same kind`);
	const attributes = attributesOf(values);
	if (deadLetters !== undefined) {
		const deadLetterTargetArn = await arnOf(events, deadLetters);
		const maxReceiveCount = integerOf("max-receives", values["max-receives"]) ?? defaultMaxReceives;
		attributes.RedrivePolicy = JSON.stringify({ deadLetterTargetArn, maxReceiveCount });
	}
	const tags = Object.fromEntries(pairsOf("tag", values.tag).map((pair) => [pair.name, pair.value]));
	const queue = await events.createQueue({ name, attributes, ...(Object.keys(tags).length > 0 && { tags }) });
	if (values.json) context.printJson(queue);
	else context.print(`${queue.name} ${queue.url}`);
	return exitCodes.ok;
}

function attributesOf(values: Call["values"]): Record<string, string> {
	const seconds = {
		VisibilityTimeout: secondsOr0("visibility", values.visibility),
		DelaySeconds: secondsOr0("delay", values.delay),
		MessageRetentionPeriod: secondsOf("retention", values.retention),
	};
	const given = Object.entries(seconds).flatMap(([name, value]) =>
		value === undefined ? [] : [[name, String(value)]],
	);
	return {
		...(Object.fromEntries(given) as Record<string, string>),
		...(values.dedupe === true && { ContentBasedDeduplication: "true" }),
		...Object.fromEntries(pairsOf("attribute", values.attribute).map(({ name, value }) => [name, value])),
	};
}

export function secondsOr0(option: string, value: Call["values"][string]): number | undefined {
	return /^0(?:s|m|h|d)?$/.test(text(value) ?? "") ? 0 : secondsOf(option, value);
}

async function arnOf(events: EventClient, name: string): Promise<string> {
	try {
		return (await events.queue(name)).arn;
	} catch (error) {
		if (!isSlipwayError(error, "NOT_FOUND")) throw error;
		// Dead letters are kept as long as they can be: nobody may look for days.
		return (await events.createQueue({ name, attributes: { MessageRetentionPeriod: "1209600" } })).arn;
	}
}
