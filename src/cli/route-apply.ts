import { usage } from "./options.ts";
import { type Call, exitCodes, jsonOption, text, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "route apply -f FILE",
	summary: "Create or replace gateway routes: hosts and paths to services and functions",
	positionals: [0, 0],
	options: {
		file: { type: "string", short: "f", value: "FILE", description: "Routes in YAML or JSON; - is standard input" },
		...jsonOption,
	},
	examples: [["slipway route apply -f routes.yaml", ""]],
	run: apply,
};

async function apply({ context, values }: Call): Promise<number> {
	const file = text(values.file);
	if (file === undefined) throw usage("-f FILE is missing");
	const { readManifests, withPlaces } = await import("./manifest-file.ts");
	const { workloads } = context.client();
	for (const document of await readManifests(file)) {
		try {
			const route = await workloads.applyGatewayRoute(document.manifest);
			if (values.json) context.printJson(route);
			else context.print(`${route.name}: ${route.rules.length} rules on ${route.hosts.join(", ")}`);
		} catch (error) {
			throw withPlaces(error, document);
		}
	}
	return exitCodes.ok;
}
