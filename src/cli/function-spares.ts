import { SlipwayError } from "../base/error.ts";
import { maxSpares } from "../client/limits.ts";
import { formatSpares } from "./format.ts";
import { type Call, exitCodes, jsonOption, text, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "function spares NAME [--created N|auto|off] [--initialized N|auto|off]",
	summary: "Set what is kept ready of a function while it is in use",
	details:
		"A created spare is a sandbox that is made and runs nothing yet; an initialized one has run the function's init ahead\n" +
		"of any event and is frozen. By default (auto) what recent events needed decides. A number is for each version in use,\n" +
		"within the limits of the installation (SLIPWAY_SPARES, SLIPWAY_INITIALIZED_SPARES). Both kinds go when no event has\n" +
		"come for a while; for sandboxes that stay, use provisioned concurrency. Without options, the setting is printed.",
	positionals: [1, 1],
	options: {
		created: { type: "string", value: "N", description: `0 to ${maxSpares}, auto, or off` },
		initialized: { type: "string", value: "N", description: `0 to ${maxSpares}, auto, or off` },
		...jsonOption,
	},
	examples: [
		["slipway function spares hello --initialized 2", ""],
		["slipway function spares hello --created auto --initialized off", ""],
	],
	run: spares,
};

async function spares({ context, values, positionals: [name = ""] }: Call): Promise<number> {
	const client = context.client();
	const change = {
		...count("created", text(values.created)),
		...count("initialized", text(values.initialized)),
	};
	const fn = Object.keys(change).length > 0 ? await client.setSpares(name, change) : await client.getFunction(name);
	if (values.json) context.printJson(fn.spares);
	else context.print(`${fn.name}: ${formatSpares(fn.spares)}`);
	return exitCodes.ok;
}

function count(kind: "created" | "initialized", value: string | undefined) {
	if (value === undefined) return {};
	if (value === "auto") return { [kind]: value };
	if (value === "off") return { [kind]: 0 };
	if (/^\d+$/.test(value) && Number(value) <= maxSpares) return { [kind]: Number(value) };
	throw new SlipwayError(
		"INVALID",
		`--${kind} is '${value}': it must be a number from 0 to ${maxSpares}, auto or off`,
		{
			reason: "Usage",
		},
	);
}
