import { exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "function stop NAME...",
	summary: "Let functions go to zero now, as their idle time would",
	details:
		"Ends every sandbox of the function that waits for an event, spares too. Sandboxes at work finish their event, and\n" +
		"provisioned concurrency stays. The next event is a cold start.",
	positionals: [1, Number.POSITIVE_INFINITY],
	options: jsonOption,
	examples: [["slipway function stop hello", ""]],
	run: async ({ context, values, positionals }) => {
		const client = context.client();
		const stopped: Record<string, number> = {};
		for (const name of positionals) {
			const sandboxes = await client.stopFunction(name);
			stopped[name] = sandboxes;
			if (!values.json) context.print(`${name}: ${sandboxes} ${sandboxes === 1 ? "sandbox" : "sandboxes"} stopped`);
		}
		if (values.json) context.printJson({ stopped });
		return exitCodes.ok;
	},
};
