import { readBody } from "./event-text.ts";
import { usage } from "./options.ts";
import { type Call, exitCodes, jsonOption, text, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "bus put [BUS] DETAIL|- --type TYPE [--source SOURCE]",
	summary: "Put an event on a bus",
	details: "DETAIL is a JSON object. The event's id is printed when it is on the disk for every rule that matches.",
	positionals: [1, 2],
	options: {
		type: { type: "string", short: "t", value: "TYPE", description: "detail-type" },
		source: { type: "string", short: "s", value: "SOURCE", description: "Source (slipway.cli)" },
		...jsonOption,
	},
	examples: [[`slipway bus put '{"id":7}' --type OrderPlaced --source shop`, "on the bus default"]],
	run: put,
};

async function put({ context, values, positionals }: Call): Promise<number> {
	const [bus, argument] =
		positionals.length === 1 ? ["default", positionals[0]] : [positionals[0] ?? "", positionals[1]];
	const detailType = text(values.type);
	if (detailType === undefined) throw usage("--type is missing: the event's detail-type, such as OrderPlaced");
	const detail = objectOf(await readBody(argument, undefined));
	const id = await context
		.client()
		.events.putEvent(bus, { source: text(values.source) ?? "slipway.cli", detailType, detail });
	if (values.json) context.printJson({ id });
	else context.print(id);
	return exitCodes.ok;
}

function objectOf(json: string): Record<string, unknown> {
	let value: unknown;
	try {
		value = JSON.parse(json);
	} catch (error) {
		throw usage(`The detail is not JSON: ${(error as Error).message}`, `Quote it for the shell: '{"id":7}'`);
	}
	if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
	throw usage("The detail must be a JSON object");
}
