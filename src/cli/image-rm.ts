import { exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "image rm REFERENCE...",
	summary: "Remove tags, or by digest images with all their tags",
	details: "An image that a function runs stays.",
	positionals: [1, Number.POSITIVE_INFINITY],
	options: jsonOption,
	examples: [
		["slipway image rm hello:1", "the tag"],
		["slipway image rm hello@sha256:…", "the image"],
	],
	run: async ({ context, values, positionals }) => {
		const client = context.client();
		for (const reference of positionals) {
			await client.removeImage(reference);
			if (!values.json) context.print(reference);
		}
		if (values.json) context.printJson({ removed: positionals });
		return exitCodes.ok;
	},
};
