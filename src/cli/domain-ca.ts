import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "domain ca [--pem | --json]",
	summary: "Show how to trust this installation's development certificates",
	details: "It is the authority of names below SLIPWAY_DOMAINS and of domains with --tls dev.",
	positionals: [0, 0],
	options: {
		pem: { type: "boolean", description: "Print the authority's certificate alone" },
		...jsonOption,
	},
	examples: [
		["slipway domain ca", "where it is, and what to do with it"],
		["slipway domain ca --pem > slipway-ca.crt", "to take it to another machine"],
	],
	run: show,
};

async function show({ context, values }: Call): Promise<number> {
	const authority = await context.client().workloads.developmentAuthority();
	if (values.json) context.printJson(authority);
	else context.print(values.pem ? authority.certificate.trimEnd() : authority.instructions);
	return exitCodes.ok;
}
