import { usage } from "./options.ts";
import { triggerText } from "./trigger-ls.ts";
import { type Call, exitCodes, jsonOption, text, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "trigger apply -f FILE",
	summary: "Create or replace triggers of brokers, and connections to them",
	details:
		"A document with `source` is a trigger, one with `url` a connection; connections come first. Their kinds are rabbitmq, nats, redis\n" +
		"and postgres. Whether a broker takes it shows in `slipway trigger get NAME`. For a queue of this installation use\n" +
		"`slipway queue trigger`. All fields: docs/brokers.md.",
	positionals: [0, 0],
	options: {
		file: { type: "string", short: "f", value: "FILE", description: "Documents in YAML or JSON; - is standard input" },
		...jsonOption,
	},
	examples: [
		["slipway trigger apply -f orders.yaml", ""],
		["slipway trigger apply -f orders.yaml && slipway trigger ls", "and whether it is connected"],
	],
	run: apply,
};

async function apply({ context, values }: Call): Promise<number> {
	const file = text(values.file);
	if (file === undefined) throw usage("-f FILE is missing");
	const { readManifests, withPlaces } = await import("./manifest-file.ts");
	const { events } = context.client();
	for (const document of await readManifests(file)) {
		try {
			// What has neither is told what a trigger needs.
			if (!("source" in document.manifest) && ["url", "kind"].some((field) => field in document.manifest)) {
				const connection = await events.applyConnection(document.manifest);
				if (values.json) context.printJson(connection);
				else context.print(`${connection.name}: ${connection.kind} at ${connection.url}`);
			} else {
				const trigger = await events.applyTrigger(document.manifest);
				if (values.json) context.printJson(trigger);
				else context.print(triggerText(trigger));
			}
		} catch (error) {
			throw withPlaces(error, document);
		}
	}
	return exitCodes.ok;
}
